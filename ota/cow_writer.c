// SPDX-License-Identifier: Apache-2.0
/* What a writer of either version checks of its caller, before the version's own part writes. */
#include "ota/cow_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"

static bool is_power_of_two(uint32_t v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

static int check_params(const struct ovbd_sink *out, const struct ovbd_cow_write_params *p,
                        struct ovbd_error *err)
{
	const uint32_t max_piece = p->version == 3 ? OVBD_COW_PIECE_MAX : OVBD_COW_BLOCK_SIZE;

	if (p->version != 2 && p->version != 3)
		return ovbd_fail(err, -EINVAL, "cow: version %u cannot be written, but 2 and 3",
		                 p->version);
	if (p->algorithm > OVBD_COW_ZSTD)
		return ovbd_fail(err, -EINVAL, "cow: compression algorithm %d", (int)p->algorithm);
	if (p->scratch_size != 0 && p->scratch_size != OVBD_COW_SCRATCH_SIZE)
		return ovbd_fail(err, -EINVAL, "cow: a scratch area of %" PRIu32 " bytes",
		                 p->scratch_size);
	if (p->max_piece < OVBD_COW_BLOCK_SIZE || p->max_piece > max_piece ||
	    !is_power_of_two(p->max_piece))
		return ovbd_fail(err, -EINVAL, "cow: pieces of up to %" PRIu32 " bytes in %u.0",
		                 p->max_piece, p->version);
	if (p->cluster_ops > 0 && (p->cluster_ops < 4 || p->cluster_ops > UINT16_MAX))
		return ovbd_fail(err, -EINVAL, "cow: clusters of %" PRIu32, p->cluster_ops);
	if (p->version == 3 && !ovbd_sink_can_patch(out))
		return ovbd_fail(err, -ENOTSUP,
		                 "cow: 3.0 has its operations, known at last, before their data, "
		                 "and cannot be written to a stream; 2.0 can");
	if (p->op_count_max >= COW_BLOCKS_MAX || p->nsequence > COW_BLOCKS_MAX)
		return ovbd_fail(err, -E2BIG, "cow: %" PRIu64 " operations", p->op_count_max);
	return 0;
}

int ovbd_cow_writer_create(struct ovbd_sink *take_out, const struct ovbd_cow_write_params *p,
                           struct ovbd_cow_writer **ret, struct ovbd_error *err)
{
	AUTO_SINK *out = take_out;
	OVBD_AUTO(ovbd_cow_writer_closep) struct ovbd_cow_writer *w = NULL;
	int r = check_params(out, p, err);

	if (r < 0)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	w->out = OVBD_MOVE(out);
	w->p = *p;
	w->h.layout = p->version == 3 ? 'H' : 'F';
	w->h.header_size = cow_header_size(w->h.layout);
	w->h.buffer_size = p->scratch_size;
	r = p->version == 3 ? cow_writer3_begin(w, err) : cow_writer2_begin(w, err);
	w->p.sequence = NULL; /* the caller's, and written */
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(w);
	return 0;
}

/* ---- operations ---- */

static int bad(const struct ovbd_cow_op *op, const char *what, struct ovbd_error *err)
{
	return ovbd_fail(err, -EINVAL,
	                 "cow: an operation of type %u on block %" PRIu32 ", source %" PRIu64
	                 ", %" PRIu32 " bytes: %s",
	                 op->type, op->block, op->source, op->data_len, what);
}

static int check_data(const struct ovbd_cow_writer *w, const struct ovbd_cow_op *op,
                      struct ovbd_error *err)
{
	const uint32_t size = OVBD_COW_BLOCK_SIZE << op->shift;
	const bool grows = w->p.version == 2 &&
	                   (w->p.algorithm == OVBD_COW_GZ || w->p.algorithm == OVBD_COW_BROTLI);

	if (op->data_len == 0 || op->data_len > (grows ? UINT16_MAX : size))
		return bad(op, "a length that cannot be stored", err);
	if (w->p.algorithm == OVBD_COW_NONE && op->data_len != size)
		return bad(op, "not compressed, but of another length", err);
	return 0;
}

static int check_op(const struct ovbd_cow_writer *w, const struct ovbd_cow_op *op,
                    struct ovbd_error *err)
{
	const bool ordered = op->type == OVBD_COW_COPY || op->type == OVBD_COW_XOR;
	const bool has_data = op->type == OVBD_COW_REPLACE || op->type == OVBD_COW_XOR;

	if (!ordered && !has_data && op->type != OVBD_COW_ZERO)
		return bad(op, "no type that writes", err);
	if (op->shift > 0 && (op->type != OVBD_COW_REPLACE || op->shift > COW_SHIFT_MAX ||
	                      OVBD_COW_BLOCK_SIZE << op->shift > w->p.max_piece))
		return bad(op, "too many blocks", err);
	if (op->block > COW_BLOCKS_MAX - (UINT64_C(1) << op->shift))
		return bad(op, "beyond block 2^32", err);
	if (ordered && op->source > COW_SOURCE_MAX)
		return bad(op, "a source beyond 2^48", err);
	if (ordered && w->unordered && w->p.version == 3 && w->p.nsequence == 0)
		return bad(op, "reads the base, but comes behind one that does not", err);
	if (w->p.version == 3 && w->nops >= w->p.op_count_max)
		return bad(op, "there is no room for more", err);
	return has_data ? check_data(w, op, err) : 0;
}

int ovbd_cow_writer_add(struct ovbd_cow_writer *w, const struct ovbd_cow_op *op, const void *data,
                        struct ovbd_error *err)
{
	int r = check_op(w, op, err);

	if (r < 0)
		return r;
	r = w->p.version == 3 ? cow_writer3_add(w, op, data, err)
	                      : cow_writer2_add(w, op, data, err);
	w->unordered |= op->type == OVBD_COW_REPLACE || op->type == OVBD_COW_ZERO;
	w->nops++;
	return r;
}

int ovbd_cow_writer_label(struct ovbd_cow_writer *w, uint64_t label, struct ovbd_error *err)
{
	int r = 0;

	if (w->nlabels > 0 && label <= w->label)
		return ovbd_fail(err, -EINVAL, "cow: label %" PRIu64 " after %" PRIu64, label,
		                 w->label);
	if (w->p.version == 3)
		cow_writer3_label(w, label);
	else
		r = cow_writer2_label(w, label, err);
	w->label = label;
	w->nlabels++;
	return r;
}

uint64_t ovbd_cow_writer_size(const struct ovbd_cow_writer *w)
{
	return w->out->written;
}

int ovbd_cow_writer_finish(struct ovbd_cow_writer *w, struct ovbd_error *err)
{
	const int r = w->p.version == 3 ? cow_writer3_end(w, err) : cow_writer2_end(w, err);

	return r == 0 ? ovbd_sink_finish(w->out, err) : r;
}

void ovbd_cow_writer_close(struct ovbd_cow_writer *take_w)
{
	if (!take_w)
		return;
	ovbd_sink_close(take_w->out);
	free(take_w->table);
	free(take_w->data);
	free(take_w);
}
