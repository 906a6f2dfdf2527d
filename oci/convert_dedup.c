// SPDX-License-Identifier: Apache-2.0
/*
 * Layers that were made before, for this target or another, and that a database knows of: what can
 * be had in the target is not made again. What the database says is believed only as far as blobs
 * prove it: by their digests, or by the target that has them.
 */
#include <errno.h>

#include "oci/convert_impl.h"

static const char *place_of(const struct oci_work *w)
{
	return w->dst && w->dst->ops->place ? w->dst->ops->place(w->dst) : NULL;
}

void oci_dedup_tell(const struct oci_work *w)
{
	struct ovbd_error why;

	while (oci_dedup_trouble(w->dedup, &why))
		oci_tell_warning(w, "%s", why.msg);
}

/* 1: the layer's blob is in the target now; 0: it is not where row says. */
static int have(struct oci_work *w, const struct oci_dedup_row *row, struct ovbd_error *err)
{
	struct ovbd_error why = {""};
	int r = w->dst->ops->has(w->dst, &row->ref, err);

	if (r < 0)
		return r;
	if (r > 0)
		r = oci_target_verify(w->dst, &row->ref, oci_is_stopped, w, &why) < 0 ? -EBADMSG
		                                                                      : 1;
	else if (!w->c->dry_run)
		r = oci_target_borrow(w->dst, row->place, &row->ref, oci_is_stopped, w, &why);
	if (w->c->progress && oci_is_stopped(w, 0, 0) != 0)
		return ovbd_fail(err, -ECANCELED, "interrupted");
	if (r < 0 && why.msg[0])
		oci_tell_warning(w, "%s; it is made again", why.msg);
	return r > 0;
}

static int find(struct oci_work *w, struct oci_layer *l, struct ovbd_error *err)
{
	const char *place = place_of(w);
	struct oci_dedup_row *rows;
	const size_t n = oci_dedup_find(w->dedup, l->chain_id, w->how, place, &rows);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = have(w, &rows[i], err);
		if (r > 0)
			l->made = rows[i].ref;
		else if (r == 0 && place && strcmp(place, rows[i].place) == 0)
			oci_dedup_drop(w->dedup, l->chain_id, w->how, place);
	}
	oci_dedup_rows_free(rows, n);
	return r;
}

int oci_dedup_use(struct oci_work *w, struct oci_node *n, struct ovbd_error *err)
{
	int r = 1;

	while (r > 0 && w->dedup && w->dst && n->nthere < n->nlayers) {
		r = find(w, &n->layers[n->nthere], err);
		n->nthere += r > 0;
	}
	return r < 0 ? oci_target(w, r) : 0;
}

void oci_dedup_note(struct oci_work *w, const struct oci_node *n, size_t from, size_t to)
{
	const char *place = place_of(w);

	for (size_t i = from; place && i < to; i++)
		oci_dedup_add(w->dedup, n->layers[i].chain_id, w->how, place, &n->layers[i].made);
}
