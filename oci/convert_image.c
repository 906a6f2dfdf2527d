// SPDX-License-Identifier: Apache-2.0
/*
 * What an image says of its layers says it of the new ones; all else stays. What was said to
 * snapshotters of the old ones, of tables of contents in them, would be wrong, and goes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "oci/convert_impl.h"

static bool is_of_old_blob(const char *key)
{
	return strncmp(key, "containerd.io/snapshot/", 23) == 0 ||
	       strncmp(key, "io.github.containers.zstd-chunked.", 34) == 0;
}

static void drop_old_notes(json_t *notes)
{
	const char *key;
	json_t *v;
	void *next;

	json_object_foreach_safe(notes, next, key, v)
	{
		if (is_of_old_blob(key))
			json_object_del(notes, key);
	}
}

static int note_layer(const struct oci_work *w, const struct oci_layer *l, json_t *notes,
                      struct ovbd_error *err)
{
	char size[24];
	int r;

	snprintf(size, sizeof(size), "%" PRIu64, l->made.size);
	drop_old_notes(notes);
	r = oci_set(notes, OCI_OVERLAYBD "version", json_string("0.1.0"), err);
	if (r == 0)
		r = oci_set(notes, OCI_OVERLAYBD "blob-digest", json_string(l->made.digest), err);
	if (r == 0)
		r = oci_set(notes, OCI_OVERLAYBD "blob-size", json_string(size), err);
	if (r == 0)
		r = oci_set(notes, OCI_OVERLAYBD "blob-fs-type", json_string("ext4"), err);
	if (r == 0)
		r = oci_set(notes, OCI_NOTE_FROM, json_string(l->chain_id), err);
	return r < 0 ? r : oci_set(notes, OCI_NOTE_HOW, json_string(w->how), err);
}

/* The descriptor of a layer. */
static int set_layer(const struct oci_work *w, struct oci_layer *l, json_t *desc,
                     struct ovbd_error *err)
{
	json_t *notes;
	int r;

	snprintf(l->made.type, sizeof(l->made.type), "application/vnd.oci.image.layer.v1.tar");
	r = oci_ref_set(desc, &l->made, err);
	if (r < 0)
		return r;
	json_object_del(desc, "urls"); /* where the old one is */
	notes = oci_object(desc, "annotations");
	return notes ? note_layer(w, l, notes, err)
	             : ovbd_fail(err, -EBADMSG, "the annotations of a layer are no object");
}

static int set_documents(const struct oci_work *w, struct oci_node *n, json_t *doc, json_t *config,
                         struct ovbd_error *err)
{
	json_t *layers = json_object_get(doc, "layers");
	json_t *ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");
	int r = 0;

