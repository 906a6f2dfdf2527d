// SPDX-License-Identifier: Apache-2.0
/*
 * Reading the list. Areas of exceptions follow each other at fixed distances, each with the chunks
 * it is for behind it, until one is not full. In memory the list is sorted by the chunk of the
 * origin; two exceptions for one chunk, or two that share their data, are refused: the kernel makes
 * none, and which of them counts would be a guess.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "ota/dm_snapshot_impl.h"

/* While the list is read. */
struct reading {
	struct ovbd_dm_snapshot *s;
	uint64_t capacity;
	uint64_t per_area; /* exceptions */
	uint64_t nstored;  /* chunks of the store */
	uint8_t *area;
};

int ovbd_dm_snapshot_probe(struct ovbd_blob *b, struct ovbd_error *err)
{
	uint8_t buf[SNAPSHOT_HEADER_SIZE];
	int r;

	if (b->size < sizeof(buf))
		return 0;
	r = ovbd_blob_pread(b, buf, sizeof(buf), 0, err);
	return r < 0 ? r : ovbd_snapshot_magic(buf);
}

static bool is_metadata(const struct reading *rd, uint64_t chunk)
{
	return chunk == 0 || (chunk - 1) % (rd->per_area + 1) == 0;
}

static int check(const struct reading *rd, const struct snapshot_exception *e,
                 struct ovbd_error *err)
{
	const uint64_t n = rd->s->info.nchunks;
	uint64_t end;

	if (e->new >= rd->nstored)
		return ovbd_fail(err, -EBADMSG,
		                 "store of dm-snapshot: exception %" PRIu64
		                 ": its data are in chunk "
		                 "%" PRIu64 " of %" PRIu64,
		                 n, e->new, rd->nstored);
	if (is_metadata(rd, e->new))
		return ovbd_fail(err, -EBADMSG,
		                 "store of dm-snapshot: exception %" PRIu64
		                 ": its data are in chunk "
		                 "%" PRIu64 ", which has metadata",
		                 n, e->new);
	if (!ovbd_mul(e->old, rd->s->info.chunk_size, &end) || end > INT64_MAX)
		return ovbd_fail(err, -EBADMSG,
		                 "store of dm-snapshot: exception %" PRIu64 ": for chunk %" PRIu64,
		                 n, e->old);
	return 0;
}

static int add(struct reading *rd, const struct snapshot_exception *e, struct ovbd_error *err)
{
	struct ovbd_dm_snapshot *s = rd->s;
	const int r = check(rd, e, err);

	if (r < 0)
		return r;
	/* each has a chunk of its own, so this is also a bound to the memory */
	if (s->info.nchunks >= rd->nstored)
		return ovbd_fail(err, -EBADMSG,
		                 "store of dm-snapshot: more exceptions than the %" PRIu64
		                 " chunks",
		                 rd->nstored);
	if (s->info.nchunks == rd->capacity) {
		const uint64_t capacity = rd->capacity + rd->capacity / 2 + 256;
		struct snapshot_exception *list =
			realloc(s->list, (size_t)capacity * sizeof(*list));

		if (!list)
			return ovbd_fail(err, -ENOMEM, "out of memory for %" PRIu64 " exceptions",
			                 capacity);
		s->list = list;
		rd->capacity = capacity;
	}
	s->list[s->info.nchunks++] = *e;
	return 0;
}

/* *ret_full: there may be another area. */
static int read_area(struct reading *rd, uint64_t chunk, bool *ret_full, struct ovbd_error *err)
{
	const uint32_t size = rd->s->info.chunk_size;
	int r = ovbd_blob_pread(rd->s->blob, rd->area, size, chunk * size, err);

	*ret_full = false;
	for (uint64_t i = 0; r == 0 && i < rd->per_area; i++) {
		const struct snapshot_exception e =
			ovbd_snapshot_exception_decode(rd->area + i * SNAPSHOT_EXCEPTION_SIZE);

		if (e.new == 0)
			return 0;
		r = add(rd, &e, err);
	}
	*ret_full = r == 0;
	return r;
}

