// SPDX-License-Identifier: Apache-2.0
/*
 * What refers to a manifest of a registry. One that keeps account of subjects is asked for that; of
 * others, and where such a one does not say what was just put there, the tag made of the digest is
 * read, changed and put again.
 */
#include <errno.h>
#include <stdio.h>

#include "oci/push.h"
#include "oci/registry.h"

#define INDEX  "application/vnd.oci.image.index.v1+json"
#define FILTER "?artifactType=application%2Fvnd.containerd.overlaybd.native.v1%2Bjson"

static void free_document(struct ovbd_http_document *d)
{
	free(d->body);
}
#define AUTO_DOCUMENT OVBD_AUTO(free_document) struct ovbd_http_document

static int parse_list(const struct ovbd_http_document *d, json_t **ret, struct ovbd_error *err)
{
	json_t *list;
	AUTO_JSON *v = NULL;
	int r = oci_json_parse(d->body, d->len, "the referrers", &v, err);

	if (r == 0)
		r = oci_document_array(v, "manifests", "the referrers", &list, err);
	if (r == 0)
		*ret = OVBD_MOVE(v);
	return r;
}

/* By the registry's account. */
static int ask(struct oci_registry *g, const struct oci_ref *subject, const char *filter,
               json_t **ret, struct ovbd_error *err)
{
	AUTO_FREE char *plain = ovbd_repository_url(&g->repo, "referrers", subject->digest);
	AUTO_FREE char *url = NULL;
	AUTO_DOCUMENT d = {0};
	struct ovbd_route route;
	int r;

	if (!plain || asprintf(&url, "%s%s", plain, filter) < 0) {
		url = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	r = ovbd_repository_route(&g->repo, url, false, &route, err);
	if (r < 0)
		return r;
	r = ovbd_http_get(route.url, &route.http, INDEX, OCI_DOCUMENT_MAX, &d, err);
	ovbd_route_free(&route);
	return r < 0 ? r : parse_list(&d, ret, err);
}

/* By the tag. */
static int read_tag(struct oci_registry *g, const struct oci_ref *subject, json_t **ret,
                    struct ovbd_error *err)
{
	AUTO_DOCUMENT d = {0};
	char tag[OCI_REFERRERS_TAG_SIZE];
	int r;

	oci_referrers_tag(subject->digest, tag);
	r = ovbd_repository_manifest(&g->repo, tag, &d, err);
	return r < 0 ? r : parse_list(&d, ret, err);
}

int oci_registry_referrers(struct oci_registry *g, const struct oci_ref *subject,
                           oci_found_fn found, void *arg, struct ovbd_error *err)
{
	AUTO_JSON *v = NULL;
	const json_t *list;
	int r = 0;

	if (ask(g, subject, FILTER, &v, NULL) < 0 && read_tag(g, subject, &v, NULL) < 0)
		return 0;
	list = json_object_get(v, "manifests");
	for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
		const json_t *entry = json_array_get(list, i);
		struct oci_ref ref;

		if (strcmp(oci_text(entry, "artifactType"), OCI_REFERRER_TYPE) == 0 &&
		    oci_ref_parse(entry, "", &ref, NULL) == 0)
			r = found(arg, &ref, err);
	}
	return r;
}

static bool is_in(const json_t *v, const json_t *entry)
{
	const json_t *list = json_object_get(v, "manifests");
	bool in = false;

	for (size_t i = 0; i < json_array_size(list); i++)
		in |= strcmp(oci_text(json_array_get(list, i), "digest"),
		             oci_text(entry, "digest")) == 0;
	return in;
}

int oci_registry_refer(struct oci_registry *g, struct oci_pusher *p, const struct oci_ref *subject,
                       json_t *entry, struct ovbd_error *err)
{
	AUTO_JSON *account = NULL, *list = NULL;
	AUTO_FREE char *text = NULL;
	char tag[OCI_REFERRERS_TAG_SIZE];
	struct oci_ref ref = {.type = INDEX};
	struct ovbd_error why;
	int r = ask(g, subject, FILTER, &account, &why);

	if (r == -ECANCELED)
		return ovbd_fail(err, r, "%s", why.msg);
	if (r == 0 && is_in(account, entry))
		return 0;
	/* one that cannot be read is not replaced: others' entries would be gone */
	r = read_tag(g, subject, &list, &why);
	if (r < 0 && r != -ENOENT)
		return ovbd_fail(err, r, "%s", why.msg);
	if (list && is_in(list, entry))
		return 0;
	r = oci_referrers_add(&list, entry, err);
	if (r == 0)
		r = oci_json_text(list, &text, err);
	if (r < 0)
		return r;
	ref.size = strlen(text);
	oci_referrers_tag(subject->digest, tag);
	r = oci_digest_of(text, ref.size, ref.digest, err);
	return r < 0 ? r : oci_push_manifest(p, text, &ref, tag, err);
}
