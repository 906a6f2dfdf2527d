// SPDX-License-Identifier: Apache-2.0
/*
 * Names become refs (refs.c), each ref is opened (layer_open.c), several at a time since a remote
 * one takes round trips, and the layers are merged into one stack. Until the stack takes them, the
 * layers belong to the struct opening below.
 */
#include "image/image.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "base/pool.h"
#include "image/layer_open.h"
#include "image/prefetch.h"
#include "image/recorder.h"
#include "image/refs.h"
#include "image/registry.h"
#include "image/suspect.h"
#include "image/upper.h"
#include "image/upper_live.h"
#include "remote/cache.h"

#define SECTOR 512u

#define OPEN_THREADS 16u

struct opening {
	const struct ovbd_refs *refs;
	struct ovbd_image_params params;
	struct ovbd_image *img;
	struct ovbd_blob **blobs; /* of those that are neither layers nor updates */
	size_t ntaken;            /* so many, from the bottom, are the device's, or gone */
	int *results;
	struct ovbd_error *errors;
};

static void open_work(void *ctx, unsigned job, unsigned thread)
{
	struct opening *o = ctx;
	const struct ovbd_ref *ref = &o->refs->refs[job];
	struct ovbd_image_layer *l = &o->img->layers[job];
	struct ovbd_error *err = &o->errors[job];

	(void)thread;
	o->results[job] = ovbd_layer_ref_open(l, job, &o->params, &o->blobs[job], err);
	if (o->results[job] == 0 && ref->size != 0 && ref->size != l->stored_size)
		o->results[job] =
			ovbd_fail(err, -EBADMSG,
		                  "%s: is %" PRIu64 " bytes, but the configuration says %" PRIu64,
		                  l->shown, l->stored_size, ref->size);
}

static int open_done(void *ctx, unsigned job, struct ovbd_error *err)
{
	struct opening *o = ctx;

	if (o->results[job] < 0)
		return ovbd_fail(err, o->results[job], "%s", o->errors[job].msg);
	return 0;
}

/* Opens all refs; the first error in their order is the one that is told. One needs no threads:
 * their start and end are a good part of what it takes. */
static int open_refs(struct opening *o, struct ovbd_error *err)
{
	static const struct ovbd_pool_ops ops = {.work = open_work, .done = open_done};
	const unsigned n = (unsigned)o->refs->n;
	AUTO_POOL *pool = NULL;
	unsigned job;
	int r;

	if (n == 1) {
		open_work(o, 0, 0);
		return open_done(o, 0, err);
	}
	r = ovbd_pool_create(&ops, o, n < OPEN_THREADS ? n : OPEN_THREADS, n, &pool, err);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		r = ovbd_pool_next(pool, &job, err);
		if (r == 0)
			ovbd_pool_submit(pool, job);
	}
	return r < 0 ? r : ovbd_pool_drain(pool, err);
}

/* The layers [from, *ret_to) that follow each other, into one stack over below. */
static int stack_layers(struct opening *o, size_t from, struct ovbd_blob *take_below,
                        struct ovbd_blob **ret, struct ovbd_error *err)
{
	AUTO_BLOB *below = take_below;
	const struct ovbd_image *img = o->img;
	AUTO_FREE struct ovbd_layer **layers = ovbd_array_alloc(img->nlayers, sizeof(layers[0]));
	size_t n = 0;

	if (!layers)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	while (from + n < img->nlayers && img->layers[from + n].layer) {
		layers[n] = img->layers[from + n].layer;
		n++;
	}
	o->ntaken = from + n; /* whatever happens */
	return ovbd_stack_open_sized(OVBD_MOVE(below), layers, n, o->params.range.size, ret, err);
}

/* Layer number i, which is no layer, over below. */
static int put_over(struct opening *o, size_t i, struct ovbd_blob *take_below,
                    struct ovbd_blob **ret, struct ovbd_error *err)
{
	AUTO_BLOB *below = take_below;
	const struct ovbd_image_layer *l = &o->img->layers[i];
	int r;

