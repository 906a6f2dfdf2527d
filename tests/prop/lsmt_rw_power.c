// SPDX-License-Identifier: Apache-2.0
/*
 * The power fails while a writable layer is written to, at every write and flush of its files, and
 * again while it is opened after that. What was flushed is there; what was not is, sector by
 * sector, what was there before or what was written since. Once it was opened, what it reads as
 * stays.
 *
 * If only the process is killed, what was written to be kept is there without a flush.
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

#define CASES    8
#define SECTOR   TEST_RW_SECTOR
#define NSECTORS 96u
#define NBENEATH 80u /* sectors, beneath */
#define NMIN     64u /* of a device that was made smaller */
#define OPS_MAX  40u

enum format { LOG, APPEND, SPARSE, NFORMATS };

/* Of data, index, map; at most the first is written to its end. */
static const size_t disk_sizes[NFORMATS][TEST_POWER_DISKS] = {
	{1u << 20, 8192, 8192},
	{1u << 19, 16384, 8192},
	{1u << 16, 8192, 16384},
};

struct op {
	uint64_t off, n, first; /* of a write: sectors, and the number of the first; 0: zeros */
	uint64_t size;          /* sectors, if it was given another size; 0: no */
	bool flush;             /* durable at its end, with all before it */
	bool kept;              /* the same, if only the process ends */
	size_t begin, end;      /* of the record */
};

/* What has been done since the disks were as they are beneath it. */
struct history {
	const struct history *parent; /* before it was opened; at parent_at the power failed */
	size_t parent_at, opened;
	bool parent_killed;
	uint64_t base[NSECTORS], base_size;
	struct op ops[OPS_MAX];
	size_t nops;
};

struct test {
	enum format format;
	bool kept;   /* all writes are */
	bool killed; /* now, of the disks that are looked at */
	uint64_t seed, random, next, size;
	unsigned depth;
	uint8_t *bytes[TEST_POWER_DISKS]; /* data, index, map */
	struct test_power *power;
	struct ovbd_device *device;
	struct history h;
};

static uint64_t ncuts, nopened; /* of a seed, so that it gives the same again; of all */

/* ---- the layer ---- */

/* Of the data file: its last byte, or where a record says that there was one (holes at the end of a
 * file do not make it shorter). */
static uint64_t end_of(const uint8_t *data, const uint8_t *index)
{
	uint64_t end = disk_sizes[APPEND][0];

	while (end > 4096 && ovbd_is_zero(data + end - SECTOR, SECTOR))
		end -= SECTOR;
	for (size_t at = LSMT_RECORDS_OFF; at < disk_sizes[APPEND][1]; at += LSMT_ENTRY_SIZE) {
		const struct lsmt_entry e = ovbd_lsmt_entry_decode(index + at);

		if (!e.zeroed)
			end = ovbd_max(end, e.src + e.len);
	}
	return end;
}

static struct ovbd_rw_file disk(struct test *t, unsigned i)
{
	struct ovbd_device *d = test_power_disk(t->power, i, t->bytes[i], disk_sizes[t->format][i]);

	return (struct ovbd_rw_file){d, d->blob->size};
}

static int open_layer(struct test *t, struct ovbd_error *err)
{
	static uint8_t beneath[NBENEATH * SECTOR];
	const struct ovbd_rw_open_params p = {true, 3, 2048};
	struct ovbd_rw_pair pair = {.no_thread = true, .unit = 4096, .pinned_min = 2048};
	const struct ovbd_rw_file file = disk(t, 0);
	struct ovbd_blob *lower;

	for (uint64_t i = 0; i < NBENEATH; i++)
		test_rw_fill(1 + i, beneath + i * SECTOR);
	assert_int_equal(ovbd_blob_open_mem(beneath, sizeof(beneath), &lower, NULL), 0);
	nopened++;
	if (t->format == LOG)
		return ovbd_rw_open(&file, &p, lower, &t->device, err);
	pair.data = file;
	pair.index = disk(t, 1);
	if (t->format == APPEND)
		pair.data.end = end_of(t->bytes[0], t->bytes[1]);
	else
		pair.map = disk(t, 2);
	return ovbd_rw_open_pair(&pair, lower, &t->device, err);
}

