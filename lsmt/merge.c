// SPDX-License-Identifier: Apache-2.0
/*
 * Many indexes become one: a sweep over the device, from segment begin to segment begin.
 *
 *     layer 2        [=====]          [==]
 *     layer 1     [=====]    [00000]
 *     layer 0  [===================================]
 *     merged   [=][=][=====][][00000][][==][=======]
 *
 * Each layer has a cursor at its next segment, and a tournament of the cursors tells which segment
 * begins next. Between two begins only one thing matters: which is the topmost layer that has a
 * segment here. A segment that begins above it takes over; one that begins below it is remembered,
 * in a set of layers, until those above have ended. Ends need no events of their own: when the top
 * ends before the next segment begins, what lies below is looked for in the set, and what has
 * meanwhile ended itself is dropped from it then.
 *
 * So a segment costs one replay of the tournament, log2(n) steps that have no branches, and enters
 * and leaves the set once. (The tournament is a tree of losers: inner node i holds the later of the
 * two cursors that met there, the earliest of all has gone on to node 0. The nodes on the way from
 * a cursor to the root are the same whoever wins, so they can be loaded ahead.)
 *
 * Where the top is a reference, what it leads to is looked up in the layers below it, from the
 * highest down, which may be a reference again, from a lower layer. So a piece takes at most one
 * look into each layer; and how many pieces there may be is the builder's limit.
 */
#include "lsmt/index.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"

#define SECTOR   UINT64_C(512)
#define SLOTS    256        /* >= OVBD_LAYERS_MAX, a power of two */
#define FINISHED UINT64_MAX /* no further segment: after every other begin */
#define NONE     (-1)

struct cursor {
	const struct ovbd_index *ix;
	uint64_t next, count;
	struct ovbd_segment ahead; /* the next segment, when it has one */
	struct ovbd_segment here;  /* the one that began last */
};

struct sweep {
	struct ovbd_index_builder *out;
	uint64_t end;          /* nothing at or beyond is taken */
	uint64_t pos;          /* up to here all is out */
	int top;               /* the layer whose segment is at pos, or NONE */
	uint64_t active[4];    /* set of layers whose segment may reach pos or beyond */
	uint64_t nslots;       /* of the tournament: a power of two >= the number of layers */
	uint64_t loser[SLOTS]; /* begin (sectors) << 8 | layer; [0] is the winner */
	struct cursor cursor[SLOTS];
};

/* ---- the cursors ---- */

/* Goes to the next segment; returns its begin and layer as the tournament compares them. */
static uint64_t advance(struct sweep *sw, uint32_t layer)
{
	struct cursor *c = &sw->cursor[layer];

	if (c->next == c->count)
		return FINISHED;
	c->ahead = ovbd_index_get(c->ix, c->next++);
	if (c->ahead.off >= sw->end)
		return FINISHED;
	c->ahead.len = ovbd_min(c->ahead.len, sw->end - c->ahead.off);
	if (c->ahead.layer != OVBD_LAYER_BELOW)
		c->ahead.layer = layer;
	return c->ahead.off / SECTOR << 8 | layer;
}

/* Plays the matches from the layer's place to the root, with its new entry. */
static void replay(struct sweep *sw, uint32_t layer, uint64_t entry)
{
	for (uint64_t i = (sw->nslots + layer) / 2; i > 0; i /= 2) {
		const uint64_t other = sw->loser[i];

		sw->loser[i] = entry > other ? entry : other;
		entry = entry > other ? other : entry;
	}
	sw->loser[0] = entry;
}

/* All matches, once: the winners of each round are kept beside for the next. */
static void play_all(struct sweep *sw, const struct ovbd_index *const *layers, size_t n)
{
	uint64_t winner[2 * SLOTS];

	for (sw->nslots = 1; sw->nslots < n; sw->nslots *= 2)
		;
	for (uint32_t i = 0; i < sw->nslots; i++) {
		winner[sw->nslots + i] = FINISHED;
		if (i >= n)
			continue;
		sw->cursor[i].ix = layers[i];
		sw->cursor[i].count = ovbd_index_count(layers[i]);
		winner[sw->nslots + i] = advance(sw, i);
	}
	for (uint64_t i = sw->nslots - 1; i > 0; i--) {
		const uint64_t a = winner[2 * i], b = winner[2 * i + 1];

		sw->loser[i] = a > b ? a : b;
		winner[i] = a > b ? b : a;
	}
	sw->loser[0] = winner[1];
}

/* ---- the sweep ---- */

static uint64_t end_of(const struct sweep *sw, int layer)
{
	return sw->cursor[layer].here.off + sw->cursor[layer].here.len;
}

/* What of the stack of the layers below the given one there is at src, of at most len bytes. Its
 * off means nothing. */
