// SPDX-License-Identifier: Apache-2.0
/*
 * Small COWs of every layout, made by tests/lib/cow_make.py, over a base of 1 MiB: against what
 * their operations say, whole, in pieces, by several threads; with each call failing once; cut off
 * at every byte, and with every byte changed.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "ota/cow.h"
#include "tests/lib/fault.h"

#define BLOCK 4096u
#define SIZE  (1u << 20)

static uint8_t old[SIZE];

static const struct {
	const char *name;
	char layout;
	bool xors;           /* it has the xor */
	bool four;           /* and the replace of four blocks */
	unsigned early;      /* 2: unfinished, up to label 2 */
	uint32_t in_base[3]; /* merged; 0: none */
	uint32_t scratch[3]; /* blocks in the scratch area */
} files[] = {
	{"v1-a-gz", 'A'},
	{"v1-s", 'S'},
	{"v1-b-gz", 'B'},
	{"v1-c-gz", 'C'},
	{"v1-d", 'D', .in_base = {3}},
	{"v1-e-gz", 'E'},
	{"v2-gz", 'F', true},
	{"v2-cluster", 'F', true},
	{"v2-cluster-gz", 'F', true, .in_base = {20, 4}},
	{"v2-unfinished", 'F', true, .early = 2},
	{"v2-scratch", 'F', true, .scratch = {3, 4}},
	{"v3", 'H', true, true},
	{"v3-gz", 'H', true, true, .in_base = {4}},
	{"v3-scratch", 'H', true, true, .scratch = {3, 4, 20}},
};

#define NFILES (sizeof(files) / sizeof(files[0]))

struct bytes {
	uint8_t *p;
	size_t len;
};

static struct bytes load(const char *name)
{
	char path[512];
	struct ovbd_error err;
	AUTO_BLOB *b = NULL;
	struct bytes all;

	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/cow/%s", getenv("OVBD_SOURCE"), name);
	assert_ok(ovbd_blob_open_file(path, &b, &err), err);
	all.len = (size_t)b->size;
	all.p = malloc(all.len);
	assert_non_null(all.p);
	assert_ok(ovbd_blob_pread(b, all.p, all.len, 0, &err), err);
	return all;
}

/* As cow_make.py fills its blocks. */
static void fill(uint8_t *p, unsigned n)
{
	for (unsigned i = 0; i < BLOCK; i++)
		p[i] = (uint8_t)(n * 7 + i / 16);
}

static void replace(uint8_t *image, uint32_t block, unsigned n)
{
	fill(image + (size_t)block * BLOCK, n);
}

/* What file i makes of the base. */
static void model(size_t i, uint8_t *image)
{
	memcpy(image, old, SIZE);
	memcpy(image + 3 * BLOCK, old + 10 * BLOCK, BLOCK);
	memcpy(image + 4 * BLOCK, old + 11 * BLOCK, BLOCK);
	if (files[i].xors) {
		replace(image, 20, 1);
		for (unsigned j = 0; j < BLOCK; j++)
			image[20 * BLOCK + j] ^= old[12345 + j];
	}
	memset(image + 5 * BLOCK, 0, BLOCK);
	replace(image, 7, 2);
	replace(image, 8, 3);
	memset(image + 9 * BLOCK, 0, BLOCK);
	if (!files[i].early)
		replace(image, 200, 4);
	for (uint32_t j = 0; files[i].four && j < 4; j++)
		replace(image, 100 + j, j);
	for (unsigned j = 0; j < 3; j++) {
		const uint32_t merged = files[i].in_base[j], scratch = files[i].scratch[j];

		if (merged)
			memcpy(image + (size_t)merged * BLOCK, old + (size_t)merged * BLOCK, BLOCK);
		if (scratch)
			replace(image, scratch, 50 + j);
	}
}

