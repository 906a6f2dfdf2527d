// SPDX-License-Identifier: Apache-2.0
/*
 * Stores of dm-snapshot, made here from the layout alone, with chunks of all sizes: against a
 * model, and damaged.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "ota/dm_snapshot.h"
#include "tests/lib/fault.h"

#define SIZE   (300u << 10) /* of the origin; no multiple of every chunk */
#define STORED (1u << 20)
#define KIB    1024u

static uint8_t origin[SIZE], store[STORED], want[SIZE], got[SIZE];

static void put_header(uint32_t valid, uint32_t version, uint32_t sectors)
{
	memcpy(store, "SnAp", 4);
	ovbd_put_le32(store + 4, valid);
	ovbd_put_le32(store + 8, version);
	ovbd_put_le32(store + 12, sectors);
}

/* The i-th exception of a store with such chunks. */
static uint8_t *exception(uint32_t chunk_size, uint64_t i)
{
	const uint64_t per_area = chunk_size / 16;
	const uint64_t area = 1 + i / per_area * (per_area + 1);

	return store + area * chunk_size + i % per_area * 16;
}

static void put(uint32_t chunk_size, uint64_t i, uint64_t old, uint64_t new)
{
	ovbd_put_le64(exception(chunk_size, i), old);
	ovbd_put_le64(exception(chunk_size, i) + 8, new);
}

/* n chunks in a random order, as the kernel would have stored them; *want is the snapshot. */
static void make(uint32_t chunk_size, unsigned n, uint64_t *random)
{
	const uint64_t nchunks = (SIZE + chunk_size - 1) / chunk_size;
	static bool taken[SIZE / 512 + 1];
	uint64_t new = 2;

	memset(store, 0, sizeof(store));
	memset(taken, 0, sizeof(taken));
	memcpy(want, origin, SIZE);
	put_header(1, 1, chunk_size / 512);
	for (unsigned i = 0; i < n; i++) {
		uint64_t old = i > 0 && test_random(random) % 2 ? i : test_random(random) % nchunks;
		size_t len;

		old %= nchunks;
		while (taken[old])
			old = (old + 1) % nchunks;
		taken[old] = true;
		if ((new - 1) % (chunk_size / 16 + 1) == 0)
			new ++;
		put(chunk_size, i, old, new);
		for (size_t k = 0; k < chunk_size; k++)
			store[new *chunk_size + k] = (uint8_t)test_random(random);
		len = (size_t)ovbd_min(chunk_size, SIZE - old * chunk_size);
		memcpy(want + old * chunk_size, store + new *chunk_size, len);
		new ++;
	}
}

static int open_view(size_t stored, bool with_origin, struct ovbd_blob **ret,
                     struct ovbd_error *err)
{
	struct ovbd_dm_snapshot *s;
	struct ovbd_blob *b, *o = NULL;
	int r = ovbd_blob_open_mem(store, stored, &b, err);

	if (r == 0)
		r = ovbd_dm_snapshot_open(b, &s, err);
	if (r < 0)
		return r;
	if (with_origin)
		r = ovbd_blob_open_mem(origin, SIZE, &o, err);
	if (r < 0) {
		ovbd_dm_snapshot_close(s);
		return r;
	}
	return ovbd_dm_snapshot_view_open(s, o, ret, err);
}

static void test_model(void **state)
{
	static const uint32_t sizes[] = {512, 4 * KIB, 8 * KIB, 64 * KIB};
	uint64_t random = 1;

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		origin[i] = (uint8_t)test_random(&random);
	for (unsigned round = 0; round < 200; round++) {
		const uint32_t size = sizes[round % 4];
		const unsigned n = (unsigned)(test_random(&random) % (SIZE / size + 1));
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;

		make(size, n, &random);
		assert_ok(open_view(STORED, true, &b, &err), err);
		assert_int_equal(b->size, SIZE);
		assert_ok(ovbd_blob_pread(b, got, SIZE, 0, &err), err);
		assert_memory_equal(got, want, SIZE);
		for (unsigned k = 0; k < 50; k++) {
			const uint64_t off = test_random(&random) % SIZE;
			const size_t len = 1 + (size_t)(test_random(&random) % (SIZE - off));

			assert_ok(ovbd_blob_pread(b, got, len, off, &err), err);
			assert_memory_equal(got, want + off, len);
		}
	}
}

/* Holes are what only the origin has. */
static void test_without_origin(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	struct ovbd_run run;
	uint64_t random = 2;

	(void)state;
	make(4 * KIB, 0, &random);
	put(4 * KIB, 0, 7, 2);
	put(4 * KIB, 1, 8, 3);
	put(4 * KIB, 2, 5, 4);
	assert_ok(open_view(STORED, false, &b, &err), err);
	assert_int_equal(b->size, 9 * 4 * KIB);
	assert_ok(ovbd_blob_run_at(b, 100, b->size - 100, &run, &err), err);
	assert_int_equal(run.kind, OVBD_RUN_HOLE);
	assert_int_equal(run.len, 5 * 4 * KIB - 100);
	assert_ok(ovbd_blob_run_at(b, 7 * 4 * KIB, 2 * 4 * KIB, &run, &err), err);
	assert_int_equal(run.kind, OVBD_RUN_DATA);
	assert_int_equal(run.len, 2 * 4 * KIB);
}

