// SPDX-License-Identifier: Apache-2.0
/*
 * Many threads on one device of type bow, while its state changes under them. Each has runs of
 * sectors of its own, that touch those of others within blocks, and numbers that only grow; what it
 * reads of them is what it wrote last. Restored, a sector has a number that it had while the
 * checkpoint was made. The disk below has no lock: a race for its bytes is one that TSan sees.
 *
 * OVBD_SEED is the first seed, OVBD_CASES how many there are: by hand, thousands.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "bow/bow.h"
#include "bow/restore.h"
#include "tests/lib/bow_disk.h"
#include "tests/lib/bow_undo.h"
#include "tests/unit/test.h"

#define CASES       40
#define SECTOR      TEST_BOW_SECTOR
#define SECTORS_MAX 2048u
#define THREADS_MAX 6u
#define RUN_MAX     24u
#define MUCH        (UINT64_C(10) << 20)
#define ANY         (UINT64_C(1) << 63) /* of a number: it was discarded since */

/* What becomes of the checkpoint, while threads write. */
enum ending { GOES_ON, COMMITS, ABORTS, NENDINGS };

struct run {
	uint64_t off, n; /* sectors */
};

struct test;

struct worker {
	struct test *t;
	pthread_t thread;
	unsigned number;
	uint64_t random, walk;
};

struct test {
	uint64_t seed, random, nsectors, size;
	uint32_t block_size;
	struct test_bow_disk disk;
	struct ovbd_device *device;
	unsigned nthreads, nops;
	enum ending ending;
	bool in_order; /* all write from the beginning on, and much is free */
	struct worker workers[THREADS_MAX];
	struct run runs[SECTORS_MAX]; /* thread i has every nthreads-th from i on */
	unsigned nruns;
	/* Of a sector: the number it was written with last, and the next one it is being. */
	_Atomic uint64_t done[SECTORS_MAX], begun[SECTORS_MAX];
	uint64_t least[SECTORS_MAX], most[SECTORS_MAX]; /* while the checkpoint was made */
	_Atomic uint64_t next;
	atomic_uint ndone; /* operations of all */
	atomic_bool checkpoint, ends;
};

static uint64_t nwrites;

static uint64_t below(uint64_t *random, uint64_t n)
{
	return test_random(random) % n;
}

static void die(const struct test *t, const char *what, uint64_t i, uint64_t is, uint64_t want)
{
	fprintf(stderr, "seed %llu: %s: sector %llu is %lld, not %lld\n",
	        (unsigned long long)t->seed, what, (unsigned long long)i, (long long)is,
	        (long long)want);
	abort();
}

static void must(const struct test *t, const char *what, int r, const struct ovbd_error *err)
{
	if (r == 0)
		return;
	fprintf(stderr, "seed %llu: %s: %d: %s\n", (unsigned long long)t->seed, what, r, err->msg);
	abort();
}

/* ---- a worker ---- */

/* True: the device has taken all back, and nothing works any more. */
static bool is_over(struct test *t, const char *what, int r, const struct ovbd_error *err)
{
	if (r == -EIO && t->ending == ABORTS && atomic_load(&t->ends))
		return true;
	must(t, what, r, err);
	return false;
}

static struct run some_run(struct worker *w)
{
	const struct test *t = w->t;
	const uint64_t n = t->nruns / t->nthreads;
	const uint64_t number = t->in_order ? w->walk++ % n : below(&w->random, n);
	const struct run *of = &t->runs[number * t->nthreads + w->number];
	const uint64_t from = t->in_order ? 0 : below(&w->random, of->n);

	return (struct run){of->off + from, 1 + below(&w->random, of->n - from)};
}

static bool do_write(struct worker *w, struct run run)
{
	struct test *t = w->t;
	const uint64_t first = atomic_fetch_add(&t->next, run.n);
	const unsigned flags = below(&w->random, 8) == 0 ? OVBD_WRITE_FUA : 0;
	uint8_t buf[RUN_MAX * SECTOR];
	struct ovbd_error err = {""};
	int r;

	for (uint64_t i = 0; i < run.n; i++) {
		atomic_store(&t->begun[run.off + i], first + i);
		test_bow_fill(first + i, buf + i * SECTOR);
	}
	r = ovbd_device_pwrite(t->device, buf, run.n * SECTOR, run.off * SECTOR, flags, &err);
	if (is_over(t, "write", r, &err))
		return false;
	for (uint64_t i = 0; i < run.n; i++)
		atomic_store(&t->done[run.off + i], first + i);
	return true;
}

