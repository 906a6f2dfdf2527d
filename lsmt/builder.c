// SPDX-License-Identifier: Apache-2.0
/*
 * Making an index: segments are appended to the two arrays as they come, and the levels of the tree
 * are put on top at the end. The last segment waits until it is known that the next does not
 * continue it; so what is stored is joined as far as it goes, and then cut into pieces of the
 * length an entry can hold. The pieces are whole multiples of 64 KiB: the next one begins where a
 * block of the largest size begins, if the segment did.
 */
#include "lsmt/index.h"
#include "lsmt/search.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"

#define SECTOR UINT64_C(512)
#define PIECE  ((INDEX_LEN_MAX & ~UINT64_C(127)) * SECTOR) /* bytes; a multiple of 64 KiB */

/* A guess beyond this is not believed: memory grows as segments really come. */
#define GUESS_MAX (UINT64_C(1) << 20)

struct ovbd_index_builder {
	struct ovbd_index *ix;
	struct ovbd_index_bounds bounds;
	struct ovbd_segment last; /* not stored yet; len = 0: none */
	uint64_t capacity;        /* of keys and entries */
	uint64_t capacity_max;    /* what bounds.memory_max has room for */
};

static uint64_t key_size(const struct ovbd_index *ix)
{
	return ix->wide ? sizeof(uint64_t) : sizeof(uint32_t);
}

static int out_of_memory(uint64_t n, struct ovbd_error *err)
{
	return ovbd_fail(err, -ENOMEM, "out of memory for an index of %" PRIu64 " segments", n);
}

/* ---- storing ---- */

/* A key, an entry, and the key's share of the tree (its 15th or 7th part, rounded up). */
static uint64_t capacity_in(const struct ovbd_index *ix, uint64_t memory)
{
	return memory / (key_size(ix) + sizeof(uint64_t) + (ix->wide ? 2 : 1));
}

static int reserve(struct ovbd_index_builder *b, uint64_t n, struct ovbd_error *err)
{
	struct ovbd_index *ix = b->ix;
	uint64_t capacity;

	if (n <= b->capacity)
		return 0;
	if (n > b->capacity_max)
		return ovbd_fail(err, -E2BIG,
		                 "an index of more than %" PRIu64
		                 " segments would take more than %" PRIu64
		                 " bytes of memory, too much for what is stored",
		                 b->capacity_max, b->bounds.memory_max);
	capacity = ovbd_min(n + b->capacity / 2, b->capacity_max);
	if (ovbd_lines_resize(&ix->keys, capacity * key_size(ix)) < 0 ||
	    ovbd_lines_resize(&ix->entries, capacity * sizeof(uint64_t)) < 0)
		return out_of_memory(capacity, err);
	b->capacity = capacity;
	return 0;
}

static void store_narrow(struct ovbd_index *ix, const struct ovbd_segment *s)
{
	const uint32_t key = (uint32_t)(s->off / SECTOR);

	((uint32_t *)ix->keys.p)[ix->n] = key;
	((struct ovbd_narrow_entry *)ix->entries.p)[ix->n] = (struct ovbd_narrow_entry){
		.delta = (uint32_t)(s->src / SECTOR) - key,
		.len = (uint16_t)(s->len / SECTOR),
		.kind = (uint8_t)s->kind,
		.layer = (uint8_t)s->layer,
	};
	ix->n++;
}

static void store_wide(struct ovbd_index *ix, const struct ovbd_segment *s)
{
	((uint64_t *)ix->keys.p)[ix->n] = s->off / SECTOR << INDEX_LEN_BITS | s->len / SECTOR;
	((uint64_t *)ix->entries.p)[ix->n] =
		(s->src - s->off) | (uint64_t)s->kind << INDEX_WIDE_KIND_SHIFT | s->layer;
	ix->n++;
}

static void store(struct ovbd_index *ix, const struct ovbd_segment *s)
{
	if (ix->wide)
		store_wide(ix, s);
	else
		store_narrow(ix, s);
}

