// SPDX-License-Identifier: Apache-2.0
/*
 * Written to ID.json.new and renamed, so that a daemon killed at any moment leaves whole files.
 * They may hold URLs with passwords, so only their owner reads them. They are not synced: what they
 * are about does not outlive the kernel either.
 */
#include "daemon/state_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "daemon/fault_point.h"

#define SUFFIX     ".json"
#define NEW        ".new"
#define FILE_FLAGS (O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC)

static void close_dirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static void release_jsonp(json_t **v)
{
	json_decref(*v);
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		const ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int write_file(const char *name, const char *text)
{
	AUTO_FD fd = open(name, FILE_FLAGS, 0600);

	return fd < 0 ? -errno : write_all(fd, text, strlen(text));
}

int ovbd_state_file_write(const char *dir, const struct ovbd_spec *s, struct ovbd_error *err)
{
	OVBD_AUTO(release_jsonp) json_t *object = ovbd_spec_encode(s);
	AUTO_FREE char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
	AUTO_FREE char *name = NULL, *new = NULL;
	int r;

	if (!text || asprintf(&name, "%s/%s" SUFFIX, dir, s->id) < 0 ||
	    asprintf(&new, "%s" NEW, name) < 0)
		return ovbd_fail(err, -ENOMEM, "device %s: out of memory", s->id);
	r = write_file(new, text);
	ovbd_fault_point("make-written");
	if (r == 0 && rename(new, name) < 0)
		r = -errno;
	if (r < 0) {
		unlink(new);
		return ovbd_fail_errno(err, r, "%s: writing the device's state", name);
	}
	return 0;
}

char *ovbd_state_file_trimmed(const char *dir, const char *id)
{
	char *name;

	return asprintf(&name, "%s/%s.trimmed", dir, id) < 0 ? NULL : name;
}

int ovbd_state_file_remove(const char *dir, const char *id, struct ovbd_error *err)
{
	AUTO_FREE char *name = NULL, *trimmed = NULL;

	if (asprintf(&name, "%s/%s" SUFFIX, dir, id) < 0)
		return ovbd_fail(err, -ENOMEM, "device %s: out of memory", id);
	if (unlink(name) < 0 && errno != ENOENT)
		return ovbd_fail_errno(err, -errno, "%s: removing the device's state", name);
	trimmed = ovbd_state_file_trimmed(dir, id);
	if (trimmed)
		unlink(trimmed);
	return 0;
}

static int read_file(int dir_fd, const char *name, struct ovbd_spec **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_spec_freep) struct ovbd_spec *s = NULL;
	OVBD_AUTO(release_jsonp) json_t *object = NULL;
	AUTO_FD fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	json_error_t why;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", name);
	if (!S_ISREG(st.st_mode) || st.st_size > OVBD_SPEC_SIZE_MAX)
		return ovbd_fail(err, -EBADMSG, "%s: not a device's state", name);
	object = json_loadfd(fd, JSON_REJECT_DUPLICATES, &why);
	if (!object)
		return ovbd_fail(err, -EBADMSG, "%s: line %d: %s", name, why.line, why.text);
	r = ovbd_spec_decode(object, &s, err);
	if (r < 0)
		return ovbd_fail_within(err, r, "%s", name);
	if (!s->id || strlen(name) != strlen(s->id) + strlen(SUFFIX) ||
	    strncmp(name, s->id, strlen(s->id)) != 0)
		return ovbd_fail(err, -EBADMSG, "%s: is the state of another device", name);
	*ret = OVBD_MOVE(s);
	return 0;
}

static bool ends_with(const char *name, const char *end)
{
	const size_t n = strlen(name);

	return n > strlen(end) && strcmp(name + n - strlen(end), end) == 0;
}

int ovbd_state_file_each(const char *dir, void (*found)(void *arg, struct ovbd_spec *take_s),
                         void (*bad)(void *arg, const struct ovbd_error *why), void *arg,
                         struct ovbd_error *err)
{
	OVBD_AUTO(close_dirp) DIR *d = opendir(dir);
	const struct dirent *e;

	if (!d)
		return ovbd_fail_errno(err, -errno, "%s", dir);
	while ((e = readdir(d))) {
		struct ovbd_spec *s = NULL;
		struct ovbd_error why;

		if (ends_with(e->d_name, SUFFIX NEW)) /* its writer was killed */
			unlinkat(dirfd(d), e->d_name, 0);
		if (!ends_with(e->d_name, SUFFIX))
			continue;
		if (read_file(dirfd(d), e->d_name, &s, &why) == 0)
			found(arg, s);
		else
			bad(arg, &why);
	}
	return 0;
}
