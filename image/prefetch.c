// SPDX-License-Identifier: Apache-2.0
/*
 * A trace names bytes of what a layer decompresses to; fetched are the blocks of the object that
 * hold them. What is not remote has nothing to be fetched.
 */
#include "image/prefetch.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "remote/ahead.h"

struct wanted {
	struct ovbd_prefetch_range *ranges;
	size_t n, room;
};

int ovbd_prefetch_mode_parse(const char *name, enum ovbd_prefetch_mode *ret)
{
	static const char *const names[] = {
		[OVBD_PREFETCH_NONE] = "none",
		[OVBD_PREFETCH_TRACE] = "trace",
		[OVBD_PREFETCH_ALL] = "all",
	};

	for (size_t i = OVBD_PREFETCH_NONE; i <= OVBD_PREFETCH_ALL; i++)
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum ovbd_prefetch_mode)i;
			return 0;
		}
	return -EINVAL;
}

int ovbd_image_trace_load(const struct ovbd_image_prefetch *how, struct ovbd_trace *t,
                          struct ovbd_error *err)
{
	AUTO_TRACE raw = {0};
	int r;

	if (!how->trace || how->mode == OVBD_PREFETCH_NONE)
		return 0;
	r = ovbd_trace_load(&raw, how->trace, err);
	return r < 0 ? r : ovbd_trace_merge(t, &raw, err); /* nothing twice */
}

static int add(struct wanted *w, size_t layer, uint64_t off, uint64_t len)
{
	if (w->n == w->room) {
		const size_t room = w->room ? w->room * 2 : 256;
		struct ovbd_prefetch_range *more = realloc(w->ranges, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		w->ranges = more;
		w->room = room;
	}
	w->ranges[w->n++] =
		(struct ovbd_prefetch_range){.blob = (uint32_t)layer, .off = off, .len = len};
	return 0;
}

static int add_record(struct wanted *w, const struct ovbd_image *img,
                      const struct ovbd_trace_record *t)
{
	const struct ovbd_image_layer *l = t->layer < img->nlayers ? &img->layers[t->layer] : NULL;
	uint64_t off = t->off, len = t->len;

	if (!l || !l->ahead)
		return 0;
	if (l->zfile)
		ovbd_zfile_stored_range(l->zfile, t->off, t->len, &off, &len);
	if (!ovbd_within(off, 0, l->stored_size - l->tar_off))
		return 0;
	return add(w, t->layer, l->tar_off + off, ovbd_min(len, l->stored_size - l->tar_off - off));
}

static int add_all_of(struct wanted *w, size_t number, const struct ovbd_image_layer *l)
{
	int r = 0;

	for (uint64_t off = 0; r == 0 && off < l->stored_size; off += OVBD_PREFETCH_PIECE)
		r = add(w, number, off, ovbd_min(OVBD_PREFETCH_PIECE, l->stored_size - off));
	return r;
}

static int add_wanted(struct wanted *w, const struct ovbd_image *img,
                      const struct ovbd_image_prefetch *how, const struct ovbd_trace *t)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n; i++)
		r = add_record(w, img, &t->records[i]);
	for (size_t i = 0; r == 0 && i < img->nlayers && how->mode == OVBD_PREFETCH_ALL; i++)
		if (img->layers[i].ahead)
			r = add_all_of(w, i, &img->layers[i]);
	return r;
}

int ovbd_image_prefetch_start(struct ovbd_image *img, const struct ovbd_image_prefetch *how,
                              const struct ovbd_trace *t, struct ovbd_error *err)
{
	struct ovbd_blob *blobs[OVBD_LAYERS_MAX] = {NULL};
	AUTO_FREE struct ovbd_prefetch_range *ranges = NULL;
	struct wanted w = {0};
	size_t n = 0;
	int r = add_wanted(&w, img, how, t);

	if (r < 0)
		ovbd_fail(err, r, "out of memory");
	else if (w.n > 0)
		r = ovbd_prefetch_plan(w.ranges, w.n, &ranges, &n, &img->prefetch_named, err);
	free(w.ranges);
	if (r < 0 || n == 0)
		return r;
	for (size_t i = 0; i < img->nlayers; i++)
		blobs[i] = img->layers[i].ahead;
	return ovbd_prefetch_start(blobs, ranges, n, &how->params, &img->prefetch, err);
}
