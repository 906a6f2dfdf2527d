// SPDX-License-Identifier: Apache-2.0
/*
 * A trace names bytes of what a layer decompresses to; fetched are the blocks of the object that
 * hold them. What is not remote has nothing to be fetched.
 */
#include "image/prefetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "image/recorder.h"
#include "remote/ahead.h"

struct wanted {
	struct ovbd_prefetch_range *ranges;
	size_t n, room;
};

const char *ovbd_prefetch_mode_name(enum ovbd_prefetch_mode mode)
{
	static const char *const names[] = {
		[OVBD_PREFETCH_NONE] = "none",
		[OVBD_PREFETCH_TRACE] = "trace",
		[OVBD_PREFETCH_ALL] = "all",
	};

	return names[mode];
}

int ovbd_prefetch_mode_parse(const char *name, enum ovbd_prefetch_mode *ret)
{
	for (size_t i = OVBD_PREFETCH_NONE; i <= OVBD_PREFETCH_ALL; i++)
		if (strcmp(name, ovbd_prefetch_mode_name((enum ovbd_prefetch_mode)i)) == 0) {
			*ret = (enum ovbd_prefetch_mode)i;
			return 0;
		}
	return -EINVAL;
}

/* A trace, or else a list of paths. */
static int load(const char *path, struct ovbd_image *img, struct ovbd_trace *t,
                struct ovbd_error *err)
{
	AUTO_TRACE raw = {0};
	struct ovbd_error why;
	const int r = ovbd_trace_load(&raw, path, &why);

	if (r == -EBADMSG && ovbd_image_list_load(path, &img->list) == 0 && img->list)
		return 0;
	return r < 0 ? ovbd_fail(err, r, "%s", why.msg)
	             : ovbd_trace_merge(t, &raw, err); /* nothing twice */
}

/* As overlaybd's daemon has it: an empty file is to be written, any other is a trace or a list, and
 * without a file there is nothing to do. */
static int settle_record(struct ovbd_image_params *p, struct ovbd_refs *refs,
                         struct ovbd_image *img, struct ovbd_error *err)
{
	struct stat st;
	int r;

	if (!refs->record || stat(refs->record, &st) < 0)
		return 0;
	if (st.st_size > 0) {
		free(refs->trace);
		refs->trace = OVBD_MOVE(refs->record);
		return 0;
	}
	if (p->recorder)
		return 0;
	r = ovbd_recorder_create(&img->recorder, err);
	if (r < 0)
		return r;
	p->recorder = img->recorder;
	img->record_path = OVBD_MOVE(refs->record);
	return 0;
}

int ovbd_image_prefetch_settle(struct ovbd_image_params *p, struct ovbd_refs *refs,
                               struct ovbd_image *img, struct ovbd_trace *t, struct ovbd_error *err)
{
	struct ovbd_image_prefetch *how = &p->prefetch;
	int r = 0;

	if (how->configured)
		r = settle_record(p, refs, img, err);
	if (how->configured && how->mode == OVBD_PREFETCH_AUTO)
		how->mode = refs->prefetch;
	if (how->mode == OVBD_PREFETCH_AUTO)
		how->mode = how->otherwise;
	if (r < 0 || how->mode == OVBD_PREFETCH_NONE)
		return r;
	if (how->trace)
		return load(how->trace, img, t, err);
	if (!how->configured || !refs->trace)
		return 0;
	how->trace = refs->trace;
	if (load(refs->trace, img, t, &img->prefetch_trouble) < 0)
		how->trace = NULL;
	return 0;
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

bool ovbd_image_prefetch_place(const struct ovbd_image *img, const struct ovbd_trace_record *t,
                               struct ovbd_blob **ret, struct ovbd_range *ret_range)
{
	const struct ovbd_image_layer *l = t->layer < img->nlayers ? &img->layers[t->layer] : NULL;
	uint64_t off = t->off, len = t->len;

