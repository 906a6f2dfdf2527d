// SPDX-License-Identifier: Apache-2.0
/*
 * The power fails while a writable layer is written to, at every write and flush of its files, and
 * again while it is opened after that. What was flushed is there; what was not is, sector by
 * sector, what was there before or what was written since. Once it was opened, what it reads as
 * stays. If only the process is killed, what was written to be kept is there without a flush; what
 * who comes after it finds stays when that is flushed.
 *
 * OVBD_SEED is the first seed, OVBD_CASES how many there are: by hand, thousands.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "lsmt/rw.h"
#include "tests/lib/power.h"
#include "tests/lib/rw_history.h"
#include "tests/lib/rw_model.h"
#include "tests/unit/test.h"

#define CASES    50
#define SECTOR   TEST_RW_SECTOR
#define NSECTORS TEST_RW_NSECTORS
#define NBENEATH 80u   /* sectors, beneath */
#define NMIN     64u   /* of a device that was made smaller */
#define NNUMBERS 1600u /* of sectors, in all */

enum format { LOG, APPEND, SPARSE, NFORMATS };

/* Of data, index, map; at most the first is written to its end. */
static const size_t disk_sizes[NFORMATS][TEST_POWER_DISKS] = {
	{1u << 20, 8192, 8192},
	{1u << 19, 16384, 8192},
	{1u << 16, 8192, 16384},
};

/* What a state was opened as: where another cut leaves the same, that is known. */
#define NSEEN 16384u

struct seen {
	uint64_t cuts, state; /* of which cuts() */
	struct test_rw_found found;
};

struct test {
	enum format format;
	bool kept;   /* all writes are */
	bool killed; /* now, of the disks that are looked at */
	uint64_t seed, random, next, size;
	unsigned depth;
	uint8_t *bytes[TEST_POWER_DISKS]; /* data, index, map */
	uint64_t reach;                   /* the data were not written beyond */
	struct test_power *power;
	struct ovbd_device *device;
	struct test_rw_history h;
	const struct test_power_cut *now;
	uint64_t cuts, state; /* the number of those that are being made; of the disks now */
};

static uint64_t ncuts, nopened, nstates, ncuts_made;
static struct seen seen[TEST_RW_DEPTHS][NSEEN];
static uint8_t contents[NNUMBERS][SECTOR]; /* of sectors, by their number */

/* ---- the layer ---- */

/* Of the data file: its last byte, or where a record says that there was one (holes at the end of a
 * file do not make it shorter). */
static uint64_t end_of(const uint8_t *data, uint64_t reach, const uint8_t *index)
{
	uint64_t end = reach;

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
	const struct ovbd_rw_open_params p = {true, 3, 2048};
	struct ovbd_rw_pair pair = {.no_thread = true, .unit = 4096, .pinned_min = 2048};
	const struct ovbd_rw_file file = disk(t, 0);
	struct ovbd_blob *lower;

	assert_int_equal(ovbd_blob_open_mem(contents[1], (size_t)NBENEATH * SECTOR, &lower, NULL),
	                 0);
	nopened++;
	if (t->format == LOG)
		return ovbd_rw_open(&file, &p, lower, &t->device, err);
	pair.data = file;
	pair.index = disk(t, 1);
	if (t->format == APPEND)
		pair.data.end = end_of(t->bytes[0], t->reach, t->bytes[1]);
	else
		pair.map = disk(t, 2);
	return ovbd_rw_open_pair(&pair, lower, &t->device, err);
}

/* Parents have numbers; the null UUID is 1. */
static uint16_t parent_of(const char *uuid)
{
	return (uint16_t)(1 + strtoul(uuid + strlen(uuid) - 12, NULL, 16));
}

static void read_fields(const struct test *t, struct test_rw_found *ret)
{
	const uint8_t *index = t->bytes[1];
	struct ovbd_rw_info info;
	char uuid[OVBD_UUID_SIZE] = "";

	ovbd_rw_info(t->device, &info);
	ret->fields[0][TEST_RW_SIZE] = (uint16_t)(t->device->blob->size / SECTOR);
	ret->fields[0][TEST_RW_PARENT] = parent_of(info.parent_uuid);
	memcpy(ret->fields[1], ret->fields[0], sizeof(ret->fields[1]));
	if (t->format == LOG) /* one file */
		return;
	memcpy(uuid, index + LSMT_OFF_PARENT_UUID, sizeof(uuid) - 1);
	ret->fields[1][TEST_RW_SIZE] =
		(uint16_t)(ovbd_get_le64(index + LSMT_OFF_VIRTUAL_SIZE) / SECTOR);
	ret->fields[1][TEST_RW_PARENT] = parent_of(uuid);
}