/* With nth > 0 the nth read or allocation fails. */
static int open_bytes(const struct bytes *x, const struct ovbd_cow_params *p, bool with_base,
                      long nth, struct ovbd_blob **ret, struct ovbd_error *err)
{
	struct ovbd_blob *b, *base = NULL;
	struct ovbd_cow *c;
	int r;

	assert_ok(ovbd_blob_open_mem(x->p, x->len, &b, err), *err);
	if (with_base)
		assert_ok(ovbd_blob_open_mem(old, SIZE, &base, err), *err);
	if (nth > 0) {
		b = test_blob_faulty(b);
		base = test_blob_faulty(base);
		test_fault_set(nth);
	}
	r = ovbd_cow_open(b, p, &c, err);
	if (r < 0)
		ovbd_blob_close(base);
	return r < 0 ? r : ovbd_cow_view_open(c, base, ret, err);
}

static const struct ovbd_cow_params last = {.until = OVBD_COW_LAST_LABEL};

static void test_views(void **state)
{
	uint8_t *want = malloc(SIZE), *has = malloc(SIZE);
	uint64_t seed = 1;

	(void)state;
	assert_non_null(want);
	assert_non_null(has);
	for (size_t i = 0; i < NFILES; i++) {
		struct bytes x = load(files[i].name);
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;

		model(i, want);
		assert_ok(open_bytes(&x, &last, true, 0, &b, &err), err);
		assert_int_equal(b->size, SIZE);
		assert_ok(ovbd_blob_pread(b, has, SIZE, 0, &err), err);
		for (unsigned j = 0; j < SIZE / BLOCK; j++)
			if (memcmp(has + j * BLOCK, want + j * BLOCK, BLOCK) != 0)
				fail_msg("%s: block %u", files[i].name, j);
		for (unsigned j = 0; j < 300; j++) {
			const uint64_t off = test_random(&seed) % SIZE;
			const size_t len =
				(size_t)(test_random(&seed) % ovbd_min(SIZE - off, 20000));

			assert_ok(ovbd_blob_pread(b, has, len, off, &err), err);
			if (memcmp(has, want + off, len) != 0)
				fail_msg("%s: %zu bytes at %u", files[i].name, len, (unsigned)off);
		}
		free(x.p);
	}
	free(want);
	free(has);
}

static void test_runs(void **state)
{
	struct bytes x = load("v3");
	AUTO_BLOB *b = NULL;
	struct ovbd_run run;
	struct ovbd_error err;
	uint64_t off = 0;
	unsigned nzero = 0;

	(void)state;
	assert_ok(open_bytes(&x, NULL, true, 0, &b, &err), err);
	for (; off < SIZE; off += run.len) {
		assert_ok(ovbd_blob_run_at(b, off, SIZE - off, &run, &err), err);
		assert_in_range(run.len, 1, SIZE - off);
		if (run.kind == OVBD_RUN_ZERO) {
			nzero++;
			assert_int_equal(run.len, BLOCK);
			assert_true(off == 5 * BLOCK || off == 9 * BLOCK);
		}
	}
	assert_int_equal(nzero, 2);
	free(x.p);
}

static void test_info(void **state)
{
	(void)state;
	for (size_t i = 0; i < NFILES; i++) {
		struct bytes x = load(files[i].name);
		OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *c = NULL;
		const struct ovbd_cow_info *info;
		struct ovbd_blob *b;
		struct ovbd_error err;

		assert_ok(ovbd_blob_open_mem(x.p, x.len, &b, &err), err);
		assert_int_equal(ovbd_cow_probe(b, &err), 1);
		assert_ok(ovbd_cow_open(b, &last, &c, &err), err);
		info = ovbd_cow_info(c);
		assert_int_equal(info->layout, files[i].layout);
		assert_int_equal(info->algorithm,
		                 strstr(files[i].name, "gz") || strstr(files[i].name, "scratch") ||
		                                 files[i].early
		                         ? OVBD_COW_GZ
		                         : OVBD_COW_NONE);
		assert_int_equal(info->nops[OVBD_COW_COPY], 2);
		assert_int_equal(info->nops[OVBD_COW_XOR], files[i].xors);
		assert_int_equal(info->nops[OVBD_COW_ZERO], 2);
		assert_int_equal(info->nmerged,
		                 (files[i].in_base[0] > 0) + (files[i].in_base[1] > 0));
		assert_int_equal(info->nscratch, (files[i].scratch[0] > 0) +
		                                         (files[i].scratch[1] > 0) +
		                                         (files[i].scratch[2] > 0));
		free(x.p);
	}
}

