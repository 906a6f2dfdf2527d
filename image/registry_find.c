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
#include <strings.h>

#include "base/auto.h"
#include "base/blob.h"
#include "base/bytes.h"
#include "image/digest.h"
#include "image/registry_impl.h"

#define DEPTH_MAX 4 /* of indexes in each other */

#define ACCEPT                                                                                     \
	"application/vnd.oci.image.manifest.v1+json, "                                             \
	"application/vnd.docker.distribution.manifest.v2+json, "                                   \
	"application/vnd.oci.image.index.v1+json, "                                                \
	"application/vnd.docker.distribution.manifest.list.v2+json"

struct search {
	struct ovbd_registry *g;
	struct ovbd_http_params base;
	struct ovbd_registry_name n;
	const char *name;   /* as the user has it */
	const char *scheme; /* "https" or "http" */
};

static void free_manifest(struct ovbd_manifest *m)
{
	ovbd_manifest_free(m);
}

static char *make_url(const struct search *s, const char *kind, const char *reference)
{
	const char *host = strcmp(s->n.host, "docker.io") == 0 ? "registry-1.docker.io" : s->n.host;
	char *url;

	return asprintf(&url, "%s://%s/v2/%s/%s/%s", s->scheme, host, s->n.repository, kind,
	                reference) < 0
	               ? NULL
	               : url;
}

static bool is_loopback(const char *host)
{
	static const char *const names[] = {"localhost", "[::1]"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const size_t n = strlen(names[i]);

		if (strncasecmp(host, names[i], n) == 0 && (host[n] == '\0' || host[n] == ':'))
			return true;
	}
	return strncmp(host, "127.", 4) == 0 && strchr(":", host[strspn(host, "0123456789.")]);
}

static int fetch(const struct search *s, const char *reference, const struct ovbd_http_params *base,
                 struct ovbd_http_document *ret, struct ovbd_error *err)
{
	AUTO_FREE char *url = make_url(s, "manifests", reference);
	struct ovbd_route route;
	int r;

	if (!url)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_registry_note(s->g, url, err);
	if (r == 0)
		r = ovbd_route_find(s->g, url, !ovbd_digest_is_valid(reference), base, &route, err);
	if (r < 0)
		return r;
	r = ovbd_http_get(route.url, &route.http, ACCEPT, OVBD_MANIFEST_SIZE_MAX, ret, err);
	ovbd_route_free(&route);
	return r;
}

/* By https. Where http would do it is tried next if there is no talking https with the host. */
static int fetch_first(struct search *s, const char *reference, struct ovbd_http_document *ret,
                       struct ovbd_error *err)
{
	const bool either = is_loopback(s->n.host) || s->g->p.skip_verify;
	struct ovbd_http_params quick = s->base;
	struct ovbd_error first, second;
	int r;

	s->scheme = s->g->p.plain_http ? "http" : "https";
	if (s->g->p.plain_http || !either)
		return fetch(s, reference, &s->base, ret, err);
	quick.open_attempts = 1;
	r = fetch(s, reference, &quick, ret, &first);
	if (r != -EIO)
		return r < 0 ? ovbd_fail(err, r, "%s", first.msg) : 0;
	s->scheme = "http";
	r = fetch(s, reference, &s->base, ret, &second);
	if (r == -EIO || r == -ETIMEDOUT)
		return ovbd_fail(err, r, "%s; and without TLS: %s", first.msg, second.msg);
	return r < 0 ? ovbd_fail(err, r, "%s", second.msg) : 0;
}

static int check(const struct ovbd_http_document *d, const char *digest, struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL;
	int r = ovbd_blob_open_mem(d->body, d->len, &b, err);

	return r < 0 ? r : ovbd_digest_check(b, digest, NULL, NULL, err);
}

static int get_manifest(struct search *s, const char *reference, bool first,
                        struct ovbd_manifest *ret, struct ovbd_error *err)
{
	struct ovbd_http_document d = {0};
	int r;

	r = first ? fetch_first(s, reference, &d, err) : fetch(s, reference, &s->base, &d, err);
	if (r == 0 && ovbd_digest_is_valid(reference)) {
		struct ovbd_error why;

		r = check(&d, reference, &why);
		if (r < 0)
			ovbd_fail(err, r, "%s: the manifest: %s", s->name, why.msg);
	}
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

	snprintf(reference, sizeof(reference), "%s", s->n.digest[0] ? s->n.digest : s->n.tag);
	for (unsigned depth = 0;; depth++) {
		const struct ovbd_descriptor *d;

		r = get_manifest(s, reference, depth == 0, &m, err);
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
		r = ovbd_manifest_choose(&m, &s->g->platform, s->name, &d, err);
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
		.url = make_url(s, "blobs", d->digest),
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
	struct search s = {.g = g, .name = name};
	struct ovbd_error why;
	int r;

	if (base)
		s.base = *base;
	r = ovbd_registry_name_parse(name, &s.n, err);
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