/* The layer becomes as large as at first, so that what was cut off shows if it comes back. */
static void read_numbers(struct test *t, uint64_t max, uint16_t ret[NSECTORS])
{
	static uint8_t got[NSECTORS * SECTOR];

	if (t->device->blob->size < sizeof(got))
		assert_int_equal(ovbd_rw_resize(t->device, sizeof(got), NULL), 0);
	assert_int_equal(ovbd_blob_pread(t->device->blob, got, sizeof(got), 0, NULL), 0);
	for (uint64_t i = 0; i < NSECTORS; i++) {
		const uint8_t *p = got + i * SECTOR;
		/* the factor is odd: it has an inverse */
		const uint64_t number = ovbd_get_le64(p) * 0xf1de83e19937733du;
		const bool is_one = number < max && memcmp(p, contents[number], SECTOR) == 0;

		ret[i] = is_one ? (uint16_t)number : TEST_RW_GARBAGE;
	}
}

static void check_all(const struct test *t, size_t at, const struct test_rw_found *found)
{
	const struct test_rw_cut c = {&t->h, at, t->killed};
	char why[100];

	if (!test_rw_history_allows(&c, found, why))
		fail_msg("format %d, seed %llu, depth %u, %s at %zu: %s", (int)t->format,
		         (unsigned long long)t->seed, t->depth, t->killed ? "killed" : "cut", at,
		         why);
}

/* ---- what is done ---- */

static struct test_rw_op *begin(struct test *t)
{
	struct test_rw_op *op = &t->h.ops[t->h.nops++];

	*op = (struct test_rw_op){.begin = test_power_count(t->power)};
	return op;
}

static void do_flush(struct test *t)
{
	struct test_rw_op *op = begin(t);

	op->flush = true;
	assert_int_equal(ovbd_device_flush(t->device, NULL), 0);
	op->end = test_power_count(t->power);
}

/* Also of zeros, or a discard, unless all is to be kept. */
static void do_write(struct test *t)
{
	struct test_rw_op *op = begin(t);
	const uint64_t what = test_random(&t->random) % 16;
	struct ovbd_error err;
	unsigned flags;
	int r;

	op->off = test_random(&t->random) % t->size;
	op->n = ovbd_min(1 + test_random(&t->random) % 24, t->size - op->off);
	op->flush = what == 15;
	op->kept = t->kept;
	flags = (op->flush ? OVBD_WRITE_FUA : 0) | (op->kept ? OVBD_WRITE_KEPT : 0);
	if (what == 0 && !t->kept) {
		r = ovbd_device_discard(t->device, op->off * SECTOR, op->n * SECTOR, &err);
	} else if (what < 4) {
		r = ovbd_device_write_zeroes(t->device, op->off * SECTOR, op->n * SECTOR, flags,
		                             &err);
	} else {
		op->first = t->next;
		t->next += op->n;
		assert_true(t->next <= NNUMBERS);
		r = ovbd_device_pwrite(t->device, contents[op->first], op->n * SECTOR,
		                       op->off * SECTOR, flags, &err);
	}
	assert_ok(r, err);
	op->end = test_power_count(t->power);
}

/* What is cut off is zeros from then on. */
static void do_resize(struct test *t)
{
	const uint64_t size = NMIN + test_random(&t->random) % (NSECTORS - NMIN + 1);
	struct test_rw_op *op = begin(t);
	struct ovbd_error err;

	op->set[TEST_RW_SIZE] = (uint16_t)size;
	op->flush = true;
	if (size < t->size) {
		op->off = size;
		op->n = t->size - size;
	}
	assert_ok(ovbd_rw_resize(t->device, size * SECTOR, &err), err);
	t->size = size;
	op->end = test_power_count(t->power);
}

static void do_set_parent(struct test *t)
{
	const unsigned parent = 1 + (unsigned)(test_random(&t->random) % 1000);
	struct test_rw_op *op = begin(t);
	char uuid[OVBD_UUID_SIZE];
	struct ovbd_error err;

	op->set[TEST_RW_PARENT] = (uint16_t)(1 + parent);
	snprintf(uuid, sizeof(uuid), "00000000-0000-4000-8000-%012x", parent);
	assert_ok(ovbd_rw_set_parent(t->device, uuid, &err), err);
	op->end = test_power_count(t->power);
}

static void do_all(struct test *t, unsigned nops)
{
	for (unsigned i = 0; i < nops; i++) {
		const uint64_t what = test_random(&t->random) % 64;

		if (what < 16)
			do_flush(t);
		else if (what < 20)
			do_resize(t);
		else if (what < 22)
			do_set_parent(t);
		else
			do_write(t);
	}
}

/* ---- cuts ---- */

static void cuts(struct test *t, const uint8_t *const before[TEST_POWER_DISKS], size_t first,
                 unsigned nrandom);

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

/* What is done now, it is done to what was found at the cut. */
static void begin_again(struct test *t, const struct test *before, size_t at,
                        const struct test_rw_found *found, bool is_smaller)
{
	t->h = (struct test_rw_history){
		.parent = &before->h,
		.parent_at = at,
		.parent_killed = before->killed,
		/* ovbd-rw says that all it shows is durable, as soon as it is open */
		.inherits = before->killed && t->format != LOG,
		.opened = test_power_count(t->power),
		.depth = t->depth,
		.base = *found,
	};
	for (unsigned i = 0; is_smaller && i < TEST_RW_FILES; i++)
		t->h.base.fields[i][TEST_RW_SIZE] = NSECTORS;
}

