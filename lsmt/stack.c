// SPDX-License-Identifier: Apache-2.0
/*
 * Layers as one blob. All the work is done at open, by the merge; a read asks the index for one
 * segment after the other. Segments that continue each other are one segment already (the index
 * joins them), so nothing is gathered here.
 */
#include "lsmt/index.h"
#include "lsmt/layer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"

struct stack_blob {
	struct ovbd_blob blob;
	struct ovbd_index *index;
	size_t nlayers;
	struct ovbd_layer *layers[OVBD_LAYERS_MAX]; /* owned */
	struct ovbd_blob *blobs[OVBD_LAYERS_MAX];   /* theirs */
	struct ovbd_blob *base;                     /* owned; beneath all layers; NULL: none */
};

static struct stack_blob *stack_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct stack_blob, blob);
}

/* What lies beneath all layers; beyond its end zeros. */
static int read_base(const struct stack_blob *st, uint8_t *dst, size_t len, uint64_t off,
                     struct ovbd_error *err)
{
	const uint64_t size = st->base ? st->base->size : 0;
	const size_t n = off < size ? (size_t)ovbd_min(len, size - off) : 0;

	memset(dst + n, 0, len - n);
	return n > 0 ? ovbd_blob_pread(st->base, dst, n, off, err) : 0;
}

static int stack_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	const struct stack_blob *st = stack_of(b);
	uint8_t *dst = buf;

	while (len > 0) {
		const struct ovbd_segment s = ovbd_index_at(st->index, off, len);
		const bool below = ovbd_segment_is_below(&s);

		if (s.kind == OVBD_RUN_DATA && !below) {
			const int r = ovbd_blob_pread(st->blobs[s.layer], dst, s.len, s.src, err);

			if (r < 0)
				return ovbd_fail_within(err, r, "layer %u", s.layer);
		} else if (st->base && (s.kind == OVBD_RUN_HOLE || below)) {
			const int r = read_base(st, dst, s.len, below ? s.src : off, err);

			if (r < 0)
				return ovbd_fail_within(err, r, "base");
		} else {
			memset(dst, 0, s.len);
		}
		dst += s.len;
		off += s.len;
		len -= s.len;
	}
	return 0;
}

/* A reference's run: what the base has there. That was written, and hides what is below, also where
 * it is a hole of the base. */
static int run_below(const struct stack_blob *st, const struct ovbd_segment *s,
                     struct ovbd_run *ret, struct ovbd_error *err)
{
	const uint64_t size = st->base ? st->base->size : 0;
	int r = 0;

	*ret = (struct ovbd_run){.len = s->len, .kind = OVBD_RUN_ZERO};
	if (s->src < size)
		r = ovbd_blob_run_at(st->base, s->src, ovbd_min(s->len, size - s->src), ret, err);
	if (ret->kind == OVBD_RUN_HOLE)
		ret->kind = OVBD_RUN_ZERO;
	return r;
}

static int stack_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                        struct ovbd_error *err)
{
	const struct stack_blob *st = stack_of(b);
	struct ovbd_segment s = ovbd_index_at(st->index, off, len);
	const enum ovbd_run_kind kind = s.kind;
	uint64_t run = s.len;

	if (ovbd_segment_is_below(&s))
		return run_below(st, &s, ret, err);
	if (kind == OVBD_RUN_HOLE && st->base && off < st->base->size)
		return ovbd_blob_run_at(st->base, off, ovbd_min(run, st->base->size - off), ret,
		                        err);
	while (run < len) {
		s = ovbd_index_at(st->index, off + run, len - run);
		if (s.kind != kind || ovbd_segment_is_below(&s))
			break;
		run += s.len;
	}
	*ret = (struct ovbd_run){.len = run, .kind = kind};
	return 0;
}

static void stack_close(struct ovbd_blob *b)
{
	struct stack_blob *st = stack_of(b);

	for (size_t i = 0; i < st->nlayers; i++)
		ovbd_layer_close(st->layers[i]);
	ovbd_index_free(st->index);
	ovbd_blob_close(st->base);
	free(st);
}

static const struct ovbd_blob_ops stack_ops = {
	.name = "stack",
	.pread = stack_pread,
	.run_at = stack_run_at,
	.close = stack_close,
};

/* Of the device that the lowest n layers and the base make. */
static uint64_t size_of(const struct stack_blob *st, size_t n)
{
	for (size_t i = n; i-- > 0;)
		if (ovbd_layer_info(st->layers[i])->virtual_size > 0)
			return ovbd_layer_info(st->layers[i])->virtual_size;
	return st->base ? st->base->size : 0;
}

