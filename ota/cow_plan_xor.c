// SPDX-License-Identifier: Apache-2.0
/*
 * Which 4096 bytes of old a new block resembles most. First the blocks that are likely: the one at
 * the same place, those that go on with the copies before and behind, and the distance the last
 * xor had. If none is much like it, content may have been shifted by some bytes: then every 32nd
 * position of the 68 KiB around the likely places is remembered by the 8 bytes there, and the block
 * is searched for these, byte by byte; each find is a candidate for the whole block.
 *
 * The best is compressed, and so are the data themselves; the difference must be clearly smaller
 * (it costs a read to merge, and splits a run of blocks that might be compressed together).
 */
#include "ota/cow_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"

#define BLOCK      ((uint64_t)OVBD_COW_BLOCK_SIZE)
#define WINDOW     (17 * BLOCK)
#define STEP       32u
#define WORD       8u
#define NSLOTS     8192u /* of the table; there are WINDOW / STEP positions */
#define LEAST_LIKE 1024u /* bytes of a block that must be the same */
#define MUCH_LIKE  3072u /* as many, and nothing better is looked for */
#define NFINDS     8u    /* of a search */
#define SAVES      64u   /* bytes, at least */

struct cow_xor {
	const struct cow_plan *plan;
	struct cow_compressor *compressor;
	int64_t shift; /* the last one's source, less its place; bytes */
	bool has_shift;
	/* the best so far */
	uint64_t source;
	uint32_t like;
	uint8_t best[BLOCK];
	uint8_t candidate[BLOCK], window[WINDOW];
	uint16_t slots[NSLOTS]; /* position in the window / STEP + 1 */
	size_t cap;
	uint8_t *out; /* room for compressed data */
};

int cow_xor_create(const struct cow_plan *plan, struct cow_xor **ret, struct ovbd_error *err)
{
	struct cow_xor *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	x->plan = plan;
	x->cap = cow_compress_bound(plan->p->write.algorithm, BLOCK);
	x->out = malloc(x->cap);
	r = x->out ? cow_compressor_create(plan->p->write.algorithm, plan->p->level, &x->compressor,
	                                   err)
	           : ovbd_fail(err, -ENOMEM, "out of memory");
	if (r < 0) {
		cow_xor_free(x);
		return r;
	}
	*ret = x;
	return 0;
}

void cow_xor_free(struct cow_xor *x)
{
	if (!x)
		return;
	cow_compressor_free(x->compressor);
	free(x->out);
	free(x);
}

static uint32_t count_like(const uint8_t *a, const uint8_t *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < BLOCK; i++)
		n += a[i] == b[i];
	return n;
}

/* Takes the bytes at source, which are like these, if they are better than what there is. */
static void offer(struct cow_xor *x, const uint8_t *data, const uint8_t *bytes, uint64_t source)
{
	const uint32_t like = count_like(data, bytes);

	if (like <= x->like)
		return;
	x->like = like;
	x->source = source;
	memcpy(x->best, bytes, BLOCK);
}

/* Without a scratch area a block that reads what it overwrites cannot be merged safely. */
static bool may_read(const struct cow_xor *x, uint64_t block, uint64_t source)
{
	if (x->plan->p->write.scratch_size > 0)
		return true;
	return source + BLOCK <= block * BLOCK || source >= (block + 1) * BLOCK;
}

static int offer_at(struct cow_xor *x, uint64_t block, const uint8_t *data, uint64_t source,
                    struct ovbd_error *err)
{
	int r;

	if (!ovbd_within(source, BLOCK, x->plan->nold * BLOCK) || !may_read(x, block, source))
		return 0;
	r = ovbd_blob_pread(x->plan->old, x->candidate, BLOCK, source, err);
	if (r == 0)
		offer(x, data, x->candidate, source);
	return r;
}

/* ---- by single bytes ---- */

static uint64_t word_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v)); /* only compared and hashed: bytes may be in any order */
	return v;
}

static uint16_t *slot_of(struct cow_xor *x, const uint8_t *p)
{
	/* in a fixed order after all: what is found must not depend on the machine */
	return &x->slots[ovbd_get_le64(p) * UINT64_C(0x9e3779b97f4a7c15) >> 51];
}

