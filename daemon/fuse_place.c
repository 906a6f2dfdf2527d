// SPDX-License-Identifier: Apache-2.0
/*
 * Two servers must never mount over one file, and a server that was killed must not be in the way
 * of the next. So a server holds a lock (flock) on the file beneath its mount, which the kernel
 * drops with the process, however it ends.
 *
 * What a dead server leaves is its mount, which answers ENOTCONN, and beneath it the file it
 * created. Such a file is told from a user's own by its mode: empty and write-only, which also says
 * to everyone else that there is nothing to be read. (Write it must be, for fusermount3.)
 *
 * A mount that is ours and answers is never touched: another server is behind it.
 */
#include "daemon/fuse_place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "daemon/fuse_mount.h"
#include "base/lock.h"
#include "daemon/mountinfo.h"

#define CREATED_MODE 0200

/* Whether the server behind the mount at path is gone. The kernel may answer stat() by itself, from
 * what it remembers; this one it passes on. */
static bool is_dead(const char *path)
{
	struct statx st;

	return statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_SIZE, &st) < 0 && errno == ENOTCONN;
}

static int clear_mounts(const char *path, struct ovbd_error *err)
{
	for (;;) {
		AUTO_FREE char *line = NULL;
		struct ovbd_mount m;
		int r = ovbd_mountinfo_find(path, &m, &line, err);

		if (r <= 0)
			return r;
		if (strcmp(m.fs_type, OVBD_FUSE_TYPE) != 0)
			return ovbd_fail(err, -EBUSY, "%s: %s (%s) is mounted there", path,
			                 m.source, m.fs_type);
		if (!is_dead(path))
			return ovbd_fail(err, -EBUSY, "%s: another server has it", path);
		r = ovbd_fuse_unmount(path, m.id, err);
		if (r < 0)
			return ovbd_fail_within(err, r, "clearing what a dead server left");
	}
}

/* The name of the file that is to be mounted over; creates it if it is not there. */
static int find_or_create(const char *path, char **ret_path, bool *ret_created,
                          struct ovbd_error *err)
{
	bool created = false;
	char *real = realpath(path, NULL);

	if (!real && errno == ENOENT) {
		AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, CREATED_MODE);

		const int code = errno;

		created = fd >= 0;
		if (created || code == EEXIST) /* another has made it meanwhile */
			real = realpath(path, NULL);
		if (!created && !real)
			return ovbd_fail_errno(err, -code, "%s: creating it", path);
	}
	if (!real)
		return ovbd_fail_errno(err, -errno, "%s", path);
	*ret_path = real;
	*ret_created = created;
	return 0;
}

static int check_file(const char *path, const struct stat *st, struct ovbd_error *err)
{
	if (S_ISDIR(st->st_mode))
		return ovbd_fail(err, -EISDIR, "%s: is a directory; the place must be a file",
		                 path);
	if (!S_ISREG(st->st_mode))
		return ovbd_fail(err, -EEXIST, "%s: is not a regular file", path);
	if (st->st_size != 0)
		return ovbd_fail(err, -EEXIST,
		                 "%s: holds %" PRIu64 " bytes already; the place must be an empty "
		                 "file, or none",
		                 path, (uint64_t)st->st_size);
	return 0;
}

/* Whether path names the very file that is open as fd. */
static bool is_named(int fd, const char *path)
{
	struct stat opened, named;

	return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 &&
	       opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Opens and locks the file, and makes sure that it is still what path names. */
static int lock_file(const char *path, int *ret_fd, struct ovbd_error *err)
{
	struct stat named;
	AUTO_FD fd = -1;
	int r;

	if (lstat(path, &named) < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	r = check_file(path, &named, err);
	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s: opening it", path);
	r = ovbd_lock_fd(fd);
	if (r == -EBUSY)
		return ovbd_fail(err, -EBUSY, "%s: another server has it", path);
	if (r < 0)
		return ovbd_fail_errno(err, r, "%s: locking it", path);
	if (!is_named(fd, path))
		return ovbd_fail(err, -EBUSY, "%s: another server has just come or gone", path);
	*ret_fd = fd;
	fd = -1;
	return 0;
}

/* If another server mounts in between, that is what the caller wants to hear. */
static int clear_and_lock(const char *path, int *ret_fd, struct ovbd_error *err)
{
	struct ovbd_error busy;
	int r;

	r = clear_mounts(path, err);
	if (r < 0)
		return r;
	r = lock_file(path, ret_fd, err);
	if (r < 0 && r != -EBUSY && clear_mounts(path, &busy) == -EBUSY)
		return ovbd_fail(err, -EBUSY, "%s", busy.msg);
	return r;
}

int ovbd_fuse_place_take(const char *path, struct ovbd_fuse_place *ret, struct ovbd_error *err)
{
	AUTO_FREE char *real = NULL;
	struct stat st;
	bool created = false;
	int fd = -1, r;

	r = find_or_create(path, &real, &created, err);
	if (r < 0)
		return r;
	r = clear_and_lock(real, &fd, err);
	if (r < 0) {
		if (created && r != -EBUSY) /* then it is the other server's */
			unlink(real);
		return r;
	}
	if (!created && fstat(fd, &st) == 0)
		created = (st.st_mode & 07777) == CREATED_MODE && st.st_uid == geteuid();
	*ret = (struct ovbd_fuse_place){.path = OVBD_MOVE(real), .fd = fd, .created = created};
	return 0;
}

void ovbd_fuse_place_release(struct ovbd_fuse_place *take_p)
{
	if (take_p->created && is_named(take_p->fd, take_p->path))
		unlink(take_p->path);
	if (take_p->fd >= 0)
		close(take_p->fd);
	free(take_p->path);
	*take_p = (struct ovbd_fuse_place){.fd = -1};
}
