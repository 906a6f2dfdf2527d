// SPDX-License-Identifier: Apache-2.0
#include "base/blob.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"

struct slice_blob {
	struct ovbd_blob blob;
	struct ovbd_blob *inner; /* owned */
	uint64_t off;            /* of our first byte in inner */
};

static struct slice_blob *slice_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct slice_blob, blob);
}

static int slice_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	struct slice_blob *s = slice_of(b);

	return ovbd_blob_pread(s->inner, buf, len, s->off + off, err);
}

static int slice_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                        struct ovbd_error *err)
{
	struct slice_blob *s = slice_of(b);

	return ovbd_blob_run_at(s->inner, s->off + off, len, ret, err);
}

static bool slice_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	struct slice_blob *s = slice_of(b);

	return ovbd_blob_distrust(s->inner, s->off + off, len);
}

static void slice_close(struct ovbd_blob *b)
{
	struct slice_blob *s = slice_of(b);

	ovbd_blob_close(s->inner);
	free(s);
}

static const struct ovbd_blob_ops slice_ops = {
	.name = "slice",
	.pread = slice_pread,
	.run_at = slice_run_at,
	.distrust = slice_distrust,
	.close = slice_close,
};

int ovbd_blob_open_slice(struct ovbd_blob *take_b, uint64_t off, uint64_t len,
                         struct ovbd_blob **ret, struct ovbd_error *err)
{
	AUTO_BLOB *inner = take_b;
	struct slice_blob *s;

	if (!ovbd_within(off, len, inner->size))
		return ovbd_fail(err, -EINVAL,
		                 "slice of %" PRIu64 " bytes at %" PRIu64 " not within the %" PRIu64
		                 " bytes there are",
		                 len, off, inner->size);
	s = calloc(1, sizeof(*s));
	if (!s)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->blob = (struct ovbd_blob){.ops = &slice_ops, .size = len};
	s->off = off;
	s->inner = OVBD_MOVE(inner);
	*ret = &s->blob;
	return 0;
}
