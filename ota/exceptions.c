// SPDX-License-Identifier: Apache-2.0
/*
 *     chunk 0        header
 *     chunk 1        metadata of area 0: 256 x {old chunk, new chunk}
 *     chunk 2 ..     data, new chunks of area 0
 *     chunk 258      metadata of area 1, and so on, every 257 chunks
 *
 * snapshot-merge takes the last exception first, and with it those before as long as both old and
 * new chunks go down by one: it copies them at once. So the list is the order of merging backwards,
 * and where two must not be copied at once, since one of them reads in the base what the other
 * writes, a chunk is left out between them. Operations that need no base come first, by block:
 * these may all be copied at once.
 *
 * Of an operation on several blocks each is an exception of its own. The data of a chunk are what
 * the view of the base has there.
 */
#include "ota/exceptions.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"

#define CHUNK     4096u
#define PER_AREA  256u
#define STRIDE    (PER_AREA + 1)
#define MAGIC     0x70416e53u /* "SnAp" */
#define SECTORS   8u          /* of a chunk */
#define RA_BLOCKS 510u        /* blocks of a group in the scratch area of 2 MiB */

struct exception {
	uint32_t old;
	uint64_t new;
};

struct store {
	struct ovbd_blob blob;
	struct ovbd_blob *view; /* owned */
	struct exception *list; /* both grow: new always, old not */
	uint64_t n, capacity;
	uint64_t next; /* chunk */
};

static struct store *store_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct store, blob);
}

/* ---- making the list ---- */

static bool is_metadata(uint64_t chunk)
{
	return chunk % STRIDE == 1;
}

static void skip(struct store *st)
{
	st->next++;
	if (is_metadata(st->next))
		st->next++;
}

static int add(struct store *st, uint32_t block, struct ovbd_error *err)
{
	if (st->n == st->capacity) {
		const uint64_t capacity = st->n + st->n / 2 + 256;
		struct exception *list = realloc(st->list, (size_t)capacity * sizeof(*list));

		if (!list)
			return ovbd_fail(err, -ENOMEM, "out of memory for %" PRIu64 " exceptions",
			                 capacity);
		st->list = list;
		st->capacity = capacity;
	}
	st->list[st->n++] = (struct exception){.old = block, .new = st->next};
	skip(st);
	return 0;
}

static int add_op(struct store *st, const struct ovbd_cow_op *op, struct ovbd_error *err)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < UINT32_C(1) << op->shift; i++)
		r = add(st, op->block + i, err);
	return r;
}

static bool is_ordered(const struct ovbd_cow_op *op)
{
	return op->type == OVBD_COW_COPY || op->type == OVBD_COW_XOR;
}

/* The blocks of the base that op reads: one, or two if it is not aligned. */
static uint64_t first_source(const struct ovbd_cow_op *op)
{
	return op->type == OVBD_COW_COPY ? op->source : op->source / CHUNK;
}

static uint64_t last_source(const struct ovbd_cow_op *op)
{
	return op->type == OVBD_COW_COPY ? op->source : (op->source + CHUNK - 1) / CHUNK;
}

/* Whether a and b must not be copied at once. */
static bool disturbs(const struct ovbd_cow_op *a, const struct ovbd_cow_op *b)
{
	return (a->block >= first_source(b) && a->block <= last_source(b)) ||
	       (b->block >= first_source(a) && b->block <= last_source(a));
}

/* Operations in reverse merge order; those that were merged are not in it. */
struct reversed {
	const struct ovbd_cow *c;
	uint64_t left;
};

static const struct ovbd_cow_op *ahead(const struct reversed *x)
{
	const uint64_t nmerged = ovbd_cow_info(x->c)->nmerged;

	return x->left > nmerged
	               ? ovbd_cow_op(x->c, ovbd_cow_merge_order(x->c, (uint32_t)x->left - 1))
	               : NULL;
}

/* As many as may be copied at once, but none in another area than the first. */
static int add_group(struct store *st, struct reversed *x, bool scratch, uint64_t *nordered,
                     struct ovbd_error *err)
{
	const struct ovbd_cow_op *group[PER_AREA], *op;
	size_t n = 0;
	int r = 0;

	skip(st);
	while (r == 0 && (op = ahead(x)) && n < PER_AREA) {
		for (size_t i = 0; i < n; i++)
			if (disturbs(group[i], op))
				return 0;
		group[n++] = op;
		r = add(st, op->block, err);
		x->left--;
		(*nordered)--;
		if (scratch && *nordered % RA_BLOCKS == 0)
			skip(st);
		if (st->n % PER_AREA == 0)
			break;
	}
	return r;
}

static int list_for_merge(struct store *st, const struct ovbd_cow *c, struct ovbd_error *err)
{
	struct reversed x = {.c = c, .left = ovbd_cow_count(c)};
	const bool scratch = ovbd_cow_info(c)->scratch_size > 0;
	const struct ovbd_cow_op *op;
	uint64_t nordered = 0;
	int r = 0;

	for (uint64_t i = ovbd_cow_info(c)->nmerged; i < ovbd_cow_count(c); i++)
		nordered += is_ordered(ovbd_cow_op(c, ovbd_cow_merge_order(c, (uint32_t)i)));
	/* backwards, those by block descend; the kernel wants them to go up */
	while (x.left > 0 && (op = ahead(&x)) && !is_ordered(op))
		x.left--;
	for (uint64_t i = x.left; r == 0 && i < ovbd_cow_count(c); i++)
		r = add_op(st, ovbd_cow_op(c, ovbd_cow_merge_order(c, (uint32_t)i)), err);
	if (r == 0 && ahead(&x))
		skip(st);
	while (r == 0 && (op = ahead(&x)))
		r = is_ordered(op) ? add_group(st, &x, scratch, &nordered, err)
		                   : ovbd_fail(err, -ENOTSUP,
		                               "cow: block %" PRIu32 " is merged before copies: "
		                               "dm-snapshot cannot merge in this order",
		                               op->block);
	return r;
}

