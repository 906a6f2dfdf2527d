// SPDX-License-Identifier: Apache-2.0
/* All of a writable layer's index: one segment after the other, and as an index that stays. */
#include "lsmt/rw_index.h"

#include "base/bytes.h"

typedef int (*each_fn)(void *arg, const struct ovbd_segment *s, struct ovbd_error *err);

int ovbd_rw_index_each(const struct ovbd_rw_index *ix, each_fn fn, void *arg,
                       struct ovbd_error *err)
{
	struct ovbd_segment last = {.len = 0}, s;
	int r = 0;

	for (uint64_t off = 0; r >= 0 && off < OVBD_INDEX_END_MAX; off += s.len) {
		s = ovbd_rw_index_at(ix, off, OVBD_INDEX_END_MAX - off);
		if (s.kind == OVBD_RUN_HOLE)
			continue;
		if (ovbd_rw_segment_continues(&last, &s)) {
			last.len += s.len;
			continue;
		}
		if (last.len > 0)
			r = fn(arg, &last, err);
		last = s;
	}
	return r >= 0 && last.len > 0 ? fn(arg, &last, err) : r;
}

struct frozen {
	struct ovbd_index_builder *builder;
	struct ovbd_index_bounds bounds;
};

static int bound_one(void *arg, const struct ovbd_segment *s, struct ovbd_error *err)
{
	struct frozen *f = arg;

	(void)err;
	f->bounds.end = s->off + s->len;
	if (s->kind == OVBD_RUN_DATA)
		f->bounds.src_end = ovbd_max(f->bounds.src_end, s->src + s->len);
	f->bounds.nsegments++;
	return 0;
}

static int freeze_one(void *arg, const struct ovbd_segment *s, struct ovbd_error *err)
{
	struct frozen *f = arg;

	return ovbd_index_builder_add(f->builder, s, err);
}

int ovbd_rw_index_freeze(const struct ovbd_rw_index *ix, struct ovbd_index **ret,
                         struct ovbd_error *err)
{
	struct frozen f = {.builder = NULL};
	int r;

	ovbd_rw_index_each(ix, bound_one, &f, NULL);
	r = ovbd_index_builder_create(&f.bounds, &f.builder, err);
	if (r < 0)
		return r;
	r = ovbd_rw_index_each(ix, freeze_one, &f, err);
	if (r == 0)
		return ovbd_index_builder_finish(f.builder, ret, err);
	ovbd_index_builder_close(f.builder);
	return r;
}
