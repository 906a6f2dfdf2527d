// SPDX-License-Identifier: Apache-2.0
#include "tools/convert_told.h"

#define EVERY_S 1.0

static void set_layer(json_t *o, const struct ovbd_oci_told_layer *l)
{
	ovbd_json_set_text(o, "source", l->source);
	ovbd_json_set_size(o, "source-size", l->source_size);
	ovbd_json_set_text(o, "chain-id", l->chain_id);
	if (l->digest) {
		ovbd_json_set_text(o, "digest", l->digest);
		ovbd_json_set_size(o, "size", l->size);
	}
}

static void set_image(json_t *o, const struct ovbd_oci_told_image *i)
{
	ovbd_json_set_text(o, "platform", i->platform);
	ovbd_json_set_text(o, "source", i->source);
	if (i->digest)
		ovbd_json_set_text(o, "digest", i->digest);
}

static void set_place(json_t *o, const struct ovbd_oci_told_layer *l)
{
	ovbd_json_set_text(o, "platform", l->platform);
	ovbd_json_set_size(o, "layer", l->number);
	ovbd_json_set_size(o, "of", l->n);
}

static void set_names(json_t *o, const struct ovbd_convert_told *t)
{
	ovbd_json_set_text(o, "source", t->c->operands[0]);
	ovbd_json_set_text(o, "target", t->c->operands[1]);
	ovbd_json_set_bool(o, "dry-run", t->q->images.dry_run);
}

static void set_result(json_t *o, const struct ovbd_oci_converted *done)
{
	if (done->digest[0]) {
		ovbd_json_set_text(o, "digest", done->digest);
		ovbd_json_set_text(o, "media-type", done->type);
	}
	ovbd_json_set_size(o, "layers", done->nlayers);
	ovbd_json_set_size(o, "layers-there", done->nthere);
	ovbd_json_set_size(o, "attestations", done->nattestations);
	ovbd_json_set_size(o, "attestations-dropped", done->ndropped);
	ovbd_json_set_bool(o, "skipped", done->skipped);
}

/* Of seconds and rates three digits are enough. */
static void set_real(json_t *o, const char *key, double v)
{
	ovbd_json_set(o, key, json_real((double)(uint64_t)(v * 1000 + 0.5) / 1000));
}

/* ---- events ---- */

void ovbd_convert_event_plan(const struct ovbd_convert_told *t)
{
	json_t *o = ovbd_json_event("plan");

	ovbd_json_set_text(o, "schema", "ovbd.convert-events.v1");
	set_names(o, t);
	ovbd_json_set_size(o, "images", t->plan.nimages);
	ovbd_json_set_size(o, "layers", t->plan.nlayers);
	ovbd_json_set_size(o, "layers-there", t->plan.nthere);
	ovbd_json_set_size(o, "total", t->plan.total);
	ovbd_json_print_event(o);
}

void ovbd_convert_event_begin(const struct ovbd_oci_told_layer *l)
{
	json_t *o = ovbd_json_event("layer-begin");

	set_place(o, l);
	set_layer(o, l);
	ovbd_json_print_event(o);
}

void ovbd_convert_event_progress(struct ovbd_convert_told *t, uint64_t total)
{
	const double now = ovbd_progress_seconds(&t->progress), since = now - t->planned_s;
	json_t *o;

	if (!t->current.on || (t->event_s > 0 && now - t->event_s < EVERY_S))
		return;
	t->event_s = now;
	o = ovbd_json_event("progress");
	ovbd_json_set_text(o, "platform", t->current.platform);
	ovbd_json_set_size(o, "layer", t->current.number);
	ovbd_json_set_size(o, "of", t->current.n);
	ovbd_json_set_size(o, "layer-done", t->current.done);
	ovbd_json_set_size(o, "layer-total", t->current.size);
	ovbd_json_set_size(o, "done", t->done);
	ovbd_json_set_size(o, "total", total);
	if (since > 0 && t->done > 0) {
		ovbd_json_set_size(o, "rate", (uint64_t)((double)t->done / since));
		set_real(o, "seconds-left", (double)(total - t->done) * since / (double)t->done);
	}
	ovbd_json_print_event(o);
}

void ovbd_convert_event_pushing(struct ovbd_convert_told *t, size_t n, uint64_t size)
{
	const double now = ovbd_progress_seconds(&t->progress);
	json_t *o;

	if (t->event_s > 0 && now - t->event_s < EVERY_S)
		return;
	t->event_s = now;
	o = ovbd_json_event("pushing");
	ovbd_json_set_size(o, "layers", n);
	ovbd_json_set_size(o, "left", size);
	ovbd_json_print_event(o);
}

void ovbd_convert_event_layer(const struct ovbd_convert_told *t,
                              const struct ovbd_oci_told_layer *l)
{
	json_t *o = ovbd_json_event("layer");

	set_place(o, l);
	set_layer(o, l);
	ovbd_json_set_bool(o, "there", l->there);
	if (t->current.on)
		set_real(o, "seconds", ovbd_progress_seconds(&t->progress) - t->current.begun_s);
	ovbd_json_print_event(o);
}

void ovbd_convert_event_image(const struct ovbd_oci_told_image *i)
{
	json_t *o = ovbd_json_event("image");

	set_image(o, i);
	ovbd_json_set_size(o, "layers", i->nlayers);
	ovbd_json_set_size(o, "layers-there", i->nthere);
	ovbd_json_set_size(o, "source-size", i->source_size);
	if (i->digest)
		ovbd_json_set_size(o, "size", i->size);
	ovbd_json_print_event(o);
}

void ovbd_convert_event_result(const struct ovbd_convert_told *t,
                               const struct ovbd_oci_converted *done)
{
	json_t *o = ovbd_json_event("result");

	set_names(o, t);
	set_result(o, done);
	ovbd_json_set_size(o, "images", done->nimages);
	set_real(o, "seconds", ovbd_progress_seconds(&t->progress));
	ovbd_json_print_event(o);
}

/* ---- the object ---- */

void ovbd_convert_json_layer(struct ovbd_convert_told *t, const struct ovbd_oci_told_layer *l)
{
	json_t *o = json_object();

	set_layer(o, l);
	ovbd_json_set_bool(o, "there", l->there);
	ovbd_json_append(t->layers, o);
}

void ovbd_convert_json_image(struct ovbd_convert_told *t, const struct ovbd_oci_told_image *i)
{
	json_t *o = json_object();

	set_image(o, i);
	ovbd_json_set(o, "layers", t->layers);
	ovbd_json_append(t->images, o);
	t->layers = json_array();
}

void ovbd_convert_json_print(struct ovbd_convert_told *t, const struct ovbd_oci_converted *done)
{
	json_t *o = ovbd_json_create("convert-image");

	set_names(o, t);
	set_result(o, done);
	ovbd_json_set(o, "images", OVBD_MOVE(t->images));
	ovbd_json_print(o);
}
