// SPDX-License-Identifier: Apache-2.0
/*
 * Writable layers of all formats on disks that are full at any write, for one or some, and on disks
 * of which any flush fails. Who writes gets -ENOSPC, and what was there before is there; with room
 * again it goes on, and what shows after a flush is what shows when it is opened again. After a
 * flush that failed none succeeds, nor any write, until it is opened again.
 *
 * OVBD_SEED is the first seed, OVBD_CASES how many there are.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "lsmt/rw.h"
#include "tests/lib/power.h"
#include "tests/lib/rw_model.h"
#include "tests/unit/test.h"

#define CASES    30
#define SECTOR   TEST_RW_SECTOR
#define NSECTORS 96u
#define NBENEATH 80u /* sectors, beneath */
#define NOPS     30u
#define NDISKS   TEST_POWER_DISKS

enum format { LOG, APPEND, SPARSE, NFORMATS };

/* Of data, index, map. */
static const size_t disk_sizes[NFORMATS][NDISKS] = {
	{1u << 20, 8192, 8192},
	{1u << 19, 16384, 8192},
	{1u << 16, 8192, 16384},
};

struct test {
	enum format format;
	uint64_t seed, random, next;
	uint8_t *bytes[NDISKS];
	struct test_power *power;
	struct ovbd_device *device;
	uint64_t flushed[NSECTORS], was[NSECTORS]; /* was: after the last call */
	uint64_t since[NSECTORS][NOPS + 1];        /* what was written since the last flush */
	unsigned nsince[NSECTORS];
};

static struct ovbd_rw_file disk(struct test *t, unsigned i)
{
	struct ovbd_device *d = test_power_disk(t->power, i, t->bytes[i], disk_sizes[t->format][i]);

	return (struct ovbd_rw_file){d, d->blob->size};
}

static void open_layer(struct test *t)
{
	static uint8_t beneath[NBENEATH * SECTOR];
	const struct ovbd_rw_open_params p = {.no_thread = true, .checkpoint_blocks = 3};
	struct ovbd_rw_pair pair = {.no_thread = true, .unit = 4096};
	const struct ovbd_rw_file file = disk(t, 0);
	struct ovbd_blob *lower;
	struct ovbd_error err;

	for (uint64_t i = 0; i < NBENEATH; i++)
		test_rw_fill(1 + i, beneath + i * SECTOR);
	assert_int_equal(ovbd_blob_open_mem(beneath, sizeof(beneath), &lower, NULL), 0);
	if (t->format == LOG) {
		assert_ok(ovbd_rw_open(&file, &p, lower, &t->device, &err), err);
		return;
	}
	pair.data = file;
	pair.index = disk(t, 1);
	if (t->format == SPARSE)
		pair.map = disk(t, 2);
	else
		pair.data.end = test_power_end(t->power, 0, t->bytes[0]);
	assert_ok(ovbd_rw_open_pair(&pair, lower, &t->device, &err), err);
}

static void make_layer(struct test *t)
{
	const struct ovbd_rw_params p = {
		.virtual_size = NSECTORS * SECTOR,
		.sparse = t->format == SPARSE,
	};
	struct ovbd_device *data, *index;
	struct ovbd_error err;

	for (unsigned i = 0; i < NDISKS; i++) {
		t->bytes[i] = calloc(1, disk_sizes[t->format][i]);
		assert_non_null(t->bytes[i]);
	}
	t->power = test_power_create();
	test_power_discards(t->power);
	test_power_holes(t->power);
	data = disk(t, 0).device;
	index = disk(t, 1).device;
	if (t->format == LOG)
		assert_ok(ovbd_rw_create(data, &p, &err), err);
	else
		assert_ok(ovbd_rw_create_pair(data, index, &p, &err), err);
	ovbd_device_close(data);
	ovbd_device_close(index);
}

static void read_numbers(struct test *t, uint64_t ret[NSECTORS])
{
	static uint8_t got[NSECTORS * SECTOR];
	uint8_t want[SECTOR];

	assert_int_equal(ovbd_blob_pread(t->device->blob, got, sizeof(got), 0, NULL), 0);
	for (uint64_t i = 0; i < NSECTORS; i++) {
		const uint8_t *p = got + i * SECTOR;

		ret[i] = ovbd_get_le64(p) * 0xf1de83e19937733du;
		test_rw_fill(ret[i], want);
		if (memcmp(p, want, SECTOR) != 0)
			ret[i] = UINT64_MAX; /* garbage */
	}
}

/* All that shows is what was flushed or something that was written since. */
static void check(struct test *t)
{
	read_numbers(t, t->was);
	for (uint64_t i = 0; i < NSECTORS; i++) {
		bool good = t->was[i] == t->flushed[i];

		for (unsigned k = 0; k < t->nsince[i]; k++)
			good |= t->was[i] == t->since[i][k];
		if (!good)
			fail_msg("seed %llu: sector %llu is %lld", (unsigned long long)t->seed,
			         (unsigned long long)i, (long long)t->was[i]);
	}
}

