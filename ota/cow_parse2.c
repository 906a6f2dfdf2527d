// SPDX-License-Identifier: Apache-2.0
/*
 * The log of 1.0 (from its fourth layout on) and 2.0:
 *
 *     unclustered   op data op data op op data ... footer
 *     clustered     [op op op ... cluster op][data data ...] [op ... ][data ...] ... footer
 *
 * A cluster is a table of a fixed number of slots, and behind it the data of all its operations;
 * its last operation says how long they are. So there are two positions, of the next slot and of
 * the next data, and both are known before a slot is read: whatever it says of places is only
 * compared.
 *
 * A log that its writer never finished has no footer: it ends with the file (maybe within the data
 * of an operation) or with an unused slot. What is in it up to a label is good, as labels are
 * written when all before them is durable.
 */
#include "ota/cow_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"

struct log {
	struct ovbd_cow *c;
	const struct ovbd_cow_params *p;
	struct cow_window *w;
	uint64_t pos;        /* of the next slot */
	uint64_t data;       /* of the next data */
	uint64_t table_end;  /* of this cluster's; UINT64_MAX: there are no clusters */
	uint64_t nslots;     /* read, of every type but the footer */
	uint32_t nlabelled;  /* operations before the last label */
	bool over, finished; /* by a footer, or the label that is wanted */
};

static void begin_cluster(struct log *l, uint64_t pos)
{
	const uint64_t table = (uint64_t)l->c->h.cluster_ops * COW_OP_SIZE;

	l->pos = pos;
	l->table_end = table ? pos + table : UINT64_MAX;
	l->data = table ? pos + table : pos + COW_OP_SIZE;
}

static int end_cluster(struct log *l, const struct cow_slot *s, struct ovbd_error *err)
{
	const uint64_t slot_end = l->pos + COW_OP_SIZE;

	if (l->table_end == UINT64_MAX)
		return ovbd_fail(err, -EBADMSG,
		                 "cow: operation %" PRIu64 " ends a cluster, but there are none",
		                 l->nslots);
	if (s->source != l->data - slot_end)
		return ovbd_fail(err, -EBADMSG,
		                 "cow: operation %" PRIu64 ": the next cluster is %" PRIu64
		                 " bytes on, but the data end after %" PRIu64,
		                 l->nslots, s->source, l->data - slot_end);
	begin_cluster(l, l->data);
	return 0;
}

static int take_label(struct log *l, const struct cow_slot *s)
{
	l->c->info.nlabels++;
	l->c->info.label = s->source;
	l->nlabelled = l->c->n;
	if (l->p->until == OVBD_COW_LABEL && s->source == l->p->label)
		l->over = l->finished = true;
	return 0;
}

static int take_sequence(struct log *l, const struct cow_slot *s, struct ovbd_error *err)
{
	if (l->c->n > 0)
		return ovbd_fail(err, -EBADMSG,
		                 "cow: operation %" PRIu64 ": the order of merging comes behind "
		                 "operations",
		                 l->nslots);
	if (l->table_end == UINT64_MAX)
		return ovbd_fail(err, -EBADMSG,
		                 "cow: operation %" PRIu64 ": an order of merging in a file "
		                 "without clusters is written over by its data",
		                 l->nslots);
	if (s->source != l->data || s->data_len % COW_SEQUENCE_SIZE != 0)
		return ovbd_fail(err, -EBADMSG,
		                 "cow: operation %" PRIu64 ": an order of merging of %" PRIu32
		                 " bytes at %" PRIu64 " instead of %" PRIu64,
		                 l->nslots, s->data_len, s->source, l->data);
	return cow_list_sequence(l->c, l->data, s->data_len / COW_SEQUENCE_SIZE, err);
}

static int check_footer(const struct log *l, const uint8_t *raw, struct ovbd_error *err)
{
	const struct cow_footer f = cow_footer_decode(raw);

	if (f.num_ops != l->nslots || f.ops_size != l->nslots * COW_OP_SIZE)
		return ovbd_fail(err, -EBADMSG,
		                 "cow: the footer at %" PRIu64 " counts %" PRIu64
		                 " operations of %" PRIu64 " bytes; there are %" PRIu64,
		                 l->pos, f.num_ops, f.ops_size, l->nslots);
	return 0;
}

