// SPDX-License-Identifier: Apache-2.0
/*
 * To undo an entry is to move: what was at dest is at source then, and dest has nothing any more,
 * until an older entry, which is undone later, moves something there. That holds for all logs: a
 * backup has one entry, and goes to another place, with an entry, before its own is taken. So each
 * entry adds at most two spans to the map, and no log can lead in a circle: each older log block
 * lies in another block of the device, and there are no more of them than their numbers say.
 */
#include "bow/walk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/bytes.h"

/* The kernel logs a move of block 0 without a checksum, and says in the header of the next log
 * write only where it is now. */
static uint64_t find_sector0(const struct bow_walk *w)
{
	struct bow_entry e;

	if (w->header.count < 2 || ovbd_bow_entry_decode(w->block, &w->header, w->header.count - 1,
	                                                 w->b->size, &e, NULL) < 0)
		return w->header.sector0;
	return e.checksum == 0 && e.source == w->header.sector0 && e.size == w->header.block_size
	               ? e.dest
	               : w->header.sector0;
}

int ovbd_bow_walk_begin(struct bow_walk *w, struct ovbd_blob *b, struct ovbd_error *err)
{
	int r;

	*w = (struct bow_walk){.b = b};
	if (b->size < BOW_SECTOR)
		return ovbd_fail(err, -ENOMSG, "%" PRIu64 " bytes have no log of backup on write",
		                 b->size);
	r = ovbd_blob_pread(b, w->block, BOW_SECTOR, 0, err);
	if (r < 0)
		return r;
	if (!ovbd_bow_magic(w->block))
		return ovbd_fail(err, -ENOMSG, "there is no log of backup on write");
	r = ovbd_bow_header_decode(w->block, b->size, &w->header, err);
	if (r == 0)
		r = ovbd_blob_pread(b, w->block, w->header.block_size, 0, err);
	if (r < 0)
		return r;
	w->left = w->header.count;
	w->newest = w->header;
	w->newest.sector0 = find_sector0(w);
	return 0;
}

void ovbd_bow_walk_end(struct bow_walk *w)
{
	ovbd_bow_spans_clear(&w->moves);
}

static void place_at(const struct bow_walk *w, uint64_t off, uint64_t len, struct bow_span *ret)
{
	struct bow_span span;

	*ret = (struct bow_span){off, len, off};
	if (!ovbd_bow_spans_find(&w->moves, off, &span))
		return;
	if (span.off > off) {
		ret->len = ovbd_min(len, span.off - off);
		return;
	}
	ret->len = ovbd_min(len, span.off + span.len - off);
	ret->at = span.at == BOW_SPAN_NOWHERE ? span.at : span.at + (off - span.off);
}

void ovbd_bow_walk_place(const struct bow_walk *w, uint64_t off, uint64_t *ret_at,
                         uint64_t *ret_len)
{
	struct bow_span span;

	place_at(w, w->last.dest + off, w->last.size - off, &span);
	*ret_at = span.at;
	*ret_len = span.len;
}

/* What its backup lies in goes to its source, and nothing is there any more. */
static int undo(struct bow_walk *w, struct ovbd_error *err)
{
	const struct bow_entry *e = &w->last;
	const struct bow_span none = {e->dest, e->size, BOW_SPAN_NOWHERE};
	struct bow_span span;
	int r = 0;

	for (uint64_t done = 0; r == 0 && done < e->size; done += span.len) {
		place_at(w, e->dest + done, e->size - done, &span);
		span.off = e->source + done;
		r = span.at == span.off ? ovbd_bow_spans_cut(&w->moves, span.off, span.len)
		                        : ovbd_bow_spans_put(&w->moves, &span);
	}
	if (r == 0)
		r = ovbd_bow_spans_put(&w->moves, &none);
	return r < 0 ? ovbd_fail(err, r, "log: no memory for where things are") : 0;
}

int ovbd_bow_walk_fail(const struct bow_walk *w, struct ovbd_error *err, const char *fmt, ...)
{
	char text[OVBD_ERROR_SIZE / 2];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return ovbd_fail(err, -EBADMSG, "log: block %" PRIu32 " of it: entry %" PRIu32 ": %s",
	                 w->header.sequence, w->index, text);
}

static int check_taken(const struct bow_walk *w, struct ovbd_error *err)
{
	uint64_t at, len;

	for (uint64_t off = 0; off < w->last.size; off += len) {
		ovbd_bow_walk_place(w, off, &at, &len);
		if (at == BOW_SPAN_NOWHERE)
			return ovbd_bow_walk_fail(w, err,
			                          "its backup at %" PRIu64
			                          " is that of a later entry, too",
			                          w->last.dest + off);
	}
	return 0;
}

/* To the log block that the last entry is the backup of. */
static int go_back(struct bow_walk *w, struct ovbd_error *err)
{
	const struct bow_header newer = w->header;
	struct bow_span span;
	uint32_t crc;
	int r;

	place_at(w, w->last.dest, newer.block_size, &span);
	r = ovbd_blob_pread(w->b, w->block, newer.block_size, span.at, err);
	if (r < 0)
		return r;
	crc = ovbd_bow_checksum(0, w->block, newer.block_size);
	if (w->last.checksum != 0 && crc != w->last.checksum)
		return ovbd_bow_walk_fail(w, err,
		                          "checksum 0x%08" PRIx32 " of the log block at %" PRIu64
		                          " is not 0x%08" PRIx32,
		                          crc, span.at, w->last.checksum);
	r = ovbd_bow_header_decode(w->block, w->b->size, &w->header, err);
	if (r < 0) {
		w->header = newer;
		return ovbd_fail_within(err, r, "log: block %" PRIu32 " of it, at %" PRIu64,
		                        newer.sequence - 1, span.at);
	}
	if (w->header.sequence != newer.sequence - 1 || w->header.partial || w->header.count == 0 ||
	    w->header.block_size != newer.block_size || w->header.prototype != newer.prototype)
		return ovbd_fail(err, -EBADMSG,
		                 "log: what is at %" PRIu64
		                 " is not the log block before block %" PRIu32,
		                 span.at, newer.sequence);
	w->left = w->header.count;
	return 0;
}

int ovbd_bow_walk_next(struct bow_walk *w, struct bow_entry *ret, struct ovbd_error *err)
{
	int r = 0;

	if (w->last.size != 0) {
		if (w->index == 0 && w->header.sequence == 0)
			return 0;
		if (w->index == 0)
			r = go_back(w, err);
		if (r == 0)
			r = undo(w, err);
		if (r < 0)
			return r;
	}
	if (w->left == 0)
		return 0;
	w->index = --w->left;
	r = ovbd_bow_entry_decode(w->block, &w->header, w->index, w->b->size, &w->last, err);
	if (r == 0)
		r = check_taken(w, err);
	if (r < 0)
		return r;
	*ret = w->last;
	return 1;
}