static int flush(struct test *t, struct ovbd_error *err)
{
	const int r = ovbd_device_flush(t->device, err);

	if (r == 0) {
		memcpy(t->flushed, t->was, sizeof(t->was));
		memset(t->nsince, 0, sizeof(t->nsince));
	}
	return r;
}

/* A write or zeros; what shows of it is right if it went well, and else old or new. */
static int change(struct test *t, struct ovbd_error *err)
{
	static const unsigned ways[] = {0, 0, OVBD_WRITE_KEPT, OVBD_WRITE_FUA};
	const uint64_t off = test_random(&t->random) % NSECTORS;
	const uint64_t n = ovbd_min(1 + test_random(&t->random) % 40, NSECTORS - off);
	const unsigned flags = ways[test_random(&t->random) % 4];
	const bool zero = test_random(&t->random) % 3 == 0;
	uint8_t buf[40 * SECTOR];
	int r;

	for (uint64_t i = 0; i < n; i++) {
		const uint64_t number = zero ? 0 : t->next++;

		test_rw_fill(number, buf + i * SECTOR);
		t->since[off + i][t->nsince[off + i]++] = number;
	}
	if (zero)
		r = ovbd_device_write_zeroes(t->device, off * SECTOR, n * SECTOR, flags, err);
	else
		r = ovbd_device_pwrite(t->device, buf, n * SECTOR, off * SECTOR, flags, err);
	check(t);
	for (uint64_t i = off; r == 0 && i < off + n; i++)
		assert_int_equal(t->was[i], t->since[i][t->nsince[i] - 1]);
	return r;
}

static int step(struct test *t, struct ovbd_error *err)
{
	return test_random(&t->random) % 4 == 0 ? flush(t, err) : change(t, err);
}

static void begin(struct test *t, enum format format, uint64_t seed)
{
	*t = (struct test){.format = format, .seed = seed, .random = seed, .next = NSECTORS + 1};
	make_layer(t);
	for (uint64_t i = 0; i < NBENEATH; i++)
		t->flushed[i] = 1 + i;
	open_layer(t);
	check(t);
}

static void reopen(struct test *t)
{
	ovbd_device_close(t->device);
	open_layer(t);
	check(t);
}

static void end(struct test *t)
{
	ovbd_device_close(t->device);
	test_power_free(t->power);
	for (unsigned i = 0; i < NDISKS; i++)
		free(t->bytes[i]);
}

static uint64_t first_seed(void)
{
	const char *s = getenv("OVBD_SEED");

	return s ? strtoull(s, NULL, 0) : 1;
}

static uint64_t nseeds(void)
{
	const char *s = getenv("OVBD_CASES");

	return s ? strtoull(s, NULL, 0) : CASES;
}

static bool full(enum format format, uint64_t seed, size_t nth, size_t many)
{
	static struct test t;
	struct ovbd_error err;
	bool failed;

	begin(&t, format, seed);
	test_power_full(t.power, nth, many);
	for (unsigned i = 0; i < NOPS / 2; i++) {
		const int r = step(&t, &err);

		assert_true(r == 0 || r == -ENOSPC);
	}
	failed = test_power_failed(t.power);
	for (unsigned i = 0; i < NOPS / 2; i++)
		assert_ok(step(&t, &err), err);
	assert_ok(flush(&t, &err), err);
	reopen(&t);
	end(&t);
	return failed;
}

static void test_full(void **state)
{
	(void)state;
	for (uint64_t seed = first_seed(); seed < first_seed() + nseeds(); seed++)
		for (size_t many = 1; many < 5; many++)
			for (size_t nth = 1; full(seed % NFORMATS, seed, nth, many); nth++)
				;
}

static bool bad_flush(enum format format, uint64_t seed, size_t nth)
{
	static struct test t;
	struct ovbd_error err;
	bool failed;
	int r = 0;

	begin(&t, format, seed);
	test_power_bad_flush(t.power, nth);
	for (unsigned i = 0; r == 0 && i < NOPS; i++)
		r = step(&t, &err);
	failed = test_power_failed(t.power);
	if (failed) {
		/* by what was done in passing nobody was told */
		for (unsigned i = 0; r == 0 && i < 3; i++)
			r = flush(&t, &err);
		assert_int_equal(r, -EIO);
		assert_fails(flush(&t, &err), -EIO, err, "a flush has failed");
		assert_fails(change(&t, &err), -EIO, err, "until it is opened again");
	}
	reopen(&t);
	assert_ok(flush(&t, &err), err);
	assert_ok(change(&t, &err), err);
	assert_ok(flush(&t, &err), err);
	reopen(&t);
	end(&t);
	return failed;
}

static void test_bad_flush(void **state)
{
	(void)state;
	for (uint64_t seed = first_seed(); seed < first_seed() + nseeds(); seed++)
		for (size_t nth = 1; bad_flush(seed % NFORMATS, seed, nth); nth++)
			;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_bad_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
