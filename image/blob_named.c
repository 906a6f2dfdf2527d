// SPDX-License-Identifier: Apache-2.0
/* A ZFile knows the number of its bad block, but not what the file is called. */
#include "image/blob_named.h"

#include <errno.h>
#include <string.h>

struct named_blob {
	struct ovbd_blob blob;
	struct ovbd_blob *inner; /* owned */
	char name[];
};

static int named_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	struct named_blob *n = OVBD_CONTAINER_OF(b, struct named_blob, blob);
	const int r = ovbd_blob_pread(n->inner, buf, len, off, err);

	return r < 0 ? ovbd_fail_named(err, r, n->name) : r;
}

static bool named_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	return ovbd_blob_distrust(OVBD_CONTAINER_OF(b, struct named_blob, blob)->inner, off, len);
}

static void named_close(struct ovbd_blob *b)
{
	struct named_blob *n = OVBD_CONTAINER_OF(b, struct named_blob, blob);

	ovbd_blob_close(n->inner);
	free(n);
}

static const struct ovbd_blob_ops named_ops = {
	.name = "named blob",
	.pread = named_pread,
	.distrust = named_distrust,
	.close = named_close,
};

int ovbd_blob_open_named(struct ovbd_blob *take_b, const char *name, struct ovbd_blob **ret,
                         struct ovbd_error *err)
{
	AUTO_BLOB *inner = take_b;
	const size_t name_size = strlen(name) + 1;
	struct named_blob *n = calloc(1, sizeof(*n) + name_size);

	if (!n)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	n->blob = (struct ovbd_blob){.ops = &named_ops, .size = inner->size};
	memcpy(n->name, name, name_size);
	n->inner = OVBD_MOVE(inner);
	*ret = &n->blob;
	return 0;
}
