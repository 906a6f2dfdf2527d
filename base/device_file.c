// SPDX-License-Identifier: Apache-2.0
/*
 * A raw file or block device that is written in place. Reading goes through an ordinary file blob
 * over a descriptor of its own; the page cache keeps the two the same.
 */
#include "base/device.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/busy.h"
#include "base/bytes.h"
#include "base/lock.h"

struct file_device {
	struct ovbd_device device;
	int fd;
	bool is_block;
	char name[]; /* for messages */
};

static struct file_device *file_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct file_device, device);
}

static int sync_if(struct file_device *f, unsigned flags, struct ovbd_error *err)
{
	if ((flags & OVBD_WRITE_FUA) && fdatasync(f->fd) < 0)
		return ovbd_fail_errno(err, -errno, "%s: sync", f->name);
	return 0;
}

static int file_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                       unsigned flags, struct ovbd_error *err)
{
	struct file_device *f = file_of(d);
	const int r = ovbd_fd_pwrite(f->fd, buf, len, off);

	if (r < 0)
		return ovbd_fail_errno(err, r, "%s: write %zu bytes at %" PRIu64, f->name, len,
		                       off);
	return sync_if(f, flags, err);
}

/* Writes zeros as bytes, where nothing better works. */
static int write_zero_bytes(struct file_device *f, uint64_t off, uint64_t len,
                            struct ovbd_error *err)
{
	static const uint8_t zeros[65536];
	int r = 0;

	while (r == 0 && len > 0) {
		const size_t n = (size_t)ovbd_min(len, sizeof(zeros));

		r = file_pwrite(&f->device, zeros, n, off, 0, err);
		off += n;
		len -= n;
	}
	return r;
}

static int file_write_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                             struct ovbd_error *err)
{
	struct file_device *f = file_of(d);
	const int mode = (flags & OVBD_WRITE_ALLOC) ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;
	int r = 0;

	/* A disk that is not to unmap them may have its kernel write them. */
	if ((flags & OVBD_WRITE_FAST) && (flags & OVBD_WRITE_ALLOC) && f->is_block)
		return ovbd_fail(err, -EOPNOTSUPP, "%s: zeroes would have to be written", f->name);
	if (fallocate(f->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) < 0) {
		if (flags & OVBD_WRITE_FAST)
			return ovbd_fail_errno(err, -EOPNOTSUPP, "%s: zeroes", f->name);
		r = write_zero_bytes(f, off, len, err);
	}
	return r < 0 ? r : sync_if(f, flags, err);
}

/* A hint: what the file system or the disk cannot do is no error. */
static int file_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	struct file_device *f = file_of(d);
	uint64_t range[2] = {off, len};
	int r;

	if (f->is_block)
		r = ioctl(f->fd, BLKDISCARD, range);
	else
		r = fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
		              (off_t)len);
	if (r < 0 && errno != EOPNOTSUPP && errno != EINVAL)
		return ovbd_fail_errno(err, -errno, "%s: discard %" PRIu64 " bytes at %" PRIu64,
		                       f->name, len, off);
	return 0;
}

static int file_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	return sync_if(file_of(d), OVBD_WRITE_FUA, err);
}

/* A block device is as large as its keeper has made it. */
static int grow_block(const struct file_device *f, uint64_t size, struct ovbd_error *err)
{
	uint64_t has;

	if (ioctl(f->fd, BLKGETSIZE64, &has) < 0)
		return ovbd_fail_errno(err, -errno, "%s: its size", f->name);
	if (has < size)
		return ovbd_fail(err, -ENOTSUP,
		                 "%s: is a block device of %" PRIu64
		                 " bytes: make that larger first",
		                 f->name, has);
	return 0;
}

