// SPDX-License-Identifier: Apache-2.0
/* A file of which nobody knows how long it will be: what is not there yet reads as zeros. */
#include "base/blob.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/bytes.h"

struct growing {
	struct ovbd_blob blob;
	int fd;
	char name[]; /* for messages */
};

static struct growing *growing_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct growing, blob);
}

static int growing_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                         struct ovbd_error *err)
{
	struct growing *g = growing_of(b);
	const ssize_t n = ovbd_fd_pread(g->fd, buf, len, off);

	if (n < 0)
		return ovbd_fail_errno(err, (int)n, "%s: read %zu bytes at %" PRIu64, g->name, len,
		                       off);
	memset((uint8_t *)buf + n, 0, len - (size_t)n);
	return 0;
}

static int growing_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                          struct ovbd_error *err)
{
	struct growing *g = growing_of(b);
	const off_t data = lseek(g->fd, (off_t)off, SEEK_DATA);
	off_t hole;

	(void)err;
	if (data < 0 && errno != ENXIO) { /* this file system cannot tell */
		*ret = (struct ovbd_run){.len = len, .kind = OVBD_RUN_DATA};
		return 0;
	}
	if (data < 0 || (uint64_t)data > off) {
		const uint64_t n = data < 0 ? len : (uint64_t)data - off;

		*ret = (struct ovbd_run){.len = ovbd_min(len, n), .kind = OVBD_RUN_HOLE};
		return 0;
	}
	hole = lseek(g->fd, (off_t)off, SEEK_HOLE);
	*ret = (struct ovbd_run){.len = len, .kind = OVBD_RUN_DATA};
	if (hole > 0 && (uint64_t)hole > off)
		ret->len = ovbd_min(len, (uint64_t)hole - off);
	return 0;
}

static void growing_close(struct ovbd_blob *b)
{
	struct growing *g = growing_of(b);

	close(g->fd);
	free(g);
}

static const struct ovbd_blob_ops growing_ops = {
	.name = "growing file",
	.pread = growing_pread,
	.run_at = growing_run_at,
	.close = growing_close,
};

int ovbd_blob_open_growing(const char *path, uint64_t size, struct ovbd_blob **ret,
                           struct ovbd_error *err)
{
	const size_t name_size = strlen(path) + 1;
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	struct growing *g;

	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	g = calloc(1, sizeof(*g) + name_size);
	if (!g)
		return ovbd_fail(err, -ENOMEM, "%s: out of memory", path);
	g->blob = (struct ovbd_blob){.ops = &growing_ops, .size = size};
	g->fd = fd;
	fd = -1;
	memcpy(g->name, path, name_size);
	*ret = &g->blob;
	return 0;
}
