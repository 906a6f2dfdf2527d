// SPDX-License-Identifier: Apache-2.0
/*
 * docker://HOST/REPOSITORY[:TAG|@DIGEST], read. What a tag leads to is whatever the registry says;
 * from there on everything has a digest. The first document is kept: it is asked for by its digest
 * at once.
 */
#include <errno.h>
#include <strings.h>

#include "oci/registry.h"

/* ---- what is the same for a target ---- */

int oci_registry_init(struct oci_registry *g, const char *name, const struct oci_how *how,
                      struct ovbd_error *err)
{
	g->repo.g = how->access.registry;
	if (how->access.http)
		g->repo.base = *how->access.http;
	g->stop = how->access.stop;
	g->text = strdup(name);
	return g->text ? ovbd_registry_name_parse(name, &g->repo.name, err)
	               : ovbd_fail(err, -ENOMEM, "out of memory");
}

void oci_registry_clear(struct oci_registry *g)
{
	free(g->text);
}

/* The media type of a document, without parameters; "" if it is none of ours. */
static void type_of(const struct ovbd_http_document *d, const json_t *v, char ret[128])
{
	const char *type = oci_text(v, "mediaType");

	if (!type[0])
		type = d->type;
	snprintf(ret, 128, "%.*s", (int)strcspn(type, "; "), type);
	if (!oci_type_is_index(ret) && !oci_type_is_manifest(ret) && !oci_text(v, "mediaType")[0])
		ret[0] = '\0';
}

int oci_registry_ref(const struct ovbd_http_document *d, struct oci_ref *ret,
                     struct ovbd_error *err)
{
	AUTO_JSON *v = NULL;
	int r = oci_json_parse(d->body, d->len, "the manifest", &v, err);

	*ret = (struct oci_ref){.size = d->len};
	if (r == 0)
		r = oci_digest_of(d->body, d->len, ret->digest, err);
	if (r == 0)
		type_of(d, v, ret->type);
	return r;
}

/* A config, which is a blob. */
static int get_blob(struct oci_registry *g, const struct oci_ref *ref,
                    struct ovbd_http_document *ret, struct ovbd_error *err)
{
	AUTO_FREE char *url = ovbd_repository_url(&g->repo, "blobs", ref->digest);
	struct ovbd_route route;
	int r;

	if (!url)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_repository_route(&g->repo, url, false, &route, err);
	if (r < 0)
		return r;
	r = ovbd_http_get(route.url, &route.http, NULL, OCI_DOCUMENT_MAX, ret, err);
	ovbd_route_free(&route);
	return r;
}

int oci_registry_document(struct oci_registry *g, const struct oci_ref *ref, char **ret,
                          size_t *ret_len, struct ovbd_error *err)
{
	const bool manifest = ref->type[0] == '\0' || oci_type_is_index(ref->type) ||
	                      oci_type_is_manifest(ref->type);
	struct ovbd_http_document d = {0};
	int r;

	r = manifest ? ovbd_repository_manifest(&g->repo, ref->digest, &d, err)
	             : get_blob(g, ref, &d, err);
	if (r < 0)
		return r;
	*ret = d.body;
	*ret_len = d.len;
	return 0;
}

/* ---- a source ---- */

struct registry_source {
	struct oci_source source;
	struct oci_registry g;
	struct oci_ref first; /* what the name means, once it was found */
	struct ovbd_http_document doc;
};

static struct registry_source *source_of(struct oci_source *s)
{
	return OVBD_CONTAINER_OF(s, struct registry_source, source);
}

static int source_find(struct oci_source *s, struct oci_ref *ret, json_t **ret_entry,
                       struct ovbd_error *err)
{
	struct registry_source *rs = source_of(s);
	const struct ovbd_registry_name *n = &rs->g.repo.name;
	struct ovbd_error why;
	int r;

	r = ovbd_repository_manifest(&rs->g.repo, n->digest[0] ? n->digest : n->tag, &rs->doc,
	                             &why);
	if (r == 0)
		r = oci_registry_ref(&rs->doc, &rs->first, &why);
	if (r < 0)
		return ovbd_fail(err, r, "%s: %s", rs->g.text, why.msg);
	*ret_entry = json_object();
	if (!*ret_entry)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*ret = rs->first;
	return 0;
}

static int source_document(struct oci_source *s, const struct oci_ref *ref, char **ret,
                           size_t *ret_len, struct ovbd_error *err)
{
	struct registry_source *rs = source_of(s);

	if (!rs->doc.body || strcmp(ref->digest, rs->first.digest) != 0)
		return oci_registry_document(&rs->g, ref, ret, ret_len, err);
	*ret = malloc(rs->doc.len + 1);
	if (!*ret)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	memcpy(*ret, rs->doc.body, rs->doc.len + 1);
	*ret_len = rs->doc.len;
	return 0;
}

static int source_open(struct oci_source *s, const struct oci_ref *ref, struct oci_reader **ret,
                       struct ovbd_error *err)
{
	struct oci_registry *g = &source_of(s)->g;
	AUTO_FREE char *url = ovbd_repository_url(&g->repo, "blobs", ref->digest);
	AUTO_BLOB *b = NULL;
	struct ovbd_route route;
	int r;

	if (!url)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_repository_route(&g->repo, url, false, &route, err);
	if (r < 0)
		return r;
	r = ovbd_http_open(route.url, &route.http, &b, err);
	ovbd_route_free(&route);
	if (r == 0 && b->size != ref->size)
		r = ovbd_fail(err, -EBADMSG, "%s: has %llu bytes, not %llu", url,
		              (unsigned long long)b->size, (unsigned long long)ref->size);
	return r < 0 ? r : oci_reader_ahead(OVBD_MOVE(b), g->stop, ret, err);
}

static void source_close(struct oci_source *take_s)
{
	struct registry_source *rs = source_of(take_s);

	free(rs->doc.body);
	oci_registry_clear(&rs->g);
	free(rs);
}

static const struct oci_source_ops source_ops = {
	.find = source_find,
	.document = source_document,
	.open = source_open,
	.close = source_close,
};

const struct ovbd_repository *oci_registry_of(const struct oci_source *s)
{
	if (s->ops != &source_ops)
		return NULL;
	return &((const struct registry_source *)(const void *)s)->g.repo;
}

static int open_source(const char *name, const struct oci_how *how, struct oci_source **ret,
                       struct ovbd_error *err)
{
	struct registry_source *rs = calloc(1, sizeof(*rs));
	int r;

	if (!rs)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	rs->source.ops = &source_ops;
	r = oci_registry_init(&rs->g, name, how, err);
	if (r < 0)
		source_close(&rs->source);
	else
		*ret = &rs->source;
	return r;
}

const struct oci_transport oci_transport_registry = {
	.prefix = "docker://",
	.open_source = open_source,
	.open_target = oci_registry_open_target,
	.remote = true,
	.refers = true,
};
