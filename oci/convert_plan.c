// SPDX-License-Identifier: Apache-2.0
/*
 * All that can be refused is refused before anything is made: manifests, indexes and configs are
 * small, and are read first.
 */
#include <errno.h>
#include <stdio.h>

#include "base/bytes.h"
#include "lsmt/lsmt.h"
#include "oci/convert_impl.h"

#define ATTESTATION "vnd.docker.reference.type"

void oci_node_free(struct oci_node *n)
{
	for (size_t i = 0; i < n->nkids; i++)
		oci_node_free(&n->kids[i]);
	json_decref(n->doc);
	json_decref(n->config);
	free(n->layers);
	free(n->kids);
	*n = (struct oci_node){0};
}

/* ---- an image ---- */

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int check_type(const json_t *layer, const char *type, const char *what,
                      struct ovbd_error *err)
{
	const json_t *notes = json_object_get(layer, "annotations");
	const size_t len = strlen(type);

	if (json_object_get(notes, OCI_OVERLAYBD "blob-digest") ||
	    json_object_get(notes, OCI_OVERLAYBD "version"))
		return ovbd_fail(err, -ENOTSUP, "%s: is an overlaybd layer already", what);
	if ((!has_prefix(type, "application/vnd.oci.image.layer.") &&
	     !has_prefix(type, "application/vnd.docker.image.rootfs.")) ||
	    (len > 9 && strcmp(type + len - 9, "encrypted") == 0))
		return ovbd_fail(err, -ENOTSUP, "%s: is no layer of files, but %s", what,
		                 type[0] ? type : "of no type");
	return 0;
}

static int chain(struct oci_layer *l, const struct oci_layer *below, struct ovbd_error *err)
{
	char text[2 * OVBD_OCI_DIGEST_SIZE + 1], digest[OVBD_OCI_DIGEST_SIZE];
	int n, r;

	if (!has_prefix(l->diff_id, "sha256:"))
		return ovbd_fail(err, -ENOTSUP, "diff_id %.40s: is no sha256", l->diff_id);
	if (!below) {
		snprintf(l->chain_id, sizeof(l->chain_id), "%.71s", l->diff_id);
		return 0;
	}
	n = snprintf(text, sizeof(text), "%s %s", below->chain_id, l->diff_id);
	r = oci_digest_of(text, (size_t)n, digest, err);
	if (r == 0)
		snprintf(l->chain_id, sizeof(l->chain_id), "%.71s", digest);
	return r;
}

static int take_diff_ids(struct oci_node *n, struct ovbd_error *err)
{
	const json_t *rootfs = json_object_get(n->config, "rootfs");
	const char *where = n->config_ref.digest;
	json_t *ids;
	int r = 0;

	if (!json_is_array(ids = json_object_get(rootfs, "diff_ids")))
		return ovbd_fail(err, -EBADMSG, "%s: the config has no rootfs.diff_ids", where);
	if (json_array_size(ids) != n->nlayers)
		return ovbd_fail(err, -EBADMSG,
		                 "%s: the config has %zu diff_ids, the manifest %zu layers", where,
		                 json_array_size(ids), n->nlayers);
	for (size_t i = 0; r == 0 && i < n->nlayers; i++) {
		const char *id = json_string_value(json_array_get(ids, i));

		if (!id || !ovbd_digest_is_valid(id) || strlen(id) >= OVBD_OCI_DIGEST_SIZE)
			return ovbd_fail(err, -EBADMSG, "%s: diff_ids[%zu] is no digest", where, i);
		snprintf(n->layers[i].diff_id, sizeof(n->layers[i].diff_id), "%s", id);
		r = chain(&n->layers[i], i > 0 ? &n->layers[i - 1] : NULL, err);
	}
	return r;
}