	if (!ovbd_layer_is_update(l) && i > 0)
		return ovbd_fail(err, -EBADMSG, "%s: is no layer, but %s", l->shown,
		                 ovbd_format_name(l->format));
	o->ntaken = i + 1;
	if (!ovbd_layer_is_update(l)) {
		*ret = OVBD_MOVE(o->blobs[i]);
		return o->img->nlayers > 1 ? ovbd_suspect(*ret, l->shown, err) : 0;
	}
	if (l->cow)
		r = ovbd_cow_view_open(l->cow, OVBD_MOVE(below), ret, err);
	else if (l->update)
		r = ovbd_dm_update_view_open(l->update, OVBD_MOVE(below), ret, err);
	else
		r = ovbd_dm_snapshot_view_open(l->snapshot, OVBD_MOVE(below), ret, err);
	return r < 0 ? ovbd_fail_named(err, r, l->shown) : 0;
}

/* Where what it writes ends, as far as that may be beyond the device's own end. */
static uint64_t end_of(const struct ovbd_image_layer *l)
{
	if (l->layer)
		return ovbd_layer_info(l->layer)->end;
	if (l->cow)
		return ovbd_cow_info(l->cow)->end;
	return l->update ? ovbd_dm_update_info(l->update)->end : 0;
}

/* What a larger stack on the device of img would show of the layers [from, to). */
static uint64_t reach_of(const struct ovbd_image *img, size_t from, size_t to,
                         const struct ovbd_blob *device)
{
	/* of what is not known nobody can say what it hides */
	uint64_t reach = device->size < OVBD_BLOB_SIZE_UNKNOWN ? device->size : 0;

	if (img->layers[from].layer && img->reach > reach)
		reach = img->reach; /* others cut off what is below them */
	for (size_t i = from; i < to; i++)
		if (end_of(&img->layers[i]) > reach)
			reach = end_of(&img->layers[i]);
	return reach;
}

int ovbd_image_cover_hidden(const struct ovbd_image *img, uint64_t size,
                            struct ovbd_layer_writer *w, struct ovbd_error *err)
{
	const uint64_t end = ovbd_align_up(img->reach, SECTOR);
	const uint64_t start = ovbd_align_up(ovbd_min(img->blob->size, size), SECTOR);

	return end > start ? ovbd_layer_zero(w, start, end - start, err) : 0;
}

/* Whether something lies beneath the lowest, as far as that is said or can be seen. */
static bool is_part(const struct opening *o)
{
	const struct ovbd_image_layer *l = &o->img->layers[0];
	const bool refers = l->layer && ovbd_layer_info(l->layer)->ref_end > 0;

	switch (o->params.below) {
	case OVBD_BENEATH_NOTHING:
		break;
	case OVBD_BENEATH_UNSAID:
		return refers;
	case OVBD_BENEATH_UPDATE:
		return ovbd_layer_is_update(l);
	case OVBD_BENEATH_STACK:
		return l->layer || ovbd_layer_is_update(l);
	}
	return false;
}

static int open_floor(const struct opening *o, struct ovbd_blob **ret, struct ovbd_error *err)
{
	const char *hint = o->params.hint ? o->params.hint : "name it first";

	return ovbd_blob_open_below(o->params.beneath, hint, ret, err);
}

/* From the bottom up. */
static int compose(struct opening *o, bool single, struct ovbd_error *err)
{
	struct ovbd_image *img = o->img;
	AUTO_BLOB *device = NULL;
	int r = 0;

	img->part = is_part(o);
	if (img->part)
		r = open_floor(o, &device, err);
	if (r < 0)
		return r;

	img->format = single ? img->layers[0].format : OVBD_FORMAT_IMAGE;
	while (r == 0 && o->ntaken < img->nlayers) {
		const size_t i = o->ntaken;

		if (img->layers[i].layer)
			r = stack_layers(o, i, OVBD_MOVE(device), &device, err);
		else
			r = put_over(o, i, OVBD_MOVE(device), &device, err);
		img->stack = i == 0 && img->layers[i].layer;
		if (r == 0)
			img->reach = reach_of(img, i, o->ntaken, device);
	}
	if (r < 0)
		return r;
	img->blob = OVBD_MOVE(device);
	return 0;
}

