// SPDX-License-Identifier: Apache-2.0
/*
 * A stack that gets layers while it is read. There is one index of all its layers, as in any stack:
 * a new layer is merged with it into another one, beside the readers, which then takes its place.
 * Layers and what lies beneath stay where they are, so a reader needs the index only for the moment
 * in which it looks a segment up, and never waits; the old index is freed when nobody looks at it.
 *
 * That is a merge of two, which keeps the numbers that the layers have got.
 */
#include "lsmt/index.h"
#include "lsmt/layer.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/epoch.h"

#define GRACE_NS 1000000L /* between looks whether readers have left */

struct growing {
	struct ovbd_blob blob;
	struct ovbd_blob *base; /* lent; NULL: nothing beneath */
	struct ovbd_epoch *epoch;
	_Atomic(struct ovbd_index *) index; /* NULL: no layers yet */
	/* Of who adds: one at a time. A reader looks at those that an index has led it to. */
	size_t nlayers;
	struct ovbd_layer *layers[OVBD_LAYERS_MAX]; /* owned */
	uint64_t memory_max;                        /* of the index */
};

static const struct ovbd_blob_ops growing_ops;

static struct growing *growing_of(struct ovbd_blob *b)
{
	assert(b->ops == &growing_ops);
	return OVBD_CONTAINER_OF(b, struct growing, blob);
}

static struct ovbd_segment look(struct growing *g, uint64_t off, uint64_t len)
{
	const unsigned ticket = ovbd_epoch_enter(g->epoch);
	const struct ovbd_index *ix = atomic_load_explicit(&g->index, memory_order_acquire);
	struct ovbd_segment s = {.off = off, .len = len, .kind = OVBD_RUN_HOLE};

	if (ix)
		s = ovbd_index_at(ix, off, len);
	ovbd_epoch_leave(g->epoch, ticket);
	return s;
}

static int read_base(const struct growing *g, uint8_t *dst, size_t len, uint64_t off,
                     struct ovbd_error *err)
{
	const uint64_t size = g->base ? g->base->size : 0;
	const size_t n = off < size ? (size_t)ovbd_min(len, size - off) : 0;

	memset(dst + n, 0, len - n);
	return n > 0 ? ovbd_blob_pread(g->base, dst, n, off, err) : 0;
}

static int growing_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                         struct ovbd_error *err)
{
	struct growing *g = growing_of(b);
	uint8_t *dst = buf;
	int r = 0;

	while (r == 0 && len > 0) {
		const struct ovbd_segment s = look(g, off, len);
		const size_t n = (size_t)s.len;

		if (s.kind == OVBD_RUN_ZERO) {
			memset(dst, 0, n);
		} else if (s.kind == OVBD_RUN_HOLE) {
			r = read_base(g, dst, n, off, err);
		} else {
			r = ovbd_blob_pread(ovbd_layer_blob(g->layers[s.layer]), dst, n, s.src,
			                    err);
			if (r < 0)
				ovbd_fail_within(err, r, "snapshot %u", s.layer);
		}
		dst += n;
		off += n;
		len -= n;
	}
	return r;
}

static int growing_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                          struct ovbd_error *err)
{
	struct growing *g = growing_of(b);
	const struct ovbd_segment s = look(g, off, len);
	const uint64_t size = g->base ? g->base->size : 0;

	*ret = (struct ovbd_run){.len = s.len, .kind = s.kind};
	if (s.kind != OVBD_RUN_HOLE || off >= size)
		return 0;
	return ovbd_blob_run_at(g->base, off, ovbd_min(s.len, size - off), ret, err);
}

static void growing_close(struct ovbd_blob *b)
{
	struct growing *g = growing_of(b);

	for (size_t i = 0; i < g->nlayers; i++)
		ovbd_layer_close(g->layers[i]);
	ovbd_index_free(atomic_load(&g->index));
	ovbd_epoch_free(g->epoch);
	free(g);
}

static const struct ovbd_blob_ops growing_ops = {
	.name = "growing stack",
	.pread = growing_pread,
	.run_at = growing_run_at,
	.close = growing_close,
};