/* Whether each layer's references lead to something. Sets *ret if there are any. */
static int check_references(const struct stack_blob *st, bool *ret, struct ovbd_error *err)
{
	*ret = false;
	for (size_t i = 0; i < st->nlayers; i++) {
		const uint64_t end = ovbd_layer_info(st->layers[i])->ref_end;
		const uint64_t size = size_of(st, i);

		*ret |= end > 0;
		if (end > 0 && i == 0 && !st->base)
			return ovbd_fail(err, -EINVAL,
			                 "layer 0: refers to what lies below it, up to %" PRIu64
			                 ", and nothing does: name first what it was made over",
			                 end);
		if (end > 0 && (size == 0 || (end - 1) / 512 > (size - 1) / 512))
			return ovbd_fail(err, -EINVAL,
			                 "layer %zu: refers to what lies below it, up to %" PRIu64
			                 ", which ends at %" PRIu64 ": it was made over another",
			                 i, end, size);
	}
	return 0;
}

/* What the index of all may take: as much as those of each, or, if there are references, which may
 * lead to the same segments again and again, not much more than is stored. */
static uint64_t memory_for(const struct stack_blob *st, bool references)
{
	uint64_t max = references ? OVBD_SEGMENTS_ALWAYS * UINT64_C(18) : 0;

	for (size_t i = 0; i < st->nlayers; i++)
		max += references ? ovbd_index_memory(ovbd_layer_index(st->layers[i])) +
		                            ovbd_layer_stored_size(st->layers[i]) / 2
		                  : ovbd_layer_memory_max(st->layers[i]);
	return max;
}

/* One index for all layers. Theirs are freed then: a segment is in memory once. The index of a
 * layer alone is taken as it is, unless it reaches beyond the device. */
static int merge(struct stack_blob *st, struct ovbd_error *err)
{
	const struct ovbd_index *indexes[OVBD_LAYERS_MAX];
	bool references;
	int r;

	r = check_references(st, &references, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < st->nlayers; i++)
		indexes[i] = ovbd_layer_index(st->layers[i]);
	if (st->nlayers == 1 && ovbd_index_end(indexes[0]) <= st->blob.size) {
		st->index = ovbd_layer_take_index(st->layers[0]);
		return 0;
	}
	r = ovbd_index_merge(indexes, st->nlayers, st->blob.size, memory_for(st, references),
	                     &st->index, err);
	for (size_t i = 0; r == 0 && i < st->nlayers; i++)
		ovbd_index_free(ovbd_layer_take_index(st->layers[i]));
	return r;
}

static int refuse(struct ovbd_blob *take_base, struct ovbd_layer *const *take_layers, size_t n,
                  struct ovbd_error *err)
{
	for (size_t i = 0; i < n; i++)
		ovbd_layer_close(take_layers[i]);
	ovbd_blob_close(take_base);
	if (n == 0)
		return ovbd_fail(err, -EINVAL, "a stack of no layers");
	if (n > OVBD_LAYERS_MAX)
		return ovbd_fail(err, -E2BIG, "a stack of %zu layers: at most %u", n,
		                 OVBD_LAYERS_MAX);
	return ovbd_fail(err, -ENOMEM, "out of memory for a stack of %zu layers", n);
}

int ovbd_stack_open_sized(struct ovbd_blob *take_base, struct ovbd_layer *const *take_layers,
                          size_t n, uint64_t size, struct ovbd_blob **ret, struct ovbd_error *err)
{
	struct stack_blob *st = n > 0 && n <= OVBD_LAYERS_MAX ? calloc(1, sizeof(*st)) : NULL;
	AUTO_BLOB *b = NULL;
	int r;

	if (!st)
		return refuse(take_base, take_layers, n, err);
	b = &st->blob;
	st->base = take_base;
	st->nlayers = n;
	for (size_t i = 0; i < n; i++) {
		st->layers[i] = take_layers[i];
		st->blobs[i] = ovbd_layer_blob(take_layers[i]);
	}
	st->blob = (struct ovbd_blob){.ops = &stack_ops, .size = size ? size : size_of(st, n)};
	r = merge(st, err);
	if (r == 0)
		*ret = OVBD_MOVE(b);
	return r;
}

int ovbd_stack_open_over(struct ovbd_blob *take_base, struct ovbd_layer *const *take_layers,
                         size_t n, struct ovbd_blob **ret, struct ovbd_error *err)
{
	return ovbd_stack_open_sized(take_base, take_layers, n, 0, ret, err);
}

int ovbd_stack_open(struct ovbd_layer *const *take_layers, size_t n, struct ovbd_blob **ret,
                    struct ovbd_error *err)
{
	return ovbd_stack_open_over(NULL, take_layers, n, ret, err);
}

const struct ovbd_index *ovbd_stack_index(const struct ovbd_blob *stack)
{
	assert(stack->ops == &stack_ops);
	return ((const struct stack_blob *)(const void *)stack)->index; /* blob is its head */
}
