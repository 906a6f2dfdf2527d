// SPDX-License-Identifier: Apache-2.0
/*
 * A blob over a descriptor. The size is taken once, at open: a file that has become shorter since
 * answers with an error, because a truncated layer must never read as zeros.
 */
#include "base/blob.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"

struct file_blob {
	struct ovbd_blob blob;
	int fd;
	bool no_holes; /* SEEK_HOLE does not work here: all is data */
	char name[];   /* for messages */
};

static struct file_blob *file_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct file_blob, blob);
}

static int file_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct file_blob *f = file_of(b);
	const ssize_t n = ovbd_fd_pread(f->fd, buf, len, off);

	if (n < 0)
		return ovbd_fail_errno(err, (int)n, "%s: read %zu bytes at %" PRIu64, f->name, len,
		                       off);
	if ((size_t)n < len)
		return ovbd_fail(err, -EIO,
		                 "%s: ends at %" PRIu64 ", but had %" PRIu64
		                 " bytes when it was opened",
		                 f->name, off + (uint64_t)n, b->size);
	return 0;
}

/* The first offset from off on, at most end, that whence (SEEK_DATA, SEEK_HOLE) finds. */
static uint64_t seek_from(const struct file_blob *f, uint64_t off, uint64_t end, int whence)
{
	const off_t at = lseek(f->fd, (off_t)off, whence);

	if (at < 0) /* ENXIO: no data up to the end */
		return end;
	return ovbd_min((uint64_t)at, end);
}

static int file_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                       struct ovbd_error *err)
{
	struct file_blob *f = file_of(b);
	uint64_t data, hole;

	(void)err;
	if (f->no_holes) {
		*ret = (struct ovbd_run){.len = len, .kind = OVBD_RUN_DATA};
		return 0;
	}
	data = seek_from(f, off, off + len, SEEK_DATA);
	if (data > off) {
		*ret = (struct ovbd_run){.len = data - off, .kind = OVBD_RUN_HOLE};
		return 0;
	}
	hole = seek_from(f, off, off + len, SEEK_HOLE);
	*ret = (struct ovbd_run){.len = hole > off ? hole - off : len, .kind = OVBD_RUN_DATA};
	return 0;
}

/* A regular file is what its inode is, since its times were last changed. */
static char *file_key(struct ovbd_blob *b)
{
	const struct file_blob *f = file_of(b);
	struct stat st;
	char *key;

	if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return strdup("");
	if (asprintf(&key, "file %jx %jx %jd %jd.%ld %jd.%ld", (uintmax_t)st.st_dev,
	             (uintmax_t)st.st_ino, (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec,
	             st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec) < 0)
		return NULL;
	return key;
}

static void file_close(struct ovbd_blob *b)
{
	struct file_blob *f = file_of(b);

	close(f->fd);
	free(f);
}

static const struct ovbd_blob_ops file_ops = {
	.name = "file",
	.pread = file_pread,
	.run_at = file_run_at,
	.key = file_key,
	.close = file_close,
};

static int size_of(int fd, const char *name, uint64_t *ret, struct ovbd_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", name);
	if (S_ISREG(st.st_mode)) {
		*ret = (uint64_t)st.st_size;
		return 0;
	}
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, ret) < 0)
			return ovbd_fail_errno(err, -errno, "%s: size of the device", name);
		return 0;
	}
	if (S_ISDIR(st.st_mode))
		return ovbd_fail(err, -EISDIR, "%s: is a directory", name);
	return ovbd_fail(err, -ENOTSUP, "%s: neither a regular file nor a block device", name);
}

int ovbd_blob_open_fd(int take_fd, const char *name, struct ovbd_blob **ret, struct ovbd_error *err)
{
	AUTO_FD fd = take_fd;
	const size_t name_size = strlen(name) + 1;
	struct file_blob *f;
	uint64_t size;
	int r;

	r = size_of(fd, name, &size, err);
	if (r < 0)
		return r;
	f = calloc(1, sizeof(*f) + name_size);
	if (!f)
		return ovbd_fail(err, -ENOMEM, "%s: out of memory", name);
	f->blob = (struct ovbd_blob){.ops = &file_ops, .size = size};
	f->no_holes = size == 0 || lseek(fd, (off_t)size - 1, SEEK_HOLE) < 0;
	memcpy(f->name, name, name_size);
	f->fd = fd;
	fd = -1;
	*ret = &f->blob;
	return 0;
}

int ovbd_blob_open_file(const char *path, struct ovbd_blob **ret, struct ovbd_error *err)
{
	int fd;

	/* O_NONBLOCK: a FIFO is refused at once, it does not hang. It changes nothing for files. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	return ovbd_blob_open_fd(fd, path, ret, err);
}
