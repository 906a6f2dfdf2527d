// SPDX-License-Identifier: Apache-2.0
/*
 * The digest of what is to be made is known if all its layers are there: documents are small, and
 * depend on nothing else. If it is the digest of what the target's name means now, that is this
 * conversion, of this source, with these options, annotations and all.
 *
 * That blobs are there with their sizes is asked; that they are whole is not: who wants that, runs
 * without --skip-existing.
 */
#include <errno.h>

#include "oci/convert_impl.h"

void oci_document_ask(struct oci_work *w, const struct oci_ref *ref)
{
	AUTO_JSON *there = NULL;

	w->missing |= oci_target_document(w->dst, ref, &there, NULL) < 0;
}

int oci_document_put_or_probe(struct oci_work *w, enum oci_put kind, const json_t *v,
                              struct oci_ref *ret, struct ovbd_error *err)
{
	AUTO_FREE char *text = NULL;
	int r;

	if (!w->probing)
		return oci_target(w, oci_target_put(w->dst, kind, v, ret, err));
	r = oci_json_text(v, &text, err);
	if (r < 0)
		return r;
	ret->size = strlen(text);
	r = oci_digest_of(text, ret->size, ret->digest, err);
	if (r == 0)
		oci_document_ask(w, ret);
	return r;
}

static bool match_all(struct oci_work *w)
{
	bool all = true;

	for (size_t i = 0; i < w->nimages; i++) {
		oci_known_match(w, w->images[i]);
		all &= w->images[i]->nthere == w->images[i]->nlayers;
	}
	return all;
}

int oci_skip(struct oci_work *w, struct ovbd_error *err)
{
	struct oci_ref now;
	int r = w->dst->ops->current
	                ? w->dst->ops->current(w->dst, &now, err)
	                : ovbd_fail(err, -ENOTSUP, "%s: is made anew each time (--skip-existing)",
	                            w->c->dst);

	if (r <= 0)
		return oci_target(w, r);
	if (!match_all(w))
		return 0;
	w->probing = true;
	r = oci_node_make(w, &w->root, err);
	w->probing = false;
	if (r < 0)
		return r;
	return !w->missing && strcmp(now.digest, w->root.made.digest) == 0;
}