static int read_areas(struct reading *rd, struct ovbd_error *err)
{
	bool full = true;

	for (uint64_t chunk = 1; full; chunk += rd->per_area + 1) {
		const uint64_t before = rd->s->info.nchunks;
		int r;

		if (chunk >= rd->nstored)
			return chunk == 1 ? ovbd_fail(err, -EBADMSG,
			                              "store of dm-snapshot: %" PRIu64
			                              " bytes have no room for exceptions",
			                              rd->s->blob->size)
			                  : 0; /* a device that is full to its end */
		r = read_area(rd, chunk, &full, err);
		if (r < 0)
			return r;
		rd->s->info.nareas += rd->s->info.nchunks > before;
	}
	return 0;
}

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_old(const void *a, const void *b)
{
	const struct snapshot_exception *x = a, *y = b;

	return compare(x->old, y->old);
}

static int by_new(const void *a, const void *b)
{
	const struct snapshot_exception *x = a, *y = b;

	return compare(x->new, y->new);
}

static int sort(struct ovbd_dm_snapshot *s, struct ovbd_error *err)
{
	const size_t n = (size_t)s->info.nchunks;

	if (n == 0)
		return 0;
	qsort(s->list, n, sizeof(s->list[0]), by_new);
	for (size_t i = 1; i < n; i++)
		if (s->list[i].new == s->list[i - 1].new)
			return ovbd_fail(err, -EBADMSG,
			                 "store of dm-snapshot: chunk %" PRIu64
			                 " has the data of two exceptions",
			                 s->list[i].new);
	qsort(s->list, n, sizeof(s->list[0]), by_old);
	for (size_t i = 1; i < n; i++)
		if (s->list[i].old == s->list[i - 1].old)
			return ovbd_fail(err, -EBADMSG,
			                 "store of dm-snapshot: two exceptions for chunk %" PRIu64,
			                 s->list[i].old);
	s->info.end = (s->list[n - 1].old + 1) * s->info.chunk_size;
	return 0;
}

static int load(struct ovbd_dm_snapshot *s, struct ovbd_error *err)
{
	struct reading rd = {.s = s};
	uint8_t buf[SNAPSHOT_HEADER_SIZE];
	struct snapshot_header h;
	AUTO_FREE uint8_t *area = NULL;
	int r;

	if (s->blob->size < sizeof(buf))
		return ovbd_fail(err, -EBADMSG, "is no store of dm-snapshot");
	r = ovbd_blob_pread(s->blob, buf, sizeof(buf), 0, err);
	if (r == 0)
		r = ovbd_snapshot_header_decode(buf, &h, err);
	if (r < 0)
		return r;
	s->info.chunk_size = h.chunk_size;
	rd.per_area = h.chunk_size / SNAPSHOT_EXCEPTION_SIZE;
	rd.nstored = s->blob->size / h.chunk_size;
	rd.area = area = malloc(h.chunk_size);
	if (!area)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = read_areas(&rd, err);
	return r < 0 ? r : sort(s, err);
}

int ovbd_dm_snapshot_open(struct ovbd_blob *take_b, struct ovbd_dm_snapshot **ret,
                          struct ovbd_error *err)
{
	AUTO_BLOB *b = take_b;
	OVBD_AUTO(ovbd_dm_snapshot_closep) struct ovbd_dm_snapshot *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->blob = OVBD_MOVE(b);
	r = load(s, err);
	if (r == 0)
		*ret = OVBD_MOVE(s);
	return r;
}

const struct ovbd_dm_snapshot_info *ovbd_dm_snapshot_info(const struct ovbd_dm_snapshot *s)
{
	return &s->info;
}

void ovbd_dm_snapshot_close(struct ovbd_dm_snapshot *take_s)
{
	if (!take_s)
		return;
	ovbd_blob_close(take_s->blob);
	free(take_s->list);
	free(take_s);
}