/* What needs no base can be read without; what does says so. */
static void test_no_base(void **state)
{
	struct bytes x = load("v2-gz");
	AUTO_BLOB *b = NULL;
	struct ovbd_run run;
	struct ovbd_error err;
	uint8_t buf[BLOCK], want[BLOCK];

	(void)state;
	assert_ok(open_bytes(&x, NULL, false, 0, &b, &err), err);
	assert_int_equal(b->size, 201 * BLOCK);
	fill(want, 4);
	assert_ok(ovbd_blob_pread(b, buf, BLOCK, 200 * BLOCK, &err), err);
	assert_memory_equal(buf, want, BLOCK);
	assert_ok(ovbd_blob_run_at(b, 100 * BLOCK, BLOCK, &run, &err), err);
	assert_int_equal(run.kind, OVBD_RUN_HOLE);
	assert_fails(ovbd_blob_pread(b, buf, BLOCK, 3 * BLOCK, &err), -EINVAL, err,
	             "block 3 is a copy of the base, which is needed");
	assert_fails(ovbd_blob_pread(b, buf, BLOCK, 20 * BLOCK, &err), -EINVAL, err,
	             "block 20 is a difference of the base, which is needed");
	free(x.p);
}

/* All data decompress, or the check says which do not. */
static void test_check(void **state)
{
	(void)state;
	for (size_t i = 0; i < NFILES; i++) {
		struct bytes x = load(files[i].name);
		OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *c = NULL;
		struct ovbd_blob *b;
		struct ovbd_error err;

		assert_ok(ovbd_blob_open_mem(x.p, x.len, &b, &err), err);
		assert_ok(ovbd_cow_open(b, &last, &c, &err), err);
		assert_ok(ovbd_cow_check(c, NULL, NULL, &err), err);
		if (strcmp(files[i].name, "v3-gz") == 0) {
			x.p[x.len - 3] ^= 1; /* the end of a zlib stream is a checksum */
			assert_fails(ovbd_cow_check(c, NULL, NULL, &err), -EBADMSG, err,
			             "do not decompress by gz to 16384");
		}
		free(x.p);
	}
}

/* A base that is too short for what is read of it, and for what is written. */
static void test_small_base(void **state)
{
	static const struct {
		size_t size;
		const char *sentence;
	} cases[] = {
		{SIZE / 2, "writes block 200, beyond the base of 524288 bytes"},
		{10 * BLOCK, "block 3 is made of the base at 40960, beyond its 40960 bytes"},
	};
	struct bytes x = load("v2-gz");

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct ovbd_blob *b, *base, *view;
		struct ovbd_cow *c;
		struct ovbd_error err;

		assert_ok(ovbd_blob_open_mem(x.p, x.len, &b, &err), err);
		assert_ok(ovbd_cow_open(b, NULL, &c, &err), err);
		assert_ok(ovbd_blob_open_mem(old, cases[i].size, &base, &err), err);
		assert_fails(ovbd_cow_view_open(c, base, &view, &err), -EBADMSG, err,
		             cases[i].sentence);
	}
	free(x.p);
}

static void test_labels(void **state)
{
	const struct ovbd_cow_params one = {.until = OVBD_COW_LABEL, .label = 1};
	const struct ovbd_cow_params three = {.until = OVBD_COW_LABEL, .label = 3};
	const char *const names[] = {"v2-gz", "v2-cluster", "v2-unfinished", "v3"};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct bytes x = load(names[i]);
		struct ovbd_blob *b;
		struct ovbd_error err;
		uint8_t buf[BLOCK];

		assert_ok(open_bytes(&x, &one, true, 0, &b, &err), err);
		assert_ok(ovbd_blob_pread(b, buf, BLOCK, 3 * BLOCK, &err), err);
		assert_memory_equal(buf, old + 10 * BLOCK, BLOCK);
		assert_ok(ovbd_blob_pread(b, buf, BLOCK, 7 * BLOCK, &err), err);
		assert_memory_equal(buf, old + 7 * BLOCK, BLOCK);
		ovbd_blob_close(b);
		assert_fails(open_bytes(&x, &three, true, 0, &b, &err), -ENOENT, err, "no label 3");
		free(x.p);
	}
}

