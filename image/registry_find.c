// SPDX-License-Identifier: Apache-2.0
/*
 * docker://... becomes a manifest, perhaps by way of an index, and that becomes layers. What is
 * asked for by a digest must have it; what a tag leads to is whatever the registry says, but from
 * there on everything has a digest.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/bytes.h"
#include "image/registry_impl.h"
#include "image/repository.h"

#define DEPTH_MAX 4 /* of indexes in each other */

struct search {
	struct ovbd_repository at;
	const char *name; /* as the user has it */
};

static void free_manifest(struct ovbd_manifest *m)
{
	ovbd_manifest_free(m);
}

static int get_manifest(struct search *s, const char *reference, struct ovbd_manifest *ret,
                        struct ovbd_error *err)
{
	struct ovbd_http_document d = {0};
	int r = ovbd_repository_manifest(&s->at, reference, &d, err);

	if (r == 0)
		r = ovbd_manifest_parse(d.body, d.len, s->name, ret, err);
	free(d.body);
	return r;
}

/* The manifest of an image, through all indexes. */
static int find_manifest(struct search *s, struct ovbd_manifest *ret, struct ovbd_error *err)
{
	OVBD_AUTO(free_manifest) struct ovbd_manifest m = {0};
	char reference[OVBD_DIGEST_SIZE];
	int r;

	snprintf(reference, sizeof(reference), "%s",
	         s->at.name.digest[0] ? s->at.name.digest : s->at.name.tag);
	for (unsigned depth = 0;; depth++) {
		const struct ovbd_descriptor *d;

		r = get_manifest(s, reference, &m, err);
		if (r < 0)
			return r;
		if (!m.index) {
			*ret = m;
			m.all = NULL;
			return 0;
		}
		if (depth == DEPTH_MAX)
			return ovbd_fail(err, -EBADMSG, "%s: indexes of indexes of indexes",
			                 s->name);
		r = ovbd_manifest_choose(&m, &s->at.g->platform, s->name, &d, err);
		if (r < 0)
			return r;
		strcpy(reference, d->digest);
		ovbd_manifest_free(&m);
	}
}

static int refuse(const struct search *s, const struct ovbd_manifest *m, size_t i,
                  struct ovbd_error *err)
{
	const struct ovbd_descriptor *d = &m->all[i];

	if (d->kind == OVBD_LAYER_TURBO)
		return ovbd_fail(
			err, -ENOTSUP,
			"%s: layer %zu of %zu is a turboOCI layer, which cannot be opened "
			"by this version; use the image's overlaybd variant, or convert it "
			"to one",
			s->name, i + 1, m->n);
	if (d->kind == OVBD_LAYER_FILES)
		return ovbd_fail(
			err, -ENOTSUP,
			"%s: layer %zu of %zu is an ordinary one (%s), and no block image: "
			"convert the image to overlaybd, and name what comes out",
			s->name, i + 1, m->n, d->type);
	return ovbd_fail(err, -ENOTSUP, "%s: layer %zu of %zu is no layer of a block image, but %s",
	                 s->name, i + 1, m->n, d->type[0] ? d->type : "of no type");
}

static int add_layer(const struct search *s, const struct ovbd_descriptor *d,
                     struct ovbd_registry_image *image, struct ovbd_error *err)
{
	struct ovbd_registry_layer *l = &image->layers[image->nlayers++];

	*l = (struct ovbd_registry_layer){
		.url = ovbd_repository_url(&s->at, "blobs", d->digest),
		.digest = strdup(d->digest),
		.size = d->size,
	};
	return l->url && l->digest ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

static int take_layers(const struct search *s, const struct ovbd_manifest *m,
                       struct ovbd_registry_image *image, struct ovbd_error *err)
{
	int r = 0;

	image->layers = ovbd_array_alloc(m->n + 1, sizeof(image->layers[0]));
	if (!image->layers)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < m->n; i++) {
		/* a trace lies on top */
		if (m->all[i].kind == OVBD_LAYER_TRACE && i > 0 && i + 1 == m->n)
			break;
		if (m->all[i].kind != OVBD_LAYER_BLOCKS)
			r = refuse(s, m, i, err);
		else
			r = add_layer(s, &m->all[i], image, err);
	}
	if (r == 0 && image->nlayers == 0)
		r = ovbd_fail(err, -ENOTSUP, "%s: has no layers", s->name);
	return r;
}

int ovbd_registry_find(struct ovbd_registry *g, const char *name,
                       const struct ovbd_http_params *base, struct ovbd_registry_image *ret,
                       struct ovbd_error *err)
{
	OVBD_AUTO(free_manifest) struct ovbd_manifest m = {0};
	struct ovbd_registry_image image = {0};
	struct search s = {.at.g = g, .name = name};
	struct ovbd_error why;
	int r;

	if (base)
		s.at.base = *base;
	r = ovbd_registry_name_parse(name, &s.at.name, err);
	if (r < 0)
		return r;
	r = find_manifest(&s, &m, &why);
	if (r == 0)
		r = take_layers(&s, &m, &image, &why);
	if (r < 0) {
		ovbd_registry_image_free(&image);
		/* of a server that is not the image's own the sentence does not say whose it is */
		return strstr(why.msg, name) ? ovbd_fail(err, r, "%s", why.msg)
		                             : ovbd_fail(err, r, "%s: %s", name, why.msg);
	}
	*ret = image;
	return 0;
}

void ovbd_registry_image_free(struct ovbd_registry_image *i)
{
	for (size_t n = 0; n < i->nlayers; n++) {
		free(i->layers[n].url);
		free(i->layers[n].digest);
	}
	free(i->layers);
	*i = (struct ovbd_registry_image){0};
}