/* Stores the segment that waits, in as many pieces as it takes. */
static int flush(struct ovbd_index_builder *b, struct ovbd_error *err)
{
	struct ovbd_segment s = b->last;
	const uint64_t npieces = s.len / PIECE + 1; /* at most */
	int r;

	if (s.len == 0)
		return 0;
	if (npieces > OVBD_SEGMENTS_MAX + 1 - b->ix->n)
		return ovbd_fail(err, -E2BIG,
		                 "segment at %" PRIu64 ": an index has at most %u segments", s.off,
		                 OVBD_SEGMENTS_MAX);
	r = reserve(b, b->ix->n + npieces, err);
	if (r < 0)
		return r;
	for (uint64_t left = b->last.len; left > 0; left -= s.len) {
		s.len = left <= INDEX_LEN_MAX * SECTOR ? left : PIECE;
		store(b->ix, &s);
		s.off += s.len;
		s.src += s.len;
	}
	b->ix->end = s.off;
	if (s.kind == OVBD_RUN_DATA && s.src > b->ix->src_end)
		b->ix->src_end = s.src;
	return 0;
}

/* ---- adding ---- */

static int check(const struct ovbd_index_builder *b, const struct ovbd_segment *s,
                 struct ovbd_error *err)
{
	const bool data = s->kind == OVBD_RUN_DATA;
	const uint64_t begin = b->last.off + b->last.len;

	if ((s->off | s->len | (data ? s->src : 0)) % SECTOR != 0)
		return ovbd_fail(err, -EINVAL, "segment at %" PRIu64 " is not in whole sectors",
		                 s->off);
	if (s->len == 0 || s->off < begin || !ovbd_within(s->off, s->len, b->bounds.end))
		return ovbd_fail(err, -EINVAL,
		                 "segment of %" PRIu64 " bytes at %" PRIu64
		                 " is not between %" PRIu64 " and %" PRIu64,
		                 s->len, s->off, begin, b->bounds.end);
	if (s->layer > OVBD_LAYER_BELOW || s->kind > OVBD_RUN_ZERO)
		return ovbd_fail(err, -EINVAL, "segment at %" PRIu64 ": layer %u, kind %d", s->off,
		                 s->layer, (int)s->kind);
	if (data && !ovbd_within(s->src, s->len, b->bounds.src_end))
		return ovbd_fail(err, -EINVAL,
		                 "segment at %" PRIu64 ": its source, %" PRIu64 " bytes at %" PRIu64
		                 ", ends beyond %" PRIu64,
		                 s->off, s->len, s->src, b->bounds.src_end);
	return 0;
}

static bool continues(const struct ovbd_segment *last, const struct ovbd_segment *s)
{
	return last->len > 0 && s->off == last->off + last->len && s->layer == last->layer &&
	       s->kind == last->kind &&
	       (s->kind == OVBD_RUN_ZERO || s->src == last->src + last->len);
}

int ovbd_index_builder_add(struct ovbd_index_builder *b, const struct ovbd_segment *s,
                           struct ovbd_error *err)
{
	int r = check(b, s, err);

	if (r < 0)
		return r;
	if (continues(&b->last, s)) {
		b->last.len += s->len;
		return 0;
	}
	r = flush(b, err);
	b->last = *s;
	return r;
}

int ovbd_index_builder_create(const struct ovbd_index_bounds *bounds,
                              struct ovbd_index_builder **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_index_builder_closep) struct ovbd_index_builder *b = NULL;
	int r;

	if (bounds->end > OVBD_INDEX_END_MAX || bounds->src_end > OVBD_INDEX_SRC_MAX)
		return ovbd_fail(err, -E2BIG,
		                 "an index covers at most %" PRIu64 " bytes of device and %" PRIu64
		                 " of source, not %" PRIu64 " and %" PRIu64,
		                 OVBD_INDEX_END_MAX, OVBD_INDEX_SRC_MAX, bounds->end,
		                 bounds->src_end);
	b = calloc(1, sizeof(*b));
	if (!b)
		return out_of_memory(0, err);
	b->bounds = *bounds;
	b->ix = calloc(1, sizeof(*b->ix));
	if (!b->ix)
		return out_of_memory(0, err);
	b->ix->wide = bounds->end > INDEX_NARROW_END || bounds->src_end > INDEX_NARROW_SRC_END;
	b->capacity_max = bounds->memory_max ? capacity_in(b->ix, bounds->memory_max) : UINT64_MAX;
	r = reserve(b, ovbd_min(ovbd_min(bounds->nsegments, GUESS_MAX) + 1, b->capacity_max), err);
	if (r < 0)
		return r;
	store(b->ix, &(struct ovbd_segment){.kind = OVBD_RUN_ZERO});
	*ret = OVBD_MOVE(b);
	return 0;
}

