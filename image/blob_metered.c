// SPDX-License-Identifier: Apache-2.0
#include "image/blob_metered.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "remote/metrics.h"

struct metered {
	struct ovbd_blob blob;
	struct ovbd_blob *inner; /* owned */
};

static struct ovbd_blob *inner_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct metered, blob)->inner;
}

static int metered_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                         struct ovbd_error *err)
{
	const uint64_t begin = ovbd_remote_read_begin(OVBD_SOURCE_LOCAL);
	const int r = ovbd_blob_pread(inner_of(b), buf, len, off, err);

	ovbd_remote_read_end(OVBD_SOURCE_LOCAL, begin, len, r);
	return r;
}

static int metered_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                          struct ovbd_error *err)
{
	return ovbd_blob_run_at(inner_of(b), off, len, ret, err);
}

static char *metered_key(struct ovbd_blob *b)
{
	struct ovbd_blob *inner = inner_of(b);

	return inner->ops->key ? inner->ops->key(inner) : strdup("");
}

static bool metered_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	return ovbd_blob_distrust(inner_of(b), off, len);
}

static void metered_close(struct ovbd_blob *b)
{
	ovbd_blob_close(inner_of(b));
	free(OVBD_CONTAINER_OF(b, struct metered, blob));
}

static const struct ovbd_blob_ops metered_ops = {
	.name = "file",
	.pread = metered_pread,
	.run_at = metered_run_at,
	.key = metered_key,
	.distrust = metered_distrust,
	.close = metered_close,
};

int ovbd_blob_open_metered(struct ovbd_blob *take_b, struct ovbd_blob **ret, struct ovbd_error *err)
{
	AUTO_BLOB *inner = take_b;
	struct metered *m = calloc(1, sizeof(*m));

	if (!m)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	m->blob = (struct ovbd_blob){.ops = &metered_ops, .size = inner->size};
	m->inner = OVBD_MOVE(inner);
	*ret = &m->blob;
	return 0;
}
