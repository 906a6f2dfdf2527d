// SPDX-License-Identifier: Apache-2.0
/*
 * The programs that know ext4 want a file. So the image is served as one, by `ovbd serve --fuse`
 * (this program, started anew), for as long as they run. Their words go to a file, as they are only
 * told if something went wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tools/resize.h"
#include "tools/upper_config.h"

#define LINE_MAX_BYTES 200u

/* What e2fsck says of one that it could not repair by itself begins there; 127: not installed. */
#define RESIZE        "resize2fs \"$OVBD_FILE\" %s || exit 100"
#define SCRIPT        "e2fsck -f -p \"$OVBD_FILE\"; s=$?; [ $s -lt 4 ] || exit $s; " RESIZE
#define RESIZE_FAILED 100

extern char **environ;

struct places {
	char dir[64];
	char *config, *file, *log;
	const char *image; /* the configuration: config, or one that was named */
};

static char *in_dir(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static int make_places(struct places *p, struct ovbd_error *err)
{
	const char *tmp = getenv("TMPDIR");
	const int n = snprintf(p->dir, sizeof(p->dir), "%s/ovbd-resize-XXXXXX",
	                       tmp && strlen(tmp) < 32 ? tmp : "/tmp");

	if (n < 0 || !mkdtemp(p->dir)) {
		p->dir[0] = '\0';
		return ovbd_fail_errno(err, -errno, "a temporary folder");
	}
	p->config = in_dir(p->dir, "image.json");
	p->file = in_dir(p->dir, "device");
	p->log = in_dir(p->dir, "log");
	return p->config && p->file && p->log ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

static void remove_places(struct places *p)
{
	if (p->dir[0]) {
		unlink(p->config);
		unlink(p->file);
		unlink(p->log);
		rmdir(p->dir);
	}
	free(p->config);
	free(p->file);
	free(p->log);
}

/* ---- an image of what was named ---- */

static json_t *upper_of(const struct ovbd_upper_names *names, struct ovbd_error *err)
{
	AUTO_FREE char *data = realpath(names->names[0], NULL);
	AUTO_FREE char *index = names->n > 1 ? realpath(names->names[1], NULL) : NULL;

	if (!data || (names->n > 1 && !index)) {
		ovbd_fail_errno(err, -errno, "%s", names->names[data ? 1 : 0]);
		return NULL;
	}
	return index ? json_pack("{s:s, s:s}", "data", data, "index", index)
	             : json_pack("{s:s}", "file", data);
}

/* 0, or what json's functions return. */
static int fill_config(json_t *config, const struct ovbd_upper_names *names, struct ovbd_error *err)
{
	json_t *lowers = json_array();
	int r = json_object_set_new(config, "repoBlobUrl", json_string(""));

	for (size_t i = 0; r == 0 && i < names->nbases; i++)
		r = json_array_append_new(lowers, ovbd_upper_layer_json(names->bases[i], err));
	r |= json_object_set_new(config, "lowers", lowers);
	return r < 0 ? r : json_object_set_new(config, "upper", upper_of(names, err));
}

static int write_config(const struct places *p, const struct ovbd_upper_names *names,
                        struct ovbd_error *err)
{
	json_t *config = json_object();
	int r;

	ovbd_fail(err, -ENOMEM, "out of memory");
	r = fill_config(config, names, err);
	if (r == 0 && json_dump_file(config, p->config, 0) < 0)
		r = ovbd_fail(err, -EIO, "%s: cannot be written", p->config);
	json_decref(config);
	return r < 0 ? -EINVAL : 0;
}

/* ---- the programs ---- */

/* Its exit status, or -errno. */
static int run(const char *program, const char *const *argv, const char *log,
               struct ovbd_error *err)
{
	posix_spawn_file_actions_t to;
	pid_t child;
	int status, r;

	posix_spawn_file_actions_init(&to);
	posix_spawn_file_actions_addopen(&to, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&to, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	posix_spawn_file_actions_adddup2(&to, 1, 2);
	/* execve() takes the words as they are; its prototype is older than const. */
	r = -posix_spawn(&child, program, &to, NULL, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&to);
	if (r < 0)
		return ovbd_fail_errno(err, r, "starting %s", argv[0]);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return ovbd_fail_errno(err, -errno, "waiting for %s", argv[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The last line of the file that is not empty. */
static void last_line(const char *log, char ret[LINE_MAX_BYTES])
{
	FILE *f = fopen(log, "r");
	char line[LINE_MAX_BYTES];

	snprintf(ret, LINE_MAX_BYTES, "nothing was said");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0])
			memcpy(ret, line, sizeof(line));
	}
	if (f)
		fclose(f);
}

static int tell(int status, bool fuse, const char *log, struct ovbd_error *err)
{
	char line[LINE_MAX_BYTES];

	last_line(log, line);
	if (status == 127)
		return ovbd_fail(err, -ENOENT,
		                 "--fs: e2fsck and resize2fs are needed, of e2fsprogs: %s", line);
	if (status == RESIZE_FAILED)
		return ovbd_fail(err, -EIO, "--fs: resize2fs: %s", line);
	if (fuse && access("/dev/fuse", F_OK) < 0)
		return ovbd_fail(err, -EOPNOTSUPP,
		                 "--fs: FUSE is needed, and there is no /dev/fuse");
	return ovbd_fail(err, -EIO, "--fs: the file system cannot be checked (%d): %s", status,
	                 line);
}

int ovbd_resize_fs(const struct ovbd_upper_names *names, uint64_t size, struct ovbd_error *err)
{
	struct places p = {.dir = ""};
	char script[256], kib[32] = "";
	bool upper;
	int r = make_places(&p, err);

	if (r == 0)
		r = names->n == 1 ? ovbd_image_is_config(names->names[0], &upper, err) : 0;
	p.image = r == 1 ? names->names[0] : p.config;
	if (r == 0)
		r = write_config(&p, names, err);
	if (r >= 0) {
		const char *const argv[] = {"ovbd",  "serve", "-q", "--fuse", p.file, "--rw",
		                            "--run", script,  "--", p.image,  NULL};

		if (size > 0)
			snprintf(kib, sizeof(kib), "%" PRIu64 "K", size / 1024);
		snprintf(script, sizeof(script), SCRIPT, kib);
		r = run("/proc/self/exe", argv, p.log, err);
	}
	if (r > 0)
		r = tell(r, true, p.log, err);
	remove_places(&p);
	return r;
}

/* A disk that nobody has mounted is checked first; another one needs no check to grow. */
int ovbd_resize_fs_on(const char *disk, struct ovbd_error *err)
{
	const int fd = open(disk, O_RDONLY | O_EXCL | O_CLOEXEC);
	const bool used = fd < 0 && errno == EBUSY;
	struct places p = {.dir = ""};
	char script[256];
	int r = make_places(&p, err);

	if (fd >= 0)
		close(fd);
	snprintf(script, sizeof(script), used ? RESIZE : SCRIPT, "");
	if (r == 0 && setenv("OVBD_FILE", disk, 1) < 0)
		r = ovbd_fail_errno(err, -errno, "the environment");
	if (r == 0) {
		const char *const argv[] = {"sh", "-c", script, NULL};

		r = run("/bin/sh", argv, p.log, err);
	}
	if (r > 0)
		r = tell(r, false, p.log, err);
	remove_places(&p);
	return r;
}
