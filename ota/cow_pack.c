// SPDX-License-Identifier: Apache-2.0
/*
 * A run of new blocks is tiled from the front with the largest pieces that fit into what is left of
 * it. Each piece is compressed as a whole if that takes no more bytes than its blocks alone do; if
 * it does, its halves are tried. So the blocks are compressed at least twice, and one that is read
 * alone costs the unpacking of its neighbours only where that has saved something.
 *
 * There are no checksums in the format. What has been compressed is decompressed again at once and
 * compared: a memory or a library that fails is noticed here and not on the phone.
 */
#include "ota/cow_pack.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"

#define BLOCK ((size_t)OVBD_COW_BLOCK_SIZE)

struct cow_packer {
	const struct cow_plan *plan;
	struct cow_compressor *compressor;
	struct cow_codec *codec;
	unsigned shift_max;
	size_t bound; /* of a block */
	uint8_t base[BLOCK];
	uint8_t raw[COW_PACK_BLOCKS * BLOCK];   /* a run, not compressed */
	uint8_t check[COW_PACK_BLOCKS * BLOCK]; /* decompressed again */
	uint8_t piece[COW_PACK_BLOCKS * BLOCK]; /* a piece, compressed */
	uint8_t *singles;                       /* the blocks of the run, each compressed */
	uint32_t lengths[COW_PACK_BLOCKS];      /* of these */
};

size_t cow_pack_bound(const struct cow_plan *plan)
{
	const size_t bound = cow_compress_bound(plan->p->write.algorithm, BLOCK);

	return COW_PACK_BLOCKS * (bound > BLOCK ? bound : BLOCK);
}

