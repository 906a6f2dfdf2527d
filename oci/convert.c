// SPDX-License-Identifier: Apache-2.0
/*
 * First all documents are read (convert_plan.c), then what is there already is found
 * (convert_known.c), then the images are made, one after the other and each from the bottom up,
 * then the indexes around them; and at last the target's index.json names it.
 */
#include "oci/convert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "oci/convert_impl.h"

#define REFERENCE "vnd.docker.reference.digest"

static void close_work(struct oci_work *w)
{
	oci_node_free(&w->root);
	oci_known_free(w->known);
	free(w->images);
	oci_source_close(w->src);
	oci_target_close(w->dst);
	oci_dedup_close(w->dedup);
}

void oci_tell_warning(const struct oci_work *w, const char *fmt, ...)
{
	char text[OVBD_ERROR_SIZE];
	va_list ap;

	if (!w->c->tell.warning)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->c->tell.warning(w->c->tell.arg, text);
}

int oci_progress(struct oci_work *w, uint64_t done, struct ovbd_error *err)
{
	w->done += done;
	if (w->c->progress && w->c->progress(w->c->arg, w->done, w->total) != 0)
		return ovbd_fail(err, -ECANCELED, "interrupted");
	return 0;
}

int oci_is_stopped(void *arg, uint64_t done, uint64_t total)
{
	const struct oci_work *w = arg;

	(void)done;
	(void)total;
	return w->c->progress ? w->c->progress(w->c->arg, 0, 0) : 0;
}

/* All that makes a layer's bytes what they are, apart from its tar and those beneath it. The first
 * number is to change with what we make of a tar. */
static void describe(const struct ovbd_oci_convert *c, char *ret, size_t size)
{
	const int n = snprintf(ret, size, "1 ext4 %" PRIu64 " %" PRId64, c->fs_size, c->now);

	if (!c->compress)
		snprintf(ret + n, size - (size_t)n, " none");
	else if (c->zfile.codec == OVBD_CODEC_ZSTD)
		snprintf(ret + n, size - (size_t)n, " zstd:%d %" PRIu32,
		         c->zfile.level ? c->zfile.level : 3, c->zfile.block_size);
	else
		snprintf(ret + n, size - (size_t)n, " lz4 %" PRIu32, c->zfile.block_size);
}

/* ---- what is kept as it is ---- */

static int copy_blob(struct oci_work *w, const struct oci_ref *ref, struct ovbd_error *err)
{
	if (w->probing) {
		const int r = w->dst->ops->has(w->dst, ref, err);

		w->missing |= r == 0;
		return r < 0 ? r : 0;
	}
	return oci_target_copy(w->dst, w->src, ref, oci_is_stopped, w, err);
}

static int make_copy(struct oci_work *w, struct oci_node *n, struct ovbd_error *err)
{
	json_t *layers = json_object_get(n->doc, "layers");
	struct oci_ref ref;
	int r;

	if (w->c->dry_run && !w->probing)
		return 0;
	r = oci_ref_parse(json_object_get(n->doc, "config"), "config", &ref, err);
	if (r == 0)
		r = copy_blob(w, &ref, err);
	for (size_t i = 0; r == 0 && i < json_array_size(layers); i++) {
		r = oci_ref_parse(json_array_get(layers, i), "a layer", &ref, err);
		if (r == 0)
			r = copy_blob(w, &ref, err);
	}
	if (r < 0)
		return r;
	if (w->probing) {
		oci_document_ask(w, &n->src);
		return 0;
	}
	r = oci_target_settle(w->dst, err);
	return r < 0 ? r : oci_target_copy_document(w->dst, w->src, OCI_PUT_MANIFEST, &n->src, err);
}

/* ---- indexes ---- */

/* An attestation is found by the digest of the image that it is about: by that of what the image
 * has become. */
static int refer_anew(const struct oci_node *index, json_t *entry, struct ovbd_error *err)
{
	json_t *notes = json_object_get(entry, "annotations");
	const char *about = oci_text(notes, REFERENCE);

	for (size_t i = 0; i < index->nkids; i++)
		if (strcmp(index->kids[i].src.digest, about) == 0)
			return oci_set(notes, REFERENCE, json_string(index->kids[i].made.digest),
			               err);
	return 0;
}

static int make_index(struct oci_work *w, struct oci_node *n, struct ovbd_error *err)
{
	AUTO_JSON *doc = json_deep_copy(n->doc);
	json_t *list = json_object_get(doc, "manifests");
	int r = doc ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");

	for (size_t i = 0; r == 0 && i < n->nkids; i++)
		r = oci_node_make(w, &n->kids[i], err);
	if (r < 0 || (w->c->dry_run && !w->probing))
		return r;
	for (size_t i = 0; r == 0 && i < n->nkids; i++) {
		json_t *entry = json_array_get(list, i);

		r = oci_ref_set(entry, &n->kids[i].made, err);
		if (r == 0 && n->kids[i].kind == OCI_COPY)
			r = refer_anew(n, entry, err);
	}
	return r < 0 ? r : oci_document_finish(w, n, doc, err);
}

int oci_node_make(struct oci_work *w, struct oci_node *n, struct ovbd_error *err)
{
	if (n->kind == OCI_INDEX)
		return make_index(w, n, err);
	return n->kind == OCI_COPY ? make_copy(w, n, err) : oci_image_make(w, n, err);
}

