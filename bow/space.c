// SPDX-License-Identifier: Apache-2.0
/*
 * What free space is taken for. Backups follow one another, so that what is overwritten in order is
 * also copied, and copied back, in order; when there is no room for one it begins in the middle of
 * the largest range, and single blocks come from its end: who writes to free space in order, from
 * its beginning, would meet them at once, and again wherever they had to go, and each time it takes
 * flushes.
 */
#include "bow/core.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"

bool ovbd_bow_space_find(struct bow_device *d, uint64_t want, struct bow_range *ret)
{
	uint64_t half;

	if (d->next_dest < d->size) {
		*ret = ovbd_bow_ranges_at(d->ranges, d->next_dest,
		                          ovbd_min(want, d->size - d->next_dest));
		if (ret->kind == BOW_FREE && ret->len == want)
			return true;
	}
	if (!ovbd_bow_ranges_largest(d->ranges, ret))
		return false;
	half = ovbd_align_down(ret->len / 2, d->block_size);
	if (half >= want) {
		ret->off += half;
		ret->len -= half;
	}
	ret->len = ovbd_min(ret->len, want);
	return true;
}

int ovbd_bow_space_block(struct bow_device *d, uint64_t *ret, size_t *budget,
                         struct ovbd_error *err)
{
	struct bow_range g;
	int r;

	if (!ovbd_bow_ranges_largest(d->ranges, &g))
		return ovbd_bow_space_full(d, "a block", d->block_size, err);
	r = ovbd_bow_ranges_reserve(d->ranges, 3, budget, err);
	if (r < 0)
		return r;
	*ret = g.off + g.len - d->block_size;
	ovbd_bow_ranges_put(d->ranges, *ret, d->block_size, BOW_TAKEN, budget);
	return 0;
}

int ovbd_bow_space_full(struct bow_device *d, const char *what, uint64_t want,
                        struct ovbd_error *err)
{
	const uint64_t n = ovbd_bow_ranges_bytes(d->ranges, BOW_FREE);

	if (d->params.min_free)
		return ovbd_fail(err, -ENOSPC,
		                 "backup on write: %s of %" PRIu64 " bytes: %" PRIu64
		                 " bytes are free, of which %" PRIu64 " are to stay so",
		                 what, want, n, d->params.min_free);
	return ovbd_fail(err, -ENOSPC,
	                 "backup on write: %s of %" PRIu64 " bytes: %" PRIu64 " bytes are free",
	                 what, want, n);
}
