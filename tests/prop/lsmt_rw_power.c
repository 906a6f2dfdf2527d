// SPDX-License-Identifier: Apache-2.0
/*
 * The power fails while a writable layer is written to, at every write and flush of its files, and
 * again while it is opened after that. What was flushed is there; what was not is, sector by
 * sector, what was there before or what was written since. Once it was opened, what it reads as
 * stays.
 *
 * OVBD_SEED is the first seed, OVBD_CASES how many there are: by hand, thousands.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "lsmt/rw.h"
#include "tests/lib/power.h"
#include "tests/lib/rw_model.h"
#include "tests/unit/test.h"

#define CASES     5
#define SECTOR    TEST_RW_SECTOR
#define NSECTORS  96u
#define OPS_MAX   40u
#define DISK_SIZE (1u << 20)

struct op {
	uint64_t off, n, first; /* of a write: sectors, and the number of the first; 0: zeros */
	bool flush;
	size_t begin, end; /* of the record */
};

/* What has been done since the disks were as they are beneath it. */
struct history {
	const struct history *parent; /* before it was opened; at parent_at the power failed */
	size_t parent_at, opened;
	uint64_t base[NSECTORS];
	struct op ops[OPS_MAX];
	size_t nops;
};

struct test {
	bool append; /* the original's format, in two files */
	uint64_t seed, random, next;
	unsigned depth;
	uint8_t *bytes[2];
	struct test_power *power;
	struct ovbd_device *device;
	struct history h;
};

static uint64_t ncuts, nopened;

/* ---- the layer ---- */

/* Of the data file: its last byte, or where a record says that there was one (holes at the end of a
 * file do not make it shorter). */
static uint64_t end_of(const uint8_t *data, const uint8_t *index)
{
	uint64_t end = DISK_SIZE;

	while (end > 4096 && ovbd_is_zero(data + end - SECTOR, SECTOR))
		end -= SECTOR;
	for (size_t at = LSMT_RECORDS_OFF; at < DISK_SIZE; at += LSMT_ENTRY_SIZE) {
		const struct lsmt_entry e = ovbd_lsmt_entry_decode(index + at);

		if (!e.zeroed)
			end = ovbd_max(end, e.src + e.len);
	}
	return end;
}

static int open_layer(struct test *t, struct ovbd_error *err)
{
	static uint8_t beneath[NSECTORS * SECTOR];
	const struct ovbd_rw_open_params p = {.no_thread = true, .checkpoint_blocks = 3};
	struct ovbd_rw_pair pair = {.no_thread = true};
	const struct ovbd_rw_file file = {test_power_disk(t->power, 0, t->bytes[0], DISK_SIZE),
	                                  DISK_SIZE};
	struct ovbd_blob *lower;

	for (uint64_t i = 0; i < NSECTORS; i++)
		test_rw_fill(1 + i, beneath + i * SECTOR);
	assert_int_equal(ovbd_blob_open_mem(beneath, sizeof(beneath), &lower, NULL), 0);
	nopened++;
	if (!t->append)
		return ovbd_rw_open(&file, &p, lower, &t->device, err);
	pair.data = (struct ovbd_rw_file){file.device, end_of(t->bytes[0], t->bytes[1])};
	pair.index = (struct ovbd_rw_file){test_power_disk(t->power, 1, t->bytes[1], DISK_SIZE),
	                                   DISK_SIZE};
	return ovbd_rw_open_pair(&pair, lower, &t->device, err);
}

static void read_numbers(struct test *t, uint64_t max, uint64_t ret[NSECTORS])
{
	static uint8_t got[NSECTORS * SECTOR];
	uint8_t want[SECTOR];

	assert_int_equal(ovbd_blob_pread(t->device->blob, got, sizeof(got), 0, NULL), 0);
	for (uint64_t i = 0; i < NSECTORS; i++) {
		const uint8_t *p = got + i * SECTOR;

		/* the factor is odd: it has an inverse */
		ret[i] = ovbd_get_le64(p) * 0xf1de83e19937733du;
		test_rw_fill(ret[i], want);
		if (ret[i] > max || memcmp(p, want, SECTOR) != 0)
			ret[i] = UINT64_MAX; /* garbage */
	}
}

