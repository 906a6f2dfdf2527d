// SPDX-License-Identifier: Apache-2.0
/*
 * What a log says, and whether all that it has backed up is there. Nothing is written: each backup
 * is read where the later entries, were they undone, would have it from.
 */
#include "bow/restore.h"

#include <errno.h>

#include "bow/batch.h"
#include "bow/walk.h"

void ovbd_bow_walk_info(const struct bow_walk *w, struct ovbd_bow_info *ret)
{
	*ret = (struct ovbd_bow_info){
		.prototype = w->newest.prototype,
		.partial = w->newest.partial,
		.committing = ovbd_bow_is_committing(&w->newest),
		.block_size = w->newest.block_size,
		.sequence = w->newest.sequence,
		.sector0 = w->newest.sector0,
		.nblocks = (uint64_t)w->newest.sequence + 1,
	};
}

int ovbd_bow_inspect(struct ovbd_blob *b, struct ovbd_bow_info *ret, struct ovbd_error *err)
{
	AUTO_BOW_WALK w = {0};
	struct ovbd_bow_info info;
	struct bow_entry e;
	int r = ovbd_bow_walk_begin(&w, b, err);

	if (r < 0)
		return r;
	ovbd_bow_walk_info(&w, &info);
	while ((r = ovbd_bow_walk_next(&w, &e, err)) > 0) {
		info.nentries++;
		info.backed_up += e.size;
	}
	if (r == 0)
		*ret = info;
	return r;
}

struct checking {
	struct bow_walk w;
	struct bow_batch batch;
	ovbd_progress_fn progress;
	void *arg;
	uint64_t done, total;
};

static int run_batch(struct checking *c, struct ovbd_error *err)
{
	int r;

	c->done += c->batch.used;
	r = ovbd_bow_batch_run(&c->batch, err);
	if (r == 0 && c->progress && c->progress(c->arg, c->done, c->total) != 0)
		return ovbd_fail(err, -ECANCELED, "interrupted");
	return r;
}

static int add_entry(struct checking *c, const struct bow_entry *e, struct ovbd_error *err)
{
	struct bow_batch_part part = {
		.entry = e,
		.sequence = c->w.header.sequence,
		.index = c->w.index,
		.block_size = c->w.header.block_size,
	};
	int r = 0;

	for (uint64_t n; r == 0 && part.off < e->size; part.off += n) {
		ovbd_bow_walk_place(&c->w, part.off, &part.from, &part.len);
		r = ovbd_bow_batch_add(&c->batch, &part, &n, err);
		if (r == 0 && n == 0)
			r = run_batch(c, err);
	}
	return r;
}

static int check_all(struct checking *c, struct ovbd_blob *b, struct ovbd_error *err)
{
	struct bow_entry e;
	int r = ovbd_bow_batch_init(&c->batch, b, NULL, c->total, err);

	if (r == 0)
		r = ovbd_bow_walk_begin(&c->w, b, err);
	while (r == 0 && (r = ovbd_bow_walk_next(&c->w, &e, err)) > 0)
		r = add_entry(c, &e, err);
	return r == 0 ? run_batch(c, err) : r;
}

int ovbd_bow_check(struct ovbd_blob *b, ovbd_progress_fn progress, void *arg,
                   struct ovbd_bow_info *ret, struct ovbd_error *err)
{
	struct checking c = {.progress = progress, .arg = arg};
	struct ovbd_bow_info info;
	int r = ovbd_bow_inspect(b, &info, err);

	if (r < 0)
		return r;
	c.total = info.backed_up;
	r = check_all(&c, b, err);
	ovbd_bow_batch_free(&c.batch);
	ovbd_bow_walk_end(&c.w);
	if (r == 0)
		*ret = info;
	return r;
}