/* ---- all of it ---- */

static int open_source(struct oci_work *w, json_t **ret_entry, struct ovbd_error *err)
{
	const struct oci_how how = {
		.access = w->c->src_access,
		.temp_dir = w->c->temp_dir ? w->c->temp_dir : "/tmp",
	};
	struct ovbd_error why = {""};
	struct oci_ref ref;
	int r = oci_source_open(w->c->src, &how, &w->src, err);

	if (r == 0)
		r = oci_source_find(w->src, &ref, ret_entry, err);
	if (r < 0)
		return r;
	r = oci_plan(w, &ref, &why);
	return r < 0 ? ovbd_fail(err, r, "%s: %s", w->c->src, why.msg) : 0;
}

static int open_target(struct oci_work *w, struct ovbd_error *err)
{
	const struct oci_how how = {
		.access = w->c->dst_access,
		.temp_dir = w->c->temp_dir ? w->c->temp_dir : "/tmp",
		.dry_run = w->c->dry_run,
		.waiting = w->c->tell.waiting,
		.arg = w->c->tell.arg,
	};

	if (w->c->referrer && !oci_can_refer(w->c->dst))
		return ovbd_fail(err, -ENOTSUP,
		                 "%s: has no place for what refers to another image (--referrer)",
		                 w->c->dst);
	return oci_target_open(w->c->dst, &how, &w->dst, err);
}

static void tell_attestations(const struct oci_work *w)
{
	if (w->ndropped > 0)
		oci_tell_warning(w, "%s: %zu attestation%s of the source %s not in the target%s",
		                 w->c->dst, w->ndropped, w->ndropped == 1 ? "" : "s",
		                 w->ndropped == 1 ? "is" : "are",
		                 w->c->attestations ? "" : " (--attestations)");
	if (w->nattestations > 0)
		oci_tell_warning(w,
		                 "%s: %zu attestation%s kept: what %s say%s is of the source's "
		                 "images",
		                 w->c->dst, w->nattestations,
		                 w->nattestations == 1 ? " is" : "s are",
		                 w->nattestations == 1 ? "it" : "they",
		                 w->nattestations == 1 ? "s" : "");
}

static void tell_plan(const struct oci_work *w)
{
	struct ovbd_oci_told_plan p = {.nimages = w->nimages, .total = w->total};

	for (size_t i = 0; i < w->nimages; i++) {
		p.nlayers += w->images[i]->nlayers;
		p.nthere += w->images[i]->nthere;
	}
	if (w->c->tell.plan)
		w->c->tell.plan(w->c->tell.arg, &p);
}

/* Who may not write learns it before anything is made. */
static int begin(struct oci_work *w, struct ovbd_error *err)
{
	bool wanted = w->c->attestations && w->nattestations > 0;

	for (size_t i = 0; i < w->nimages; i++)
		wanted |= w->images[i]->nthere < w->images[i]->nlayers;
	return wanted && !w->c->dry_run ? oci_target(w, oci_target_begin(w->dst, err)) : 0;
}

static int make(struct oci_work *w, const json_t *entry, struct ovbd_error *err)
{
	int r = oci_known_use(w, err);

	if (r == 0)
		tell_plan(w);
	if (r == 0)
		r = begin(w, err);
	if (r == 0)
		r = oci_node_make(w, &w->root, err);
	if (r == 0 && !w->c->dry_run)
		r = oci_target(w, w->dst->ops->name(w->dst, &w->root.made,
		                                    json_object_get(entry, "platform"), err));
	if (r == 0)
		tell_attestations(w);
	return r;
}

static int run(struct oci_work *w, bool *ret_skipped, struct ovbd_error *err)
{
	AUTO_JSON *entry = NULL;
	int r = open_source(w, &entry, err);

	if (r == 0)
		r = oci_target(w, open_target(w, err));
	if (r == 0 && w->c->dedup)
		r = oci_target(w, oci_dedup_open(w->c->dedup, w->c->dry_run, &w->dedup, err));
	if (r == 0)
		r = oci_known_load(w, err);
	if (r == 0 && w->c->skip_existing && w->dst)
		r = oci_skip(w, err);
	*ret_skipped = r == 1;
	return r != 0 ? r : make(w, entry, err);
}

int ovbd_oci_convert(const struct ovbd_oci_convert *c, struct ovbd_oci_converted *ret,
                     bool *ret_local, struct ovbd_error *err)
{
	OVBD_AUTO(close_work) struct oci_work w = {.c = c, .remote = oci_is_remote(c->dst)};
	bool skipped = false;
	int r;

	describe(c, w.how, sizeof(w.how));
	r = run(&w, &skipped, err);
	*ret_local = w.local;
	if (r < 0)
		return r;
	*ret = (struct ovbd_oci_converted){
		.nimages = w.nimages,
		.nattestations = w.nattestations,
		.ndropped = w.ndropped,
		.skipped = skipped,
	};
	memcpy(ret->digest, w.root.made.digest, sizeof(ret->digest));
	memcpy(ret->type, w.root.made.type, sizeof(ret->type));
	for (size_t i = 0; i < w.nimages; i++) {
		ret->nlayers += w.images[i]->nlayers;
		ret->nthere += w.images[i]->nthere;
	}
	return 0;
}
