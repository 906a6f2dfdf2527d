// SPDX-License-Identifier: Apache-2.0
/*
 * A disk that somebody else writes to, past the page cache, as device mapper does: what is cached
 * of it would be old bytes. So it is read directly, which takes whole blocks, in memory that is
 * aligned; what is not comes by way of a buffer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/bytes.h"

#define BLOCK      4096u
#define BUFFER_MAX (256u << 10)

struct uncached {
	struct ovbd_blob blob;
	struct ovbd_blob *file; /* owned */
};

static struct ovbd_blob *file_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct uncached, blob)->file;
}

static int read_whole(struct ovbd_blob *b, uint8_t *buf, size_t len, uint64_t off, void *buffer,
                      struct ovbd_error *err)
{
	while (len > 0) {
		const uint64_t from = ovbd_align_down(off, BLOCK);
		const uint64_t to = ovbd_min(ovbd_align_up(off + len, BLOCK), from + BUFFER_MAX);
		const size_t n = (size_t)ovbd_min(len, to - off);
		const int r = ovbd_blob_pread(file_of(b), buffer,
		                              (size_t)(ovbd_min(to, b->size) - from), from, err);

		if (r < 0)
			return r;
		memcpy(buf, (uint8_t *)buffer + (off - from), n);
		buf += n;
		off += n;
		len -= n;
	}
	return 0;
}

static int uncached_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                          struct ovbd_error *err)
{
	AUTO_FREE void *buffer = NULL;

	if (((uintptr_t)buf | len | off) % BLOCK == 0)
		return ovbd_blob_pread(file_of(b), buf, len, off, err);
	if (posix_memalign(&buffer, BLOCK,
	                   (size_t)ovbd_min(ovbd_align_up(len, BLOCK) + BLOCK, BUFFER_MAX)) != 0) {
		buffer = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return read_whole(b, buf, len, off, buffer, err);
}

static void uncached_close(struct ovbd_blob *b)
{
	ovbd_blob_close(file_of(b));
	free(OVBD_CONTAINER_OF(b, struct uncached, blob));
}

static const struct ovbd_blob_ops uncached_ops = {
	.name = "uncached file",
	.pread = uncached_pread,
	.close = uncached_close,
};

int ovbd_blob_open_uncached(const char *path, struct ovbd_blob **ret, struct ovbd_error *err)
{
	AUTO_BLOB *file = NULL;
	struct uncached *u;
	struct stat st;
	int fd, r;

	if (stat(path, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	if (!S_ISBLK(st.st_mode)) /* who writes to a file does it by way of the page cache */
		return ovbd_blob_open_file(path, ret, err);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	r = ovbd_blob_open_fd(fd, path, &file, err);
	if (r < 0)
		return r;
	u = calloc(1, sizeof(*u));
	if (!u)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	u->blob = (struct ovbd_blob){.ops = &uncached_ops, .size = file->size};
	u->file = OVBD_MOVE(file);
	*ret = &u->blob;
	return 0;
}
