// SPDX-License-Identifier: Apache-2.0
/*
 * A layer depends on all beneath it. So what is there already is looked for as a whole: the layers,
 * from the bottom up, of one image, which were made of the same chain in the same way. Their
 * annotations say that, and their digests are verified.
 */
#include <errno.h>

#include "base/bytes.h"
#include "oci/convert_impl.h"

#define DOCUMENTS_MAX 4096u

struct load {
	struct oci_work *w;
	size_t ndocuments;
};

void oci_known_free(struct oci_known *take_k)
{
	while (take_k) {
		struct oci_known *next = take_k->next;

		free(take_k->layers);
		free(take_k);
		take_k = next;
	}
}

/* Whether layer i of any image is to be made of this chain. */
static bool is_wanted(const struct oci_work *w, size_t i, const char *chain_id)
{
	bool wanted = false;

	for (size_t k = 0; k < w->nimages; k++)
		wanted |= i < w->images[k]->nlayers &&
		          strcmp(w->images[k]->layers[i].chain_id, chain_id) == 0;
	return wanted;
}

/* 1 if the descriptor of layer i says that it was made the way that is asked for, and it is there;
 * otherwise 0. */
static int take_layer(struct oci_work *w, const json_t *desc, size_t i, struct oci_layer *ret,
                      struct ovbd_error *err)
{
	const json_t *notes = json_object_get(desc, "annotations");
	const char *from = oci_text(notes, OCI_NOTE_FROM);

	if (strcmp(oci_text(notes, OCI_NOTE_HOW), w->how) != 0 || strlen(from) >= OCI_ID_SIZE ||
	    !is_wanted(w, i, from) || oci_ref_parse(desc, "", &ret->made, NULL) < 0)
		return 0;
	memcpy(ret->chain_id, from, strlen(from) + 1);
	return oci_target(w, w->dst->ops->has(w->dst, &ret->made, err));
}

static int take_manifest(struct load *ld, const json_t *doc, struct ovbd_error *err)
{
	const json_t *list = json_object_get(doc, "layers");
	const size_t n = json_array_size(list);
	struct oci_known *k;
	int r;

	if (n == 0 || n > OCI_ENTRIES_MAX)
		return 0;
	k = calloc(1, sizeof(*k));
	if (k)
		k->layers = calloc(n, sizeof(k->layers[0]));
	if (!k || !k->layers) {
		free(k);
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	k->next = ld->w->known;
	ld->w->known = k;
	do
		r = k->n == n ? 0
		              : take_layer(ld->w, json_array_get(list, k->n), k->n,
		                           &k->layers[k->n], err);
	while (r > 0 && ++k->n);
	return r;
}

static int load_image(struct load *ld, const struct oci_ref *ref, unsigned depth,
                      struct ovbd_error *err)
{
	AUTO_JSON *doc = NULL;
	const json_t *list;
	int r = 0;

	if (ld->ndocuments++ >= DOCUMENTS_MAX ||
	    oci_target_document(ld->w->dst, ref, &doc, NULL) < 0)
		return 0;
	list = json_object_get(doc, "manifests");
	if (!list)
		return take_manifest(ld, doc, err);
	for (size_t i = 0; r == 0 && depth < OCI_DEPTH_MAX && i < json_array_size(list); i++) {
		struct oci_ref kid;

		if (oci_ref_parse(json_array_get(list, i), "", &kid, NULL) == 0)
			r = load_image(ld, &kid, depth + 1, err);
	}
	return r;
}

static int on_image(void *arg, const struct oci_ref *ref, struct ovbd_error *err)
{
	return load_image(arg, ref, 0, err);
}

int oci_known_load(struct oci_work *w, struct ovbd_error *err)
{
	struct load ld = {.w = w};
	int r = w->dst ? oci_target_images(w->dst, on_image, &ld, err) : 0;

	for (size_t i = 0; r == 0 && w->dst && w->dst->ops->referrers && i < w->nimages; i++) {
		struct oci_node *n = w->images[i];

		oci_known_match(w, n);
		if (n->nthere < n->nlayers)
			r = w->dst->ops->referrers(w->dst, &n->src, on_image, &ld, err);
	}
	return r;
}

/* How many layers from the bottom up are the same. */
static size_t common(const struct oci_node *n, const struct oci_layer *layers, size_t nlayers)
{
	size_t i = 0;

	while (i < n->nlayers && i < nlayers &&
	       strcmp(n->layers[i].chain_id, layers[i].chain_id) == 0)
		i++;
	return i;
}

void oci_known_match(const struct oci_work *w, struct oci_node *n)
{
	const struct oci_known *best = NULL;

	n->nthere = 0;
	for (const struct oci_known *k = w->known; k; k = k->next) {
		const size_t same = common(n, k->layers, k->n);

		if (same > n->nthere) {
			n->nthere = same;
			best = k;
		}
	}
	for (size_t i = 0; i < n->nthere; i++)
		n->layers[i].made = best->layers[i].made;
}

static int use_known(struct oci_work *w, struct oci_node *n, struct ovbd_error *err)
{
	struct ovbd_error why;

	oci_known_match(w, n);
	for (size_t i = 0; i < n->nthere; i++) {
		const int r =
			oci_target_verify(w->dst, &n->layers[i].made, oci_is_stopped, w, &why);

		if (r == -ECANCELED || r == -ENOMEM)
			return ovbd_fail(err, r, "%s", why.msg);
		if (r < 0) {
			oci_tell_warning(w, "%s; it is made again", why.msg);
			for (size_t k = i; k < n->nthere; k++)
				n->layers[k].made.digest[0] = '\0';
			n->nthere = i;
		}
	}
	return 0;
}

static void use_earlier(struct oci_work *w, struct oci_node *n, size_t nearlier)
{
	for (size_t i = 0; i < nearlier; i++) {
		const size_t same = common(n, w->images[i]->layers, w->images[i]->nlayers);

		if (same > n->nthere) {
			n->nthere = same;
			n->earlier = w->images[i];
		}
	}
}

int oci_known_use(struct oci_work *w, struct ovbd_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->nimages; i++) {
		struct oci_node *n = w->images[i];

		r = use_known(w, n, err);
		use_earlier(w, n, i);
		if (r == 0)
			r = oci_dedup_use(w, n, err);
		for (size_t k = n->nthere; k < n->nlayers; k++)
			w->total += n->layers[k].src.size;
	}
	oci_dedup_tell(w);
	return r;
}
