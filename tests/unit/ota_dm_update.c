// SPDX-License-Identifier: Apache-2.0
/* dm-update files written and read back, with every call that can fail failing once. What others
 * write, and refusals, are tests/cli/dm-update.sh's and tests/should-fail's. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "ota/dm_update.h"
#include "tests/lib/fault.h"

#define BLOCK   4096u
#define NBLOCKS 40u

static uint8_t device[NBLOCKS * BLOCK], base[NBLOCKS * BLOCK];

/* Every third block, and two that follow each other at the end. */
static bool is_new(size_t i)
{
	return i % 3 == 0 || i >= NBLOCKS - 2;
}

static int fill(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(base); i++) {
		base[i] = (uint8_t)(i / 100);
		device[i] = is_new(i / BLOCK) ? (uint8_t)(i * i / 1000) : base[i];
	}
	return 0;
}

/* Writes the new blocks into *ret, to be freed. The sink cannot be a faulty one, as that is not the
 * one to take the bytes from. */
static int write_all(const struct ovbd_dm_update_params *p, uint8_t **ret, size_t *ret_len,
                     struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_dm_update_writer_closep) struct ovbd_dm_update_writer *w = NULL;
	struct ovbd_sink *mem;
	int r = ovbd_sink_create_mem(&mem, err);

	if (r == 0)
		r = ovbd_dm_update_create(mem, p, &w, err);
	for (size_t i = 0; r == 0 && i < NBLOCKS; i++)
		if (is_new(i))
			r = ovbd_dm_update_put(w, i * BLOCK, device + i * BLOCK, BLOCK, err);
	if (r == 0)
		r = ovbd_dm_update_finish(w, err);
	if (r == 0)
		*ret = ovbd_sink_mem_take(mem, ret_len);
	return r;
}

static struct ovbd_blob *faulty(const void *p, size_t len)
{
	struct ovbd_blob *b;

	assert_int_equal(ovbd_blob_open_mem(p, len, &b, NULL), 0);
	return test_blob_faulty(b);
}

static int read_all(struct ovbd_blob *take_b, struct ovbd_blob *take_below, uint8_t *ret,
                    struct ovbd_error *err)
{
	AUTO_BLOB *below = take_below, *view = NULL;
	struct ovbd_dm_update *u;
	int r = ovbd_dm_update_open(take_b, &u, err);

	if (r < 0)
		return r;
	r = ovbd_dm_update_check(u, NULL, NULL, err);
	if (r < 0) {
		ovbd_dm_update_close(u);
		return r;
	}
	r = ovbd_dm_update_view_open(u, OVBD_MOVE(below), &view, err);
	for (size_t at = 0; r == 0 && at < sizeof(device); at += 8192)
		r = ovbd_blob_pread(view, ret + at, 8192, at, err);
	return r;
}

static void check(const struct ovbd_dm_update_params *p)
{
	uint8_t *got = malloc(sizeof(device)), *file = NULL;
	struct ovbd_error err;
	size_t len = 0;
	int r;

	for (long n = 1;; n++) {
		test_fault_set(n);
		r = write_all(p, &file, &len, &err);
		if (!test_fault_hit())
			break;
		assert_true(r < 0);
	}
	assert_ok(r, err);
	for (long n = 1;; n++) {
		struct ovbd_blob *b = faulty(file, len), *below = faulty(base, sizeof(base));

		test_fault_set(n);
		r = read_all(b, below, got, &err);
		if (!test_fault_hit())
			break;
		assert_true(r < 0);
	}
	assert_ok(r, err);
	assert_memory_equal(got, device, sizeof(device));
	free(file);
	free(got);
}

static void test_codecs(void **state)
{
	static const struct ovbd_dm_update_params cases[] = {
		{OVBD_DM_UPDATE_NONE, 0, BLOCK, 4},    {OVBD_DM_UPDATE_LZ4, 0, BLOCK, 1},
		{OVBD_DM_UPDATE_LZ4, 0, BLOCK, 16},    {OVBD_DM_UPDATE_ZSTD, 0, 512, 64},
		{OVBD_DM_UPDATE_ZSTD, 19, BLOCK, 100}, {OVBD_DM_UPDATE_DEFLATE, 0, BLOCK, 16},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(&cases[i]);
}

static void test_refuses(void **state)
{
	static const struct {
		struct ovbd_dm_update_params p;
		const char *text;
	} cases[] = {
		{{OVBD_DM_UPDATE_LZ4, 0, 3000, 1}, "blocks of 3000 bytes: it is a power of two"},
		{{OVBD_DM_UPDATE_LZ4, 0, 256, 1}, "blocks of 256 bytes"},
		{{OVBD_DM_UPDATE_LZ4, 0, 4096, 0}, "chunks of 0 blocks"},
		{{OVBD_DM_UPDATE_LZ4, 0, 4096, 16385}, "chunks of 16385 blocks"},
		{{OVBD_DM_UPDATE_LZ4, 3, 4096, 1}, "lz4 has no level 3"},
	};
	const struct ovbd_dm_update_params good = {OVBD_DM_UPDATE_LZ4, 0, 4096, 16};
	struct ovbd_dm_update_writer *w;
	struct ovbd_sink *mem;
	struct ovbd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(ovbd_sink_create_mem(&mem, NULL), 0);
		assert_fails(ovbd_dm_update_create(mem, &cases[i].p, &w, &err), -EINVAL, err,
		             cases[i].text);
	}
	assert_int_equal(ovbd_sink_create_mem(&mem, NULL), 0);
	assert_ok(ovbd_dm_update_create(mem, &good, &w, &err), err);
	assert_ok(ovbd_dm_update_put(w, 8192, device, 8192, &err), err);
	assert_fails(ovbd_dm_update_put(w, 12288, device, 4096, &err), -EINVAL, err,
	             "not whole blocks of 4096 behind 16384");
	assert_fails(ovbd_dm_update_put(w, 16384, device, 512, &err), -EINVAL, err, "not whole");
	ovbd_dm_update_writer_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codecs),
		cmocka_unit_test(test_refuses),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
