// SPDX-License-Identifier: Apache-2.0
/*
 * The base as the update makes it. A read goes from operation to operation; between them it reads
 * the base, and copies of blocks that follow each other in the base are one read of it.
 *
 * While it is merged, each read is in a phase of the merge (cow_live.c), and what has been merged,
 * or is about to be overwritten, is read from elsewhere. The bytes are the same in all phases.
 *
 * What is compressed is decompressed whole: straight into the caller's buffer if all of it is
 * wanted, otherwise into a scratch, which remembers it for the next who wants a part. A scratch has
 * one owner at a time, so reads share nothing.
 */
#include "ota/cow_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define BLOCK    OVBD_COW_BLOCK_SIZE
#define IDLE_MAX 16u /* also how many operations are remembered */
#define NOTHING  UINT32_MAX

struct scratch {
	struct scratch *next;
	struct cow_codec *codec;
	uint32_t holds; /* the operation whose blocks are in out; or NOTHING */
	uint8_t in[COW_DATA_MAX];
	uint8_t out[COW_DATA_MAX];
	uint8_t base[BLOCK]; /* of an xor */
};

struct view {
	struct ovbd_blob blob;
	struct ovbd_cow *cow;
	struct ovbd_blob *base; /* NULL: none */
	struct cow_live *live;  /* NULL: it is not being merged, and cow and base are owned */
	struct cow_phase still; /* if so */
	pthread_mutex_t lock;   /* guards what follows */
	struct scratch *idle;   /* last used first */
	unsigned nidle, nscratches;
};

static struct view *view_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct view, blob);
}

/* ---- scratches ---- */

static void scratch_free(struct scratch *s)
{
	cow_codec_free(s->codec);
	free(s);
}

static int scratch_create(struct view *v, struct scratch **ret, struct ovbd_error *err)
{
	struct scratch *s = malloc(sizeof(*s));
	int r;

	if (!s)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = cow_codec_create(v->cow->info.algorithm, &s->codec, err);
	if (r < 0) {
		free(s);
		return r;
	}
	s->holds = NOTHING;
	*ret = s;
	return 0;
}

/* An idle one, taken out: that which holds operation number; or else, to remember it in, that which
 * has not been used for longest, if there are not to be more; or, to remember nothing, any. NULL:
 * none. With the lock held. */
static struct scratch *choose_scratch(struct view *v, uint32_t number, bool remember)
{
	struct scratch **at = &v->idle, **last = &v->idle, *s;

	for (; *at && (*at)->holds != number; at = &(*at)->next)
		last = at;
	if (!*at && !remember)
		at = &v->idle;
	else if (!*at && v->nscratches >= IDLE_MAX)
		at = last;
	s = *at;
	if (s) {
		*at = s->next;
		v->nidle--;
	} else {
		v->nscratches++;
	}
	return s;
}

/* For operation number, which is going to be remembered or not. */
static int take_scratch(struct view *v, uint32_t number, bool remember, struct scratch **ret,
                        struct ovbd_error *err)
{
	struct scratch *s;
	int r = 0;

	pthread_mutex_lock(&v->lock);
	s = choose_scratch(v, number, remember);
	pthread_mutex_unlock(&v->lock);
	if (!s)
		r = scratch_create(v, &s, err);
	if (r < 0) {
		pthread_mutex_lock(&v->lock);
		v->nscratches--;
		pthread_mutex_unlock(&v->lock);
		return r;
	}
	*ret = s;
	return 0;
}

static void give_scratch(struct view *v, struct scratch *s)
{
	bool kept;

	pthread_mutex_lock(&v->lock);
	kept = v->nidle < IDLE_MAX;
	if (kept) {
		s->next = v->idle;
		v->idle = s;
		v->nidle++;
	} else {
		v->nscratches--;
	}
	pthread_mutex_unlock(&v->lock);
	if (!kept)
		scratch_free(s);
}

/* ---- data ---- */

enum where { IN_THE_BASE, HELD, AT_ITS_SOURCE };

static enum where where_is(const struct cow_phase *ph, const struct ovbd_cow_op *op)
{
	if (op->place < ph->nmerged)
		return IN_THE_BASE;
	return op->place - ph->nmerged < ph->nheld ? HELD : AT_ITS_SOURCE;
}

/* The base's part of what op makes. */
static int read_base(const struct view *v, const struct ovbd_cow_op *op, void *buf, size_t len,
                     uint64_t off, struct ovbd_error *err)
{
	int r;

	if (!v->base)
		return ovbd_fail(err, -EINVAL,
		                 "cow: block %" PRIu32 " is %s of the base, which is needed to "
		                 "read it",
		                 op->block, op->type == OVBD_COW_COPY ? "a copy" : "a difference");
	r = ovbd_blob_pread(v->base, buf, len, off, err);
	return r < 0 ? ovbd_fail_within(err, r, "cow: block %" PRIu32, op->block) : 0;
}