int ovbd_stack_open_growing(struct ovbd_blob *base, struct ovbd_blob **ret, struct ovbd_error *err)
{
	struct growing *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return ovbd_fail(err, -ENOMEM, "out of memory for a stack");
	g->base = base;
	g->blob = (struct ovbd_blob){.ops = &growing_ops, .size = OVBD_INDEX_END_MAX};
	r = ovbd_epoch_create(&g->epoch, err);
	if (r < 0) {
		free(g);
		return r;
	}
	*ret = &g->blob;
	return 0;
}

/* ---- growing ---- */

/* What old has in [from, to), which no segment of the new layer hides. */
static int keep(struct ovbd_index_builder *out, const struct ovbd_index *old, uint64_t from,
                uint64_t to, struct ovbd_error *err)
{
	struct ovbd_segment s;
	int r = 0;

	for (uint64_t at = from; old && r == 0 && at < to; at += s.len) {
		s = ovbd_index_at(old, at, to - at);
		if (s.kind != OVBD_RUN_HOLE)
			r = ovbd_index_builder_add(out, &s, err);
	}
	return r;
}

static int add_over(struct ovbd_index_builder *out, const struct ovbd_index *old,
                    const struct ovbd_index *fresh, uint32_t number, struct ovbd_error *err)
{
	const uint64_t n = ovbd_index_count(fresh), end = old ? ovbd_index_end(old) : 0;
	uint64_t pos = 0;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < n; i++) {
		struct ovbd_segment s = ovbd_index_get(fresh, i);

		r = keep(out, old, pos, ovbd_min(s.off, end), err);
		s.layer = number;
		if (r == 0)
			r = ovbd_index_builder_add(out, &s, err);
		pos = s.off + s.len;
	}
	return r < 0 ? r : keep(out, old, pos, end, err);
}

static int merge(const struct growing *g, const struct ovbd_index *fresh, uint64_t memory_max,
                 struct ovbd_index **ret, struct ovbd_error *err)
{
	const struct ovbd_index *old = atomic_load(&g->index);
	const struct ovbd_index_bounds bounds = {
		.end = ovbd_max(ovbd_index_end(fresh), old ? ovbd_index_end(old) : 0),
		.src_end = ovbd_max(ovbd_index_src_end(fresh), old ? ovbd_index_src_end(old) : 0),
		.nsegments = ovbd_index_count(fresh) + (old ? ovbd_index_count(old) : 0),
		.memory_max = memory_max,
	};
	OVBD_AUTO(ovbd_index_builder_closep) struct ovbd_index_builder *out = NULL;
	int r = ovbd_index_builder_create(&bounds, &out, err);

	if (r == 0)
		r = add_over(out, old, fresh, (uint32_t)g->nlayers, err);
	return r < 0 ? r : ovbd_index_builder_finish(OVBD_MOVE(out), ret, err);
}

static void wait_for_readers(struct growing *g)
{
	const uint64_t since = ovbd_epoch_now(g->epoch);
	const struct timespec pause = {.tv_nsec = GRACE_NS};

	for (;;) {
		ovbd_epoch_advance(g->epoch);
		if (ovbd_epoch_is_over(g->epoch, since))
			return;
		nanosleep(&pause, NULL);
	}
}

int ovbd_stack_grow(struct ovbd_blob *stack, struct ovbd_layer *take_layer, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_layer_closep) struct ovbd_layer *l = take_layer;
	struct growing *g = growing_of(stack);
	const uint64_t memory_max = g->memory_max + ovbd_layer_memory_max(l);
	struct ovbd_index *merged, *old;
	int r;

	if (g->nlayers == OVBD_LAYERS_MAX)
		return ovbd_fail(err, -E2BIG, "a stack of more than %u layers", OVBD_LAYERS_MAX);
	if (ovbd_layer_info(l)->ref_end > 0)
		return ovbd_fail(err, -ENOTSUP, "a layer that refers to what lies below it");
	r = merge(g, ovbd_layer_index(l), memory_max, &merged, err);
	if (r < 0)
		return r;
	ovbd_index_free(ovbd_layer_take_index(l));
	g->memory_max = memory_max;
	g->layers[g->nlayers++] = OVBD_MOVE(l);
	old = atomic_exchange(&g->index, merged);
	wait_for_readers(g);
	ovbd_index_free(old);
	return 0;
}
