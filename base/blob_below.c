// SPDX-License-Identifier: Apache-2.0
/*
 * The floor under a range of a stack. Whoever makes one layer of the range has to know which bytes
 * are those of the floor, and from where, as these are not the range's to hold; so they pass
 * through as runs that say it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/blob.h"
#include "base/bytes.h"

struct below {
	struct ovbd_blob blob;
	struct ovbd_blob *known; /* NULL: nobody has said what lies there */
	const char *hint;
};

static const struct below *below_of(const struct ovbd_blob *b)
{
	return (const struct below *)(const void *)b; /* blob is its head */
}

static int below_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	const struct below *w = below_of(b);

	if (w->known)
		return ovbd_blob_pread(w->known, buf, len, off, err);
	return ovbd_fail(err, -EINVAL, "%zu bytes at %" PRIu64 " of what lies below are needed: %s",
	                 len, off, w->hint);
}

static int below_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                        struct ovbd_error *err)
{
	(void)b;
	(void)err;
	*ret = (struct ovbd_run){.len = len, .kind = OVBD_RUN_DATA, .below = true, .src = off};
	return 0;
}

static void below_close(struct ovbd_blob *b)
{
	free(OVBD_CONTAINER_OF(b, struct below, blob));
}

static const struct ovbd_blob_ops below_ops = {
	.name = "what lies below",
	.pread = below_pread,
	.run_at = below_run_at,
	.close = below_close,
};

int ovbd_blob_open_below(struct ovbd_blob *known, const char *hint, struct ovbd_blob **ret,
                         struct ovbd_error *err)
{
	struct below *w = calloc(1, sizeof(*w));

	if (!w)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	w->blob = (struct ovbd_blob){.ops = &below_ops,
	                             .size = known ? known->size : OVBD_BLOB_SIZE_UNKNOWN};
	w->known = known;
	w->hint = hint;
	*ret = &w->blob;
	return 0;
}