static int decode_xored(struct view *v, struct scratch *s, const struct ovbd_cow_op *op,
                        uint8_t *out, struct ovbd_error *err)
{
	int r = cow_data_read(v->cow, s->codec, op, s->in, out, err);

	if (r == 0 && op->type == OVBD_COW_XOR) {
		r = read_base(v, op, s->base, BLOCK, op->source, err);
		for (size_t i = 0; r == 0 && i < BLOCK; i++)
			out[i] ^= s->base[i];
	}
	return r;
}

/* len bytes from at on, within what operation number writes. */
static int read_data(struct view *v, uint32_t number, uint8_t *buf, size_t len, uint64_t at,
                     struct ovbd_error *err)
{
	const struct ovbd_cow_op *op = &v->cow->ops[number];
	const bool whole = len == (size_t)BLOCK << op->shift;
	struct scratch *s = NULL;
	int r;

	if (op->type == OVBD_COW_REPLACE && op->raw)
		return ovbd_blob_pread(v->cow->blob, buf, len, op->data_off + at, err);
	r = take_scratch(v, number, !whole, &s, err);
	if (r < 0)
		return r;
	if (s->holds == number) {
		memcpy(buf, s->out + at, len);
	} else if (whole) {
		r = decode_xored(v, s, op, buf, err);
	} else {
		s->holds = NOTHING;
		r = decode_xored(v, s, op, s->out, err);
		if (r == 0) {
			s->holds = number;
			memcpy(buf, s->out + at, len);
		}
	}
	give_scratch(v, s);
	return r;
}

/* How far, of len bytes at off, copies go that begin with the i-th by block and follow each other
 * in the base too. */
static uint64_t copied_run(const struct view *v, const struct cow_phase *ph, uint32_t i,
                           uint64_t off, uint64_t len)
{
	const struct ovbd_cow_op *op = cow_at(v->cow, i);
	uint64_t end = ((uint64_t)op->block + 1) * BLOCK;

	while (end < off + len) {
		const struct ovbd_cow_op *last = op;

		op = cow_at(v->cow, ++i);
		if (!op || op->type != OVBD_COW_COPY || op->block != last->block + 1 ||
		    op->source != last->source + 1 || where_is(ph, op) != AT_ITS_SOURCE)
			break;
		end += BLOCK;
	}
	return ovbd_min(end - off, len);
}

/* How far, of len bytes at off, the base reads as it shall, no operation or a merged one being
 * there; 0: not at all. *i, as of off before, is as of the end then. */
static uint64_t base_run(const struct view *v, const struct cow_phase *ph, uint32_t *i,
                         uint64_t off, uint64_t len)
{
	uint64_t end = off;

	while (end < off + len) {
		const struct ovbd_cow_op *op = cow_at(v->cow, *i);

		if (!op)
			return len;
		if (end < (uint64_t)op->block * BLOCK) {
			end = (uint64_t)op->block * BLOCK;
		} else if (where_is(ph, op) == IN_THE_BASE) {
			end = cow_op_end(op) * BLOCK;
			++*i;
		} else {
			break;
		}
	}
	return ovbd_min(end - off, len);
}

/* len bytes from at on, within the i-th operation by block, or fewer. How many, or -errno. */
static int64_t read_op(struct view *v, const struct cow_phase *ph, uint32_t i, uint8_t *buf,
                       uint64_t len, uint64_t at, struct ovbd_error *err)
{
	const struct ovbd_cow_op *op = cow_at(v->cow, i);
	uint64_t n = ovbd_min(len, ((uint64_t)BLOCK << op->shift) - at);
	int r = 0;

	if (where_is(ph, op) == HELD)
		memcpy(buf, ph->held + (uint64_t)(op->place - ph->nmerged) * BLOCK + at, n);
	else if (op->type == OVBD_COW_ZERO)
		memset(buf, 0, n);
	else if (op->type != OVBD_COW_COPY)
		r = read_data(v, (uint32_t)v->cow->by_block[i], buf, n, at, err);
	else {
		n = copied_run(v, ph, i, (uint64_t)op->block * BLOCK + at, len);
		r = read_base(v, op, buf, n, op->source * BLOCK + at, err);
	}
	return r < 0 ? r : (int64_t)n;
}

/* ---- the blob ---- */

static int read_in_phase(struct view *v, const struct cow_phase *ph, uint8_t *p, size_t len,
                         uint64_t off, struct ovbd_error *err)
{
	uint32_t i = cow_seek(v->cow, off / BLOCK);

	while (len > 0) {
		int64_t n = (int64_t)base_run(v, ph, &i, off, len);
		int r = 0;

		if (n > 0 && v->base)
			r = ovbd_blob_pread(v->base, p, (size_t)n, off, err);
		else if (n > 0)
			memset(p, 0, (size_t)n);
		else
			n = read_op(v, ph, i, p, len,
			            off - (uint64_t)cow_at(v->cow, i)->block * BLOCK, err);
		if (r < 0 || n < 0)
			return r < 0 ? r : (int)n;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
		while (cow_at(v->cow, i) && cow_op_end(cow_at(v->cow, i)) * BLOCK <= off)
			i++;
	}
	return 0;
}

static int view_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct view *v = view_of(b);
	const struct cow_phase *ph = v->live ? cow_live_enter(v->live) : &v->still;
	const int r = read_in_phase(v, ph, buf, len, off, err);

	if (v->live)
		cow_live_leave(v->live, ph);
	return r;
}

