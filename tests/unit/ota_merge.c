// SPDX-License-Identifier: Apache-2.0
/*
 * Merging in place when something fails (each read, write and flush, in turn), and while others
 * read.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ota/merge.h"
#include "tests/lib/cow_random.h"
#include "tests/lib/fault.h"
#include "tests/lib/power.h"
#include "tests/unit/test.h"

#define BLOCK   TEST_COW_BLOCK
#define READERS 3

/* ---- disks that fail when told to ---- */

struct faulty {
	struct ovbd_device device;
	struct ovbd_device *inner;
};

static struct ovbd_device *inner_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct faulty, device)->inner;
}

static int faulty_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                         unsigned flags, struct ovbd_error *err)
{
	if (!test_fault_now())
		return ovbd_device_pwrite(inner_of(d), buf, len, off, flags, err);
	/* as much as there was room for: whole sectors */
	ovbd_device_pwrite(inner_of(d), buf, len / 2 / 512 * 512, off, flags, NULL);
	return ovbd_fail(err, -ENOSPC, "told to fail");
}

static int faulty_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                         struct ovbd_error *err)
{
	if (test_fault_now())
		return ovbd_fail(err, -ENOSPC, "told to fail");
	return ovbd_device_write_zeroes(inner_of(d), off, len, flags, err);
}

static int faulty_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	if (test_fault_now())
		return ovbd_fail(err, -EIO, "told to fail");
	return ovbd_device_flush(inner_of(d), err);
}

static void faulty_free(struct ovbd_device *d)
{
	ovbd_device_close(inner_of(d));
	free(OVBD_CONTAINER_OF(d, struct faulty, device));
}

static struct ovbd_device *faulty(struct ovbd_device *take_d, uint8_t *bytes, size_t size)
{
	static const struct ovbd_device_ops ops = {.pwrite = faulty_pwrite,
	                                           .write_zeroes = faulty_zeroes,
	                                           .flush = faulty_flush};
	struct faulty *f = calloc(1, sizeof(*f));
	struct ovbd_blob *b;

	assert_non_null(f);
	assert_int_equal(ovbd_blob_open_mem(bytes, size, &b, NULL), 0);
	f->device =
		(struct ovbd_device){.blob = test_blob_faulty(b), .ops = &ops, .free = faulty_free};
	f->inner = take_d;
	return &f->device;
}

/* ---- a merge ---- */

struct disks {
	const struct test_cow *c;
	struct test_power *p;
	uint8_t *cow, *base, *buf;
	size_t size; /* of base */
};

static void begin(struct disks *d, const struct test_cow *c)
{
	*d = (struct disks){.c = c, .size = (size_t)c->nblocks * BLOCK};
	d->p = test_power_create();
	d->cow = malloc(c->size);
	d->base = malloc(d->size);
	d->buf = malloc(d->size);
	assert_non_null(d->cow);
	assert_non_null(d->base);
	assert_non_null(d->buf);
	memcpy(d->cow, c->cow, c->size);
	memcpy(d->base, c->base, d->size);
}

static void end(struct disks *d)
{
	test_power_free(d->p);
	free(d->cow);
	free(d->base);
	free(d->buf);
}

static int open_merge(struct disks *d, unsigned nthreads, struct ovbd_merge **ret,
                      struct ovbd_error *err)
{
	const struct ovbd_merge_params how = {.small_groups = true, .nthreads = nthreads};
	struct ovbd_device *cow = test_power_disk(d->p, 0, d->cow, d->c->size);
	struct ovbd_device *base = test_power_disk(d->p, 1, d->base, d->size);

	return ovbd_merge_open(faulty(cow, d->cow, d->c->size), faulty(base, d->base, d->size),
	                       &how, ret, err);
}

