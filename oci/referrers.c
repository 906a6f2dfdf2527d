// SPDX-License-Identifier: Apache-2.0
/*
 * A manifest that names another as its subject refers to it. Registries keep account of that, newer
 * ones by themselves; where nobody does, an index with a tag made of the subject's digest lists
 * them, and who adds one to it reads, changes and replaces it.
 */
#include <errno.h>
#include <stdio.h>

#include "oci/impl.h"

void oci_referrers_tag(const char *digest, char ret[OCI_REFERRERS_TAG_SIZE])
{
	const char *colon = strchr(digest, ':');

	/* as the specification cuts them: both parts have a limit */
	snprintf(ret, OCI_REFERRERS_TAG_SIZE, "%.*s-%.64s",
	         (int)(colon - digest > 12 ? 12 : colon - digest), digest, colon + 1);
}

bool oci_is_referrers_tag(const char *tag)
{
	return (strncmp(tag, "sha256-", 7) == 0 || strncmp(tag, "sha512-", 7) == 0) &&
	       strlen(tag) == 7 + 64 && strspn(tag + 7, "0123456789abcdef") == 64;
}

int oci_referrers_entry(const json_t *doc, const struct oci_ref *ref, json_t **ret,
                        struct ovbd_error *err)
{
	AUTO_JSON *entry = json_object();
	json_t *notes = json_object_get(doc, "annotations"), *copy;
	int r = entry ? oci_ref_set(entry, ref, err) : ovbd_fail(err, -ENOMEM, "out of memory");

	if (r == 0)
		r = oci_set(entry, "artifactType", json_string(oci_text(doc, "artifactType")), err);
	if (r == 0 && json_is_object(notes)) {
		copy = json_deep_copy(notes);
		r = oci_set(entry, "annotations", copy, err);
	}
	if (r == 0)
		*ret = OVBD_MOVE(entry);
	return r;
}

int oci_referrers_add(json_t **index, json_t *entry, struct ovbd_error *err)
{
	json_t *list;

	if (!*index)
		*index = oci_index_new();
	list = json_object_get(*index, "manifests");
	if (!json_is_array(list))
		return *index ? ovbd_fail(err, -EBADMSG,
		                          "an index of referrers has no array manifests")
		              : ovbd_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(oci_text(json_array_get(list, i), "digest"),
		           oci_text(entry, "digest")) == 0)
			return 0;
	return json_array_append(list, entry) == 0 ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

/* ---- layouts ---- */

struct referring {
	const struct oci_layout *l;
	char tag[OCI_REFERRERS_TAG_SIZE];
	json_t *entry;
};

/* With the lock of index.json. */
static int refer(void *arg, json_t *index, struct ovbd_error *err)
{
	struct referring *f = arg;
	const struct ovbd_oci_name n = {.text = f->tag, .tag = f->tag};
	AUTO_JSON *old = NULL, *list = NULL, *entry = json_object();
	AUTO_FREE char *text = NULL;
	struct oci_ref ref;
	int r;

	if (!entry)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	/* one that is damaged is begun anew: what it said cannot be had */
	if (oci_index_choose(index, &n, &ref, &old, NULL) == 0 &&
	    oci_document_read(f->l, &ref, &list, NULL) == 0 &&
	    !json_is_array(json_object_get(list, "manifests"))) {
		json_decref(list);
		list = NULL;
	}
	ref = (struct oci_ref){.type = "application/vnd.oci.image.index.v1+json"};
	r = oci_referrers_add(&list, f->entry, err);
	if (r == 0)
		r = oci_json_text(list, &text, err);
	if (r == 0)
		r = oci_blob_put(f->l, text, strlen(text), &ref, err);
	if (r == 0)
		r = oci_ref_set(entry, &ref, err);
	return r < 0 ? r : oci_index_place(index, entry, f->tag, err);
}

int oci_layout_refer(const struct oci_layout *l, const struct oci_ref *subject, json_t *entry,
                     struct ovbd_error *err)
{
	struct referring f = {.l = l, .entry = entry};

	oci_referrers_tag(subject->digest, f.tag);
	return oci_index_change(l, refer, &f, err);
}
