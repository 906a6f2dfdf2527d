// SPDX-License-Identifier: Apache-2.0
/*
 * What a group of operations writes, in memory. They are put into the order of the base, so that
 * neighbours are written at once; the group is then cut into pieces, which the pool's threads read
 * and decompress. Within a piece neighbours that read neighbouring bytes, of the base or of the
 * COW, are one read.
 */
#include "ota/merge_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"

#define BLOCK        OVBD_COW_BLOCK_SIZE
#define PIECE_BLOCKS 64u /* of data; as many as one operation can have */
#define NPIECES      (2 * COW_GROUP_BLOCKS / PIECE_BLOCKS + 1) /* two pieces have more than one's */
#define GAP_MAX      64u /* bytes between two pieces of data that are read all the same */

struct thread {
	struct cow_codec *codec;
	uint64_t in_off; /* what of the COW is in in: in_len bytes from there */
	size_t in_len;
	uint8_t in[COW_DATA_MAX];
	uint8_t base[PIECE_BLOCKS * BLOCK]; /* what is xored */
};

struct piece {
	struct cow_load *to;
	uint32_t from, end; /* of its writes */
	int error;
	struct ovbd_error why;
};

struct cow_loader {
	const struct ovbd_cow *cow;
	struct ovbd_blob *base; /* not owned */
	struct ovbd_pool *pool;
	struct piece pieces[NPIECES];
	int error; /* of the first piece that has failed */
	struct ovbd_error why;
	unsigned nthreads;
	struct thread *threads;
};

/* ---- a piece ---- */

struct work {
	const struct cow_loader *l;
	const struct piece *p;
	struct thread *t;
};

static const struct ovbd_cow_op *op_of(const struct work *w, uint32_t i)
{
	return &w->l->cow->ops[w->p->to->writes[i].number];
}

static uint8_t *data_of(const struct work *w, uint32_t i)
{
	return w->p->to->data + (size_t)w->p->to->writes[i].at * BLOCK;
}

/* Has the data of write i in t->in, and those of the writes behind it that lie next to them. */
static int read_data(const struct work *w, uint32_t i, struct ovbd_error *err)
{
	const struct ovbd_cow_op *op = op_of(w, i);
	struct thread *t = w->t;
	uint64_t end = op->data_off + op->data_len;
	int r;

	if (op->data_off >= t->in_off && end <= t->in_off + t->in_len)
		return 0;
	for (uint32_t j = i + 1; j < w->p->end; j++) {
		const struct ovbd_cow_op *next = op_of(w, j);
		const uint64_t next_end = next->data_off + next->data_len;

		if (next->type == OVBD_COW_ZERO || next->type == OVBD_COW_COPY)
			continue;
		if (next->data_off < end || next->data_off - end > GAP_MAX ||
		    next_end - op->data_off > sizeof(t->in))
			break;
		end = next_end;
	}
	t->in_len = 0;
	r = ovbd_blob_pread(w->l->cow->blob, t->in, (size_t)(end - op->data_off), op->data_off,
	                    err);
	if (r < 0)
		return r;
	t->in_off = op->data_off;
	t->in_len = (size_t)(end - op->data_off);
	return 0;
}

/* Its data, as they are in t->in. */
static const uint8_t *stored(const struct work *w, uint32_t i)
{
	return w->t->in + (op_of(w, i)->data_off - w->t->in_off);
}

static int decode(const struct work *w, uint32_t i, struct ovbd_error *err)
{
	return cow_data_decode(w->l->cow, w->t->codec, op_of(w, i), stored(w, i), data_of(w, i),
	                       err);
}

static void xor_block(uint8_t *restrict out, const uint8_t *restrict a, const uint8_t *restrict b)
{
	for (size_t i = 0; i < BLOCK; i += sizeof(uint64_t)) {
		uint64_t x, y;

		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		x ^= y;
		memcpy(out + i, &x, sizeof(x));
	}
}

/* With what the base has. */
static int decode_xored(const struct work *w, uint32_t i, const uint8_t *base,
                        struct ovbd_error *err)
{
	uint8_t *out = data_of(w, i);
	int r = read_data(w, i, err);

