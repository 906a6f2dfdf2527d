// SPDX-License-Identifier: Apache-2.0
/*     writable layer ─► layer writer ─► [zfile] ─► [tar] ─► file     */
#include "tools/commit.h"

#include "image/upper.h"
#include "tools/convert_impl.h"

static int commit(struct ovbd_convert_work *w, const struct ovbd_commit *q, struct ovbd_error *err)
{
	const struct ovbd_convert *c = &q->out;
	AUTO_DEVICE *d = NULL;
	AUTO_SINK *chain = NULL;
	struct ovbd_rw_info info;
	struct ovbd_layer_params p;
	int r = ovbd_upper_open(q->data, q->index, NULL, &d, err);

	if (r < 0)
		return r;
	ovbd_rw_info(d, &info);
	p = (struct ovbd_layer_params){
		.virtual_size = d->blob->size,
		.uuid = c->uuid || q->new_uuid ? c->uuid : info.uuid,
		.parent_uuid = c->parent_uuid ? c->parent_uuid : info.parent_uuid,
		.tag = c->tag ? c->tag : info.tag,
		.over_base = !q->whole,
	};
	r = ovbd_convert_chain(w, &chain, err);
	if (r == 0)
		r = ovbd_layer_create(OVBD_MOVE(chain), &p, &w->writer, err);
	if (r == 0 && q->below)
		r = ovbd_image_cover_hidden(q->below, p.virtual_size, w->writer, err);
	if (r == 0)
		r = ovbd_rw_commit(d, w->writer, !q->whole, err);
	return r < 0 ? r : ovbd_layer_finish(w->writer, err);
}

int ovbd_commit_run(const struct ovbd_commit *q, struct ovbd_converted *ret, struct ovbd_error *err)
{
	struct ovbd_convert_work w = {.c = &q->out};
	const int r = commit(&w, q, err);

	if (r == 0)
		*ret = (struct ovbd_converted){
			.raw_size = w.zfile ? w.zfile->written : w.file->written,
			.stored_size = w.file->written,
			.nsegments = ovbd_layer_writer_nsegments(w.writer),
			.nlarge = w.zfile ? ovbd_zfile_sink_nlarge(w.zfile) : 0,
		};
	ovbd_layer_writer_close(w.writer);
	return r;
}