/* The disks after a cut, opened: what has been found is in ret. again: it is written to, until the
 * next cuts. */
static void open_cut(const struct test *before, uint8_t *const disks[TEST_POWER_DISKS], size_t at,
                     bool again, struct test_rw_found *ret)
{
	uint8_t *copies[TEST_POWER_DISKS] = {NULL};
	size_t npending;
	bool is_smaller;
	struct test *t = calloc(1, sizeof(*t));
	struct ovbd_error err;

	assert_non_null(t);
	*t = (struct test){
		.format = before->format,
		.kept = before->kept,
		.seed = before->seed,
		.random = before->seed + ncuts,
		.next = before->next,
		.size = NSECTORS,
		.depth = before->depth + 1,
		.reach = before->reach,
		.bytes = {disks[0], disks[1], disks[2]},
	};
	power_on(t);
	test_power_keep_old(t->power);
	if (again)
		copy_disks(t, copies, disks);
	if (again && before->killed)
		test_power_go_on(t->power, before->now, copies);
	npending = test_power_count(t->power);
	if (open_layer(t, &err) < 0)
		fail_msg("seed %llu, depth %u, cut at %zu: %s", (unsigned long long)t->seed,
		         before->depth, at, err.msg);
	read_fields(t, ret);
	is_smaller = ret->fields[0][TEST_RW_SIZE] < NSECTORS;
	read_numbers(t, t->next, ret->numbers);
	check_all(before, at, ret);
	if (again) {
		begin_again(t, before, at, ret, is_smaller);
		do_all(t, 8);
	}
	ovbd_device_close(t->device);
	t->reach = ovbd_max(t->reach, test_power_reach(t->power, 0));
	if (again)
		cuts(t, (const uint8_t *const *)copies, npending, 3);
	free_disks(copies);
	test_power_take_back(t->power);
	test_power_free(t->power);
	free(t);
}

/* Where the state of the disks is, or is to be, of who has the number of these cuts. */
static struct seen *find_seen(const struct test *t)
{
	struct seen *all = seen[t->depth];

	for (uint64_t i = t->state; i < t->state + 16; i++) {
		struct seen *s = &all[i % NSEEN];

		if (s->cuts != t->cuts || s->state == t->state)
			return s;
	}
	return &all[t->state % NSEEN];
}

static void check_cut(void *arg, uint8_t *const disks[TEST_POWER_DISKS], size_t at)
{
	/* depth by depth; what comes after who was killed is more of a riddle */
	static const unsigned seldom[TEST_RW_DEPTHS][2] = {{80, 15}, {320, 60}, {0, 0}};
	const struct test *t = arg;
	struct seen *s = find_seen(t);

	nstates++;
	if (s->cuts != t->cuts || s->state != t->state) {
		const unsigned one_of = seldom[t->depth][t->killed];
		uint64_t random = t->seed + ++ncuts;
		const bool again = one_of > 0 && test_random(&random) % one_of == 0;

		open_cut(t, disks, at, again, &s->found);
		s->cuts = t->cuts;
		s->state = t->state;
	} else {
		check_all(t, at, &s->found);
	}
}

static void cuts(struct test *t, const uint8_t *const before[TEST_POWER_DISKS], size_t first,
                 unsigned nrandom)
{
	const size_t *sizes = disk_sizes[t->format];
	const struct test_power_params how = {
		.before = {before[0], before[1], before[2]},
		.sizes = {sizes[0], sizes[1], sizes[2]},
		.seed = t->random,
		.nrandom = nrandom,
		.nsingle = 2,
		.is_clean = true,
		.first = first,
		.every = 1,
		.check = check_cut,
		.arg = t,
		.killed = &t->killed,
		.state = &t->state,
		.now = &t->now,
	};

	test_rw_history_changed(t->depth);
	t->cuts = ++ncuts_made;
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
		.reach = disk_sizes[APPEND][0],
	};
	ncuts = 0;
	for (unsigned i = 0; i < TEST_RW_FILES; i++) {
		t.h.base.fields[i][TEST_RW_SIZE] = NSECTORS;
		t.h.base.fields[i][TEST_RW_PARENT] = 1;
	}
	for (uint64_t i = 0; i < NBENEATH; i++)
		t.h.base.numbers[i] = (uint16_t)(1 + i);
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
	t.reach = ovbd_max(LSMT_HEADER_SIZE, test_power_reach(t.power, 0));
	cuts(&t, (const uint8_t *const *)before, 0, 4);
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
	for (uint64_t i = 0; i < NNUMBERS; i++)
		test_rw_fill(i, contents[i]);
	for (uint64_t i = 0; i < n; i++)
		one(first + i);
	one(5602); /* of a map the header is lost, and its records are not */
	printf("seeds %llu to %llu: %llu states after cuts, %llu of them opened\n",
	       (unsigned long long)first, (unsigned long long)(first + n - 1),
	       (unsigned long long)nstates, (unsigned long long)nopened);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cuts)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
