// SPDX-License-Identifier: Apache-2.0
/*
 * 3.0: room is left for all tables, data are appended behind as they come, and the tables are
 * patched in: operations whenever many have been gathered, the rest at the end.
 */
#include "ota/cow_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"

#define TABLE_MAX 4096u /* operations gathered */

static int write_sequence(struct ovbd_cow_writer *w, struct ovbd_error *err)
{
	uint8_t raw[4096];
	int r = 0;

	for (uint64_t i = 0, n; r == 0 && i < w->p.nsequence; i += n) {
		n = ovbd_min(w->p.nsequence - i, sizeof(raw) / COW_SEQUENCE_SIZE);
		for (uint64_t j = 0; j < n; j++)
			ovbd_put_le32(raw + j * COW_SEQUENCE_SIZE, w->p.sequence[i + j]);
		r = ovbd_sink_append(w->out, raw, (size_t)n * COW_SEQUENCE_SIZE, err);
	}
	return r;
}

int cow_writer3_begin(struct ovbd_cow_writer *w, struct ovbd_error *err)
{
	uint8_t raw[COW_HEADER_MAX];
	int r;

	w->h.nsequence = w->p.nsequence;
	w->h.resume_max = COW_RESUME_MAX;
	w->h.op_count_max = w->p.op_count_max;
	w->h.algorithm = w->p.algorithm;
	w->h.max_compression_size = w->p.max_piece;
	w->table = malloc(TABLE_MAX * COW_OP3_SIZE);
	if (!w->table)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	cow_header_encode(&w->h, raw);
	r = ovbd_sink_append(w->out, raw, w->h.header_size, err);
	if (r == 0 && w->h.buffer_size > 0)
		r = ovbd_sink_append_zeros(w->out, w->h.buffer_size, err);
	if (r == 0)
		r = write_sequence(w, err);
	if (r < 0)
		return r;
	return ovbd_sink_append_zeros(w->out, cow_data_off(&w->h) - w->out->written, err);
}

static int flush(struct ovbd_cow_writer *w, struct ovbd_error *err)
{
	const uint32_t n = w->nslots;
	int r = 0;

	if (n > 0)
		r = ovbd_sink_patch(w->out, w->table, (size_t)n * COW_OP3_SIZE,
		                    cow_ops_off(&w->h) + w->nflushed * COW_OP3_SIZE, err);
	w->nflushed += n;
	w->nslots = 0;
	return r;
}

int cow_writer3_add(struct ovbd_cow_writer *w, const struct ovbd_cow_op *op, const void *data,
                    struct ovbd_error *err)
{
	const bool has_data = op->type == OVBD_COW_REPLACE || op->type == OVBD_COW_XOR;
	struct cow_slot s = {.type = op->type, .block = op->block};
	int r = 0;

	if (op->type == OVBD_COW_REPLACE) {
		s.compression = op->shift;
		s.source = w->out->written;
	} else if (op->type != OVBD_COW_ZERO) {
		s.source = op->source;
	}
	if (has_data) {
		s.data_len = op->data_len;
		r = ovbd_sink_append(w->out, data, op->data_len, err);
	}
	cow_slot3_encode(&s, w->table + (size_t)w->nslots * COW_OP3_SIZE);
	if (r == 0 && ++w->nslots == TABLE_MAX)
		r = flush(w, err);
	return r;
}

void cow_writer3_label(struct ovbd_cow_writer *w, uint64_t label)
{
	if (w->h.nresume == COW_RESUME_MAX) {
		memmove(w->labels, w->labels + 1, sizeof(w->labels) - sizeof(w->labels[0]));
		memmove(w->indexes, w->indexes + 1, sizeof(w->indexes) - sizeof(w->indexes[0]));
		w->h.nresume--;
	}
	w->labels[w->h.nresume] = label;
	w->indexes[w->h.nresume] = w->nops;
	w->h.nresume++;
}

int cow_writer3_end(struct ovbd_cow_writer *w, struct ovbd_error *err)
{
	uint8_t raw[COW_HEADER_MAX];
	int r = flush(w, err);

	for (uint32_t i = 0; r == 0 && i < w->h.nresume; i++) {
		cow_resume_encode(w->labels[i], w->indexes[i], raw);
		r = ovbd_sink_patch(w->out, raw, COW_RESUME_SIZE,
		                    cow_resume_off(&w->h) + (uint64_t)i * COW_RESUME_SIZE, err);
	}
	w->h.op_count = w->nops;
	cow_header_encode(&w->h, raw);
	return r == 0 ? ovbd_sink_patch(w->out, raw, w->h.header_size, 0, err) : r;
}