/* ---- what may be there ---- */

/* Whether sector i may have the number after a cut at that record. */
static bool may_be(const struct history *h, size_t at, uint64_t i, uint64_t number)
{
	uint64_t flushed;
	size_t last = 0;

	if (h->parent && at < h->opened)
		return may_be(h->parent, h->parent_at, i, number);
	for (size_t k = 0; k < h->nops; k++)
		if (h->ops[k].flush && h->ops[k].end <= at)
			last = k + 1;
	flushed = h->base[i];
	for (size_t k = 0; k < h->nops && h->ops[k].begin <= at; k++) {
		const struct op *op = &h->ops[k];
		const bool hit = !op->flush && i >= op->off && i < op->off + op->n;
		const uint64_t value = hit && op->first ? op->first + (i - op->off) : 0;

		if (hit && k < last)
			flushed = value;
		else if (hit && value == number)
			return true;
	}
	return number == flushed;
}

static void check_all(const struct test *t, const struct history *h, size_t at,
                      const uint64_t numbers[NSECTORS])
{
	for (uint64_t i = 0; i < NSECTORS; i++)
		if (!may_be(h, at, i, numbers[i]))
			fail_msg("seed %llu, depth %u, cut at %zu: sector %llu is %lld",
			         (unsigned long long)t->seed, t->depth, at, (unsigned long long)i,
			         (long long)numbers[i]);
}

/* ---- what is done ---- */

static struct op *begin(struct test *t)
{
	struct op *op = &t->h.ops[t->h.nops++];

	*op = (struct op){.begin = test_power_count(t->power)};
	return op;
}

static void do_flush(struct test *t)
{
	struct op *op = begin(t);

	op->flush = true;
	assert_int_equal(ovbd_device_flush(t->device, NULL), 0);
	op->end = test_power_count(t->power);
}

static void do_write(struct test *t)
{
	struct op *op = begin(t);
	uint8_t buf[24 * SECTOR];
	struct ovbd_error err;

	op->off = test_random(&t->random) % NSECTORS;
	op->n = ovbd_min(1 + test_random(&t->random) % 24, NSECTORS - op->off);
	if (test_random(&t->random) % 4 == 0) {
		assert_ok(ovbd_device_write_zeroes(t->device, op->off * SECTOR, op->n * SECTOR, 0,
		                                   &err),
		          err);
	} else {
		op->first = t->next;
		t->next += op->n;
		for (uint64_t i = 0; i < op->n; i++)
			test_rw_fill(op->first + i, buf + i * SECTOR);
		assert_ok(ovbd_device_pwrite(t->device, buf, op->n * SECTOR, op->off * SECTOR, 0,
		                             &err),
		          err);
	}
	op->end = test_power_count(t->power);
}

static void do_all(struct test *t, unsigned nops)
{
	for (unsigned i = 0; i < nops; i++) {
		if (test_random(&t->random) % 4 == 0)
			do_flush(t);
		else
			do_write(t);
	}
}

/* ---- cuts ---- */

static void cuts(struct test *t, const uint8_t *const before[2], unsigned nrandom);

/* The disks after a cut: opened, looked at; now and then written to, until the power fails again.
 * */
