// SPDX-License-Identifier: Apache-2.0
/*
 * A merge copies a group of blocks to the scratch area before it writes them to the base. If it is
 * cut short then, the base may be half written, and the area has the blocks as they shall be: those
 * of the next operations to be merged, in their order. They are read from there, as data that are
 * not compressed. (Readers that look at the area only when something has been merged before read
 * wrong bytes after a crash in the very first group.)
 */
#include "ota/cow_impl.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"

static int apply_entry(struct ovbd_cow *c, uint32_t i, uint64_t block, uint64_t off,
                       struct ovbd_error *err)
{
	const uint64_t place = c->info.nmerged + i;
	struct ovbd_cow_op *op = place < c->n ? &c->ops[c->order[place]] : NULL;

	if (!op || op->block != block || (op->type != OVBD_COW_COPY && op->type != OVBD_COW_XOR))
		return ovbd_fail(err, -EBADMSG,
		                 "cow: scratch area: entry %" PRIu32 " has block %" PRIu64
		                 ", which is not what is merged next",
		                 i, block);
	if (off != cow_scratch_data_off(&c->h, i) ||
	    !ovbd_within(off, OVBD_COW_BLOCK_SIZE, c->blob->size))
		return ovbd_fail(err, -EBADMSG,
		                 "cow: scratch area: entry %" PRIu32 " has its data at %" PRIu64
		                 ", not at %" PRIu64,
		                 i, off, cow_scratch_data_off(&c->h, i));
	c->unheld[i] = *op;
	op->type = OVBD_COW_REPLACE;
	op->raw = true;
	op->data_off = off;
	op->data_len = OVBD_COW_BLOCK_SIZE;
	return 0;
}

int cow_scratch_apply(struct ovbd_cow *c, struct ovbd_error *err)
{
	const uint64_t off = cow_scratch_entries_off(&c->h);
	uint8_t raw[COW_SCRATCH_SIZE];
	uint64_t block, data_off;
	uint32_t n;
	int r;

	if (c->h.buffer_size == 0)
		return 0;
	c->info.scratch_size = c->h.buffer_size;
	r = ovbd_blob_pread(c->blob, &c->info.scratch_state, 1, off - 1, err);
	if (r < 0 || c->info.scratch_state != COW_SCRATCH_HOLDING)
		return r;
	c->unheld = ovbd_array_alloc(cow_scratch_entries_max(&c->h), sizeof(c->unheld[0]));
	if (!c->unheld)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (n = 0; n < cow_scratch_entries_max(&c->h); n++) {
		r = ovbd_blob_pread(c->blob, raw, sizeof(raw), off + (uint64_t)n * sizeof(raw),
		                    err);
		if (r < 0)
			return r;
		if (!cow_scratch_decode(raw, &block, &data_off))
			break;
		r = apply_entry(c, n, block, data_off, err);
		if (r < 0)
			return r;
	}
	c->info.nscratch = n;
	return 0;
}