static uint64_t data_len(const struct cow_slot *s)
{
	const bool has_data =
		s->type == OVBD_COW_REPLACE || s->type == OVBD_COW_XOR || s->type == COW_SEQUENCE;

	return has_data ? s->data_len : 0;
}

/* The positions behind a slot that is neither a footer nor a cluster's end. */
static void go_on(struct log *l, const struct cow_slot *s)
{
	const uint64_t len = data_len(s);

	if (l->table_end != UINT64_MAX) {
		l->pos += COW_OP_SIZE;
		l->data += len;
	} else {
		l->pos += COW_OP_SIZE + len;
		l->data = l->pos + COW_OP_SIZE;
	}
}

static int take_slot(struct log *l, const struct cow_slot *s, struct ovbd_error *err)
{
	int r;

	switch (s->type) {
	case COW_CLUSTER:
		r = end_cluster(l, s, err);
		l->nslots++;
		return r;
	case COW_LABEL:
		r = take_label(l, s);
		break;
	case COW_SEQUENCE:
		r = take_sequence(l, s, err);
		break;
	default:
		r = cow_list_add(l->c, s, l->nslots, l->data, err);
	}
	go_on(l, s);
	l->nslots++;
	return r;
}

static int next_slot(struct log *l, struct ovbd_error *err)
{
	const uint64_t size = l->c->blob->size;
	const uint8_t *raw;
	struct cow_slot s;
	int r;

	l->over = !ovbd_within(l->pos, COW_OP_SIZE, size);
	if (l->over)
		return 0;
	r = cow_window_get(l->w, l->pos, COW_OP_SIZE, &raw, err);
	if (r < 0)
		return r;
	s = cow_slot_decode(raw);
	if (s.type == COW_END || (data_len(&s) > 0 && !ovbd_within(l->data, data_len(&s), size))) {
		l->over = true;
		return 0;
	}
	if (s.type == COW_FOOTER) { /* may take the place of a slot, and reach out of the table */
		r = cow_window_get(l->w, l->pos, COW_FOOTER_SIZE, &raw, err);
		l->over = true;
		l->finished = l->p->until != OVBD_COW_LABEL;
		return r < 0 ? r : check_footer(l, raw, err);
	}
	if (l->pos >= l->table_end)
		return ovbd_fail(err, -EBADMSG,
		                 "cow: operation %" PRIu64 ": the cluster before has no end",
		                 l->nslots);
	return take_slot(l, &s, err);
}

/* What to do with a log that nobody has finished. */
static int settle(struct log *l, struct ovbd_error *err)
{
	const struct ovbd_cow_info *i = &l->c->info;

	if (l->p->until == OVBD_COW_LABEL)
		return ovbd_fail(err, -ENOENT, "cow: no label %" PRIu64 " among its %" PRIu64,
		                 l->p->label, i->nlabels);
	if (l->p->until == OVBD_COW_LAST_LABEL && i->nlabels > 0) {
		cow_list_cut(l->c, l->nlabelled);
		return 0;
	}
	if (i->nlabels > 0)
		return ovbd_fail(err, -EBADMSG,
		                 "cow: no footer: after %" PRIu64 " operations the log ends at "
		                 "%" PRIu64 ", cut off or never finished; it can be read up to "
		                 "its last label, %" PRIu64,
		                 l->nslots, l->pos, i->label);
	return ovbd_fail(err, -EBADMSG,
	                 "cow: no footer: after %" PRIu64 " operations the log ends at %" PRIu64
	                 ", cut off or never finished, and it has no label",
	                 l->nslots, l->pos);
}

int cow_parse2(struct ovbd_cow *c, const struct ovbd_cow_params *p, struct ovbd_error *err)
{
	AUTO_FREE struct cow_window *w = calloc(1, sizeof(*w));
	struct log l = {.c = c, .p = p, .w = w};
	int r = 0;

	if (!w)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	w->blob = c->blob;
	c->info.cluster_ops = c->h.cluster_ops;
	begin_cluster(&l, (uint64_t)c->h.header_size + c->h.buffer_size);
	while (r == 0 && !l.over)
		r = next_slot(&l, err);
	if (r == 0 && !l.finished)
		r = settle(&l, err);
	return r;
}
