// SPDX-License-Identifier: Apache-2.0
#include "base/blob.h"

#include <errno.h>

struct mem_blob {
	struct ovbd_blob blob;
	const uint8_t *buf;
};

static int mem_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                     struct ovbd_error *err)
{
	(void)err;
	memcpy(buf, OVBD_CONTAINER_OF(b, struct mem_blob, blob)->buf + off, len);
	return 0;
}

static void mem_close(struct ovbd_blob *b)
{
	free(OVBD_CONTAINER_OF(b, struct mem_blob, blob));
}

static const struct ovbd_blob_ops mem_ops = {
	.name = "memory",
	.pread = mem_pread,
	.close = mem_close,
};

int ovbd_blob_open_mem(const void *buf, size_t len, struct ovbd_blob **ret, struct ovbd_error *err)
{
	struct mem_blob *m = calloc(1, sizeof(*m));

	if (!m)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	m->blob = (struct ovbd_blob){.ops = &mem_ops, .size = len};
	m->buf = buf;
	*ret = &m->blob;
	return 0;
}