static int take_layers(struct oci_node *n, struct ovbd_error *err)
{
	json_t *list;
	char what[32];
	int r = oci_document_array(n->doc, "layers", "the manifest", &list, err);

	if (r < 0)
		return r;
	n->nlayers = json_array_size(list);
	if (n->nlayers == 0)
		return ovbd_fail(err, -ENOTSUP, "the image has no layers");
	if (n->nlayers > OVBD_LAYERS_MAX)
		return ovbd_fail(err, -E2BIG, "the image has %zu layers; a stack has at most %u",
		                 n->nlayers, OVBD_LAYERS_MAX);
	n->layers = calloc(n->nlayers, sizeof(n->layers[0]));
	if (!n->layers)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < n->nlayers; i++) {
		const json_t *layer = json_array_get(list, i);

		snprintf(what, sizeof(what), "layer %zu of %zu", i + 1, n->nlayers);
		r = oci_ref_parse(layer, what, &n->layers[i].src, err);
		if (r == 0)
			r = check_type(layer, n->layers[i].src.type, what, err);
	}
	return r;
}

static void take_platform(struct oci_node *n)
{
	const char *variant = oci_text(n->config, "variant");

	snprintf(n->platform, sizeof(n->platform), "%.31s/%.31s%s%.31s", oci_text(n->config, "os"),
	         oci_text(n->config, "architecture"), variant[0] ? "/" : "", variant);
}

static int plan_image(struct oci_work *w, struct oci_node *n, struct ovbd_error *err)
{
	struct oci_node **images;
	int r;

	n->kind = OCI_IMAGE;
	if (json_integer_value(json_object_get(n->doc, "schemaVersion")) == 1)
		return ovbd_fail(err, -ENOTSUP, "a manifest of version 1, which is too old");
	r = oci_ref_parse(json_object_get(n->doc, "config"), "config", &n->config_ref, err);
	if (r < 0)
		return r;
	if (!oci_type_is_config(n->config_ref.type))
		return ovbd_fail(err, -ENOTSUP, "is no image of a container: its config is %s",
		                 n->config_ref.type[0] ? n->config_ref.type : "of no type");
	r = oci_source_document(w->src, &n->config_ref, &n->config, err);
	if (r == 0)
		r = take_layers(n, err);
	if (r == 0)
		r = take_diff_ids(n, err);
	if (r < 0)
		return r;
	take_platform(n);
	images = realloc(w->images, (w->nimages + 1) * sizeof(images[0]));
	if (!images)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	w->images = images;
	w->images[w->nimages++] = n;
	return 0;
}

/* ---- an index ---- */

static bool fits_one(const json_t *platform, const struct ovbd_platform *p)
{
	const char *variant = oci_text(platform, "variant");
	const bool v8 = strcmp(p->arch, "arm64") == 0 && strcmp(p->variant, "v8") == 0;

	return strcmp(oci_text(platform, "os"), p->os) == 0 &&
	       strcmp(oci_text(platform, "architecture"), p->arch) == 0 &&
	       (p->variant[0] == '\0' || strcmp(variant, p->variant) == 0 ||
	        (v8 && variant[0] == '\0'));
}

static bool fits(const struct oci_work *w, const json_t *platform)
{
	bool any = w->c->nplatforms == 0;

	for (size_t i = 0; i < w->c->nplatforms; i++)
		any |= fits_one(platform, &w->c->platforms[i]);
	return any;
}

static bool is_attestation(const json_t *entry)
{
	return strcmp(oci_text(json_object_get(entry, "annotations"), ATTESTATION),
	              "attestation-manifest") == 0;
}

/* Whether an attestation is about one of what is kept of list, whose first n were looked at. */
static bool is_about_kept(const json_t *list, const json_t *entry)
{
	const char *about =
		oci_text(json_object_get(entry, "annotations"), "vnd.docker.reference.digest");
	bool kept = false;

	for (size_t i = 0; i < json_array_size(list); i++)
		kept |= strcmp(oci_text(json_array_get(list, i), "digest"), about) == 0;
	return kept;
}