/* What was opened, but is not part of the device. */
static void drop_unused(struct opening *o)
{
	for (size_t i = o->ntaken; i < o->img->nlayers; i++) {
		ovbd_blob_close(o->blobs[i]);
		ovbd_layer_close(o->img->layers[i].layer);
		ovbd_cow_close(o->img->layers[i].cow);
		ovbd_dm_update_close(o->img->layers[i].update);
		ovbd_dm_snapshot_close(o->img->layers[i].snapshot);
	}
}

/* Takes the refs' names. */
static int name_layers(struct ovbd_image *img, const struct ovbd_refs *refs, struct ovbd_error *err)
{
	char shown[OVBD_HTTP_SHOWN_SIZE];

	for (size_t i = 0; i < refs->n; i++) {
		struct ovbd_image_layer *l = &img->layers[i];
		const bool remote = ovbd_http_is_url(refs->refs[i].name);

		l->name = OVBD_MOVE(refs->refs[i].name);
		l->digest = OVBD_MOVE(refs->refs[i].digest);
		l->said_size = refs->refs[i].size;
		l->dir = OVBD_MOVE(refs->refs[i].dir);
		l->download = refs->refs[i].download;
		l->root = OVBD_MOVE(refs->refs[i].root);
		l->tree = OVBD_MOVE(refs->refs[i].tree);
		if (remote)
			ovbd_http_show(l->name, shown);
		l->shown = strdup(remote ? shown : l->name);
		if (!l->shown)
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return 0;
}

static int open_all(struct opening *o, bool single, struct ovbd_error *err)
{
	const size_t n = o->refs->n;
	AUTO_FREE struct ovbd_blob **blobs = ovbd_array_alloc(n, sizeof(blobs[0]));
	AUTO_FREE int *results = ovbd_array_alloc(n, sizeof(results[0]));
	AUTO_FREE struct ovbd_error *errors = ovbd_array_alloc(n, sizeof(errors[0]));
	int r;

	o->img->layers = ovbd_array_alloc(n, sizeof(o->img->layers[0]));
	if (!blobs || !results || !errors || !o->img->layers)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	o->blobs = blobs;
	o->results = results;
	o->errors = errors;
	o->img->nlayers = n;
	r = name_layers(o->img, o->refs, err);
	if (r == 0)
		r = open_refs(o, err);
	if (r == 0)
		r = compose(o, single, err);
	drop_unused(o);
	return r;
}

/* What snapshots did not get to do. */
static int seal_frozen(const struct ovbd_refs *refs, struct ovbd_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < refs->n; i++) {
		const struct ovbd_ref *ref = &refs->refs[i];

		if (ref->sealing)
			r = ovbd_upper_seal_in_place(ref->name, ref->sealing_index, ref->beneath,
			                             err);
	}
	return r;
}

/* Puts the writable layer on top of what is open, if there is one. */
static int open_upper(struct ovbd_image *img, struct ovbd_refs *refs, struct ovbd_error *err)
{
	AUTO_DEVICE *upper = NULL;
	AUTO_BLOB *lent = NULL;
	struct ovbd_blob *top;
	int r = 0;

	if (!refs->upper_data)
		return 0;
	if (img->blob)
		r = ovbd_blob_open_lent(img->blob, &lent, err);
	if (r == 0)
		r = ovbd_upper_open(refs->upper_data, refs->upper_index, OVBD_MOVE(lent), &upper,
		                    err);
	if (r == 0)
		r = ovbd_upper_live_open(OVBD_MOVE(upper), refs->upper_data, img->blob, &upper,
		                         err);
	if (r < 0)
		return r;
	img->live = upper;
	r = ovbd_upper_open_bytes(OVBD_MOVE(upper), &upper, err);
	if (r == 0)
		r = ovbd_blob_open_lent(upper->blob, &top, err);
	if (r < 0)
		return r;
	img->upper_config = OVBD_MOVE(refs->upper_config);
	img->lower = img->blob;
	img->blob = top;
	img->upper = OVBD_MOVE(upper);
	img->format = OVBD_FORMAT_IMAGE;
	img->stack = false;
	img->reach = top->size;
	return 0;
}