	if (r == 0 && op_of(w, i)->raw) {
		xor_block(out, stored(w, i), base);
		return 0;
	}
	if (r == 0)
		r = decode(w, i, err);
	for (size_t j = 0; r == 0 && j < BLOCK; j++)
		out[j] ^= base[j];
	return r;
}

/* How many writes from i on are of op i's type, and read step after step of the source. */
static uint32_t run_of(const struct work *w, uint32_t i, uint64_t step)
{
	const struct ovbd_cow_op *op = op_of(w, i);
	uint32_t n = 1;

	while (i + n < w->p->end && op_of(w, i + n)->type == op->type &&
	       op_of(w, i + n)->source == op->source + n * step)
		n++;
	return n;
}

static int load_xors(const struct work *w, uint32_t i, uint32_t n, struct ovbd_error *err)
{
	int r = ovbd_blob_pread(w->l->base, w->t->base, (size_t)n * BLOCK, op_of(w, i)->source,
	                        err);

	for (uint32_t j = 0; r == 0 && j < n; j++)
		r = decode_xored(w, i + j, w->t->base + (size_t)j * BLOCK, err);
	return r;
}

static int load_piece(const struct work *w, struct ovbd_error *err)
{
	uint32_t n;
	int r = 0;

	w->t->in_len = 0; /* the scratch area, of which it may be, changes */
	for (uint32_t i = w->p->from; r == 0 && i < w->p->end; i += n) {
		const struct ovbd_cow_op *op = op_of(w, i);

		n = 1;
		if (op->type == OVBD_COW_COPY) {
			n = run_of(w, i, 1);
			r = ovbd_blob_pread(w->l->base, data_of(w, i), (size_t)n * BLOCK,
			                    op->source * BLOCK, err);
		} else if (op->type == OVBD_COW_XOR) {
			n = run_of(w, i, BLOCK);
			r = load_xors(w, i, n, err);
		} else if (op->type == OVBD_COW_REPLACE) {
			r = read_data(w, i, err);
			if (r == 0)
				r = decode(w, i, err);
		}
	}
	return r;
}

static void work(void *ctx, unsigned job, unsigned thread)
{
	struct cow_loader *l = ctx;
	struct piece *p = &l->pieces[job];
	const struct work w = {.l = l, .p = p, .t = &l->threads[thread]};

	p->error = load_piece(&w, &p->why);
}

/* The pool would go on no more after an error; the merge may, so it is kept here. */
static int done(void *ctx, unsigned job, struct ovbd_error *err)
{
	struct cow_loader *l = ctx;
	const struct piece *p = &l->pieces[job];

	(void)err;
	if (p->error < 0 && l->error == 0) {
		l->error = p->error;
		l->why = p->why;
	}
	return 0;
}

/* ---- a group ---- */

static int by_block(const void *a, const void *b)
{
	const struct cow_write *x = a, *y = b;

	return (x->block > y->block) - (x->block < y->block);
}

static uint32_t data_blocks(const struct ovbd_cow *c, const struct cow_write *w)
{
	const struct ovbd_cow_op *op = &c->ops[w->number];

	return op->type == OVBD_COW_ZERO ? 0 : UINT32_C(1) << op->shift;
}

/* Returns how many blocks of data that is. */
static uint32_t put_in_order(const struct ovbd_cow *c, struct cow_load *to)
{
	bool sorted = true;
	uint32_t at = 0;

	for (uint32_t i = 0; i < to->group.n; i++) {
		const uint32_t number = c->order[to->group.first + i];

		to->writes[i] = (struct cow_write){.block = c->ops[number].block, .number = number};
		sorted = sorted && (i == 0 || to->writes[i].block > to->writes[i - 1].block);
	}
	if (!sorted)
		qsort(to->writes, to->group.n, sizeof(to->writes[0]), by_block);
	for (uint32_t i = 0; i < to->group.n; i++) {
		to->writes[i].at = at;
		at += data_blocks(c, &to->writes[i]);
	}
	assert(at <= COW_GROUP_BLOCKS);
	return at;
}

