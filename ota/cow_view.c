// SPDX-License-Identifier: Apache-2.0
/*
 * The base as the update makes it. A read goes from operation to operation; between them it reads
 * the base, and copies of blocks that follow each other in the base are one read of it.
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
#define IDLE_MAX 16u
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
	struct ovbd_cow *cow;   /* owned */
	struct ovbd_blob *base; /* owned; NULL: none */
	pthread_mutex_t lock;   /* guards what follows */
	struct scratch *idle;   /* last used first */
	unsigned nidle;
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

/* One that holds operation number, or else any. */
static int take_scratch(struct view *v, uint32_t number, struct scratch **ret,
                        struct ovbd_error *err)
{
	struct scratch **at, *s;
	int r;

	pthread_mutex_lock(&v->lock);
	for (at = &v->idle; *at && (*at)->holds != number;)
		at = &(*at)->next;
	if (!*at)
		at = &v->idle;
	s = *at;
	if (s) {
		*at = s->next;
		v->nidle--;
	}
	pthread_mutex_unlock(&v->lock);
	if (!s) {
		s = malloc(sizeof(*s));
		if (!s)
			return ovbd_fail(err, -ENOMEM, "out of memory");
		r = cow_codec_create(v->cow->info.algorithm, &s->codec, err);
		if (r < 0) {
			free(s);
			return r;
		}
		s->holds = NOTHING;
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
	}
	pthread_mutex_unlock(&v->lock);
	if (!kept)
		scratch_free(s);
}

/* ---- data ---- */

