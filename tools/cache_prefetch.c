// SPDX-License-Identifier: Apache-2.0
/*
 * Reads the bytes of layers as they are stored, from the first on, several pieces at a time; the
 * cache keeps them on the way. What it has already is verified by that, and not fetched again.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/pool.h"
#include "tools/cache_tool.h"
#include "tools/progress.h"

#define PIECE (4u << 20)

struct piece {
	struct ovbd_blob *b;
	const char *name;
	uint64_t off;
	size_t len;
	int code;
	struct ovbd_error err;
	uint8_t *buf;
};

struct prefetch {
	struct piece *pieces;
	struct ovbd_progress progress;
	uint64_t done, total;
};

static void read_piece(void *ctx, unsigned job, unsigned thread)
{
	struct piece *p = &((struct prefetch *)ctx)->pieces[job];

	(void)thread;
	p->code = ovbd_blob_pread(p->b, p->buf, p->len, p->off, &p->err);
}

static int piece_done(void *ctx, unsigned job, struct ovbd_error *err)
{
	struct prefetch *f = ctx;
	const struct piece *p = &f->pieces[job];

	if (p->code < 0) {
		*err = p->err;
		return ovbd_fail_named(err, p->code, p->name);
	}
	f->done += p->len;
	return ovbd_progress_update(&f->progress, f->done, f->total)
	               ? ovbd_fail(err, -ECANCELED, "interrupted")
	               : 0;
}

static int read_layer(struct prefetch *f, struct ovbd_pool *pool, const struct ovbd_image_layer *l,
                      struct ovbd_error *err)
{
	for (uint64_t off = 0; off < l->kept->size; off += PIECE) {
		unsigned job;
		const int r = ovbd_pool_next(pool, &job, err);

		if (r < 0)
			return r;
		f->pieces[job].b = l->kept;
		f->pieces[job].name = l->shown;
		f->pieces[job].off = off;
		f->pieces[job].len = (size_t)ovbd_min(PIECE, l->kept->size - off);
		ovbd_pool_submit(pool, job);
	}
	return 0;
}

static int read_all(struct prefetch *f, const struct ovbd_image *img, unsigned n,
                    struct ovbd_error *err)
{
	static const struct ovbd_pool_ops ops = {.work = read_piece, .done = piece_done};
	OVBD_AUTO(ovbd_pool_closep) struct ovbd_pool *pool = NULL;
	int r = ovbd_pool_create(&ops, f, n, 2 * n, &pool, err);

	for (size_t i = 0; r == 0 && i < img->nlayers; i++)
		if (img->layers[i].kept)
			r = read_layer(f, pool, &img->layers[i], err);
	return r < 0 ? r : ovbd_pool_drain(pool, err);
}

int ovbd_cache_prefetch(const struct ovbd_cli *c, const struct ovbd_image *img, unsigned n,
                        bool progress, uint64_t *ret, struct ovbd_error *err)
{
	AUTO_FREE struct piece *pieces = calloc(2 * (size_t)n, sizeof(pieces[0]));
	AUTO_FREE uint8_t *bufs = ovbd_array_alloc(2 * (size_t)n, PIECE);
	struct prefetch f = {.pieces = pieces};
	int r;

	if (!pieces || !bufs)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < 2 * n; i++)
		pieces[i].buf = bufs + (size_t)i * PIECE;
	for (size_t i = 0; i < img->nlayers; i++) {
		const struct ovbd_image_layer *l = &img->layers[i];

		if (l->http && !l->kept)
			return ovbd_fail(err, -ENOTSUP,
			                 "%s: its server says neither ETag nor Last-Modified, and "
			                 "no digest is known: it cannot be kept",
			                 l->shown);
		f.total += l->kept ? l->kept->size : 0;
	}
	ovbd_progress_start(&f.progress, c, progress);
	r = read_all(&f, img, n, err);
	ovbd_progress_end(&f.progress);
	*ret = f.done;
	return r;
}