static void test_info(void **state)
{
	struct ovbd_dm_snapshot *s;
	struct ovbd_blob *b;
	struct ovbd_error err;
	uint64_t random = 3;

	(void)state;
	make(512, 32, &random); /* an area that is just full */
	assert_ok(ovbd_blob_open_mem(store, STORED, &b, &err), err);
	assert_int_equal(ovbd_dm_snapshot_probe(b, &err), 1);
	assert_ok(ovbd_dm_snapshot_open(b, &s, &err), err);
	assert_int_equal(ovbd_dm_snapshot_info(s)->nchunks, 32);
	assert_int_equal(ovbd_dm_snapshot_info(s)->nareas, 1);
	assert_int_equal(ovbd_dm_snapshot_info(s)->chunk_size, 512);
	ovbd_dm_snapshot_close(s);
	assert_ok(ovbd_blob_open_mem(origin, 15, &b, &err), err);
	assert_int_equal(ovbd_dm_snapshot_probe(b, &err), 0);
	ovbd_blob_close(b);
}

static void test_damaged(void **state)
{
	static const struct {
		uint32_t valid, version, sectors;
		uint64_t old, new; /* of the second exception */
		size_t stored;
		int code;
		const char *text;
	} table[] = {
		{1, 2, 8, 1, 3, STORED, -ENOTSUP, "version 2, not 1"},
		{2, 1, 8, 1, 3, STORED, -EBADMSG, "valid is 2"},
		{0, 1, 8, 1, 3, STORED, -EBADMSG, "no longer valid"},
		{1, 1, 0, 1, 3, STORED, -EBADMSG, "chunks of 0 sectors"},
		{1, 1, 12, 1, 3, STORED, -EBADMSG, "chunks of 12 sectors: not a power of two"},
		{1, 1, 65536, 1, 3, STORED, -ENOTSUP, "chunks of 65536 sectors: at most 32768"},
		{1, 1, 8, 1, 258, STORED, -EBADMSG, "data are in chunk 258 of 256"},
		{1, 1, 8, 1, 256, STORED, -EBADMSG, "data are in chunk 256 of 256"},
		{1, 1, 8, 1, 1, STORED, -EBADMSG, "chunk 1, which has metadata"},
		{1, 1, 8, UINT64_MAX / 8, 3, STORED, -EBADMSG, "exception 1: for chunk"},
		{1, 1, 8, 5, 3, STORED, -EBADMSG, "two exceptions for chunk 5"},
		{1, 1, 8, 1, 2, STORED, -EBADMSG, "chunk 2 has the data of two exceptions"},
		{1, 1, 8, 75, 3, STORED, -EBADMSG, "for chunk 75, beyond the 307200 bytes"},
		{1, 1, 8, 1, 3, 8191, -EBADMSG, "8191 bytes have no room for exceptions"},
		{1, 1, 8, 1, 3, 15, -EBADMSG, "is no store of dm-snapshot"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct ovbd_blob *b;
		struct ovbd_error err = {""};
		uint64_t random = 4;

		make(4 * KIB, 0, &random);
		put(4 * KIB, 0, 5, 2);
		put(4 * KIB, 1, table[i].old, table[i].new);
		put_header(table[i].valid, table[i].version, table[i].sectors);
		assert_fails(open_view(table[i].stored, true, &b, &err), table[i].code, err,
		             table[i].text);
	}
	memset(store, 'x', 4);
	assert_int_equal(open_view(STORED, true, NULL, NULL), -EBADMSG);
}

static void test_faults(void **state)
{
	uint64_t random = 5;

	(void)state;
	make(512, 500, &random);
	for (long n = 1;; n++) {
		struct ovbd_dm_snapshot *s;
		struct ovbd_blob *b, *o, *view;
		int r;

		test_fault_set(0);
		assert_int_equal(ovbd_blob_open_mem(store, STORED, &b, NULL), 0);
		assert_int_equal(ovbd_blob_open_mem(origin, SIZE, &o, NULL), 0);
		b = test_blob_faulty(b);
		test_fault_set(n);
		r = ovbd_dm_snapshot_open(b, &s, NULL);
		if (r == 0)
			r = ovbd_dm_snapshot_view_open(s, o, &view, NULL);
		else
			ovbd_blob_close(o);
		if (r == 0) {
			r = ovbd_blob_pread(view, got, SIZE, 0, NULL);
			ovbd_blob_close(view);
		}
		if (!test_fault_hit()) {
			assert_int_equal(r, 0);
			break;
		}
		assert_true(r == -ENOMEM || r == -EIO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),  cmocka_unit_test(test_without_origin),
		cmocka_unit_test(test_info),   cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