/* What the base has where the copies from the i-th by block on come from. They are on purpose, and
 * hide what is below, also if that is a hole there. */
static int run_of_copy(const struct view *v, const struct cow_phase *ph, uint32_t i, uint64_t off,
                       uint64_t len, struct ovbd_run *ret, struct ovbd_error *err)
{
	const struct ovbd_cow_op *op = cow_at(v->cow, i);
	const uint64_t at = off - (uint64_t)op->block * BLOCK;
	const int r = ovbd_blob_run_at(v->base, op->source * BLOCK + at,
	                               copied_run(v, ph, i, off, len), ret, err);

	if (r == 0 && ret->kind == OVBD_RUN_HOLE)
		ret->kind = OVBD_RUN_ZERO;
	return r;
}

static int run_in_phase(const struct view *v, const struct cow_phase *ph, uint64_t off,
                        uint64_t len, struct ovbd_run *ret, struct ovbd_error *err)
{
	uint32_t i = cow_seek(v->cow, off / BLOCK);
	const uint64_t n = base_run(v, ph, &i, off, len);
	const struct ovbd_cow_op *op = cow_at(v->cow, i);

	if (n > 0 && v->base)
		return ovbd_blob_run_at(v->base, off, n, ret, err);
	if (n == 0 && v->base && op->type == OVBD_COW_COPY && where_is(ph, op) == AT_ITS_SOURCE)
		return run_of_copy(v, ph, i, off, len, ret, err);
	if (n > 0)
		*ret = (struct ovbd_run){.len = n, .kind = OVBD_RUN_HOLE};
	else
		*ret = (struct ovbd_run){.len = ovbd_min(len, cow_op_end(op) * BLOCK - off),
		                         .kind = op->type == OVBD_COW_ZERO ? OVBD_RUN_ZERO
		                                                           : OVBD_RUN_DATA};
	return 0;
}

static int view_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                       struct ovbd_error *err)
{
	const struct view *v = view_of(b);
	const struct cow_phase *ph = v->live ? cow_live_enter(v->live) : &v->still;
	const int r = run_in_phase(v, ph, off, len, ret, err);

	if (v->live)
		cow_live_leave(v->live, ph);
	return r;
}

static void view_close(struct ovbd_blob *b)
{
	struct view *v = view_of(b);

	while (v->idle) {
		struct scratch *s = v->idle;

		v->idle = s->next;
		scratch_free(s);
	}
	pthread_mutex_destroy(&v->lock);
	if (!v->live) {
		ovbd_cow_close(v->cow);
		ovbd_blob_close(v->base);
	}
	free(v);
}

static const struct ovbd_blob_ops view_ops = {
	.name = "COW over its base",
	.pread = view_pread,
	.run_at = view_run_at,
	.close = view_close,
};

/* ---- opening ---- */

int cow_check_base(const struct ovbd_cow *c, uint64_t size, struct ovbd_error *err)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const struct ovbd_cow_op *op = &c->ops[i];
		const bool copy = op->type == OVBD_COW_COPY;
		const uint64_t source = copy ? op->source * BLOCK : op->source;

		if (!ovbd_within((uint64_t)op->block * BLOCK, (uint64_t)BLOCK << op->shift, size))
			return ovbd_fail(err, -EBADMSG,
			                 "cow: writes block %" PRIu32
			                 ", beyond the base of %" PRIu64
			                 " bytes: it is not for this base",
			                 op->block, size);
		if (cow_op_is_ordered(op) && !ovbd_within(source, BLOCK, size))
			return ovbd_fail(err, -EBADMSG,
			                 "cow: block %" PRIu32 " is made of the base at %" PRIu64
			                 ", beyond its %" PRIu64 " bytes: it is not for this base",
			                 op->block, source, size);
	}
	return 0;
}

static struct view *view_create(struct ovbd_cow *c, struct ovbd_blob *base, struct cow_live *live)
{
	struct view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	pthread_mutex_init(&v->lock, NULL);
	v->blob = (struct ovbd_blob){.ops = &view_ops, .size = base ? base->size : c->info.end};
	v->cow = c;
	v->base = base;
	v->live = live;
	v->still.nmerged = (uint32_t)c->info.nmerged;
	return v;
}

int ovbd_cow_view_open(struct ovbd_cow *take_c, struct ovbd_blob *take_base, struct ovbd_blob **ret,
                       struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *c = take_c;
	AUTO_BLOB *base = take_base;
	struct view *v;
	/* without a base, what needs one is known when it is read */
	int r = base ? cow_check_base(c, base->size, err) : 0;

	if (r < 0)
		return r;
	v = view_create(c, base, NULL);
	if (!v)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	c = NULL;
	base = NULL;
	*ret = &v->blob;
	return 0;
}

int cow_view_open_live(struct ovbd_cow *c, struct ovbd_blob *base, struct cow_live *live,
                       struct ovbd_blob **ret, struct ovbd_error *err)
{
	struct view *v = view_create(c, base, live);

	if (!v)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*ret = &v->blob;
	return 0;
}
