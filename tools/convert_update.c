// SPDX-License-Identifier: Apache-2.0
/*
 * What goes into a dm-update: blocks of 4096 bytes. Compared with a base those that differ; without
 * one all that the source has, of a part of a stack what its layers and updates say. If that, or
 * the device, ends within a block, they are of 512 bytes.
 */
#include "tools/convert_impl.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"

#define SECTOR 512u
#define PIECE  (64u << 10) /* of zeros */

struct update {
	struct ovbd_convert_work *w;
	size_t block;
	bool part; /* holes are what lies below */
};

static int put(struct update *u, uint64_t off, const uint8_t *buf, size_t len,
               struct ovbd_error *err)
{
	return ovbd_convert_output(u->w, ovbd_dm_update_put(u->w->update, off, buf, len, err));
}

static int to_delta(void *ctx, uint64_t off, size_t len, const uint8_t *a, const uint8_t *b,
                    struct ovbd_error *err)
{
	struct update *u = ctx;
	int r = 0;

	if (memcmp(a, b, len) == 0)
		return 0;
	for (size_t at = 0; r == 0 && at < len; at += u->block)
		if (memcmp(a + at, b + at, u->block) != 0)
			r = put(u, off + at, a + at, u->block, err);
	return r;
}

static int to_update(void *ctx, uint64_t off, uint64_t len, enum ovbd_run_kind kind,
                     const uint8_t *buf, struct ovbd_error *err)
{
	static const uint8_t zeros[PIECE];
	struct update *u = ctx;
	int r = 0;

	if (kind == OVBD_RUN_DATA)
		return put(u, off, buf, (size_t)len, err);
	if (kind == OVBD_RUN_HOLE && u->part)
		return 0;
	for (size_t n; r == 0 && len > 0; off += n, len -= n) {
		n = (size_t)ovbd_min(len, sizeof(zeros));
		r = put(u, off, zeros, n, err);
	}
	return r;
}

/* The block size that all begins and ends fit. What is a hole of a raw image is of no account, but
 * where a part of a stack has one, the block has to end. */
static int choose_block(struct update *u, struct ovbd_error *err)
{
	const struct ovbd_convert *c = u->w->c;
	const uint64_t size = c->src->size;
	uint64_t all = size < OVBD_BLOB_SIZE_UNKNOWN ? size : 0;
	struct ovbd_run run;

	for (uint64_t off = 0; !ovbd_convert_is_delta(c) && off < size; off += run.len) {
		const int r = ovbd_blob_run_at(c->src, off, size - off, &run, err);

		if (r < 0)
			return r;
		if (off + run.len < size)
			all |= off + run.len;
	}
	u->block = all % OVBD_CONVERT_BLOCK == 0 ? OVBD_CONVERT_BLOCK : SECTOR;
	if (size % SECTOR == 0)
		return 0;
	return ovbd_fail(err, -EINVAL,
	                 "the device has %" PRIu64 " bytes: a dm-update consists of whole sectors",
	                 size);
}

static int scan(struct update *u, struct ovbd_error *err)
{
	const struct ovbd_convert *c = u->w->c;
	const struct ovbd_scan_params p = {
		.nthreads = c->nreaders,
		.progress = c->progress,
		.arg = c->arg,
		.part = u->part,
		.below = c->base ? NULL : ovbd_convert_refuse_below,
	};

	if (ovbd_convert_is_delta(c))
		return ovbd_scan_pair(c->src, c->base->blob, c->src->size, &p, to_delta, u, err);
	return ovbd_scan(c->src, &p, to_update, u, err);
}

int ovbd_convert_update(struct ovbd_convert_work *w, struct ovbd_sink *take_out,
                        struct ovbd_error *err)
{
	AUTO_SINK *out = take_out;
	const struct ovbd_convert *c = w->c;
	struct ovbd_dm_update_params params = {.codec = c->update_codec, .level = c->zfile.level};
	struct update u = {.w = w, .part = c->img && c->img->part};
	int r;

	if (c->base && c->base->blob->size != c->src->size)
		return ovbd_fail(err, -EINVAL,
		                 "SRC has %" PRIu64 " bytes, its base %" PRIu64
		                 ": a dm-update cannot change that",
		                 c->src->size, c->base->blob->size);
	r = choose_block(&u, err);
	if (r < 0)
		return r;
	params.block_size = (uint32_t)u.block;
	params.chunk_blocks = c->update_chunk / params.block_size;
	r = ovbd_convert_output(w, ovbd_dm_update_create(OVBD_MOVE(out), &params, &w->update, err));
	if (r == 0)
		r = scan(&u, err);
	return r < 0 ? r : ovbd_convert_output(w, ovbd_dm_update_finish(w->update, err));
}