/* The size that it was opened with; then it is as large as at first, so that what was cut off shows
 * if it comes back. */
static uint64_t read_numbers(struct test *t, uint64_t max, uint64_t ret[NSECTORS])
{
	static uint8_t got[NSECTORS * SECTOR];
	const uint64_t size = t->device->blob->size / SECTOR;
	uint8_t want[SECTOR];

	if (size < NSECTORS)
		assert_int_equal(ovbd_rw_resize(t->device, sizeof(got), NULL), 0);
	assert_int_equal(ovbd_blob_pread(t->device->blob, got, sizeof(got), 0, NULL), 0);
	for (uint64_t i = 0; i < NSECTORS; i++) {
		const uint8_t *p = got + i * SECTOR;

		/* the factor is odd: it has an inverse */
		ret[i] = ovbd_get_le64(p) * 0xf1de83e19937733du;
		test_rw_fill(ret[i], want);
		if (ret[i] > max || memcmp(p, want, SECTOR) != 0)
			ret[i] = UINT64_MAX; /* garbage */
	}
	return size;
}

/* ---- what may be there ---- */

/* A cut of a history at a record, or the process is killed there. */
struct cut {
	const struct history *h;
	size_t at;
	bool killed;
};

static bool is_later(const struct cut *c)
{
	return c->h->parent && c->at < c->h->opened;
}

/* The cut that came before, as this one fell before the layer was open again. */
static struct cut earlier(const struct cut *c)
{
	return (struct cut){c->h->parent, c->h->parent_at, c->h->parent_killed && c->killed};
}

/* How many operations are there for sure. */
static size_t nsafe(const struct cut *c)
{
	size_t n = 0;

	for (size_t k = 0; k < c->h->nops; k++)
		if ((c->h->ops[k].flush || (c->killed && c->h->ops[k].kept)) &&
		    c->h->ops[k].end <= c->at)
			n = k + 1;
	return n;
}

/* Whether sector i may have the number. */
static bool may_be(const struct cut *c, uint64_t i, uint64_t number)
{
	const struct history *h = c->h;
	const size_t safe = nsafe(c);
	uint64_t flushed = h->base[i];

	if (is_later(c)) {
		const struct cut e = earlier(c);

		return may_be(&e, i, number);
	}
	for (size_t k = 0; k < h->nops && h->ops[k].begin <= c->at; k++) {
		const struct op *op = &h->ops[k];
		const bool hit = i >= op->off && i < op->off + op->n;
		const uint64_t value = hit && op->first ? op->first + (i - op->off) : 0;

		if (hit && k < safe)
			flushed = value;
		else if (hit && value == number)
			return true;
	}
	return number == flushed;
}

static bool may_be_size(const struct cut *c, uint64_t size)
{
	const struct history *h = c->h;
	uint64_t last = h->base_size;

	if (is_later(c)) {
		const struct cut e = earlier(c);

		/* to look at it, it was made as large as it can be */
		return size == NSECTORS || may_be_size(&e, size);
	}
	for (size_t k = 0; k < h->nops && h->ops[k].begin <= c->at; k++) {
		if (h->ops[k].size == 0)
			continue;
		if (h->ops[k].end <= c->at)
			last = h->ops[k].size;
		else if (h->ops[k].size == size)
			return true;
	}
	return size == last;
}