static void check_view(struct disks *d, struct ovbd_blob *view, uint64_t seed, long n)
{
	struct ovbd_error err = {""};

	assert_ok(ovbd_blob_pread(view, d->buf, d->size, 0, &err), err);
	if (memcmp(d->buf, d->c->want, d->size) != 0)
		fail_msg("seed %llu, fault %ld: wrong bytes", (unsigned long long)seed, n);
}

/* What is on the disks, read by who has not seen the merge. */
static void check_disks(struct disks *d, uint64_t seed, long n)
{
	struct ovbd_blob *cow, *base, *view;
	struct ovbd_error err = {""};
	struct ovbd_cow *c;

	assert_int_equal(ovbd_blob_open_mem(d->cow, d->c->size, &cow, NULL), 0);
	assert_int_equal(ovbd_blob_open_mem(d->base, d->size, &base, NULL), 0);
	assert_ok(ovbd_cow_open(cow, NULL, &c, &err), err);
	assert_ok(ovbd_cow_view_open(c, base, &view, &err), err);
	check_view(d, view, seed, n);
	ovbd_blob_close(view);
}

/* Seeds of COWs that can be merged. */
static uint64_t next_seed(uint64_t seed, struct test_cow *c)
{
	for (;; test_cow_free(c)) {
		test_cow_random(++seed, 60, c);
		if (c->safe && c->nops > 4 && c->layout != 'C' &&
		    (!c->own || c->scratch_size >= 8192))
			return seed;
	}
}

/* The n-th faulty call fails. The same merge goes on, or (again) a new one. False: there is no n-th
 * call. */
static bool fail_once(const struct test_cow *c, uint64_t seed, long n, bool again)
{
	struct ovbd_error err = {""};
	struct ovbd_merge *m = NULL;
	struct ovbd_blob *view;
	struct disks d;
	bool hit = false;
	int r;

	begin(&d, c);
	test_fault_set(n);
	r = open_merge(&d, 1, &m, &err);
	while (r == 0 && !hit && (r = ovbd_merge_step(m, &err)) > 0)
		r = 0;
	hit = test_fault_hit();
	if (hit && r == 0) /* what was loaded ahead could not be; the next step does it again */
		r = 1;
	else
		assert_int_equal(r < 0, hit);
	assert_true(r >= 0 || strstr(err.msg, "told to fail") || strstr(err.msg, "memory"));
	check_disks(&d, seed, n);
	if (hit && m && again) {
		ovbd_merge_close(m);
		m = NULL;
	}
	if (!m)
		assert_ok(open_merge(&d, 1, &m, &err), err);
	assert_ok(ovbd_merge_view(m, &view, &err), err);
	check_view(&d, view, seed, n);
	while ((r = ovbd_merge_step(m, &err)) > 0)
		check_view(&d, view, seed, n);
	assert_ok(r, err);
	check_view(&d, view, seed, n);
	ovbd_blob_close(view);
	ovbd_merge_close(m);
	assert_memory_equal(d.base, c->want, d.size);
	check_disks(&d, seed, n);
	end(&d);
	return hit;
}

static void test_faults(void **state)
{
	uint64_t seed = 100;
	unsigned nfaults = 0;

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		struct test_cow c;

		seed = next_seed(seed, &c);
		for (long n = 1; fail_once(&c, seed, n, n % 2); n++)
			nfaults++;
		test_cow_free(&c);
	}
	printf("%u faults\n", nfaults);
	assert_true(nfaults > 200);
}

/* ---- who reads meanwhile ---- */

struct reader {
	const struct disks *d;
	struct ovbd_blob *view;
	atomic_bool *stop;
	uint64_t seed, nreads;
	bool wrong;
};

static void *read_on(void *arg)
{
	struct reader *r = arg;
	uint8_t *buf = malloc(r->d->size);

	while (buf && !atomic_load(r->stop)) {
		const uint64_t off = test_random(&r->seed) % r->d->size;
		const size_t len = 1 + (size_t)(test_random(&r->seed) % (r->d->size - off));

		r->wrong = r->wrong || ovbd_blob_pread(r->view, buf, len, off, NULL) < 0 ||
		           memcmp(buf, r->d->c->want + off, len) != 0;
		r->nreads++;
	}
	free(buf);
	return NULL;
}