int cow_packer_create(const struct cow_plan *plan, struct cow_packer **ret, struct ovbd_error *err)
{
	const enum ovbd_cow_algorithm a = plan->p->write.algorithm;
	struct cow_packer *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	k->plan = plan;
	while (BLOCK << k->shift_max < plan->p->write.max_piece)
		k->shift_max++;
	k->bound = cow_pack_bound(plan) / COW_PACK_BLOCKS;
	k->singles = malloc(cow_pack_bound(plan));
	r = k->singles ? cow_compressor_create(a, plan->p->level, &k->compressor, err)
	               : ovbd_fail(err, -ENOMEM, "out of memory");
	if (r == 0)
		r = cow_codec_create(a, &k->codec, err);
	if (r < 0) {
		cow_packer_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

void cow_packer_free(struct cow_packer *k)
{
	if (!k)
		return;
	cow_compressor_free(k->compressor);
	cow_codec_free(k->codec);
	free(k->singles);
	free(k);
}

/* ---- one piece of data ---- */

/* gz and brotli of 2.0 have no way to store a block as it is. */
static bool always_compressed(const struct cow_packer *k)
{
	const struct ovbd_cow_write_params *w = &k->plan->p->write;

	return w->version == 2 && (w->algorithm == OVBD_COW_GZ || w->algorithm == OVBD_COW_BROTLI);
}

/* As it will be stored, into out: of len bytes, or of the bound if a block may grow. */
static int store(struct cow_packer *k, const uint8_t *raw, size_t len, uint8_t *out,
                 uint32_t *ret_len, struct ovbd_error *err)
{
	const enum ovbd_cow_algorithm a = k->plan->p->write.algorithm;
	const size_t cap = always_compressed(k) ? k->bound : len - 1;
	const size_t n = a == OVBD_COW_NONE ? 0 : cow_compress(k->compressor, raw, len, out, cap);

	if (n == 0 && always_compressed(k))
		return ovbd_fail(err, -ENOMEM, "%s cannot compress %zu bytes",
		                 ovbd_cow_algorithm_name(a), len);
	*ret_len = (uint32_t)(n ? n : len);
	if (n == 0) {
		memcpy(out, raw, len);
		return 0;
	}
	if (cow_codec_decompress(k->codec, out, n, k->check, len) < 0 ||
	    memcmp(k->check, raw, len) != 0)
		return ovbd_fail(err, -EIO,
		                 "what %s has compressed does not decompress to the same bytes",
		                 ovbd_cow_algorithm_name(a));
	return 0;
}

static void add(struct cow_pack *e, const struct ovbd_cow_op *op, const uint8_t *data)
{
	e->ops[e->nops++] = *op;
	memcpy(e->data + e->data_len, data, op->data_len);
	e->data_len += op->data_len;
}

/* ---- runs of new blocks ---- */

static uint64_t sum_of_singles(const struct cow_packer *k, uint32_t at, uint32_t n)
{
	uint64_t sum = 0;

	for (uint32_t i = at; i < at + n; i++)
		sum += k->lengths[i];
	return sum;
}

/* The blocks [at, at + 2^shift) of the run that begins with block first. */
static int add_piece(struct cow_packer *k, struct cow_pack *e, uint32_t first, uint32_t at,
                     unsigned shift)
{
	struct ovbd_cow_op op = {.type = OVBD_COW_REPLACE,
	                         .block = first + at,
	                         .shift = (uint8_t)shift,
	                         .data_len = k->lengths[at]};
	int r;

	if (shift == 0) {
		add(e, &op, k->singles + at * k->bound);
		return 0;
	}
	r = store(k, k->raw + at * BLOCK, BLOCK << shift, k->piece, &op.data_len, &e->err);
	if (r < 0)
		return r;
	if (op.data_len <= sum_of_singles(k, at, 1u << shift)) {
		add(e, &op, k->piece);
		return 0;
	}
	r = add_piece(k, e, first, at, shift - 1);
	return r < 0 ? r : add_piece(k, e, first, at + (1u << (shift - 1)), shift - 1);
}

static int add_run(struct cow_packer *k, struct cow_pack *e, uint32_t first, uint32_t n)
{
	int r = ovbd_blob_pread(k->plan->new_image, k->raw, n * BLOCK, (uint64_t)first * BLOCK,
	                        &e->err);

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = store(k, k->raw + i * BLOCK, BLOCK, k->singles + i * k->bound, &k->lengths[i],
		          &e->err);
	for (uint32_t at = 0; r == 0 && at < n;) {
		unsigned shift = k->shift_max;

		while (1u << shift > n - at)
			shift--;
		r = add_piece(k, e, first, at, shift);
		at += 1u << shift;
	}
	return r;
}

/* ---- and all else ---- */

static int add_xor(struct cow_packer *k, struct cow_pack *e, uint32_t block, uint64_t source)
{
	struct ovbd_cow_op op = {.type = OVBD_COW_XOR, .block = block, .source = source};
	int r = ovbd_blob_pread(k->plan->new_image, k->raw, BLOCK, (uint64_t)block * BLOCK,
	                        &e->err);

	if (r == 0)
		r = ovbd_blob_pread(k->plan->old, k->base, BLOCK, source, &e->err);
	for (size_t i = 0; r == 0 && i < BLOCK; i++)
		k->raw[i] ^= k->base[i];
	if (r == 0)
		r = store(k, k->raw, BLOCK, k->singles, &op.data_len, &e->err);
	if (r == 0)
		add(e, &op, k->singles);
	return r;
}

static uint32_t run_length(const struct cow_packer *k, const struct cow_pack *e, uint32_t i)
{
	uint32_t n = 1;

	while (i + n < e->n && e->blocks[i + n] == e->blocks[i] + n &&
	       cow_what_type(k->plan->what[e->blocks[i + n]]) == OVBD_COW_REPLACE)
		n++;
	return n;
}

void cow_pack_make(struct cow_packer *k, struct cow_pack *e)
{
	uint32_t n;

	e->status = 0;
	e->nops = 0;
	e->data_len = 0;
	for (uint32_t i = 0; e->status == 0 && i < e->n; i += n) {
		const uint64_t what = k->plan->what[e->blocks[i]];
		const struct ovbd_cow_op op = {.type = (uint8_t)cow_what_type(what),
		                               .block = e->blocks[i],
		                               .source = cow_what_source(what)};

		n = 1;
		if (op.type == OVBD_COW_REPLACE) {
			n = run_length(k, e, i);
			e->status = add_run(k, e, op.block, n);
		} else if (op.type == OVBD_COW_XOR) {
			e->status = add_xor(k, e, op.block, op.source);
		} else {
			add(e, &op, k->raw); /* of which it takes nothing */
		}
	}
}