/* Every allocation and every read fails once. */
static void test_faults(void **state)
{
	uint8_t *want = malloc(SIZE), *has = malloc(SIZE);

	(void)state;
	assert_non_null(want);
	assert_non_null(has);
	for (size_t i = 0; i < NFILES; i++) {
		struct bytes x = load(files[i].name);

		model(i, want);
		for (long n = 1;; n++) {
			AUTO_BLOB *b = NULL;
			struct ovbd_error err;
			int r;

			r = open_bytes(&x, &last, true, n, &b, &err);
			if (r == 0)
				r = ovbd_blob_pread(b, has, SIZE, 0, &err);
			if (!test_fault_hit()) {
				assert_ok(r, err);
				assert_memory_equal(has, want, SIZE);
				break;
			}
			assert_true(r == -ENOMEM || r == -EIO);
		}
		free(x.p);
	}
	free(want);
	free(has);
}

static void try(const struct bytes *x)
{
	AUTO_BLOB *b = NULL;
	uint8_t buf[BLOCK];
	struct ovbd_error err;

	if (open_bytes(x, NULL, true, 0, &b, &err) < 0)
		return;
	for (unsigned i = 0; i < SIZE / BLOCK; i++)
		ovbd_blob_pread(b, buf, BLOCK, (uint64_t)i * BLOCK, NULL);
}

/* Cut off, a file is refused, unless nothing of it is missing; changed, it ends in no crash. */
static void test_damage(void **state)
{
	static const char *const names[] = {"v1-a-gz", "v2-cluster-gz", "v3-gz"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct bytes x = load(names[i]);

		for (size_t len = 0; len < x.len; len++) {
			const struct bytes cut = {.p = x.p, .len = len};
			struct ovbd_error err;
			struct ovbd_blob *b;
			const int r = open_bytes(&cut, NULL, true, 0, &b, &err);

			if (r != -EBADMSG)
				fail_msg("%s: %d with %zu bytes", names[i], r, len);
		}
		for (size_t at = 0; at < x.len; at++) {
			const uint8_t bit = (uint8_t)(1 << at % 8);

			x.p[at] ^= bit;
			try(&x);
			x.p[at] ^= bit;
		}
		free(x.p);
	}
}

struct readers {
	struct ovbd_blob *b;
	const uint8_t *want;
	_Atomic unsigned nwrong;
};

static void *read_main(void *arg)
{
	struct readers *rs = arg;
	uint64_t seed = (uint64_t)(uintptr_t)&seed;
	uint8_t buf[3 * BLOCK];

	for (unsigned i = 0; i < 2000; i++) {
		const uint64_t off = 95 * BLOCK + test_random(&seed) % (10 * BLOCK);

		if (ovbd_blob_pread(rs->b, buf, sizeof(buf), off, NULL) < 0 ||
		    memcmp(buf, rs->want + off, sizeof(buf)) != 0)
			rs->nwrong++;
	}
	return NULL;
}

static void test_threads(void **state)
{
	uint8_t *want = malloc(SIZE);
	struct bytes x = load("v3-gz");
	struct readers rs = {.want = want};
	struct ovbd_error err;
	pthread_t threads[8];

	(void)state;
	assert_non_null(want);
	model(12, want);
	assert_ok(open_bytes(&x, NULL, true, 0, &rs.b, &err), err);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_main, &rs), 0);
	for (size_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(rs.nwrong, 0);
	ovbd_blob_close(rs.b);
	free(want);
	free(x.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_views),      cmocka_unit_test(test_runs),
		cmocka_unit_test(test_info),       cmocka_unit_test(test_no_base),
		cmocka_unit_test(test_small_base), cmocka_unit_test(test_labels),
		cmocka_unit_test(test_faults),     cmocka_unit_test(test_damage),
		cmocka_unit_test(test_threads),    cmocka_unit_test(test_check),
	};

	for (size_t i = 0; i < SIZE; i++)
		old[i] = (uint8_t)(i / 4096 * 31 + i / 7);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
