// SPDX-License-Identifier: Apache-2.0
/*
 * What makes a valid operation, whichever version it comes from. Nothing that is read later is
 * taken on trust: places and lengths are within the file, and data that claim not to be compressed
 * have the length of the blocks they fill.
 */
#include "ota/cow_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"

int cow_window_get(struct cow_window *w, uint64_t off, size_t n, const uint8_t **ret,
                   struct ovbd_error *err)
{
	int r;

	if (off < w->off || n > w->len || off - w->off > w->len - n) {
		const uint64_t size = w->blob->size;

		if (n > COW_PIECE || !ovbd_within(off, n, size))
			return ovbd_fail(err, -EBADMSG,
			                 "cow: %zu bytes at %" PRIu64
			                 " are beyond the file's end at %" PRIu64,
			                 n, off, size);
		w->len = 0;
		r = ovbd_blob_pread(w->blob, w->buf, (size_t)ovbd_min(COW_PIECE, size - off), off,
		                    err);
		if (r < 0)
			return r;
		w->off = off;
		w->len = (size_t)ovbd_min(COW_PIECE, size - off);
	}
	*ret = w->buf + (off - w->off);
	return 0;
}

int cow_list_reserve(struct ovbd_cow *c, uint64_t n, struct ovbd_error *err)
{
	struct ovbd_cow_op *ops;

	if (n <= c->capacity)
		return 0;
	if (n >= UINT32_MAX)
		return ovbd_fail(err, -E2BIG, "cow: %" PRIu64 " operations", n);
	ops = realloc(c->ops, (size_t)n * sizeof(*ops));
	if (!ops)
		return ovbd_fail(err, -ENOMEM, "out of memory for %" PRIu64 " operations", n);
	c->ops = ops;
	c->capacity = (uint32_t)n;
	return 0;
}

/* ---- an operation ---- */

static int bad(const struct cow_slot *s, uint64_t number, const char *what, struct ovbd_error *err)
{
	return ovbd_fail(err, -EBADMSG,
	                 "cow: operation %" PRIu64 " (type %u, block %" PRIu64 ", source %" PRIu64
	                 ", %" PRIu32 " bytes): %s",
	                 number, s->type, s->block, s->source, s->data_len, what);
}

/* Up to 2.0 each operation says whether it is compressed, and all that are, by one algorithm. */
static int set_algorithm(struct ovbd_cow *c, const struct cow_slot *s, uint64_t number,
                         struct ovbd_error *err)
{
	enum ovbd_cow_algorithm *a = &c->info.algorithm;

	if (s->compression == OVBD_COW_NONE)
		return 0;
	if (s->compression > OVBD_COW_ZSTD)
		return bad(s, number, "compressed by an algorithm that is not known", err);
	if (*a != OVBD_COW_NONE && *a != s->compression)
		return bad(s, number, "compressed by another algorithm than those before", err);
	*a = s->compression;
	return 0;
}

/* Whether data of this length are stored as they are. */
static bool is_raw(const struct ovbd_cow *c, const struct cow_slot *s, uint32_t size)
{
	if (c->h.layout == 'H')
		return c->info.algorithm == OVBD_COW_NONE || s->data_len == size;
	if (s->compression == OVBD_COW_LZ4 || s->compression == OVBD_COW_ZSTD)
		return s->data_len == size;
	return s->compression == OVBD_COW_NONE;
}

static int check_data(const struct ovbd_cow *c, const struct cow_slot *s, uint64_t number,
                      uint64_t data_off, const struct ovbd_cow_op *op, struct ovbd_error *err)
{
	const uint32_t size = OVBD_COW_BLOCK_SIZE << op->shift;
	/* gz and brotli may have made it longer; the field ends at 65535 in 2.0 */
	const bool may_grow = c->h.layout != 'H' && c->info.algorithm != OVBD_COW_LZ4 &&
	                      c->info.algorithm != OVBD_COW_ZSTD;

	if (s->data_len == 0)
		return bad(s, number, "has no data", err);
	if (op->raw ? s->data_len != size : s->data_len > size && !may_grow)
		return bad(s, number, "its data have not the length of what it writes", err);
	if (!ovbd_within(data_off, s->data_len, c->blob->size))
		return bad(s, number, "its data end beyond the file", err);
	if (op->type == OVBD_COW_REPLACE && s->source != data_off)
		return bad(s, number, "its data are not where they should be", err);
	return 0;
}

int cow_list_add(struct ovbd_cow *c, const struct cow_slot *s, uint64_t number, uint64_t data_off,
                 struct ovbd_error *err)
{
	const bool v3 = c->h.layout == 'H';
	const bool has_data = s->type == OVBD_COW_REPLACE || s->type == OVBD_COW_XOR;
	struct ovbd_cow_op op = {.type = s->type,
	                         .shift = v3 ? s->compression : 0,
	                         .source = s->type == OVBD_COW_ZERO ? 0 : s->source};
	int r = 0;

	if (s->type != OVBD_COW_COPY && s->type != OVBD_COW_ZERO && !has_data)
		return bad(s, number, "a type that does not exist", err);
	if (op.shift > COW_SHIFT_MAX || (op.shift > 0 && s->type != OVBD_COW_REPLACE))
		return bad(s, number, "a compression factor that does not exist", err);
	if (s->block > COW_BLOCKS_MAX - (UINT64_C(1) << op.shift))
		return bad(s, number, "its block is beyond 2^32", err);
	if (s->source > COW_SOURCE_MAX)
		return bad(s, number, "its source is beyond 2^48", err);
	op.block = (uint32_t)s->block;
	if (has_data) {
		if (!v3)
			r = set_algorithm(c, s, number, err);
		op.data_off = data_off;
		op.data_len = s->data_len;
		op.raw = is_raw(c, s, OVBD_COW_BLOCK_SIZE << op.shift);
		if (r == 0)
			r = check_data(c, s, number, data_off, &op, err);
	} else if (v3 && s->data_len != 0) {
		r = bad(s, number, "has data", err);
	}
	if (r == 0)
		r = cow_list_reserve(c, c->n < c->capacity ? c->n : c->n + c->n / 2 + 64u, err);
	if (r < 0)
		return r;
	c->ops[c->n++] = op;
	return 0;
}

void cow_list_cut(struct ovbd_cow *c, uint32_t n)
{
	if (n < c->n)
		c->n = n;
}

int cow_list_sequence(struct ovbd_cow *c, uint64_t off, uint64_t n, struct ovbd_error *err)
{
	const uint64_t before = c->info.nsequence;
	uint32_t *all;
	int r;

	if (n > c->blob->size / COW_SEQUENCE_SIZE ||
	    !ovbd_within(off, n * COW_SEQUENCE_SIZE, c->blob->size))
		return ovbd_fail(err, -EBADMSG,
		                 "cow: %" PRIu64 " entries of merge order at %" PRIu64
		                 " are beyond the end",
		                 n, off);
	if (n == 0)
		return 0;
	all = realloc(c->sequence, (size_t)(before + n) * sizeof(*all));
	if (!all)
		return ovbd_fail(err, -ENOMEM, "out of memory for %" PRIu64 " blocks", before + n);
	c->sequence = all;
	r = ovbd_blob_pread(c->blob, all + before, (size_t)n * COW_SEQUENCE_SIZE, off, err);
	if (r < 0)
		return r;
	for (uint64_t i = before; i < before + n; i++)
		all[i] = ovbd_get_le32((const uint8_t *)&all[i]);
	c->info.nsequence = before + n;
	return 0;
}
