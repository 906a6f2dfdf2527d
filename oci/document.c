// SPDX-License-Identifier: Apache-2.0
/*
 * Documents keep what they have, known here or not, and its order: what is changed is set in the
 * tree that was parsed, and that is written compactly. So the same input gives the same bytes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "image/manifest.h"
#include "oci/impl.h"

#define OCI_TYPE "application/vnd.oci.image."
#define DOCKER   "application/vnd.docker."

/* What is the same in both. */
static const struct {
	const char *oci, *docker;
} types[] = {
	{OCI_TYPE "index.v1+json", DOCKER "distribution.manifest.list.v2+json"},
	{OCI_TYPE "manifest.v1+json", DOCKER "distribution.manifest.v2+json"},
	{OCI_TYPE "config.v1+json", DOCKER "container.image.v1+json"},
};

static bool is_type(const char *type, size_t i)
{
	return strcmp(type, types[i].oci) == 0 || strcmp(type, types[i].docker) == 0;
}

bool oci_type_is_index(const char *type)
{
	return is_type(type, 0);
}

bool oci_type_is_manifest(const char *type)
{
	return is_type(type, 1);
}

bool oci_type_is_config(const char *type)
{
	return is_type(type, 2);
}

void oci_type_to_oci(char *type, size_t size)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(type, types[i].docker) == 0)
			snprintf(type, size, "%s", types[i].oci);
}

const char *oci_text(const json_t *obj, const char *key)
{
	const char *v = json_string_value(json_object_get(obj, key));

	return v ? v : "";
}

int oci_set(json_t *obj, const char *key, json_t *take_v, struct ovbd_error *err)
{
	return json_object_set_new(obj, key, take_v) == 0
	               ? 0
	               : ovbd_fail(err, -ENOMEM, "out of memory");
}

json_t *oci_object(json_t *obj, const char *key)
{
	json_t *v = json_object_get(obj, key);

	if (!v || json_is_null(v)) {
		v = json_object();
		if (json_object_set_new(obj, key, v) < 0)
			return NULL;
	}
	return json_is_object(v) ? v : NULL;
}

int oci_ref_parse(const json_t *obj, const char *what, struct oci_ref *ret, struct ovbd_error *err)
{
	const json_t *size = json_object_get(obj, "size");
	const char *digest = oci_text(obj, "digest"), *type = oci_text(obj, "mediaType");

	if (!json_is_object(obj))
		return ovbd_fail(err, -EBADMSG, "%s: is no object", what);
	if (!ovbd_digest_is_valid(digest) || strlen(digest) >= sizeof(ret->digest))
		return ovbd_fail(err, -EBADMSG, "%s: has no digest", what);
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return ovbd_fail(err, -EBADMSG, "%s: has no size, or a wrong one", what);
	if (strlen(type) >= sizeof(ret->type))
		return ovbd_fail(err, -EBADMSG, "%s: its media type is too long", what);
	*ret = (struct oci_ref){.size = (uint64_t)json_integer_value(size)};
	snprintf(ret->digest, sizeof(ret->digest), "%s", digest);
	snprintf(ret->type, sizeof(ret->type), "%s", type);
	return 0;
}

int oci_ref_set(json_t *obj, const struct oci_ref *ref, struct ovbd_error *err)
{
	int r = 0;

	if (ref->type[0])
		r = oci_set(obj, "mediaType", json_string(ref->type), err);
	if (r == 0)
		r = oci_set(obj, "digest", json_string(ref->digest), err);
	if (r == 0)
		r = oci_set(obj, "size", json_integer((json_int_t)ref->size), err);
	json_object_del(obj, "data"); /* a copy of what it was */
	return r;
}

int oci_json_parse(const char *text, size_t len, const char *what, json_t **ret,
                   struct ovbd_error *err)
{
	json_error_t why;
	AUTO_JSON *v = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);

	if (!v)
		return ovbd_fail(err, -EBADMSG, "%s: is no JSON: line %d, column %d: %s", what,
		                 why.line, why.column, why.text);
	if (!json_is_object(v))
		return ovbd_fail(err, -EBADMSG, "%s: is no object", what);
	*ret = OVBD_MOVE(v);
	return 0;
}

int oci_json_text(const json_t *v, char **ret, struct ovbd_error *err)
{
	*ret = json_dumps(v, JSON_COMPACT | JSON_PRESERVE_ORDER);
	return *ret ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

int oci_document_parse(const char *text, size_t len, const struct oci_ref *ref, json_t **ret,
                       struct ovbd_error *err)
{
	AUTO_MD *md = NULL;
	char has[OVBD_OCI_DIGEST_SIZE];
	int r = oci_md_open(ref->digest, &md, err);

	if (r == 0)
		r = oci_md_update(md, text, len, err);
	if (r < 0)
		return r;
	oci_md_text(md, has);
	if (len != ref->size)
		return ovbd_fail(err, -EBADMSG, "%s: has %zu bytes, not %" PRIu64, ref->digest, len,
		                 ref->size);
	if (strcmp(has, ref->digest) != 0)
		return ovbd_fail(err, -EBADMSG, "%s: is damaged: its digest is %s", ref->digest,
		                 has);
	return oci_json_parse(text, len, ref->digest, ret, err);
}

int oci_document_load(const struct oci_layout *l, const struct oci_ref *ref, char **ret,
                      size_t *ret_len, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	AUTO_MD *md = NULL;
	int r = oci_md_open(ref->digest, &md, err); /* no other algorithm has a place there */

	if (r == 0)
		r = oci_blob_path(l, ref->digest, &path, err);
	return r < 0 ? r : oci_read_file(path, OCI_DOCUMENT_MAX, ret, ret_len, err);
}

int oci_document_read(const struct oci_layout *l, const struct oci_ref *ref, json_t **ret,
                      struct ovbd_error *err)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	const int r = oci_document_load(l, ref, &text, &len, err);

	return r < 0 ? r : oci_document_parse(text, len, ref, ret, err);
}

int oci_document_array(const json_t *doc, const char *key, const char *what, json_t **ret,
                       struct ovbd_error *err)
{
	json_t *list = json_object_get(doc, key);

	if (!json_is_array(list))
		return ovbd_fail(err, -EBADMSG, "%s: has no array %s", what, key);
	if (json_array_size(list) > OCI_ENTRIES_MAX)
		return ovbd_fail(err, -E2BIG, "%s: has %zu %s; at most %u are taken", what,
		                 json_array_size(list), key, OCI_ENTRIES_MAX);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!json_is_object(json_array_get(list, i)))
			return ovbd_fail(err, -EBADMSG, "%s: %s[%zu] is no object", what, key, i);
	*ret = list;
	return 0;
}