/* A device with backup on write, which is all of the image. */
static int open_bow(struct ovbd_image *img, const struct ovbd_image_bow *b, struct ovbd_error *err)
{
	struct ovbd_device *bow;
	int r = 0;

	if (!b->device)
		return 0;
	r = ovbd_image_bow_open(b->device, &b->params, &img->upper, &bow, err);
	if (r == 0)
		r = ovbd_blob_open_lent(img->upper->blob, &img->blob, err);
	if (r < 0)
		return r;
	img->format = OVBD_FORMAT_IMAGE;
	img->reach = img->blob->size;
	return 0;
}

int ovbd_image_open(const char *const *names, size_t n, const struct ovbd_image_params *p,
                    struct ovbd_image **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = calloc(1, sizeof(*img));
	OVBD_AUTO(ovbd_refs_free) struct ovbd_refs refs = {0};
	struct opening o = {.refs = &refs, .img = img};
	AUTO_TRACE trace = {0};
	struct ovbd_http_params http = {0};
	int r;

	assert(n > 0);
	if (!img)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (p)
		o.params = *p;
	r = ovbd_refs_expand(&refs, names, n, &o.params, err);
	if (r < 0)
		return r;
	if (o.params.range.given)
		r = ovbd_refs_cut(&refs, o.params.range.first, o.params.range.last, err);
	if (r < 0)
		return r;
	if (refs.n > OVBD_LAYERS_MAX)
		return ovbd_fail(err, -E2BIG, "%zu layers; a stack has at most %u", refs.n,
		                 OVBD_LAYERS_MAX);
	r = ovbd_image_prefetch_settle(&o.params, &refs, img, &trace, err);
	if (r < 0)
		return r;
	img->ignored = refs.ignored;
	if (refs.deadline_s > 0) {
		if (o.params.http)
			http = *o.params.http;
		http.deadline_ms = (unsigned)refs.deadline_s * 1000;
		o.params.http = &http;
	}
	if (o.params.format == OVBD_FORMAT_IMAGE)
		o.params.format = OVBD_FORMAT_AUTO;
	r = seal_frozen(&refs, err);
	if (r == 0 && refs.n > 0)
		r = open_all(&o, refs.n == 1 && !refs.configured, err);
	if (r == 0 && !o.params.no_upper)
		r = open_upper(img, &refs, err);
	if (r == 0)
		r = open_bow(img, &refs.bow, err);
	if (r == 0)
		r = ovbd_image_prefetch_begin(img, &o.params.prefetch, &trace, err);
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(img);
	return 0;
}

int ovbd_image_grow(struct ovbd_image *img, uint64_t size, struct ovbd_error *err)
{
	int r;

	if (!img->upper)
		return ovbd_fail(err, -EINVAL, "has no writable layer, which could grow");
	r = ovbd_device_grow(img->upper, size, err);
	if (r == 0)
		img->blob->size = size;
	return r;
}

void ovbd_image_close(struct ovbd_image *img)
{
	if (!img)
		return;
	ovbd_image_list_close(img->list);
	ovbd_prefetch_close(img->prefetch);
	ovbd_blob_close(img->blob);
	ovbd_device_close(img->upper);
	ovbd_blob_close(img->lower);
	ovbd_cache_close(img->cache);
	ovbd_registry_close(img->registry);
	for (size_t i = 0; img->layers && i < img->nlayers; i++) {
		free(img->layers[i].name);
		free(img->layers[i].shown);
		free(img->layers[i].digest);
		free(img->layers[i].dir);
		free(img->layers[i].root);
		free(img->layers[i].tree);
	}
	free(img->layers);
	ovbd_recorder_close(img->recorder);
	free(img->record_path);
	free(img->upper_config);
	free(img);
}
