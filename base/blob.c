// SPDX-License-Identifier: Apache-2.0
/* The one place through which every read passes: implementations may rely on what is checked
 * here. */
#include "base/blob.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"

int ovbd_blob_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                    struct ovbd_error *err)
{
	int r;

	if (!ovbd_within(off, len, b->size))
		return ovbd_fail(err, -EINVAL,
		                 "read of %zu bytes at %" PRIu64
		                 " beyond the end of a %s of %" PRIu64,
		                 len, off, b->ops->name, b->size);
	if (len == 0)
		return 0;
	r = b->ops->pread(b, buf, len, off, err);
	assert(r <= 0);
	return r;
}

int ovbd_blob_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                     struct ovbd_error *err)
{
	int r;

	if (len == 0 || !ovbd_within(off, len, b->size))
		return ovbd_fail(err, -EINVAL,
		                 "run of %" PRIu64 " bytes at %" PRIu64
		                 " not within a %s of %" PRIu64,
		                 len, off, b->ops->name, b->size);
	if (!b->ops->run_at) {
		*ret = (struct ovbd_run){.len = len, .kind = OVBD_RUN_DATA};
		return 0;
	}
	*ret = (struct ovbd_run){.len = 0};
	r = b->ops->run_at(b, off, len, ret, err);
	assert(r < 0 || (r == 0 && ret->len > 0 && ret->len <= len));
	return r;
}

int ovbd_blob_key(struct ovbd_blob *b, char **ret, struct ovbd_error *err)
{
	char *key = b->ops->key ? b->ops->key(b) : NULL;

	if (b->ops->key && !key)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*ret = key && key[0] ? key : NULL;
	if (!*ret)
		free(key);
	return 0;
}

bool ovbd_blob_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	if (len == 0 || !b->ops->distrust || !ovbd_within(off, len, b->size))
		return false;
	return b->ops->distrust(b, off, len);
}

void ovbd_blob_close(struct ovbd_blob *take_b)
{
	if (take_b)
		take_b->ops->close(take_b);
}
