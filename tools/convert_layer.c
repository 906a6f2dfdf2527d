// SPDX-License-Identifier: Apache-2.0
/*
 * What goes into a layer. Either what the source says of itself, run by run; or what it has in
 * other bytes than the base, block by block, and then such a block may have moved from elsewhere in
 * the base, which base/moved.h finds.
 */
#include "tools/convert_impl.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "base/moved.h"

#define BLOCK OVBD_CONVERT_BLOCK

/* ---- what the source says of itself ---- */

static int to_layer(void *ctx, uint64_t off, uint64_t len, enum ovbd_run_kind kind,
                    const uint8_t *buf, struct ovbd_error *err)
{
	struct ovbd_convert_work *w = ctx;

	if (kind == OVBD_RUN_DATA)
		return ovbd_convert_output(w,
		                           ovbd_layer_put(w->writer, off, buf, (size_t)len, err));
	if (kind == OVBD_RUN_ZERO)
		return ovbd_convert_output(w, ovbd_layer_zero(w->writer, off, len, err));
	return 0;
}

int ovbd_convert_refuse_below(void *ctx, uint64_t off, uint64_t len, uint64_t src,
                              struct ovbd_error *err)
{
	(void)ctx;
	return ovbd_fail(err, -EINVAL,
	                 "%" PRIu64 " bytes at %" PRIu64
	                 " are a copy of what lies below, at %" PRIu64
	                 ", which is needed: " OVBD_CONVERT_HINT,
	                 len, off, src);
}

static int to_reference(void *ctx, uint64_t off, uint64_t len, uint64_t src, struct ovbd_error *err)
{
	struct ovbd_convert_work *w = ctx;

	w->ref_size += len;
	return ovbd_convert_output(w, ovbd_layer_refer(w->writer, off, len, src, err));
}

/* ---- what differs from the base ---- */

struct delta {
	struct ovbd_convert_work *w;
	struct ovbd_moved *moved; /* NULL: nothing is looked for */
	uint64_t next;            /* the block behind the one found last */
	uint8_t work[BLOCK];
};

/* Whether the block of a at off, which b has not there, was found and referred to. */
static int put_moved(struct delta *d, uint64_t off, const uint8_t *a, size_t n,
                     struct ovbd_error *err)
{
	struct ovbd_convert_work *w = d->w;
	uint64_t from;
	int r;

	if (!d->moved || n < BLOCK || ovbd_is_zero(a, BLOCK))
		return 0;
	r = ovbd_moved_find(d->moved, a, off / BLOCK, d->next, d->work, &from, err);
	if (r <= 0)
		return r;
	d->next = from + 1;
	w->ref_size += BLOCK;
	r = ovbd_convert_output(w, ovbd_layer_refer(w->writer, off, BLOCK, from * BLOCK, err));
	return r < 0 ? r : 1;
}

/* Puts the blocks of a that differ from b, in as few pieces as possible. */
static int to_delta(void *ctx, uint64_t off, size_t len, const uint8_t *a, const uint8_t *b,
                    struct ovbd_error *err)
{
	struct delta *d = ctx;
	struct ovbd_convert_work *w = d->w;
	size_t start = 0, at = 0;
	int r = 0;

	if (memcmp(a, b, len) == 0)
		return 0;
	while (r == 0 && at < len) {
		const size_t n = (size_t)ovbd_min(BLOCK, len - at);
		const bool same = memcmp(a + at, b + at, n) == 0;
		const int moved = same ? 0 : put_moved(d, off + at, a + at, n, err);

		if (moved < 0)
			return moved;
		if (same || moved) {
			if (at > start)
				r = ovbd_layer_put(w->writer, off + start, a + start, at - start,
				                   err);
			start = at + n;
		}
		at += n;
	}
	if (r == 0 && at > start)
		r = ovbd_layer_put(w->writer, off + start, a + start, at - start, err);
	return ovbd_convert_output(w, r);
}

static int scan_delta(struct ovbd_convert_work *w, const struct ovbd_scan_params *p,
                      struct ovbd_error *err)
{
	const struct ovbd_convert *c = w->c;
	const struct ovbd_moved_params how = {.block_size = BLOCK, .nthreads = c->nreaders};
	OVBD_AUTO(ovbd_moved_closep) struct ovbd_moved *moved = NULL;
	struct delta d = {.w = w, .next = OVBD_MOVED_NONE};
	int r = 0;

	if (c->references)
		r = ovbd_moved_open(c->base->blob, &how, &moved, err);
	d.moved = moved;
	if (r == 0)
		r = ovbd_scan_pair(c->src, c->base->blob, c->src->size, p, to_delta, &d, err);
	return r;
}

/* ---- the layer ---- */

bool ovbd_convert_is_delta(const struct ovbd_convert *c)
{
	return c->base && !(c->img && c->img->part);
}

static int create_layer(struct ovbd_convert_work *w, struct ovbd_sink *take_chain,
                        struct ovbd_error *err)
{
	AUTO_SINK *chain = take_chain;
	const struct ovbd_convert *c = w->c;
	struct ovbd_layer_params p = {
		.virtual_size = c->src->size,
		.uuid = c->uuid,
		.parent_uuid = c->parent_uuid,
		.tag = c->tag,
		.over_base = c->base || (c->img && c->img->part),
		.beyond = c->exact,
		.references = c->references,
	};
	uint64_t size, below;
	int r;

	if (c->exact)
		p.virtual_size = c->virtual_size;
	if (p.virtual_size >= OVBD_BLOB_SIZE_UNKNOWN)
		p.virtual_size = 0; /* that of what lies below */
	if (!ovbd_convert_is_delta(c)) {
		r = ovbd_scan_data_size(c->src, c->src->size, &size, &below, err);
		if (r < 0)
			return r;
		p.references &= below > 0;
	}
	return ovbd_convert_output(w, ovbd_layer_create(OVBD_MOVE(chain), &p, &w->writer, err));
}

int ovbd_convert_layer(struct ovbd_convert_work *w, struct ovbd_sink *take_chain,
                       struct ovbd_error *err)
{
	const struct ovbd_convert *c = w->c;
	const struct ovbd_image *beneath = c->base ? c->base : c->img;
	const struct ovbd_scan_params p = {
		.nthreads = c->nreaders,
		.progress = c->progress,
		.arg = c->arg,
		.part = c->img && c->img->part,
		/* what cannot be read must be referred to, or is refused */
		.below = ovbd_convert_is_delta(c) ? NULL
	                 : c->references          ? to_reference
	                 : c->base                ? NULL
	                                          : ovbd_convert_refuse_below,
	};
	int r = create_layer(w, take_chain, err);

	if (r == 0 && beneath && !c->exact)
		r = ovbd_convert_output(w, ovbd_image_cover_hidden(beneath, c->src->size, w->writer,
		                                                   err));
	if (r == 0)
		r = ovbd_convert_is_delta(c) ? scan_delta(w, &p, err)
		                             : ovbd_scan(c->src, &p, to_layer, w, err);
	return r < 0 ? r : ovbd_convert_output(w, ovbd_layer_finish(w->writer, err));
}
