// SPDX-License-Identifier: Apache-2.0
/*
 * 2.0, in clusters, as a stream: a cluster's table and data are gathered in memory and appended
 * together. The cluster's end takes its last slot, or an earlier one if the file ends; a slot is
 * kept for it, and another one, as Android's writer does. Each operation's data have their place
 * when it is added, behind the table that is not full yet.
 *
 * A merge order is written as Android's writer does it: in operations of 2048 blocks each.
 */
#include "ota/cow_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"

#define SEQUENCE_MAX 2048u /* blocks in one operation */

static size_t table_size(const struct ovbd_cow_writer *w)
{
	return (size_t)w->h.cluster_ops * COW_OP_SIZE;
}

static void add_slot(struct ovbd_cow_writer *w, const struct cow_slot *s)
{
	cow_slot_encode(s, w->table + (size_t)w->nslots * COW_OP_SIZE);
	w->nslots++;
	w->nslots_total++;
}

/* Where the next data will be in the file. */
static uint64_t data_off(const struct ovbd_cow_writer *w)
{
	return w->out->written + table_size(w) + w->data_len;
}

static int end_cluster(struct ovbd_cow_writer *w, struct ovbd_error *err)
{
	const struct cow_slot end = {
		.type = COW_CLUSTER,
		.source = (uint64_t)(w->h.cluster_ops - w->nslots - 1) * COW_OP_SIZE + w->data_len,
	};
	int r;

	add_slot(w, &end);
	r = ovbd_sink_append(w->out, w->table, table_size(w), err);
	if (r == 0)
		r = ovbd_sink_append(w->out, w->data, w->data_len, err);
	memset(w->table, 0, table_size(w));
	w->nslots = 0;
	w->data_len = 0;
	return r;
}

static int add(struct ovbd_cow_writer *w, const struct cow_slot *s, const void *data,
               struct ovbd_error *err)
{
	if (s->data_len > w->data_cap - w->data_len) {
		const size_t cap = w->data_cap + w->data_cap / 2 + (64u << 10);
		uint8_t *bigger = realloc(w->data, cap);

		if (!bigger)
			return ovbd_fail(err, -ENOMEM, "out of memory for a cluster of %zu bytes",
			                 cap);
		w->data = bigger;
		w->data_cap = cap;
	}
	if (s->data_len > 0)
		memcpy(w->data + w->data_len, data, s->data_len);
	w->data_len += s->data_len;
	add_slot(w, s);
	return w->nslots + 2 > w->h.cluster_ops ? end_cluster(w, err) : 0;
}

static int write_sequence(struct ovbd_cow_writer *w, struct ovbd_error *err)
{
	uint8_t raw[SEQUENCE_MAX * COW_SEQUENCE_SIZE];
	int r = 0;

	for (uint64_t i = 0, n; r == 0 && i < w->p.nsequence; i += n) {
		struct cow_slot s = {.type = COW_SEQUENCE, .source = data_off(w)};

		n = ovbd_min(w->p.nsequence - i, SEQUENCE_MAX);
		s.data_len = (uint32_t)n * COW_SEQUENCE_SIZE;
		for (uint64_t j = 0; j < n; j++)
			ovbd_put_le32(raw + j * COW_SEQUENCE_SIZE, w->p.sequence[i + j]);
		r = add(w, &s, raw, err);
	}
	return r;
}

int cow_writer2_begin(struct ovbd_cow_writer *w, struct ovbd_error *err)
{
	uint8_t raw[COW_HEADER_MAX];
	int r;

	w->h.cluster_ops = w->p.cluster_ops ? w->p.cluster_ops : OVBD_COW_CLUSTER_OPS;
	w->table = calloc(1, table_size(w));
	if (!w->table)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	cow_header_encode(&w->h, raw);
	r = ovbd_sink_append(w->out, raw, w->h.header_size, err);
	if (r == 0 && w->h.buffer_size > 0)
		r = ovbd_sink_append_zeros(w->out, w->h.buffer_size, err);
	return r == 0 ? write_sequence(w, err) : r;
}

int cow_writer2_add(struct ovbd_cow_writer *w, const struct ovbd_cow_op *op, const void *data,
                    struct ovbd_error *err)
{
	struct cow_slot s = {.type = op->type, .block = op->block};

	if (op->type == OVBD_COW_REPLACE || op->type == OVBD_COW_XOR) {
		s.compression = (uint8_t)w->p.algorithm;
		s.data_len = op->data_len;
	}
	if (op->type == OVBD_COW_REPLACE)
		s.source = data_off(w);
	else if (op->type != OVBD_COW_ZERO)
		s.source = op->source;
	return add(w, &s, data, err);
}

int cow_writer2_label(struct ovbd_cow_writer *w, uint64_t label, struct ovbd_error *err)
{
	const struct cow_slot s = {.type = COW_LABEL, .source = label};

	return add(w, &s, NULL, err);
}

/* A cluster without data needs no end: the footer takes the place of its next slot. */
int cow_writer2_end(struct ovbd_cow_writer *w, struct ovbd_error *err)
{
	struct cow_footer f;
	uint8_t raw[COW_FOOTER_SIZE];
	int r = 0;

	if (w->data_len > 0)
		r = end_cluster(w, err);
	else if (w->nslots > 0)
		r = ovbd_sink_append(w->out, w->table, (size_t)w->nslots * COW_OP_SIZE, err);
	f.num_ops = w->nslots_total;
	f.ops_size = w->nslots_total * COW_OP_SIZE;
	cow_footer_encode(&f, raw);
	return r == 0 ? ovbd_sink_append(w->out, raw, sizeof(raw), err) : r;
}