	if (!l || !l->ahead)
		return false;
	if (l->zfile)
		ovbd_zfile_stored_range(l->zfile, t->off, t->len, &off, &len);
	if (!ovbd_within(off, 0, l->stored_size - l->tar_off))
		return false;
	*ret = l->ahead;
	ret_range->off = l->tar_off + off;
	ret_range->len = ovbd_min(len, l->stored_size - l->tar_off - off);
	return true;
}

static int add_record(struct wanted *w, const struct ovbd_image *img,
                      const struct ovbd_trace_record *t)
{
	struct ovbd_blob *ahead;
	struct ovbd_range range;

	if (!ovbd_image_prefetch_place(img, t, &ahead, &range))
		return 0;
	return add(w, t->layer, range.off, range.len);
}

static int by_place(const void *a, const void *b)
{
	const struct ovbd_prefetch_range *x = a, *y = b;

	if (x->blob != y->blob)
		return x->blob < y->blob ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off;
}

/* [off, end) of a layer, in pieces. */
static int add_pieces(struct wanted *w, size_t number, uint64_t off, uint64_t end)
{
	int r = 0;

	for (; r == 0 && off < end; off += OVBD_PREFETCH_PIECE)
		r = add(w, number, off, ovbd_min(OVBD_PREFETCH_PIECE, end - off));
	return r;
}

/* Behind the n ranges of w all that lies between them. */
static int add_rest(struct wanted *w, const struct ovbd_image *img)
{
	const size_t n = w->n;
	AUTO_FREE struct ovbd_prefetch_range *sorted = ovbd_array_alloc(n, sizeof(*sorted));
	size_t k = 0;
	int r = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = w->ranges[i];
	qsort(sorted, n, sizeof(*sorted), by_place);
	for (size_t i = 0; r == 0 && i < img->nlayers; i++) {
		uint64_t off = 0;

		for (; r == 0 && k < n && sorted[k].blob == i; k++) {
			r = add_pieces(w, i, off, sorted[k].off);
			off = sorted[k].off + sorted[k].len;
		}
		if (r == 0 && img->layers[i].ahead)
			r = add_pieces(w, i, off, img->layers[i].stored_size);
	}
	return r;
}

/* What to bring, in order: *w, whose ranges are the caller's to free. */
static int make_list(struct wanted *w, struct ovbd_image *img,
                     const struct ovbd_image_prefetch *how, const struct ovbd_trace *t,
                     struct ovbd_error *err)
{
	struct wanted named = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->n; i++)
		r = add_record(&named, img, &t->records[i]);
	if (r == 0 && named.n > 0)
		r = ovbd_prefetch_plan(named.ranges, named.n, &w->ranges, &w->n,
		                       &img->prefetch_named, err);
	free(named.ranges);
	w->room = w->n;
	if (r == 0 && how->mode == OVBD_PREFETCH_ALL)
		r = add_rest(w, img);
	return r < 0 ? ovbd_fail(err, r, "out of memory") : 0;
}

int ovbd_image_prefetch_start(struct ovbd_image *img, const struct ovbd_image_prefetch *how,
                              const struct ovbd_trace *t, struct ovbd_error *err)
{
	struct ovbd_blob *blobs[OVBD_LAYERS_MAX] = {NULL};
	struct ovbd_prefetch *made = NULL;
	struct wanted w = {0};
	int r = make_list(&w, img, how, t, err);

	for (size_t i = 0; i < img->nlayers; i++)
		blobs[i] = img->layers[i].ahead;
	if (r == 0 && w.n > 0)
		r = ovbd_prefetch_start(blobs, w.ranges, w.n, &how->params, &made, err);
	if (r == 0)
		atomic_store(&img->prefetch, made); /* others may be looking */
	free(w.ranges);
	return r;
}

int ovbd_image_prefetch_begin(struct ovbd_image *img, const struct ovbd_image_prefetch *how,
                              const struct ovbd_trace *t, struct ovbd_error *err)
{
	if (img->list && ovbd_image_is_remote(img))
		return ovbd_image_list_start(img, how, err);
	return ovbd_image_prefetch_start(img, how, t, err);
}