static void check_cut(void *arg, uint8_t *const disks[2], size_t at)
{
	const struct test *before = arg;
	uint8_t *copies[2] = {NULL, NULL};
	struct test *t = calloc(1, sizeof(*t));
	uint64_t random = before->seed + ++ncuts;
	const bool again = before->depth < 2 && test_random(&random) % 60 == 0;
	struct ovbd_error err;

	assert_non_null(t);
	*t = (struct test){
		.append = before->append,
		.seed = before->seed,
		.random = random,
		.next = before->next,
		.depth = before->depth + 1,
		.bytes = {disks[0], disks[1]},
		.power = test_power_create(),
	};
	test_power_discards(t->power);
	for (unsigned i = 0; again && i < 2; i++) {
		copies[i] = malloc(DISK_SIZE);
		assert_non_null(copies[i]);
		memcpy(copies[i], disks[i], DISK_SIZE);
	}
	if (open_layer(t, &err) < 0)
		fail_msg("seed %llu, depth %u, cut at %zu: %s", (unsigned long long)t->seed,
		         before->depth, at, err.msg);
	read_numbers(t, t->next, t->h.base);
	check_all(before, &before->h, at, t->h.base);
	if (again) {
		t->h.parent = &before->h;
		t->h.parent_at = at;
		t->h.opened = test_power_count(t->power);
		do_all(t, 8);
	}
	ovbd_device_close(t->device);
	if (again)
		cuts(t, (const uint8_t *const *)copies, 3);
	free(copies[0]);
	free(copies[1]);
	test_power_free(t->power);
	free(t);
}

static void cuts(struct test *t, const uint8_t *const before[2], unsigned nrandom)
{
	const struct test_power_params how = {
		.before = {before[0], before[1]},
		.sizes = {DISK_SIZE, DISK_SIZE},
		.seed = t->random,
		.nrandom = nrandom,
		.nsingle = 2,
		.every = 1,
		.check = check_cut,
		.arg = t,
	};

	test_power_cuts(t->power, &how);
}

static void one(uint64_t seed)
{
	static struct test t;
	const struct ovbd_rw_params p = {.virtual_size = NSECTORS * SECTOR};
	uint8_t *before[2];
	struct ovbd_error err;

	t = (struct test){.append = seed % 4 == 0, .seed = seed, .random = seed};
	t.next = NSECTORS + 1;
	for (unsigned i = 0; i < 2; i++) {
		t.bytes[i] = calloc(1, DISK_SIZE);
		before[i] = malloc(DISK_SIZE);
		assert_non_null(t.bytes[i]);
		assert_non_null(before[i]);
	}
	t.power = test_power_create();
	for (uint64_t i = 0; i < NSECTORS; i++)
		t.h.base[i] = 1 + i;
	if (t.append) {
		struct ovbd_device *data = test_power_disk(t.power, 0, t.bytes[0], DISK_SIZE);
		struct ovbd_device *index = test_power_disk(t.power, 1, t.bytes[1], DISK_SIZE);

		assert_ok(ovbd_rw_create_pair(data, index, &p, &err), err);
		ovbd_device_close(data);
		ovbd_device_close(index);
	} else {
		struct ovbd_device *file = test_power_disk(t.power, 0, t.bytes[0], DISK_SIZE);

		assert_ok(ovbd_rw_create(file, &p, &err), err);
		ovbd_device_close(file);
	}
	test_power_free(t.power);
	t.power = test_power_create();
	test_power_discards(t.power);
	for (unsigned i = 0; i < 2; i++)
		memcpy(before[i], t.bytes[i], DISK_SIZE);
	assert_ok(open_layer(&t, &err), err);
	do_all(&t, 10 + (unsigned)(test_random(&t.random) % 28));
	ovbd_device_close(t.device);
	cuts(&t, (const uint8_t *const *)before, 4);
	test_power_free(t.power);
	for (unsigned i = 0; i < 2; i++) {
		free(t.bytes[i]);
		free(before[i]);
	}
}

static void test_cuts(void **state)
{
	const char *seed = getenv("OVBD_SEED"), *cases = getenv("OVBD_CASES");
	const uint64_t first = seed ? strtoull(seed, NULL, 0) : 1;
	const uint64_t n = cases ? strtoull(cases, NULL, 0) : CASES;

	(void)state;
	for (uint64_t i = 0; i < n; i++)
		one(first + i);
	printf("seeds %llu to %llu: %llu states after cuts\n", (unsigned long long)first,
	       (unsigned long long)(first + n - 1), (unsigned long long)ncuts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cuts)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
