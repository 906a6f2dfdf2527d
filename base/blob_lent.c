// SPDX-License-Identifier: Apache-2.0
/* A blob that somebody else owns, for who takes what it is given. */
#include <errno.h>
#include <stdlib.h>

#include "base/blob.h"
#include "base/bytes.h"

struct lent {
	struct ovbd_blob blob;
	struct ovbd_blob *lender;
};

static struct ovbd_blob *lender_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct lent, blob)->lender;
}

static int lent_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	return ovbd_blob_pread(lender_of(b), buf, len, off, err);
}

static int lent_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                       struct ovbd_error *err)
{
	return ovbd_blob_run_at(lender_of(b), off, len, ret, err);
}

static bool lent_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	return ovbd_blob_distrust(lender_of(b), off, len);
}

static void lent_close(struct ovbd_blob *b)
{
	free(OVBD_CONTAINER_OF(b, struct lent, blob));
}

static const struct ovbd_blob_ops lent_ops = {
	.name = "lent blob",
	.pread = lent_pread,
	.run_at = lent_run_at,
	.distrust = lent_distrust,
	.close = lent_close,
};

int ovbd_blob_open_lent(struct ovbd_blob *lender, struct ovbd_blob **ret, struct ovbd_error *err)
{
	struct lent *l = calloc(1, sizeof(*l));

	if (!l)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	l->blob = (struct ovbd_blob){.ops = &lent_ops, .size = lender->size};
	l->lender = lender;
	*ret = &l->blob;
	return 0;
}