static int make_list(struct store *st, const struct ovbd_cow *c, enum ovbd_exceptions_order order,
                     struct ovbd_error *err)
{
	int r = 0;

	st->next = 2;
	if (order == OVBD_EXCEPTIONS_MERGE)
		return list_for_merge(st, c, err);
	if (ovbd_cow_info(c)->nmerged > 0)
		return ovbd_fail(err, -ENOTSUP,
		                 "cow: partly merged: the order of the file does "
		                 "not say what is left");
	for (uint32_t i = 0; r == 0 && i < ovbd_cow_count(c); i++)
		r = add_op(st, ovbd_cow_op(c, i), err);
	return r;
}

/* ---- reading ---- */

static void header_chunk(uint8_t *out)
{
	memset(out, 0, CHUNK);
	ovbd_put_le32(out, MAGIC);
	ovbd_put_le32(out + 4, 1); /* valid */
	ovbd_put_le32(out + 8, 1); /* version */
	ovbd_put_le32(out + 12, SECTORS);
}

static void metadata_chunk(const struct store *st, uint64_t area, uint8_t *out)
{
	memset(out, 0, CHUNK);
	for (uint64_t i = 0; i < PER_AREA && area * PER_AREA + i < st->n; i++) {
		const struct exception *e = &st->list[area * PER_AREA + i];

		ovbd_put_le64(out + 16 * i, e->old);
		ovbd_put_le64(out + 16 * i + 8, e->new);
	}
}

static const struct exception *find(const struct store *st, uint64_t chunk)
{
	uint64_t from = 0, to = st->n;

	while (from < to) {
		const uint64_t middle = from + (to - from) / 2;

		if (st->list[middle].new < chunk)
			from = middle + 1;
		else
			to = middle;
	}
	return from < st->n && st->list[from].new == chunk ? &st->list[from] : NULL;
}

/* len bytes at off of one chunk. */
static int read_chunk(const struct store *st, uint64_t chunk, uint64_t off, uint8_t *buf,
                      size_t len, struct ovbd_error *err)
{
	uint8_t made[CHUNK];
	const struct exception *e;

	if (chunk == 0 || is_metadata(chunk)) {
		if (chunk == 0)
			header_chunk(made);
		else
			metadata_chunk(st, chunk / STRIDE, made);
		memcpy(buf, made + off, len);
		return 0;
	}
	e = find(st, chunk);
	if (e)
		return ovbd_blob_pread(st->view, buf, len, (uint64_t)e->old * CHUNK + off, err);
	memset(buf, 0, len);
	return 0;
}

static int store_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	const struct store *st = store_of(b);
	uint8_t *p = buf;

	while (len > 0) {
		const size_t n = (size_t)ovbd_min(len, CHUNK - off % CHUNK);
		const int r = read_chunk(st, off / CHUNK, off % CHUNK, p, n, err);

		if (r < 0)
			return r;
		p += n;
		off += n;
		len -= n;
	}
	return 0;
}

static void store_close(struct ovbd_blob *b)
{
	struct store *st = store_of(b);

	ovbd_blob_close(st->view);
	free(st->list);
	free(st);
}

static const struct ovbd_blob_ops store_ops = {
	.name = "exception store",
	.pread = store_pread,
	.close = store_close,
};

int ovbd_exceptions_open(struct ovbd_cow *take_c, struct ovbd_blob *take_base,
                         enum ovbd_exceptions_order order, struct ovbd_blob **ret,
                         struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL, *base = take_base;
	OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *c = take_c;
	struct store *st = calloc(1, sizeof(*st));
	int r;

	if (!st)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	b = &st->blob;
	b->ops = &store_ops;
	r = make_list(st, c, order, err);
	if (r == 0)
		r = ovbd_cow_view_open(OVBD_MOVE(c), OVBD_MOVE(base), &st->view, err);
	if (r < 0)
		return r;
	/* the metadata of the last area are always there, and the chunk that would be next is
	 * not */
	b->size = st->next * CHUNK;
	*ret = OVBD_MOVE(b);
	return 0;
}

static const struct store *const_store(const struct ovbd_blob *b)
{
	assert(b->ops == &store_ops);
	return (const struct store *)(const void *)b; /* blob is its head */
}

uint64_t ovbd_exceptions_count(const struct ovbd_blob *store)
{
	return const_store(store)->n;
}

uint64_t ovbd_exceptions_areas(const struct ovbd_blob *store)
{
	return const_store(store)->n / PER_AREA + 1;
}

void ovbd_exceptions_get(const struct ovbd_blob *store, uint64_t i, uint64_t *ret_old,
                         uint64_t *ret_new)
{
	const struct store *st = const_store(store);

	assert(i < st->n);
	*ret_old = st->list[i].old;
	*ret_new = st->list[i].new;
}
