// SPDX-License-Identifier: Apache-2.0
/*
 * The pieces lie in buf in the order in which they were added, as the checksums want them; reads
 * and writes go over them in that of the device. A run of pieces that lie side by side there, but
 * not in buf, takes its way through another buffer.
 */
#include "bow/batch.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"

enum { LARGEST = 4 << 20 };

struct bow_batch_piece {
	uint64_t from, to;
	size_t pos, len; /* in buf */
	uint64_t source; /* of the entry, for the seed */
	uint32_t checksum, sequence, index, block_size;
	bool first, last; /* of its entry */
};

int ovbd_bow_batch_init(struct bow_batch *t, struct ovbd_blob *b, struct ovbd_device *d,
                        uint64_t total, struct ovbd_error *err)
{
	const size_t size = (size_t)ovbd_max(ovbd_min(total, LARGEST), BOW_BLOCK_MAX);

	*t = (struct bow_batch){
		.b = b, .d = d, .buf = malloc(size), .side = malloc(size), .size = size};
	return t->buf && t->side ? 0 : ovbd_fail(err, -ENOMEM, "no memory to copy backups");
}

void ovbd_bow_batch_free(struct bow_batch *t)
{
	free(t->buf);
	free(t->side);
	free(t->pieces);
	*t = (struct bow_batch){0};
}

int ovbd_bow_batch_add(struct bow_batch *t, const struct bow_batch_part *part, uint64_t *ret_len,
                       struct ovbd_error *err)
{
	const size_t len = (size_t)ovbd_min(part->len, t->size - t->used);

	*ret_len = len;
	if (len == 0)
		return 0;
	if (t->npieces == t->room) {
		const size_t room = t->room * 2 + 64;
		struct bow_batch_piece *more = realloc(t->pieces, room * sizeof(*more));

		if (!more)
			return ovbd_fail(err, -ENOMEM, "no memory to copy backups");
		t->pieces = more;
		t->room = room;
	}
	t->pieces[t->npieces++] = (struct bow_batch_piece){
		.from = part->from,
		.to = part->to,
		.pos = t->used,
		.len = len,
		.source = part->entry->source,
		.checksum = part->entry->checksum,
		.sequence = part->sequence,
		.index = part->index,
		.block_size = part->block_size,
		.first = part->off == 0,
		.last = part->off + len == part->entry->size,
	};
	t->used += len;
	return 0;
}

static int check_piece(struct bow_batch *t, const struct bow_batch_piece *p, struct ovbd_error *err)
{
	if (p->first)
		t->crc = ovbd_bow_checksum_seed(p->source, p->block_size);
	t->crc = ovbd_bow_checksum(t->crc, t->buf + p->pos, p->len);
	if (!p->last || p->checksum == 0 || p->checksum == t->crc)
		return 0;
	return ovbd_fail(err, -EBADMSG,
	                 "log: block %" PRIu32 " of it: entry %" PRIu32 ": checksum 0x%08" PRIx32
	                 " of what was backed up of %" PRIu64 " is not 0x%08" PRIx32,
	                 p->sequence, p->index, t->crc, p->source, p->checksum);
}

static int by_pos(const void *a, const void *b)
{
	const struct bow_batch_piece *x = a, *y = b;

	return (x->pos > y->pos) - (x->pos < y->pos);
}

static int by_from(const void *a, const void *b)
{
	const struct bow_batch_piece *x = a, *y = b;

	return x->from != y->from ? (x->from > y->from) - (x->from < y->from) : by_pos(a, b);
}

static int by_to(const void *a, const void *b)
{
	const struct bow_batch_piece *x = a, *y = b;

	return x->to != y->to ? (x->to > y->to) - (x->to < y->to) : by_pos(a, b);
}

/* From pieces[i] on: how many lie side by side, their bytes, and whether also in buf. */
struct run {
	size_t n, len;
	bool straight;
};

static struct run run_from(const struct bow_batch *t, size_t i, bool to)
{
	const struct bow_batch_piece *p = &t->pieces[i];
	struct run run = {1, p->len, true};

	for (; i + run.n < t->npieces; run.n++) {
		const struct bow_batch_piece *next = &t->pieces[i + run.n];

		if (to ? next->to != p->to + run.len : next->from != p->from + run.len)
			break;
		run.straight = run.straight && next->pos == p->pos + run.len;
		run.len += next->len;
	}
	return run;
}

static int read_all(struct bow_batch *t, struct ovbd_error *err)
{
	struct run run;
	int r = 0;

	qsort(t->pieces, t->npieces, sizeof(*t->pieces), by_from);
	for (size_t i = 0; r == 0 && i < t->npieces; i += run.n) {
		const struct bow_batch_piece *p = &t->pieces[i];
		uint8_t *side = t->side;

		run = run_from(t, i, false);
		r = ovbd_blob_pread(t->b, run.straight ? t->buf + p->pos : side, run.len, p->from,
		                    err);
		if (run.straight)
			continue;
		for (size_t k = 0; k < run.n; side += p[k].len, k++)
			memcpy(t->buf + p[k].pos, side, p[k].len);
	}
	return r;
}

static int write_all(struct bow_batch *t, struct ovbd_error *err)
{
	struct run run;
	int r = 0;

	qsort(t->pieces, t->npieces, sizeof(*t->pieces), by_to);
	for (size_t i = 0; r == 0 && i < t->npieces; i += run.n) {
		const struct bow_batch_piece *p = &t->pieces[i];
		uint8_t *side = t->side;

		run = run_from(t, i, true);
		if (!run.straight)
			for (size_t k = 0; k < run.n; side += p[k].len, k++)
				memcpy(side, t->buf + p[k].pos, p[k].len);
		r = ovbd_device_pwrite(t->d, run.straight ? t->buf + p->pos : t->side, run.len,
		                       p->to, 0, err);
	}
	return r;
}

int ovbd_bow_batch_run(struct bow_batch *t, struct ovbd_error *err)
{
	int r;

	if (t->npieces == 0)
		return 0;
	r = read_all(t, err);
	qsort(t->pieces, t->npieces, sizeof(*t->pieces), by_pos);
	for (size_t i = 0; r == 0 && i < t->npieces; i++)
		r = check_piece(t, &t->pieces[i], err);
	if (r == 0 && t->d)
		r = write_all(t, err);
	t->npieces = 0;
	t->used = 0;
	return r;
}
