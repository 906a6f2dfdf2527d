// SPDX-License-Identifier: Apache-2.0
/*
 * Writable layers of all formats, over up to 8 layers, against a model: random writes, zeros,
 * flushes, reopenings, sizes, and commits.
 *
 *     prop_lsmt_rw                     all
 *     prop_lsmt_rw FORMAT SEED DIR     one, whose files stay in DIR beside "raw", what they read
 *                                      as, and "lower", what is beneath
 *
 * OVBD_SEED is the first seed, OVBD_CASES how many there are of each format.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/lib/rw_model.h"
#include "tests/unit/test.h"

#define CASES  10
#define NSTEPS 250

static void run(struct test_rw *t, enum test_rw_format format, uint64_t seed, const char *dir)
{
	test_rw_create(t, format, seed, dir);
	test_rw_check(t, "empty");
	for (unsigned i = 0; i < NSTEPS; i++)
		test_rw_step(t);
	test_rw_check(t, "at the end");
	test_rw_check_commit(t);
	assert_int_equal(ovbd_device_flush(t->device, NULL), 0);
	test_rw_close(t);
	test_rw_open(t);
	test_rw_check(t, "opened again");
	test_rw_check_commit(t);
}

static void test_all(void **state)
{
	const char *seed = getenv("OVBD_SEED"), *cases = getenv("OVBD_CASES");
	const uint64_t first = seed ? strtoull(seed, NULL, 0) : 1;
	const uint64_t n = cases ? strtoull(cases, NULL, 0) : CASES;
	static struct test_rw t;
	/* in memory, where there is room: what is asked is not how a disk flushes */
	char shm[] = "/dev/shm/ovbd-rw-XXXXXX", tmp[] = "/tmp/ovbd-rw-XXXXXX";
	const char *dir = mkdtemp(shm);

	(void)state;
	if (!dir)
		dir = mkdtemp(tmp);
	assert_non_null(dir);
	for (uint64_t i = 0; i < n; i++)
		for (unsigned format = 0; format < TEST_RW_NFORMATS; format++) {
			run(&t, (enum test_rw_format)format, first + i, dir);
			test_rw_check_sealed(&t);
			test_rw_free(&t);
		}
	assert_int_equal(rmdir(dir), 0);
}

static void save(const char *path, const void *p, size_t len)
{
	FILE *f = fopen(path, "w");

	if (!f || fwrite(p, 1, len, f) != len || fclose(f) != 0)
		abort();
}

static void save_blob(const struct test_rw *t, struct ovbd_blob *b, const char *name)
{
	char *path = test_rw_path(t, name);
	void *p = malloc(b->size + 1);

	if (!p || ovbd_blob_pread(b, p, b->size, 0, NULL) < 0)
		abort();
	save(path, p, b->size);
	free(path);
	free(p);
}

static struct {
	enum test_rw_format format;
	uint64_t seed;
	const char *dir;
} wanted;

static void test_one(void **state)
{
	static struct test_rw t;
	struct ovbd_blob *lower;

	(void)state;
	run(&t, wanted.format, wanted.seed, wanted.dir);
	save_blob(&t, t.device->blob, "raw");
	lower = test_rw_lower(&t, NULL);
	if (lower)
		save_blob(&t, lower, "lower");
	ovbd_blob_close(lower);
	test_rw_close(&t);
	for (unsigned i = 0; i < t.nlayers; i++)
		free(t.layers[i].p);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
	const struct CMUnitTest one[] = {cmocka_unit_test(test_one)};

	if (argc != 4)
		return cmocka_run_group_tests(tests, NULL, NULL);
	wanted.format = (enum test_rw_format)atoi(argv[1]);
	wanted.seed = strtoull(argv[2], NULL, 0);
	wanted.dir = argv[3];
	return cmocka_run_group_tests(one, NULL, NULL);
}