static int make_room(struct cow_load *to, uint32_t n, struct ovbd_error *err)
{
	struct cow_write *writes;

	if (n <= to->nwrites_max)
		return 0;
	writes = realloc(to->writes, (size_t)n * sizeof(*writes));
	if (!writes)
		return ovbd_fail(err, -ENOMEM, "out of memory for %u operations", n);
	to->writes = writes;
	to->nwrites_max = n;
	return 0;
}

/* Just what is needed: most merges are of few blocks. */
static int make_data_room(struct cow_load *to, uint32_t nblocks, struct ovbd_error *err)
{
	if (to->data && nblocks <= to->nblocks_max)
		return 0;
	free(to->data);
	to->nblocks_max = nblocks;
	to->data = malloc((size_t)ovbd_max(nblocks, 1) * BLOCK);
	return to->data ? 0 : ovbd_fail(err, -ENOMEM, "out of memory for %u blocks", nblocks);
}

static int submit(struct cow_loader *l, struct cow_load *to, uint32_t from, uint32_t end,
                  struct ovbd_error *err)
{
	unsigned job;
	const int r = ovbd_pool_next(l->pool, &job, err);

	if (r < 0)
		return r;
	l->pieces[job] = (struct piece){.to = to, .from = from, .end = end};
	ovbd_pool_submit(l->pool, job);
	return 0;
}

int cow_loader_begin(struct cow_loader *l, struct cow_load *to, const struct cow_group *group,
                     struct ovbd_error *err)
{
	uint32_t from = 0, nblocks = 0;
	int r = make_room(to, group->n, err);

	l->error = 0;
	if (r < 0)
		return r;
	to->group = *group;
	r = make_data_room(to, put_in_order(l->cow, to), err);
	for (uint32_t i = 0; r == 0 && i < group->n; i++) {
		const uint32_t n = data_blocks(l->cow, &to->writes[i]);

		if (nblocks + n > PIECE_BLOCKS) {
			r = submit(l, to, from, i, err);
			from = i;
			nblocks = 0;
		}
		nblocks += n;
	}
	return r < 0 || nblocks == 0 ? r : submit(l, to, from, group->n, err);
}

int cow_loader_wait(struct cow_loader *l, struct ovbd_error *err)
{
	const int r = ovbd_pool_drain(l->pool, err);

	if (r == 0 && l->error < 0)
		return ovbd_fail(err, l->error, "%s", l->why.msg);
	return r;
}

/* ---- their life ---- */

void cow_load_free(struct cow_load *l)
{
	free(l->writes);
	free(l->data);
}

void cow_loader_free(struct cow_loader *l)
{
	if (!l)
		return;
	ovbd_pool_close(l->pool);
	for (unsigned i = 0; l->threads && i < l->nthreads; i++)
		cow_codec_free(l->threads[i].codec);
	free(l->threads);
	free(l);
}

static void loader_freep(struct cow_loader **l)
{
	cow_loader_free(*l);
}

int cow_loader_create(const struct ovbd_cow *c, struct ovbd_blob *base, unsigned nthreads,
                      struct cow_loader **ret, struct ovbd_error *err)
{
	static const struct ovbd_pool_ops ops = {.work = work, .done = done};
	OVBD_AUTO(loader_freep) struct cow_loader *l = calloc(1, sizeof(*l));
	int r = 0;

	if (!l)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	l->cow = c;
	l->base = base;
	l->nthreads = nthreads;
	l->threads = calloc(nthreads, sizeof(l->threads[0]));
	if (!l->threads)
		return ovbd_fail(err, -ENOMEM, "out of memory for %u threads", nthreads);
	for (unsigned i = 0; r == 0 && i < nthreads; i++)
		r = cow_codec_create(c->info.algorithm, &l->threads[i].codec, err);
	if (r == 0)
		r = ovbd_pool_create(&ops, l, nthreads, NPIECES, &l->pool, err);
	if (r == 0)
		*ret = OVBD_MOVE(l);
	return r;
}