/* Time for the others, at each write. */
static void at_write(void *arg)
{
	const struct timespec moment = {.tv_nsec = 100000};

	(void)arg;
	nanosleep(&moment, NULL);
}

static void read_while_merging(const struct test_cow *c, uint64_t seed)
{
	struct reader readers[READERS];
	pthread_t threads[READERS];
	struct ovbd_error err = {""};
	struct ovbd_merge *m;
	struct ovbd_blob *view;
	atomic_bool stop = false;
	struct disks d;
	int r;

	begin(&d, c);
	test_power_watch(d.p, at_write, NULL);
	assert_ok(open_merge(&d, 2, &m, &err), err);
	assert_ok(ovbd_merge_view(m, &view, &err), err);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] =
			(struct reader){.d = &d, .view = view, .stop = &stop, .seed = seed + i};
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
	}
	while ((r = ovbd_merge_step(m, &err)) > 0)
		at_write(NULL);
	atomic_store(&stop, true);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_ok(r, err);
	for (unsigned i = 0; i < READERS; i++)
		if (readers[i].wrong)
			fail_msg("seed %llu: a reader has seen wrong bytes",
			         (unsigned long long)seed);
	ovbd_blob_close(view);
	ovbd_merge_close(m);
	assert_memory_equal(d.base, c->want, d.size);
	end(&d);
}

static void test_readers(void **state)
{
	uint64_t seed = 500;

	(void)state;
	for (unsigned i = 0; i < 25; i++) {
		struct test_cow c;

		seed = next_seed(seed, &c);
		read_while_merging(&c, seed);
		test_cow_free(&c);
	}
}

/* ---- what is refused when it is opened ---- */

static void test_refusals(void **state)
{
	struct ovbd_error err = {""};
	struct ovbd_device *cow, *base;
	struct ovbd_merge *m;
	struct ovbd_blob *b;
	struct test_cow c;
	struct disks d;

	(void)state;
	next_seed(900, &c);
	begin(&d, &c);
	/* read-only */
	assert_ok(ovbd_blob_open_mem(d.base, d.size, &b, &err), err);
	assert_ok(ovbd_device_open_blob(b, &base, &err), err);
	cow = test_power_disk(d.p, 0, d.cow, c.size);
	assert_fails(ovbd_merge_open(cow, base, NULL, &m, &err), -EROFS, err,
	             "its base is read-only");
	assert_ok(ovbd_blob_open_mem(d.cow, c.size, &b, &err), err);
	assert_ok(ovbd_device_open_blob(b, &cow, &err), err);
	base = test_power_disk(d.p, 1, d.base, d.size);
	assert_fails(ovbd_merge_open(cow, base, NULL, &m, &err), -EROFS, err, "it is read-only");
	/* the wrong size */
	cow = test_power_disk(d.p, 0, d.cow, c.size);
	base = test_power_disk(d.p, 1, d.base, d.size - 1);
	assert_fails(ovbd_merge_open(cow, base, NULL, &m, &err), -EBADMSG, err,
	             "not whole blocks of 4096");
	cow = test_power_disk(d.p, 0, d.cow, c.size);
	base = test_power_disk(d.p, 1, d.base, BLOCK);
	assert_fails(ovbd_merge_open(cow, base, NULL, &m, &err), -EBADMSG, err,
	             "it is not for this base");
	/* cut off */
	cow = test_power_disk(d.p, 0, d.cow, c.size - 1);
	base = test_power_disk(d.p, 1, d.base, d.size);
	assert_true(ovbd_merge_open(cow, base, NULL, &m, &err) < 0);
	assert_int_equal(test_power_count(d.p), 0);
	assert_memory_equal(d.base, c.base, d.size);
	end(&d);
	test_cow_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_readers),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