	for (size_t i = 0; r == 0 && i < n->nlayers; i++) {
		r = set_layer(w, &n->layers[i], json_array_get(layers, i), err);
		if (r == 0 && json_array_set_new(ids, i, json_string(n->layers[i].made.digest)) < 0)
			r = ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return r;
}

static int annotate(const struct oci_work *w, json_t *doc, struct ovbd_error *err)
{
	json_t *notes;
	int r = 0;

	if (w->c->nannotations == 0)
		return 0;
	notes = oci_object(doc, "annotations");
	if (!notes)
		return ovbd_fail(err, -EBADMSG, "the annotations are no object");
	for (size_t i = 0; r == 0 && i < w->c->nannotations; i++) {
		const char *text = w->c->annotations[i];
		AUTO_FREE char *key = strndup(text, strcspn(text, "="));

		r = key ? oci_set(notes, key, json_string(strchr(text, '=') + 1), err)
		        : ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return r;
}

/* Makes doc refer to what it was made of. */
static int set_subject(const struct oci_node *n, json_t *doc, struct ovbd_error *err)
{
	json_t *subject = json_object();
	int r = subject ? oci_ref_set(subject, &n->src, err)
	                : ovbd_fail(err, -ENOMEM, "out of memory");

	if (r == 0)
		r = oci_set(doc, "mediaType", json_string(n->made.type), err);
	if (r == 0)
		r = oci_set(doc, "artifactType", json_string(OCI_REFERRER_TYPE), err);
	if (r == 0)
		r = oci_set(doc, "subject", json_incref(subject), err);
	json_decref(subject);
	return r;
}

/* Has n, whose document is doc, found by what it was made of. */
static int refer(struct oci_work *w, const struct oci_node *n, const json_t *doc,
                 struct ovbd_error *err)
{
	AUTO_JSON *entry = NULL;
	const int r = oci_referrers_entry(doc, &n->made, &entry, err);

	return r < 0 ? r : oci_target(w, w->dst->ops->refer(w->dst, &n->src, entry, err));
}

int oci_document_finish(struct oci_work *w, struct oci_node *n, json_t *doc, struct ovbd_error *err)
{
	int r = annotate(w, doc, err);

	memcpy(n->made.type, n->src.type, sizeof(n->made.type));
	oci_type_to_oci(n->made.type, sizeof(n->made.type));
	if (r == 0 && json_object_get(doc, "mediaType"))
		r = oci_set(doc, "mediaType", json_string(n->made.type), err);
	if (r == 0 && w->c->referrer)
		r = set_subject(n, doc, err);
	if (r == 0)
		r = oci_document_put_or_probe(w, OCI_PUT_MANIFEST, doc, &n->made, err);
	return r == 0 && w->c->referrer && !w->probing ? refer(w, n, doc, err) : r;
}

static int put_documents(struct oci_work *w, struct oci_node *n, struct ovbd_error *err)
{
	AUTO_JSON *doc = json_deep_copy(n->doc), *config = json_deep_copy(n->config);
	struct oci_ref ref = n->config_ref;
	int r;

	if (!doc || !config)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = set_documents(w, n, doc, config, err);
	oci_type_to_oci(ref.type, sizeof(ref.type));
	if (r == 0)
		r = oci_document_put_or_probe(w, OCI_PUT_CONFIG, config, &ref, err);
	if (r == 0)
		r = oci_ref_set(json_object_get(doc, "config"), &ref, err);
	return r < 0 ? r : oci_document_finish(w, n, doc, err);
}

/* ---- telling ---- */

static struct ovbd_oci_told_layer told_layer(const struct oci_node *n, size_t i)
{
	const struct oci_layer *l = &n->layers[i];

	return (struct ovbd_oci_told_layer){
		.platform = n->platform,
		.source = l->src.digest,
		.chain_id = l->chain_id,
		.digest = l->made.digest[0] ? l->made.digest : NULL,
		.source_size = l->src.size,
		.size = l->made.size,
		.number = i + 1,
		.n = n->nlayers,
		.there = i < n->nthere,
		.nlarge = l->nlarge,
	};
}

static void tell_begin(const struct oci_work *w, const struct oci_node *n, size_t i)
{
	const struct ovbd_oci_told_layer told = told_layer(n, i);

	if (w->c->tell.begin)
		w->c->tell.begin(w->c->tell.arg, &told);
}

static void tell_layer(const struct oci_work *w, const struct oci_node *n, size_t i)
{
	const struct ovbd_oci_told_layer told = told_layer(n, i);

	if (w->c->tell.layer)
		w->c->tell.layer(w->c->tell.arg, &told);
}

static void tell_image(const struct oci_work *w, const struct oci_node *n)
{
	struct ovbd_oci_told_image told = {
		.platform = n->platform,
		.source = n->src.digest,
		.digest = n->made.digest[0] ? n->made.digest : NULL,
		.nlayers = n->nlayers,
		.nthere = n->nthere,
	};

	for (size_t i = 0; i < n->nlayers; i++) {
		told.source_size += n->layers[i].src.size;
		told.size += n->layers[i].made.size;
	}
	if (w->c->tell.image)
		w->c->tell.image(w->c->tell.arg, &told);
}

static int make_layer(struct oci_work *w, struct oci_node *n, size_t i, struct ovbd_error *err)
{
	struct oci_layer *l = &n->layers[i];
	int r;

	if (i < n->nthere) {
		if (!l->made.digest[0])
			l->made = n->earlier->layers[i].made;
		return 0;
	}
	if (w->c->dry_run)
		return 0;
	tell_begin(w, n, i);
	r = oci_layer_make(w, n, i, err);
	/* who continues what is interrupted here finds it, though no image has it yet */
	if (r == 0 && !w->dst->ops->settle)
		oci_dedup_note(w, n, i, i + 1);
	return r;
}

/* All of an image's layers are in the target from here on. */
static int settle(struct oci_work *w, const struct oci_node *n, struct ovbd_error *err)
{
	const int r = oci_target(w, oci_target_settle(w->dst, err));

	if (r == 0)
		oci_dedup_note(w, n, 0, n->nlayers);
	oci_dedup_tell(w);
	return r;
}

int oci_image_make(struct oci_work *w, struct oci_node *n, struct ovbd_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n->nlayers; i++) {
		r = make_layer(w, n, i, err);
		if (r == 0 && !w->probing)
			tell_layer(w, n, i);
	}
	if (r == 0 && (!w->c->dry_run || w->probing)) {
		w->local = false;
		if (!w->probing)
			r = settle(w, n, err);
		if (r == 0)
			r = put_documents(w, n, err);
	}
	if (r == 0 && !w->probing)
		tell_image(w, n);
	return r;
}