static bool do_read(struct worker *w, struct run run)
{
	struct test *t = w->t;
	uint8_t buf[RUN_MAX * SECTOR];
	struct ovbd_error err = {""};
	int r;

	for (uint64_t i = 0; i < run.n; i++)
		if (atomic_load(&t->done[run.off + i]) & ANY)
			return true; /* a backup may be under way to it */
	r = ovbd_blob_pread(t->device->blob, buf, run.n * SECTOR, run.off * SECTOR, &err);
	if (is_over(t, "read", r, &err))
		return false;
	for (uint64_t i = 0; i < run.n; i++) {
		const uint64_t want = atomic_load(&t->done[run.off + i]);
		const uint64_t is = test_bow_number(buf + i * SECTOR);

		if (is != want)
			die(t, "read", run.off + i, is, want);
	}
	return true;
}

static bool do_discard(struct worker *w, struct run run)
{
	struct test *t = w->t;
	struct ovbd_error err = {""};
	int r;

	if (!atomic_load(&t->checkpoint))
		return true;
	for (uint64_t i = 0; i < run.n; i++)
		atomic_fetch_or(&t->done[run.off + i], ANY);
	r = ovbd_device_discard(t->device, run.off * SECTOR, run.n * SECTOR, &err);
	return !is_over(t, "discard", r, &err);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct test *t = w->t;
	bool goes_on = true;

	for (unsigned i = 0; i < t->nops && goes_on; i++) {
		const uint64_t what = below(&w->random, 16);
		struct ovbd_bow_status status;
		struct ovbd_error err = {""};

		if (what < 9)
			goes_on = do_write(w, some_run(w));
		else if (what < 13)
			goes_on = do_read(w, some_run(w));
		else if (what == 13)
			goes_on = do_discard(w, some_run(w));
		else if (what == 14)
			goes_on = !is_over(t, "flush", ovbd_device_flush(t->device, &err), &err);
		else
			ovbd_bow_get_status(t->device, &status);
		atomic_fetch_add(&t->ndone, 1);
	}
	atomic_fetch_add(&t->ndone, t->nops); /* who waits for some need wait no longer */
	return NULL;
}

/* ---- the one that changes the state ---- */

static void wait_for(struct test *t, uint64_t nops)
{
	while (atomic_load(&t->ndone) < nops)
		sched_yield();
}

static void change_state(struct test *t)
{
	const uint64_t all = (uint64_t)t->nops * t->nthreads;
	struct ovbd_error err = {""};

	wait_for(t, below(&t->random, all / 4 + 1));
	for (uint64_t i = 0; i < t->nsectors; i++)
		t->least[i] = atomic_load(&t->done[i]);
	must(t, "checkpoint", ovbd_bow_checkpoint(t->device, &err), &err);
	for (uint64_t i = 0; i < t->nsectors; i++)
		t->most[i] = atomic_load(&t->begun[i]);
	atomic_store(&t->checkpoint, true);
	wait_for(t, all / 4 + below(&t->random, all / 2));
	atomic_store(&t->ends, true);
	if (t->ending == COMMITS)
		must(t, "commit", ovbd_bow_commit(t->device, &err), &err);
	else if (t->ending == ABORTS)
		must(t, "abort", ovbd_bow_abort(t->device, &err), &err);
}

/* ---- the end ---- */

static uint64_t owned_end(const struct test *t)
{
	return t->runs[t->nruns - 1].off + t->runs[t->nruns - 1].n;
}

static void check_old(const struct test *t, const uint8_t *bytes, const char *what)
{
	for (uint64_t i = 0; i < owned_end(t); i++) {
		const uint64_t is = test_bow_number(bytes + i * SECTOR);

		if (is < t->least[i] || is > t->most[i])
			die(t, what, i, is, t->least[i]);
	}
}

static void check_new(const struct test *t, const uint8_t *bytes, const char *what)
{
	for (uint64_t i = 0; i < owned_end(t); i++) {
		const uint64_t is = test_bow_number(bytes + i * SECTOR), want = t->done[i];

		if (!(want & ANY) && is != want)
			die(t, what, i, is, want);
	}
}