/* If its size is not durable it is cut off again, so that who opens it next finds the old one. */
static int file_grow(struct ovbd_device *d, uint64_t size, struct ovbd_error *err)
{
	struct file_device *f = file_of(d);
	struct stat st;
	int r = 0;

	if (f->is_block)
		return grow_block(f, size, err);
	if (size > INT64_MAX)
		return ovbd_fail(err, -EFBIG, "%s: %" PRIu64 " bytes are more than a file can have",
		                 f->name, size);
	if (fstat(f->fd, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", f->name);
	if ((uint64_t)st.st_size >= size) /* somebody has made it larger already */
		return 0;
	if (ftruncate(f->fd, (off_t)size) < 0)
		return ovbd_fail_errno(err, -errno, "%s: making it larger", f->name);
	if (fsync(f->fd) < 0) {
		r = ovbd_fail_errno(err, -errno, "%s: sync", f->name);
		if (ftruncate(f->fd, st.st_size) < 0) /* then it stays */
			return r;
	}
	return r;
}

static void file_free(struct ovbd_device *d)
{
	struct file_device *f = file_of(d);

	close(f->fd);
	free(f);
}

static const struct ovbd_device_ops file_ops = {
	.pwrite = file_pwrite,
	.write_zeroes = file_write_zeroes,
	.discard = file_discard,
	.flush = file_flush,
	.grow = file_grow,
};

/* max: 0, or the size of what grows. */
static int open_fd(int take_fd, const char *path, uint64_t max, struct ovbd_device **ret,
                   struct ovbd_error *err)
{
	AUTO_FD fd = take_fd;
	const size_t name_size = strlen(path) + 1;
	AUTO_BLOB *blob = NULL;
	struct file_device *f;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	r = max ? ovbd_blob_open_growing(path, max, &blob, err)
	        : ovbd_blob_open_file(path, &blob, err);
	if (r < 0)
		return r;
	f = calloc(1, sizeof(*f) + name_size);
	if (!f)
		return ovbd_fail(err, -ENOMEM, "%s: out of memory", path);
	f->device = (struct ovbd_device){
		.blob = OVBD_MOVE(blob),
		.ops = &file_ops,
		.free = file_free,
	};
	f->is_block = S_ISBLK(st.st_mode);
	f->fd = fd;
	fd = -1;
	memcpy(f->name, path, name_size);
	*ret = &f->device;
	return 0;
}

static int open_file(const char *path, int flags, struct ovbd_error *err)
{
	const int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | flags);
	char holder[320];

	if (fd < 0 && errno == EBUSY) {
		ovbd_busy_holder(path, holder, sizeof(holder));
		return ovbd_fail(err, -EBUSY, "%s: is mounted, or part of another device%s", path,
		                 holder);
	}
	return fd >= 0 ? fd : ovbd_fail_errno(err, -errno, "%s", path);
}

int ovbd_device_open_file(const char *path, struct ovbd_device **ret, struct ovbd_error *err)
{
	const int fd = open_file(path, 0, err);

	return fd < 0 ? fd : open_fd(fd, path, 0, ret, err);
}

static int open_alone(const char *path, uint64_t max, struct ovbd_device **ret,
                      struct ovbd_error *err)
{
	struct stat st;
	/* of a regular file O_EXCL means nothing without O_CREAT; it is not to be asked for */
	const int flags = stat(path, &st) == 0 && S_ISBLK(st.st_mode) ? O_EXCL : 0;
	AUTO_FD fd = open_file(path, flags, err);
	char holder[64];
	int r;

	if (fd < 0)
		return fd;
	r = ovbd_lock_fd(fd);
	if (r == -EBUSY) {
		ovbd_lock_holder(fd, holder, sizeof(holder));
		return ovbd_fail(err, r, "%s: is in use by %s", path, holder);
	}
	if (r < 0)
		return ovbd_fail_errno(err, r, "%s: cannot be locked", path);
	r = fd;
	fd = -1;
	return open_fd(r, path, max, ret, err);
}

int ovbd_device_open_file_alone(const char *path, struct ovbd_device **ret, struct ovbd_error *err)
{
	return open_alone(path, 0, ret, err);
}

int ovbd_device_open_growing(const char *path, uint64_t max, struct ovbd_device **ret,
                             uint64_t *ret_end, struct ovbd_error *err)
{
	AUTO_DEVICE *d = NULL;
	struct stat st;
	int r = open_alone(path, max, &d, err);

	if (r < 0)
		return r;
	if (fstat(file_of(d)->fd, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return ovbd_fail(err, -ENOTSUP, "%s: is not a regular file", path);
	*ret_end = (uint64_t)st.st_size;
	*ret = OVBD_MOVE(d);
	return 0;
}