void ovbd_index_builder_close(struct ovbd_index_builder *take_b)
{
	if (!take_b)
		return;
	ovbd_index_free(take_b->ix);
	free(take_b);
}

/* ---- the tree ---- */

/* Fills nnodes nodes of nkeys keys, whose children have span leaves each; all ones before. */
static void fill_level(const struct ovbd_index *ix, uint8_t *node, uint64_t nnodes, uint64_t nkeys,
                       uint64_t span)
{
	const uint64_t size = key_size(ix), nleaves = ix->keys.size / INDEX_NODE_SIZE;

	for (uint64_t i = 0; i < nnodes; i++, node += nkeys * size) {
		uint64_t leaf = (i * (nkeys + 1) + 1) * span;

		for (uint64_t j = 0; j < nkeys && leaf < nleaves; j++, leaf += span)
			memcpy(node + j * size, (uint8_t *)ix->keys.p + leaf * INDEX_NODE_SIZE,
			       size);
	}
}

static int build_tree(struct ovbd_index *ix)
{
	const uint64_t nkeys = INDEX_NODE_SIZE / key_size(ix);
	uint64_t nnodes[INDEX_LEVELS_MAX], total = 2, span = 1;
	uint8_t *level;
	int r;

	for (uint64_t n = ix->keys.size / INDEX_NODE_SIZE; n > 2 * nkeys + 1; ix->nlevels++) {
		assert(ix->nlevels < INDEX_LEVELS_MAX);
		n = nnodes[ix->nlevels] = (n + nkeys) / (nkeys + 1);
		total += n;
	}
	r = ovbd_lines_resize(&ix->tree, total * INDEX_NODE_SIZE);
	if (r < 0)
		return r;
	memset(ix->tree.p, 0xff, (size_t)ix->tree.size);
	level = (uint8_t *)ix->tree.p + ix->tree.size;
	for (unsigned i = 0; i < ix->nlevels; i++, span *= nkeys + 1) {
		level -= nnodes[i] * INDEX_NODE_SIZE;
		fill_level(ix, level, nnodes[i], nkeys, span);
		ix->level[i] = level;
	}
	fill_level(ix, ix->tree.p, 1, 2 * nkeys, span);
	ix->root = ix->tree.p;
	return 0;
}

/* Gives back what was reserved too much, and leaves at least one key of all ones at the end. */
static int shrink(struct ovbd_index *ix)
{
	const uint64_t used = ix->n * key_size(ix);
	int r = ovbd_lines_resize(&ix->keys, used + key_size(ix));

	if (r < 0)
		return r;
	memset((uint8_t *)ix->keys.p + used, 0xff, (size_t)(ix->keys.size - used));
	return ovbd_lines_resize(&ix->entries, ix->n * sizeof(uint64_t));
}

int ovbd_index_builder_finish(struct ovbd_index_builder *take_b, struct ovbd_index **ret,
                              struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_index_builder_closep) struct ovbd_index_builder *b = take_b;
	struct ovbd_index *ix = b->ix;
	int r = flush(b, err);

	if (r < 0)
		return r;
	if (shrink(ix) < 0 || build_tree(ix) < 0)
		return out_of_memory(ix->n, err);
	ix->memory = sizeof(*ix) + ovbd_lines_memory(&ix->keys) + ovbd_lines_memory(&ix->entries) +
	             ovbd_lines_memory(&ix->tree);
	ovbd_index_use(ix, ovbd_search_best());
	*ret = OVBD_MOVE(b->ix);
	return 0;
}