/* The base's part of what op makes. */
static int read_base(const struct view *v, const struct ovbd_cow_op *op, void *buf, size_t len,
                     uint64_t off, struct ovbd_error *err)
{
	if (!v->base)
		return ovbd_fail(err, -EINVAL,
		                 "cow: block %" PRIu32 " is %s of the base, which is needed to "
		                 "read it",
		                 op->block, op->type == OVBD_COW_COPY ? "a copy" : "a difference");
	return ovbd_blob_pread(v->base, buf, len, off, err);
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
	struct scratch *s = NULL;
	int r;

	if (op->type == OVBD_COW_REPLACE && op->raw)
		return ovbd_blob_pread(v->cow->blob, buf, len, op->data_off + at, err);
	r = take_scratch(v, number, &s, err);
	if (r < 0)
		return r;
	if (s->holds == number) {
		memcpy(buf, s->out + at, len);
	} else if (len == (size_t)BLOCK << op->shift) {
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

/* ---- the blob ---- */

/* How far, of len bytes at off, copies go that begin with operation number and follow each other
 * in the base too. */
static uint64_t copied_run(const struct view *v, uint32_t number, uint64_t off, uint64_t len)
{
	const struct ovbd_cow_op *op = &v->cow->ops[number];
	uint64_t end = ((uint64_t)op->block + 1) * BLOCK;

	while (end < off + len) {
		const struct ovbd_cow_op *last = op;
		uint64_t next;

		number = cow_find(v->cow, (uint64_t)last->block + 1, &next);
		if (number == NOTHING)
			break;
		op = &v->cow->ops[number];
		if (op->type != OVBD_COW_COPY || op->source != last->source + 1)
			break;
		end += BLOCK;
	}
	return ovbd_min(end - off, len);
}

/* Reads what one operation, or the base between two, has of len bytes at off. How many, or
 * -errno. */
static int64_t read_run(struct view *v, uint8_t *buf, size_t len, uint64_t off,
                        struct ovbd_error *err)
{
	uint64_t next, n;
	const uint32_t number = cow_find(v->cow, off / BLOCK, &next);
	const struct ovbd_cow_op *op = number == NOTHING ? NULL : &v->cow->ops[number];
	const uint64_t at = op ? off - (uint64_t)op->block * BLOCK : 0;
	int r = 0;

	if (!op) {
		n = next > (off + len) / BLOCK ? len : ovbd_min(len, next * BLOCK - off);
		if (v->base)
			r = ovbd_blob_pread(v->base, buf, n, off, err);
		else
			memset(buf, 0, n);
	} else if (op->type == OVBD_COW_COPY) {
		n = copied_run(v, number, off, len);
		r = read_base(v, op, buf, n, op->source * BLOCK + at, err);
	} else {
		n = ovbd_min(len, ((uint64_t)BLOCK << op->shift) - at);
		if (op->type == OVBD_COW_ZERO)
			memset(buf, 0, n);
		else
			r = read_data(v, number, buf, n, at, err);
	}
	return r < 0 ? r : (int64_t)n;
}

static int view_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct view *v = view_of(b);
	uint8_t *p = buf;

	while (len > 0) {
		const int64_t n = read_run(v, p, len, off, err);

		if (n < 0)
			return (int)n;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int view_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                       struct ovbd_error *err)
{
	const struct view *v = view_of(b);
	uint64_t next;
	const uint32_t number = cow_find(v->cow, off / BLOCK, &next);
	const struct ovbd_cow_op *op = number == NOTHING ? NULL : &v->cow->ops[number];

	if (op) {
		const uint64_t end = ((uint64_t)op->block + (UINT64_C(1) << op->shift)) * BLOCK;

		*ret = (struct ovbd_run){.len = ovbd_min(len, end - off),
		                         .kind = op->type == OVBD_COW_ZERO ? OVBD_RUN_ZERO
		                                                           : OVBD_RUN_DATA};
		return 0;
	}
	if (next <= (off + len) / BLOCK)
		len = ovbd_min(len, next * BLOCK - off);
	if (v->base)
		return ovbd_blob_run_at(v->base, off, len, ret, err);
	*ret = (struct ovbd_run){.len = len, .kind = OVBD_RUN_HOLE};
	return 0;
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
	ovbd_cow_close(v->cow);
	ovbd_blob_close(v->base);
	free(v);
}

static const struct ovbd_blob_ops view_ops = {
	.name = "COW over its base",
	.pread = view_pread,
	.run_at = view_run_at,
	.close = view_close,
};

static int check_op(const struct ovbd_cow_op *op, const struct ovbd_blob *base,
                    struct ovbd_error *err)
{
	const uint64_t size = base ? base->size : 0;
	const bool copy = op->type == OVBD_COW_COPY;
	const uint64_t source = copy ? op->source * BLOCK : op->source;

	if (base && !ovbd_within((uint64_t)op->block * BLOCK, (uint64_t)BLOCK << op->shift, size))
		return ovbd_fail(err, -EBADMSG,
		                 "cow: writes block %" PRIu32 ", beyond the base of %" PRIu64
		                 " bytes: it is not for this base",
		                 op->block, size);
	if (!copy && op->type != OVBD_COW_XOR)
		return 0;
	if (!base)
		return 0; /* known when it is read */
	if (!ovbd_within(source, BLOCK, size))
		return ovbd_fail(err, -EBADMSG,
		                 "cow: block %" PRIu32 " is made of the base at %" PRIu64
		                 ", beyond its %" PRIu64 " bytes: it is not for this base",
		                 op->block, source, size);
	return 0;
}

int ovbd_cow_view_open(struct ovbd_cow *take_c, struct ovbd_blob *take_base, struct ovbd_blob **ret,
                       struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *c = take_c;
	AUTO_BLOB *base = take_base;
	struct view *v;

	for (uint32_t i = 0; i < c->n; i++) {
		const int r = check_op(&c->ops[i], base, err);

		if (r < 0)
			return r;
	}
	v = calloc(1, sizeof(*v));
	if (!v)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	pthread_mutex_init(&v->lock, NULL);
	v->blob = (struct ovbd_blob){.ops = &view_ops, .size = base ? base->size : c->info.end};
	v->cow = OVBD_MOVE(c);
	v->base = OVBD_MOVE(base);
	*ret = &v->blob;
	return 0;
}
