// SPDX-License-Identifier: Apache-2.0
/*
 * One run is held back until it is known whether the next one continues it; then it becomes as many
 * entries as its length takes. A zeroed run has no source that would have to go on.
 *
 * The padding at the end is what a commit of the original does: up to a multiple of 256 entries. No
 * entries need none.
 */
#include "lsmt/writer_index.h"

#include <errno.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/bytes.h"

#define BUFFER_SIZE (LSMT_ENTRY_GROUP * LSMT_ENTRY_SIZE * 16)

struct lsmt_index_out {
	struct ovbd_sink *out;  /* borrowed */
	struct lsmt_entry held; /* len is 0 if there is none */
	uint64_t nentries;
	size_t used;
	uint8_t buffer[BUFFER_SIZE];
};

int ovbd_lsmt_index_out_create(struct ovbd_sink *out, struct lsmt_index_out **ret,
                               struct ovbd_error *err)
{
	struct lsmt_index_out *x = calloc(1, sizeof(*x));

	if (!x)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	x->out = out;
	*ret = x;
	return 0;
}

static int flush(struct lsmt_index_out *x, struct ovbd_error *err)
{
	const size_t used = x->used;

	x->used = 0;
	return ovbd_sink_append(x->out, x->buffer, used, err);
}

static int write_entry(struct lsmt_index_out *x, const struct lsmt_entry *e, struct ovbd_error *err)
{
	ovbd_lsmt_entry_encode(e, x->buffer + x->used);
	x->used += LSMT_ENTRY_SIZE;
	x->nentries++;
	return x->used == BUFFER_SIZE ? flush(x, err) : 0;
}

/* Cuts a long run between blocks of the device, also if it begins within one. */
static int write_held(struct lsmt_index_out *x, struct ovbd_error *err)
{
	struct lsmt_entry e = x->held;
	uint64_t left = x->held.len;
	int r = 0;

	while (r == 0 && left > 0) {
		e.len = ovbd_min(left, LSMT_ENTRY_LEN_MAX - e.off % LSMT_BLOCK_SIZE);
		r = write_entry(x, &e, err);
		left -= e.len;
		e.off += e.len;
		if (!e.zeroed)
			e.src += e.len;
	}
	x->held.len = 0;
	return r;
}

int ovbd_lsmt_index_out_add(struct lsmt_index_out *x, const struct lsmt_entry *run,
                            struct ovbd_error *err)
{
	struct lsmt_entry *held = &x->held;
	int r;

	if (held->len > 0 && held->off + held->len == run->off && held->zeroed == run->zeroed &&
	    held->reference == run->reference &&
	    (held->zeroed || held->src + held->len == run->src)) {
		held->len += run->len;
		return 0;
	}
	r = write_held(x, err);
	x->held = *run;
	return r;
}

int ovbd_lsmt_index_out_finish(struct lsmt_index_out *x, uint64_t *ret_nsegments,
                               uint64_t *ret_nentries, struct ovbd_error *err)
{
	const struct lsmt_entry padding = {.padding = true};
	uint64_t nsegments;
	int r;

	r = write_held(x, err);
	nsegments = x->nentries;
	while (r == 0 && x->nentries % LSMT_ENTRY_GROUP != 0)
		r = write_entry(x, &padding, err);
	if (r == 0)
		r = flush(x, err);
	if (r < 0)
		return r;
	*ret_nsegments = nsegments;
	*ret_nentries = x->nentries;
	return 0;
}

void ovbd_lsmt_index_out_close(struct lsmt_index_out *take_x)
{
	free(take_x);
}