static void check_all(const struct test *t, size_t at, uint64_t size,
                      const uint64_t numbers[NSECTORS])
{
	const struct cut c = {&t->h, at, t->killed};

	if (!may_be_size(&c, size))
		fail_msg("seed %llu, depth %u, cut at %zu: %llu sectors",
		         (unsigned long long)t->seed, t->depth, at, (unsigned long long)size);
	for (uint64_t i = 0; i < NSECTORS; i++)
		if (!may_be(&c, i, numbers[i]))
			fail_msg("seed %llu, depth %u, %s at %zu: sector %llu is %lld",
			         (unsigned long long)t->seed, t->depth,
			         t->killed ? "killed" : "cut", at, (unsigned long long)i,
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
	const unsigned flags = t->kept ? OVBD_WRITE_KEPT : 0;
	struct op *op = begin(t);
	uint8_t buf[24 * SECTOR];
	struct ovbd_error err;

	op->off = test_random(&t->random) % t->size;
	op->n = ovbd_min(1 + test_random(&t->random) % 24, t->size - op->off);
	op->kept = t->kept;
	if (test_random(&t->random) % 4 == 0) {
		assert_ok(ovbd_device_write_zeroes(t->device, op->off * SECTOR, op->n * SECTOR,
		                                   flags, &err),
		          err);
	} else {
		op->first = t->next;
		t->next += op->n;
		for (uint64_t i = 0; i < op->n; i++)
			test_rw_fill(op->first + i, buf + i * SECTOR);
		assert_ok(ovbd_device_pwrite(t->device, buf, op->n * SECTOR, op->off * SECTOR,
		                             flags, &err),
		          err);
	}
	op->end = test_power_count(t->power);
}

static void do_discard(struct test *t)
{
	struct op *op = begin(t);
	struct ovbd_error err;

	op->off = test_random(&t->random) % t->size;
	op->n = ovbd_min(1 + test_random(&t->random) % 24, t->size - op->off);
	assert_ok(ovbd_device_discard(t->device, op->off * SECTOR, op->n * SECTOR, &err), err);
	op->end = test_power_count(t->power);
}

/* What is cut off is zeros from then on. */
static void do_resize(struct test *t)
{
	const uint64_t size = NMIN + test_random(&t->random) % (NSECTORS - NMIN + 1);
	struct op *op = begin(t);
	struct ovbd_error err;

	op->size = size;
	op->flush = true;
	if (size < t->size) {
		op->off = size;
		op->n = t->size - size;
	}
	assert_ok(ovbd_rw_resize(t->device, size * SECTOR, &err), err);
	t->size = size;
	op->end = test_power_count(t->power);
}

static void do_all(struct test *t, unsigned nops)
{
	for (unsigned i = 0; i < nops; i++) {
		const uint64_t what = test_random(&t->random) % 16;

		if (what < 4)
			do_flush(t);
		else if (what == 4)
			do_resize(t);
		else if (what == 5 && !t->kept)
			do_discard(t);
		else
			do_write(t);
	}
}

/* ---- cuts ---- */

static void cuts(struct test *t, const uint8_t *const before[TEST_POWER_DISKS], unsigned nrandom);

static void power_on(struct test *t)
{
	t->power = test_power_create();
	test_power_discards(t->power);
	if (t->format == SPARSE)
		test_power_holes(t->power);
}

static void copy_disks(const struct test *t, uint8_t *ret[TEST_POWER_DISKS],
                       uint8_t *const from[TEST_POWER_DISKS])
{
	for (unsigned i = 0; i < TEST_POWER_DISKS; i++) {
		ret[i] = malloc(disk_sizes[t->format][i]);
		assert_non_null(ret[i]);
		memcpy(ret[i], from[i], disk_sizes[t->format][i]);
	}
}

static void free_disks(uint8_t *disks[TEST_POWER_DISKS])
{
	for (unsigned i = 0; i < TEST_POWER_DISKS; i++)
		free(disks[i]);
}

/* The disks after a cut: opened, looked at; now and then written to, until the next. */
static void check_cut(void *arg, uint8_t *const disks[TEST_POWER_DISKS], size_t at)
{
	const struct test *before = arg;
	uint8_t *copies[TEST_POWER_DISKS] = {NULL};
	struct test *t = calloc(1, sizeof(*t));
	uint64_t random = before->seed + ++ncuts, size;
	const bool again = before->depth < 2 && test_random(&random) % 60 == 0;
	struct ovbd_error err;

	assert_non_null(t);
	*t = (struct test){
		.format = before->format,
		.kept = before->kept,
		.seed = before->seed,
		.random = random,
		.next = before->next,
		.size = NSECTORS,
		.depth = before->depth + 1,
		.bytes = {disks[0], disks[1], disks[2]},
	};
	power_on(t);
	if (again)
		copy_disks(t, copies, disks);
	if (open_layer(t, &err) < 0)
		fail_msg("seed %llu, depth %u, cut at %zu: %s", (unsigned long long)t->seed,
		         before->depth, at, err.msg);
	size = read_numbers(t, t->next, t->h.base);
	check_all(before, at, size, t->h.base);
	if (again) {
		t->h.parent = &before->h;
		t->h.parent_at = at;
		t->h.parent_killed = before->killed;
		t->h.opened = test_power_count(t->power);
		t->h.base_size = NSECTORS;
		do_all(t, 8);
	}
	ovbd_device_close(t->device);
	if (again)
		cuts(t, (const uint8_t *const *)copies, 3);
	free_disks(copies);
	test_power_free(t->power);
	free(t);
}

static void cuts(struct test *t, const uint8_t *const before[TEST_POWER_DISKS], unsigned nrandom)
{
	const size_t *sizes = disk_sizes[t->format];
	const struct test_power_params how = {
		.before = {before[0], before[1], before[2]},
		.sizes = {sizes[0], sizes[1], sizes[2]},
		.seed = t->random,
		.nrandom = nrandom,
		.nsingle = 2,
		.every = 1,
		.check = check_cut,
		.arg = t,
		.killed = &t->killed,
	};

	test_power_cuts(t->power, &how);
}

static void make_layer(struct test *t)
{
	const struct ovbd_rw_params p = {
		.virtual_size = NSECTORS * SECTOR,
		.sparse = t->format == SPARSE,
	};
	struct ovbd_device *data, *index;
	struct ovbd_error err;

	power_on(t);
	data = disk(t, 0).device;
	index = disk(t, 1).device;
	if (t->format == LOG)
		assert_ok(ovbd_rw_create(data, &p, &err), err);
	else
		assert_ok(ovbd_rw_create_pair(data, index, &p, &err), err);
	ovbd_device_close(data);
	ovbd_device_close(index);
	test_power_free(t->power);
}

static void one(uint64_t seed)
{
	static struct test t;
	uint8_t *before[TEST_POWER_DISKS];
	struct ovbd_error err;

	t = (struct test){
		.format = seed % 4 < NFORMATS ? (enum format)(seed % 4) : LOG,
		.kept = seed / 4 % 2,
		.seed = seed,
		.random = seed,
		.next = NSECTORS + 1,
		.size = NSECTORS,
	};
	ncuts = 0;
	t.h.base_size = NSECTORS;
	for (uint64_t i = 0; i < NBENEATH; i++)
		t.h.base[i] = 1 + i;
	for (unsigned i = 0; i < TEST_POWER_DISKS; i++) {
		t.bytes[i] = calloc(1, disk_sizes[t.format][i]);
		assert_non_null(t.bytes[i]);
	}
	make_layer(&t);
	power_on(&t);
	copy_disks(&t, before, t.bytes);
	assert_ok(open_layer(&t, &err), err);
	do_all(&t, 10 + (unsigned)(test_random(&t.random) % 28));
	ovbd_device_close(t.device);
	cuts(&t, (const uint8_t *const *)before, 4);
	test_power_free(t.power);
	free_disks(t.bytes);
	free_disks(before);
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
	       (unsigned long long)(first + n - 1), (unsigned long long)nopened);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cuts)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
