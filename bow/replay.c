// SPDX-License-Identifier: Apache-2.0
/*
 * A log that is found at opening. Its entries, in their order, say what is a backup now, and what
 * has been backed up. What was free at the checkpoint, and written to since, is known from the free
 * map if there is one (free_map.c): it is CHANGED. Nothing is free until it is discarded again.
 */
#include "bow/core.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "bow/free_map.h"

static int check(const struct bow_device *d, const struct bow_header *h, struct ovbd_error *err)
{
	if (h->partial)
		return ovbd_fail(err, -EUCLEAN,
		                 "backup on write: a restore of the device was interrupted, and is "
		                 "to be finished first");
	if (h->prototype)
		return ovbd_fail(err, -ENOTSUP,
		                 "backup on write: a log of the first version can only be "
		                 "restored");
	if (d->params.block_size && d->params.block_size != h->block_size)
		return ovbd_fail(err, -EINVAL,
		                 "backup on write: block size %" PRIu32
		                 " is not the log's %" PRIu32,
		                 d->params.block_size, h->block_size);
	if (d->size % h->block_size)
		return ovbd_fail(err, -EINVAL,
		                 "backup on write: %" PRIu64
		                 " bytes are not made of blocks of %" PRIu32,
		                 d->size, h->block_size);
	if (h->sector0 == 0 || h->sector0 % h->block_size)
		return ovbd_fail(err, -EBADMSG, "log: block 0 at %" PRIu64, h->sector0);
	return 0;
}

static int put(struct bow_device *d, uint64_t off, uint64_t len, enum bow_kind kind,
               struct ovbd_error *err)
{
	size_t budget = 0;
	int r = ovbd_bow_ranges_reserve(d->ranges, 1, &budget, err);

	if (r < 0)
		return r;
	ovbd_bow_ranges_put(d->ranges, off, len, kind, &budget);
	ovbd_bow_ranges_release(d->ranges, &budget);
	return 0;
}

static int put_entry(struct bow_device *d, const struct bow_log *l, size_t i,
                     struct ovbd_error *err)
{
	const struct bow_entry *e = &l->entries[i];
	size_t budget = 0;
	int r;

	if (e->source % d->block_size || e->dest % d->block_size)
		return ovbd_fail(err, -EBADMSG,
		                 "log: %" PRIu32 " bytes at %" PRIu64 " and %" PRIu64
		                 " are not whole blocks of %" PRIu32,
		                 e->size, e->source, e->dest, d->block_size);
	r = ovbd_bow_ranges_reserve(d->ranges, 2, &budget, err);
	if (r < 0)
		return r;
	ovbd_bow_journal_apply(d, e, &budget);
	ovbd_bow_ranges_release(d->ranges, &budget);
	return 0;
}

static int put_all(struct bow_device *d, const struct bow_log *l, struct ovbd_error *err)
{
	int r = ovbd_bow_free_map_read(d->below->blob, d->ranges, err);

	for (size_t i = 0; r == 0 && i < l->nentries; i++)
		r = put_entry(d, l, i, err);
	if (r == 0)
		r = put(d, 0, d->block_size, BOW_CHANGED, err);
	return r < 0 ? r : put(d, d->live, d->block_size, BOW_LIVE, err);
}

static int replay(struct bow_device *d, const struct bow_log *l, struct ovbd_error *err)
{
	int r = check(d, &l->header, err);

	if (r < 0)
		return r;
	d->block_size = l->header.block_size;
	d->live = l->header.sector0;
	d->next_dest = d->size;
	d->journal.header = l->header;
	d->log_blocks = (uint64_t)l->header.sequence + 1;
	r = ovbd_bow_journal_open(d, err);
	if (r == 0)
		r = ovbd_blob_pread(d->below->blob, d->journal.image, d->block_size, 0, err);
	if (r < 0)
		return r;
	if (l->nentries == 0)
		return ovbd_bow_finish_commit(d, err);
	r = put_all(d, l, err);
	if (r == 0)
		atomic_store(&d->state, OVBD_BOW_CHECKPOINT);
	return r;
}

int ovbd_bow_replay(struct bow_device *d, struct ovbd_error *err)
{
	struct bow_log *l;
	int r = ovbd_bow_log_read(d->below->blob, &l, err);

	if (r < 0)
		return r;
	r = replay(d, l, err);
	ovbd_bow_log_free(l);
	return r;
}
