// SPDX-License-Identifier: Apache-2.0
/*
 *     chunk 0        header
 *     chunk 1        metadata of area 0: 256 x {old chunk, new chunk}
 *     chunk 2 ..     data, new chunks of area 0
 *     chunk 258      metadata of area 1, and so on, every 257 chunks
 *
 * The data of a chunk are what the view of the base has there; chunks that follow each other in
 * both are one read of it. The metadata have what is left to merge; a chunk whose block has been
 * merged reads as before, for a reader who was on his way.
 */
#include "ota/exceptions.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "ota/exceptions_impl.h"

#define CHUNK   EXCEPTIONS_CHUNK
#define MAGIC   0x70416e53u /* "SnAp" */
#define SECTORS 8u          /* of a chunk */

static struct exceptions_store *store_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct exceptions_store, blob);
}

static void header_chunk(uint8_t *out)
{
	memset(out, 0, CHUNK);
	ovbd_put_le32(out, MAGIC);
	ovbd_put_le32(out + 4, 1); /* valid */
	ovbd_put_le32(out + 8, 1); /* version */
	ovbd_put_le32(out + 12, SECTORS);
}

static void metadata_chunk(const struct exceptions_store *st, uint64_t area, uint8_t *out)
{
	const uint64_t nleft = atomic_load(&st->nleft), first = area * EXCEPTIONS_AREA;

	memset(out, 0, CHUNK);
	for (uint64_t i = 0; i < EXCEPTIONS_AREA && first + i < nleft; i++) {
		ovbd_put_le64(out + 16 * i, st->list[first + i].old);
		ovbd_put_le64(out + 16 * i + 8, st->list[first + i].new);
	}
}

/* The first exception whose chunk is not before this one. */
static uint64_t seek(const struct exceptions_store *st, uint64_t chunk)
{
	uint64_t from = 0, to = st->n;

	while (from < to) {
		const uint64_t middle = from + (to - from) / 2;

		if (st->list[middle].new < chunk)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* Exceptions that follow i in both numbers, i included, as far as max chunks go. */
static uint64_t run_of(const struct exceptions_store *st, uint64_t i, uint64_t max)
{
	uint64_t n = 1;

	while (n < max && i + n < st->n && st->list[i + n].new == st->list[i].new + n &&
	       st->list[i + n].old == st->list[i].old + n)
		n++;
	return n;
}

static int read_data(const struct exceptions_store *st, uint64_t i, uint64_t n, void *buf,
                     size_t len, uint64_t at, struct ovbd_error *err)
{
	const int r = st->about_to_read ? st->about_to_read(st->arg, i, n, err) : 0;

	return r < 0 ? r
	             : ovbd_blob_pread(st->view, buf, len, (uint64_t)st->list[i].old * CHUNK + at,
	                               err);
}

/* From off on, as much of len bytes as is of one kind. How many, or -errno. */
static int64_t read_some(const struct exceptions_store *st, uint8_t *buf, size_t len, uint64_t off,
                         struct ovbd_error *err)
{
	const uint64_t chunk = off / CHUNK, at = off % CHUNK;
	size_t n = (size_t)ovbd_min(len, CHUNK - at);
	uint8_t made[CHUNK];
	uint64_t i, run;
	int r = 0;

	if (chunk == 0 || exceptions_is_metadata(chunk)) {
		if (chunk == 0)
			header_chunk(made);
		else
			metadata_chunk(st, chunk / EXCEPTIONS_STRIDE, made);
		memcpy(buf, made + at, n);
		return (int64_t)n;
	}
	i = seek(st, chunk);
	if (i < st->n && st->list[i].new == chunk) {
		run = run_of(st, i, (at + len + CHUNK - 1) / CHUNK);
		n = (size_t)ovbd_min(len, run * CHUNK - at);
		r = read_data(st, i, run, buf, n, at, err);
	} else {
		memset(buf, 0, n);
	}
	return r < 0 ? r : (int64_t)n;
}

static int store_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	const struct exceptions_store *st = store_of(b);
	uint8_t *p = buf;

	while (len > 0) {
		const int64_t n = read_some(st, p, len, off, err);

		if (n < 0)
			return (int)n;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static void store_close(struct ovbd_blob *b)
{
	struct exceptions_store *st = store_of(b);

	ovbd_blob_close(st->view);
	free(st->list);
	free(st);
}

static const struct ovbd_blob_ops store_ops = {
	.name = "exception store",
	.pread = store_pread,
	.close = store_close,
};

int exceptions_create(const struct ovbd_cow *c, enum ovbd_exceptions_order order,
                      struct exceptions_store **ret, struct ovbd_error *err)
{
	struct exceptions_store *st = calloc(1, sizeof(*st));
	int r;

	if (!st)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	st->blob.ops = &store_ops;
	r = exceptions_list(st, c, order, err);
	/* the metadata of the last area are always there, and the chunk that would be next is
	 * not */
	st->blob.size = st->next * CHUNK;
	if (r < 0) {
		store_close(&st->blob);
		return r;
	}
	*ret = st;
	return 0;
}

int ovbd_exceptions_open(struct ovbd_cow *take_c, struct ovbd_blob *take_base,
                         enum ovbd_exceptions_order order, struct ovbd_blob **ret,
                         struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL, *base = take_base;
	OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *c = take_c;
	struct exceptions_store *st;
	int r = exceptions_create(c, order, &st, err);

	if (r < 0)
		return r;
	b = &st->blob;
	r = ovbd_cow_view_open(OVBD_MOVE(c), OVBD_MOVE(base), &st->view, err);
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(b);
	return 0;
}

static const struct exceptions_store *const_store(const struct ovbd_blob *b)
{
	assert(b->ops == &store_ops);
	return (const struct exceptions_store *)(const void *)b; /* blob is its head */
}

uint64_t ovbd_exceptions_count(const struct ovbd_blob *store)
{
	return atomic_load(&const_store(store)->nleft);
}

uint64_t ovbd_exceptions_areas(const struct ovbd_blob *store)
{
	return const_store(store)->n / EXCEPTIONS_AREA + 1;
}

void ovbd_exceptions_get(const struct ovbd_blob *store, uint64_t i, uint64_t *ret_old,
                         uint64_t *ret_new)
{
	const struct exceptions_store *st = const_store(store);

	assert(i < st->n);
	*ret_old = st->list[i].old;
	*ret_new = st->list[i].new;
}
