// SPDX-License-Identifier: Apache-2.0
/*
 * 3.0: everything has its place. A label is a count of operations; what was written behind the last
 * one before a crash is not counted in the header, so it is not there.
 */
#include "ota/cow_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"

/* How many operations there are at p's label. */
static int count_until(struct ovbd_cow *c, struct cow_window *w, const struct ovbd_cow_params *p,
                       uint64_t *ret, struct ovbd_error *err)
{
	const uint64_t off = cow_resume_off(&c->h);
	const uint8_t *raw;
	bool found = false;

	*ret = c->h.op_count;
	for (uint32_t i = 0; i < c->h.nresume; i++) {
		uint64_t n;
		const int r = cow_window_get(w, off + (uint64_t)i * COW_RESUME_SIZE,
		                             COW_RESUME_SIZE, &raw, err);

		if (r < 0)
			return r;
		c->info.nlabels++;
		cow_resume_decode(raw, &c->info.label, &n);
		if (p->until != OVBD_COW_LABEL || c->info.label != p->label)
			continue;
		found = true;
		*ret = n;
		if (*ret > c->h.op_count)
			return ovbd_fail(err, -EBADMSG,
			                 "cow: label %" PRIu64 " is behind operation %" PRIu64
			                 " of %" PRIu64,
			                 p->label, *ret, c->h.op_count);
		break;
	}
	if (p->until == OVBD_COW_LABEL && !found)
		return ovbd_fail(err, -ENOENT, "cow: no label %" PRIu64 " among its last %" PRIu32,
		                 p->label, c->h.nresume);
	return 0;
}

int cow_parse3(struct ovbd_cow *c, const struct ovbd_cow_params *p, struct ovbd_error *err)
{
	AUTO_FREE struct cow_window *w = calloc(1, sizeof(*w));
	uint64_t n, data = cow_data_off(&c->h);
	int r;

	if (!w)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	w->blob = c->blob;
	c->info.algorithm = (enum ovbd_cow_algorithm)c->h.algorithm;
	c->info.max_compression_size = c->h.max_compression_size;
	c->info.op_count_max = c->h.op_count_max;
	r = count_until(c, w, p, &n, err);
	if (r == 0)
		r = cow_list_sequence(c, cow_sequence_off(&c->h), c->h.nsequence, err);
	if (r == 0)
		r = cow_list_reserve(c, n, err);
	for (uint64_t i = 0; r == 0 && i < n; i++) {
		const uint8_t *raw;
		struct cow_slot s;

		r = cow_window_get(w, cow_ops_off(&c->h) + i * COW_OP3_SIZE, COW_OP3_SIZE, &raw,
		                   err);
		if (r < 0)
			return r;
		s = cow_slot3_decode(raw);
		r = cow_list_add(c, &s, i, data, err);
		data += s.data_len;
	}
	return r;
}