static void check_log(struct test *t)
{
	struct test_bow_disk k = {.bytes = malloc(t->size), .size = t->size};
	struct ovbd_bow_info info;
	struct ovbd_error err = {""};
	const char *why = "no log";

	assert_non_null(k.bytes);
	memcpy(k.bytes, t->disk.bytes, t->size);
	if (test_bow_undo(k.bytes, t->size, &why) != TEST_BOW_UNDONE)
		fail_msg("seed %llu: the observer finds %s", (unsigned long long)t->seed, why);
	check_old(t, k.bytes, "restored by the observer");
	memcpy(k.bytes, t->disk.bytes, t->size);
	must(t, "restore", ovbd_bow_restore(test_bow_disk(&k), NULL, &info, &err), &err);
	check_old(t, k.bytes, "restored");
	free(k.bytes);
}

/* Killed, as soon as nothing is under way, and opened again. */
static void check_end(struct test *t)
{
	uint8_t *got = malloc(t->size);
	struct ovbd_error err = {""};

	assert_non_null(got);
	t->disk.dead = true;
	ovbd_device_close(t->device);
	test_bow_disk_heal(&t->disk);
	if (t->ending == GOES_ON)
		check_log(t);
	must(t, "open", ovbd_bow_open(test_bow_disk(&t->disk), NULL, &t->device, &err), &err);
	must(t, "read", ovbd_blob_pread(t->device->blob, got, t->size, 0, &err), &err);
	if (t->ending == ABORTS)
		check_old(t, got, "aborted");
	else
		check_new(t, got, "at the end");
	ovbd_device_close(t->device);
	free(got);
}

/* The first third belongs to threads, in runs; the rest is free. */
static void make(struct test *t, uint64_t seed)
{
	static const uint32_t sizes[] = {512, 1024, 2048, 4096};
	struct ovbd_bow_params p = {0};
	struct ovbd_error err = {""};
	uint64_t at = 0, owned;

	memset(t, 0, sizeof(*t));
	t->seed = t->random = seed;
	t->next = 1;
	t->block_size = sizes[below(&t->random, 4)];
	t->nsectors = 512 + below(&t->random, (SECTORS_MAX - 512) / 8) * 8;
	t->in_order = below(&t->random, 4) == 0;
	t->size = t->nsectors * SECTOR + (t->in_order ? MUCH : 0);
	t->nthreads = 2 + (unsigned)below(&t->random, THREADS_MAX - 1);
	t->nops = 20 + (unsigned)below(&t->random, 200);
	t->ending = (enum ending)below(&t->random, NENDINGS);
	for (owned = t->nsectors / 3; at < owned; t->nruns++) {
		const uint64_t n = 1 + below(&t->random, RUN_MAX);

		t->runs[t->nruns] = (struct run){at, n};
		at += n;
	}
	t->disk.bytes = calloc(1, t->size);
	t->disk.size = t->size;
	t->disk.idles = true;
	/* what is read while all is taken back may be a mixture, as it is not returned */
	t->disk.locks = t->ending == ABORTS;
	pthread_mutex_init(&t->disk.lock, NULL);
	assert_non_null(t->disk.bytes);
	for (uint64_t i = 0; i < t->nsectors; i++) {
		t->done[i] = t->begun[i] = t->next++;
		test_bow_fill(t->done[i], t->disk.bytes + i * SECTOR);
	}
	p.block_size = t->block_size;
	must(t, "open", ovbd_bow_open(test_bow_disk(&t->disk), &p, &t->device, &err), &err);
	at = (at * SECTOR / t->block_size + 1) * t->block_size;
	must(t, "discard", ovbd_device_discard(t->device, at, t->size - at, &err), &err);
}

static void one(uint64_t seed)
{
	static struct test t;

	make(&t, seed);
	for (unsigned i = 0; i < t.nthreads; i++) {
		t.workers[i] = (struct worker){&t, .number = i, .random = seed * 31 + i};
		assert_int_equal(pthread_create(&t.workers[i].thread, NULL, work, &t.workers[i]),
		                 0);
	}
	change_state(&t);
	for (unsigned i = 0; i < t.nthreads; i++)
		pthread_join(t.workers[i].thread, NULL);
	nwrites += t.disk.nwrites;
	check_end(&t);
	free(t.disk.bytes);
	pthread_mutex_destroy(&t.disk.lock);
}

static void test_threads(void **state)
{
	const char *seed = getenv("OVBD_SEED"), *cases = getenv("OVBD_CASES");
	const uint64_t first = seed ? strtoull(seed, NULL, 0) : 1;
	const uint64_t n = cases ? strtoull(cases, NULL, 0) : CASES;

	(void)state;
	for (uint64_t i = 0; i < n; i++)
		one(first + i);
	printf("seeds %llu to %llu: %llu writes of the disk\n", (unsigned long long)first,
	       (unsigned long long)(first + n - 1), (unsigned long long)nwrites);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