static struct ovbd_segment look_below(const struct sweep *sw, uint32_t layer, uint64_t src,
                                      uint64_t len)
{
	struct ovbd_segment s;

	while (layer-- > 0) {
		s = ovbd_index_at(sw->cursor[layer].ix, src, len);
		len = s.len;
		if (s.kind == OVBD_RUN_HOLE)
			continue;
		if (s.layer != OVBD_LAYER_BELOW) {
			s.layer = layer;
			return s;
		}
		src = s.src;
	}
	return (struct ovbd_segment){.len = len,
	                             .src = src,
	                             .layer = OVBD_LAYER_BELOW,
	                             .kind = OVBD_RUN_DATA};
}

/* Puts out what the reference s of a layer leads to. */
static int resolve(const struct sweep *sw, uint32_t layer, struct ovbd_segment s,
                   struct ovbd_error *err)
{
	int r = 0;

	while (r == 0 && s.len > 0) {
		struct ovbd_segment found = look_below(sw, layer, s.src, s.len);

		found.off = s.off;
		r = ovbd_index_builder_add(sw->out, &found, err);
		s.off += found.len;
		s.src += found.len;
		s.len -= found.len;
	}
	return r;
}

/* Puts out what the top shows up to end. */
static int emit(struct sweep *sw, uint64_t end, struct ovbd_error *err)
{
	struct ovbd_segment s = sw->cursor[sw->top].here;

	if (end == sw->pos)
		return 0;
	s.src += sw->pos - s.off;
	s.off = sw->pos;
	s.len = end - sw->pos;
	sw->pos = end;
	if (s.layer == OVBD_LAYER_BELOW)
		return resolve(sw, (uint32_t)sw->top, s, err);
	return ovbd_index_builder_add(sw->out, &s, err);
}

/* The topmost active layer that reaches beyond pos. */
static int find_top(struct sweep *sw)
{
	for (int word = 3; word >= 0; word--) {
		while (sw->active[word]) {
			const int bit = 63 - __builtin_clzll(sw->active[word]);
			const int layer = word * 64 + bit;

			if (end_of(sw, layer) > sw->pos)
				return layer;
			sw->active[word] &= ~(UINT64_C(1) << bit);
		}
	}
	return NONE;
}

/* Puts out everything up to begin, where the next segment begins. */
static int sweep_to(struct sweep *sw, uint64_t begin, struct ovbd_error *err)
{
	int r = 0;

	while (r == 0 && sw->top != NONE && end_of(sw, sw->top) <= begin) {
		r = emit(sw, end_of(sw, sw->top), err);
		sw->top = find_top(sw);
	}
	return r;
}

/* The layer's next segment begins. */
static int begin_segment(struct sweep *sw, uint32_t layer, struct ovbd_error *err)
{
	struct cursor *c = &sw->cursor[layer];
	int r = 0;

	if ((int)layer > sw->top) {
		if (sw->top != NONE)
			r = emit(sw, c->ahead.off, err);
		sw->pos = c->ahead.off;
		sw->top = (int)layer;
	}
	c->here = c->ahead;
	sw->active[layer / 64] |= UINT64_C(1) << layer % 64;
	return r;
}

static int sweep(struct sweep *sw, struct ovbd_error *err)
{
	int r = 0;

	while (r == 0 && sw->loser[0] != FINISHED) {
		const uint32_t layer = sw->loser[0] & 0xff;

		r = sweep_to(sw, sw->cursor[layer].ahead.off, err);
		if (r == 0)
			r = begin_segment(sw, layer, err);
		replay(sw, layer, advance(sw, layer));
	}
	return r < 0 ? r : sweep_to(sw, UINT64_MAX, err);
}

static struct ovbd_index_bounds bounds_of(const struct ovbd_index *const *layers, size_t n,
                                          uint64_t end)
{
	struct ovbd_index_bounds b = {.end = 0};

	for (size_t i = 0; i < n; i++) {
		if (ovbd_index_end(layers[i]) > b.end)
			b.end = ovbd_index_end(layers[i]);
		if (ovbd_index_src_end(layers[i]) > b.src_end)
			b.src_end = ovbd_index_src_end(layers[i]);
		b.nsegments += ovbd_index_count(layers[i]);
	}
	b.end = ovbd_min(b.end, end);
	return b;
}

int ovbd_index_merge(const struct ovbd_index *const *layers, size_t n, uint64_t end,
                     uint64_t memory_max, struct ovbd_index **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_index_builder_closep) struct ovbd_index_builder *out = NULL;
	AUTO_FREE struct sweep *sw = NULL;
	struct ovbd_index_bounds bounds;
	int r;

	assert(n > 0 && n <= OVBD_LAYERS_MAX);
	end = ovbd_align_up(ovbd_min(end, OVBD_INDEX_END_MAX), SECTOR);
	bounds = bounds_of(layers, n, end);
	bounds.memory_max = memory_max;
	r = ovbd_index_builder_create(&bounds, &out, err);
	if (r < 0)
		return r;
	sw = calloc(1, sizeof(*sw));
	if (!sw)
		return ovbd_fail(err, -ENOMEM, "out of memory to merge %zu layers", n);
	sw->out = out;
	sw->end = end;
	sw->top = NONE;
	play_all(sw, layers, n);
	r = sweep(sw, err);
	return r < 0 ? r : ovbd_index_builder_finish(OVBD_MOVE(out), ret, err);
}
