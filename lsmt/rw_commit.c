// SPDX-License-Identifier: Apache-2.0
/*
 * A writable layer becomes a read-only one: its segments in order, through the layer writer. What
 * the device shows beyond the end of what is beneath is zeros, but a stack of more layers may have
 * something there; so that is said too.
 */
#include "lsmt/rw_core.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"

#define PIECE (1u << 20)

struct commit {
	struct rw_core *core;
	struct ovbd_layer_writer *out;
	uint8_t *buf;
	uint64_t size;
	bool over_base;
};

static int put_data(struct commit *c, const struct ovbd_segment *s, struct ovbd_error *err)
{
	const uint64_t end = ovbd_min(s->off + s->len, c->size);
	int r = 0;

	for (uint64_t off = s->off; r == 0 && off < end;) {
		/* pieces end at blocks, in which zeros are looked for */
		const size_t n = (size_t)ovbd_min(end - off, PIECE - off % PIECE);

		r = ovbd_rw_read(c->core, c->buf, n, off, err);
		if (r == 0)
			r = ovbd_layer_put(c->out, off, c->buf, n, err);
		off += n;
	}
	return r;
}

/* The range is no data of ours: what of it must be zeroed. */
static int put_rest(struct commit *c, const struct ovbd_segment *s, struct ovbd_error *err)
{
	const uint64_t beneath = c->core->lower ? c->core->lower->size : UINT64_MAX,
		       end = s->off + s->len;
	const uint64_t from = s->kind == OVBD_RUN_ZERO ? s->off : ovbd_max(s->off, beneath);

	return from < end ? ovbd_layer_zero(c->out, from, end - from, err) : 0;
}

static int put_all(struct commit *c, struct ovbd_error *err)
{
	struct ovbd_segment s;
	int r = 0;

	for (uint64_t off = 0; r == 0 && off < c->size; off += s.len) {
		s = ovbd_rw_index_at(c->core->index, off, c->size - off);
		if (s.kind == OVBD_RUN_DATA)
			r = put_data(c, &s, err);
		else if (c->over_base)
			r = put_rest(c, &s, err);
	}
	return r;
}

int ovbd_rw_commit(struct ovbd_device *d, struct ovbd_layer_writer *w, bool over_base,
                   struct ovbd_error *err)
{
	struct rw_core *core = ovbd_rw_core_of(d);
	AUTO_FREE uint8_t *buf = malloc(PIECE);
	struct commit c = {.core = core,
	                   .out = w,
	                   .buf = buf,
	                   .size = ovbd_rw_end(core),
	                   .over_base = over_base};

	return buf ? put_all(&c, err) : ovbd_fail(err, -ENOMEM, "out of memory for a commit");
}