/* A word of one byte is everywhere. */
static bool tells_nothing(const uint8_t *p)
{
	return word_at(p) == word_at(p + 1);
}

static void remember_window(struct cow_xor *x, uint64_t len)
{
	memset(x->slots, 0, sizeof(x->slots));
	for (uint64_t at = 0; at + WORD < len; at += STEP)
		if (!tells_nothing(x->window + at))
			*slot_of(x, x->window + at) = (uint16_t)(at / STEP + 1);
}

static void search_window(struct cow_xor *x, uint64_t block, const uint8_t *data, uint64_t begin,
                          uint64_t len)
{
	uint64_t finds[NFINDS];
	unsigned n = 0;

	for (uint64_t i = 0; i + WORD < BLOCK && n < NFINDS; i++) {
		const uint16_t slot = *slot_of(x, data + i);
		const uint64_t at = (slot - 1) * (uint64_t)STEP;
		bool known = false;

		if (slot == 0 || at < i || at - i + BLOCK > len ||
		    word_at(x->window + at) != word_at(data + i))
			continue;
		for (unsigned j = 0; j < n; j++)
			known |= finds[j] == at - i;
		if (known || !may_read(x, block, begin + at - i))
			continue;
		finds[n++] = at - i;
		offer(x, data, x->window + (at - i), begin + at - i);
	}
}

static int search_around(struct cow_xor *x, uint64_t block, const uint8_t *data, uint64_t place,
                         struct ovbd_error *err)
{
	const uint64_t size = x->plan->nold * BLOCK, before = (WINDOW - BLOCK) / 2;
	const uint64_t at = place * BLOCK, begin = at > before ? at - before : 0;
	const uint64_t len = begin < size ? ovbd_min(WINDOW, size - begin) : 0;
	int r;

	if (len < BLOCK)
		return 0;
	r = ovbd_blob_pread(x->plan->old, x->window, (size_t)len, begin, err);
	if (r < 0)
		return r;
	remember_window(x, len);
	search_window(x, block, data, begin, len);
	return 0;
}

/* ---- the best of all ---- */

static int find_best(struct cow_xor *x, uint64_t block, const uint8_t *data,
                     const uint64_t near[COW_XOR_NEAR], struct ovbd_error *err)
{
	int r = 0;

	x->like = 0;
	if (x->has_shift)
		r = offer_at(x, block, data, block * BLOCK + (uint64_t)x->shift, err);
	for (unsigned i = 0; r == 0 && i < COW_XOR_NEAR && x->like < MUCH_LIKE; i++)
		if (near[i] < x->plan->nold)
			r = offer_at(x, block, data, near[i] * BLOCK, err);
	for (unsigned i = 0; r == 0 && i < COW_XOR_NEAR && x->like < MUCH_LIKE; i++)
		if (near[i] < x->plan->nold && (i == 0 || near[i] != near[i - 1]))
			r = search_around(x, block, data, near[i], err);
	return r;
}

int cow_xor_pays(struct cow_xor *x, uint64_t block, const uint8_t *data,
                 const uint64_t near[COW_XOR_NEAR], bool first, uint64_t *ret_source,
                 struct ovbd_error *err)
{
	size_t as_data, as_xor;
	int r;

	if (first)
		x->has_shift = false;
	r = find_best(x, block, data, near, err);
	if (r < 0 || x->like < LEAST_LIKE)
		return r;
	for (uint32_t i = 0; i < BLOCK; i++)
		x->best[i] ^= data[i];
	as_xor = cow_compress(x->compressor, x->best, BLOCK, x->out, x->cap);
	as_data = cow_compress(x->compressor, data, BLOCK, x->out, x->cap);
	if (as_xor == 0 || as_data == 0)
		return ovbd_fail(err, -ENOMEM, "%s cannot compress block %" PRIu64,
		                 ovbd_cow_algorithm_name(x->plan->p->write.algorithm), block);
	as_data = ovbd_min(as_data, BLOCK);
	if (as_xor + SAVES > as_data || as_xor * 4 > as_data * 3)
		return 0;
	x->shift = (int64_t)(x->source - block * BLOCK);
	x->has_shift = true;
	*ret_source = x->source;
	return 1;
}