/* Takes what is not wanted out of list. */
static int choose(struct oci_work *w, json_t *list, struct ovbd_error *err)
{
	for (size_t i = json_array_size(list); i-- > 0;) {
		const json_t *entry = json_array_get(list, i);

		/* an index within has platforms of its own */
		if (!is_attestation(entry) && !oci_type_is_index(oci_text(entry, "mediaType")) &&
		    !fits(w, json_object_get(entry, "platform")) && json_array_remove(list, i) < 0)
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	for (size_t i = json_array_size(list); i-- > 0;) {
		const json_t *entry = json_array_get(list, i);

		if (!is_attestation(entry) || (w->c->attestations && is_about_kept(list, entry)))
			continue;
		w->ndropped++;
		if (json_array_remove(list, i) < 0)
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return 0;
}

static int plan_node(struct oci_work *w, unsigned depth, struct oci_node *n,
                     struct ovbd_error *err);

static int plan_copy(struct oci_work *w, struct oci_node *n, struct ovbd_error *err)
{
	n->kind = OCI_COPY;
	n->made = n->src;
	w->nattestations++;
	return oci_source_document(w->src, &n->src, &n->doc, err);
}

static int plan_index(struct oci_work *w, struct oci_node *n, unsigned depth,
                      struct ovbd_error *err)
{
	char what[32];
	json_t *list;
	int r;

	n->kind = OCI_INDEX;
	if (depth >= OCI_DEPTH_MAX)
		return ovbd_fail(err, -E2BIG, "more than %u indexes in each other", OCI_DEPTH_MAX);
	r = oci_document_array(n->doc, "manifests", "the index", &list, err);
	if (r == 0)
		r = choose(w, list, err);
	if (r < 0)
		return r;
	n->nkids = json_array_size(list);
	n->kids = ovbd_array_alloc(n->nkids + 1, sizeof(n->kids[0]));
	if (!n->kids) {
		n->nkids = 0;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	for (size_t i = 0; r == 0 && i < n->nkids; i++) {
		const json_t *entry = json_array_get(list, i);

		snprintf(what, sizeof(what), "manifests[%zu]", i);
		r = oci_ref_parse(entry, what, &n->kids[i].src, err);
		if (r == 0)
			r = is_attestation(entry) ? plan_copy(w, &n->kids[i], err)
			                          : plan_node(w, depth + 1, &n->kids[i], err);
	}
	return r;
}

static int plan_document(struct oci_work *w, struct oci_node *n, unsigned depth,
                         struct ovbd_error *err)
{
	const bool index = json_object_get(n->doc, "manifests") != NULL;
	const bool image = json_object_get(n->doc, "layers") != NULL ||
	                   json_object_get(n->doc, "config") != NULL;
	const char *type = n->src.type;

	if (!type[0])
		snprintf(n->src.type, sizeof(n->src.type), "%.127s", oci_text(n->doc, "mediaType"));
	/* who reads it as the one would run something else than who reads it as the other */
	if (index && image)
		return ovbd_fail(err, -EBADMSG, "is both an index and an image");
	if (type[0] && !oci_type_is_index(type) && !oci_type_is_manifest(type))
		return ovbd_fail(err, -ENOTSUP, "is no image, but %s", type);
	if ((!index && !image) || (type[0] && index != oci_type_is_index(type)))
		return ovbd_fail(err, -EBADMSG,
		                 "is neither an index nor an image, or not what its "
		                 "media type says");
	if (!type[0])
		snprintf(n->src.type, sizeof(n->src.type), "application/vnd.oci.image.%s.v1+json",
		         index ? "index" : "manifest");
	return index ? plan_index(w, n, depth, err) : plan_image(w, n, err);
}

/* n->src is known. */
static int plan_node(struct oci_work *w, unsigned depth, struct oci_node *n, struct ovbd_error *err)
{
	struct ovbd_error why = {""};
	int r = oci_source_document(w->src, &n->src, &n->doc, &why);

	if (r < 0)
		return ovbd_fail(err, r, "%s", why.msg);
	r = plan_document(w, n, depth, &why);
	return r < 0 ? ovbd_fail(err, r, "%s: %s", n->src.digest, why.msg) : 0;
}

int oci_plan(struct oci_work *w, const struct oci_ref *ref, struct ovbd_error *err)
{
	int r;

	w->root.src = *ref;
	r = plan_node(w, 0, &w->root, err);
	if (r < 0)
		return r;
	if (w->root.kind == OCI_IMAGE && !fits(w, w->root.config))
		return ovbd_fail(err, -ENOENT, "the image is for %s (--platform)",
		                 w->root.platform);
	if (w->nimages == 0)
		return ovbd_fail(err, -ENOENT, "there is no image in it%s",
		                 w->c->nplatforms ? " for the platforms that are asked for" : "");
	return 0;
}
