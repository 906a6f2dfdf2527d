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
#include "image/refs.h"

#define OPEN_THREADS 16u

struct opening {
	const struct ovbd_refs *refs;
	struct ovbd_image_params params;
	struct ovbd_image *img;
	struct ovbd_blob **blobs; /* of those that are no layers */
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
	o->results[job] = ovbd_layer_ref_open(l, &o->params, &o->blobs[job], err);
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

/* Opens all refs; the first error in their order is the one that is told. */
static int open_refs(struct opening *o, struct ovbd_error *err)
{
	static const struct ovbd_pool_ops ops = {.work = open_work, .done = open_done};
	const unsigned n = (unsigned)o->refs->n;
	AUTO_POOL *pool = NULL;
	unsigned job;
	int r;

	r = ovbd_pool_create(&ops, o, n < OPEN_THREADS ? n : OPEN_THREADS, n, &pool, err);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		r = ovbd_pool_next(pool, &job, err);
		if (r == 0)
			ovbd_pool_submit(pool, job);
	}
	return r < 0 ? r : ovbd_pool_drain(pool, err);
}

/* All layers into one stack; they are the stack's then, whatever happens. */
static int stack_layers(struct ovbd_image *img, struct ovbd_error *err)
{
	AUTO_FREE struct ovbd_layer **layers = ovbd_array_alloc(img->nlayers, sizeof(layers[0]));
	int r;

	if (!layers)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < img->nlayers; i++) {
		const struct ovbd_image_layer *l = &img->layers[i];

		if (!l->layer)
			return ovbd_fail(err, -EBADMSG, "%s: is no layer, but %s", l->shown,
			                 ovbd_format_name(l->format));
		layers[i] = l->layer;
	}
	r = ovbd_stack_open(layers, img->nlayers, &img->blob, err);
	for (size_t i = 0; r < 0 && i < img->nlayers; i++)
		img->layers[i].layer = NULL;
	img->stack = r == 0;
	return r;
}

static int compose(struct opening *o, bool single, struct ovbd_error *err)
{
	struct ovbd_image *img = o->img;

	img->format = single ? img->layers[0].format : OVBD_FORMAT_IMAGE;
	if (single && !img->layers[0].layer) {
		img->blob = OVBD_MOVE(o->blobs[0]);
		return 0;
	}
	return stack_layers(img, err);
}

/* What was opened, but did not get into img->blob. */
static void drop_unused(struct opening *o)
{
	for (size_t i = 0; i < o->img->nlayers; i++) {
		ovbd_blob_close(o->blobs[i]);
		if (!o->img->stack)
			ovbd_layer_close(o->img->layers[i].layer);
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

int ovbd_image_open(const char *const *names, size_t n, const struct ovbd_image_params *p,
                    struct ovbd_image **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = calloc(1, sizeof(*img));
	OVBD_AUTO(ovbd_refs_free) struct ovbd_refs refs = {0};
	struct opening o = {.refs = &refs, .img = img};
	int r;

	assert(n > 0);
	if (!img)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (p)
		o.params = *p;
	r = ovbd_refs_expand(&refs, names, n, &o.params, err);
	if (r < 0)
		return r;
	if (refs.n > OVBD_LAYERS_MAX)
		return ovbd_fail(err, -E2BIG, "%zu layers; a stack has at most %u", refs.n,
		                 OVBD_LAYERS_MAX);
	img->ignored = refs.ignored;
	if (o.params.format == OVBD_FORMAT_IMAGE)
		o.params.format = OVBD_FORMAT_AUTO;
	r = open_all(&o, refs.n == 1 && !refs.configured, err);
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(img);
	return 0;
}

void ovbd_image_close(struct ovbd_image *img)
{
	if (!img)
		return;
	ovbd_blob_close(img->blob);
	for (size_t i = 0; img->layers && i < img->nlayers; i++) {
		free(img->layers[i].name);
		free(img->layers[i].shown);
		free(img->layers[i].digest);
	}
	free(img->layers);
	free(img);
}
