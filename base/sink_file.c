// SPDX-License-Identifier: Apache-2.0
/*
 * A file that appears when it is complete. It is written to a file without a name (O_TMPFILE), of
 * which nothing can be left, whatever kills us; finish() syncs it and gives it its name: by link(),
 * which fails if the name is taken, or, to replace a file, by link() to a temporary name and
 * rename(). Where the file system knows no O_TMPFILE, the temporary name is there from the start.
 *
 * A block device has its name already: it is written in place.
 */
#include "base/fd.h"
#include "base/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

struct file_sink {
	struct ovbd_sink sink;
	int fd;
	bool overwrite;
	bool in_place; /* a block device */
	char *path;    /* where it will be */
	char *dir;     /* the directory of path */
	char *temp;    /* the temporary name that exists now, or NULL */
};

static struct file_sink *file_of(struct ovbd_sink *s)
{
	return OVBD_CONTAINER_OF(s, struct file_sink, sink);
}

static int write_at(struct file_sink *f, const void *buf, size_t len, uint64_t off,
                    struct ovbd_error *err)
{
	const int r = ovbd_fd_pwrite(f->fd, buf, len, off);

	return r < 0 ? ovbd_fail_errno(err, r, "%s: write", f->path) : 0;
}

static int file_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	return write_at(file_of(s), buf, len, s->written, err);
}

/* On a file a hole; it is made by finish() cutting the file to its size. A device has old
 * content. */
static int file_append_zeros(struct ovbd_sink *s, uint64_t len, struct ovbd_error *err)
{
	static const uint8_t zeros[65536];
	struct file_sink *f = file_of(s);
	uint64_t off = s->written;
	int r = 0;

	if (!f->in_place)
		return 0;
	if (fallocate(f->fd, FALLOC_FL_ZERO_RANGE, (off_t)off, (off_t)len) == 0)
		return 0;
	for (; r == 0 && len > 0; off += sizeof(zeros)) {
		const size_t n = (size_t)ovbd_min(len, sizeof(zeros));

		r = write_at(f, zeros, n, off, err);
		len -= n;
	}
	return r;
}

static int file_patch(struct ovbd_sink *s, const void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	return write_at(file_of(s), buf, len, off, err);
}

/* dir/.NAME.RANDOM */
static int make_temp_name(struct file_sink *f, struct ovbd_error *err)
{
	const char *base = strrchr(f->path, '/');
	uint32_t random[2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return ovbd_fail_errno(err, -errno, "%s: random name", f->path);
	base = base ? base + 1 : f->path;
	/* a long name is cut, so that the temporary one is not too long where the real one is
	 * not */
	if (asprintf(&f->temp, "%s/.%.200s.%08x%08x", f->dir, base, random[0], random[1]) < 0) {
		f->temp = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return 0;
}

static int open_temp(struct file_sink *f, struct ovbd_error *err)
{
	int r;

	f->fd = open(f->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (f->fd >= 0)
		return 0;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return ovbd_fail_errno(err, -errno, "%s: cannot create a file in %s", f->path,
		                       f->dir);
	r = make_temp_name(f, err);
	if (r < 0)
		return r;
	f->fd = open(f->temp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
	if (f->fd < 0) {
		r = ovbd_fail_errno(err, -errno, "%s: cannot create a file in %s", f->path, f->dir);
		free(OVBD_MOVE(f->temp));
		return r;
	}
	return 0;
}

/* Gives the file without a name the name to. */
static int link_fd(const struct file_sink *f, const char *to, struct ovbd_error *err)
{
	char proc[64];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", f->fd);
	if (linkat(AT_FDCWD, proc, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	if (errno == EEXIST)
		return ovbd_fail(err, -EEXIST, "%s: exists", to);
	return ovbd_fail_errno(err, -errno, "%s: cannot be given its name", to);
}

static int publish(struct file_sink *f, struct ovbd_error *err)
{
	int r;

	if (!f->temp && !f->overwrite)
		return link_fd(f, f->path, err);
	if (!f->temp) {
		r = make_temp_name(f, err);
		if (r < 0)
			return r;
		r = link_fd(f, f->temp, err);
		if (r < 0) {
			free(OVBD_MOVE(f->temp));
			return r;
		}
	}
	if (f->overwrite ? rename(f->temp, f->path) < 0
	                 : renameat2(AT_FDCWD, f->temp, AT_FDCWD, f->path, RENAME_NOREPLACE) < 0)
		return ovbd_fail_errno(err, -errno, "%s", f->path);
	free(OVBD_MOVE(f->temp));
	return 0;
}

static int sync_dir(const struct file_sink *f, struct ovbd_error *err)
{
	AUTO_FD fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* some file systems cannot sync a directory and say EINVAL */
	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
		return ovbd_fail_errno(err, -errno, "%s: sync", f->dir);
	return 0;
}

static int file_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	struct file_sink *f = file_of(s);
	int r;

	if (!f->in_place && ftruncate(f->fd, (off_t)s->written) < 0)
		return ovbd_fail_errno(err, -errno, "%s: size", f->path);
	if (fsync(f->fd) < 0)
		return ovbd_fail_errno(err, -errno, "%s: sync", f->path);
	if (f->in_place)
		return 0;
	r = publish(f, err);
	if (r < 0)
		return r;
	return sync_dir(f, err);
}

static void file_close(struct ovbd_sink *s)
{
	struct file_sink *f = file_of(s);

	if (f->temp)
		unlink(f->temp);
	if (f->fd >= 0)
		close(f->fd);
	free(f->temp);
	free(f->dir);
	free(f->path);
	free(f);
}

static const struct ovbd_sink_ops file_ops = {
	.name = "file",
	.append = file_append,
	.append_zeros = file_append_zeros,
	.patch = file_patch,
	.finish = file_finish,
	.close = file_close,
};

static int open_device(struct file_sink *f, struct ovbd_error *err)
{
	f->in_place = true;
	/* O_EXCL on a block device: refused while it is mounted or otherwise in use */
	f->fd = open(f->path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (f->fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", f->path);
	return 0;
}

static int open_target(struct file_sink *f, struct ovbd_error *err)
{
	struct stat st;

	if (stat(f->path, &st) < 0) {
		if (errno != ENOENT)
			return ovbd_fail_errno(err, -errno, "%s", f->path);
		return open_temp(f, err);
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return ovbd_fail(err, -EEXIST,
		                 "%s: exists and is neither a regular file nor a block device",
		                 f->path);
	if (!f->overwrite)
		return ovbd_fail(err, -EEXIST, "%s: exists", f->path);
	return S_ISBLK(st.st_mode) ? open_device(f, err) : open_temp(f, err);
}

/* "a/b" -> "a", "/b" -> "/", "b" -> "." */
static char *dir_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

int ovbd_sink_create_file(const char *path, const struct ovbd_sink_file_params *p,
                          struct ovbd_sink **ret, struct ovbd_error *err)
{
	AUTO_SINK *s = NULL;
	struct file_sink *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s = &f->sink;
	s->ops = &file_ops;
	f->fd = -1;
	f->overwrite = p && p->overwrite;
	f->path = strdup(path);
	f->dir = dir_of(path);
	if (!f->path || !f->dir)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = open_target(f, err);
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(s);
	return 0;
}
