// SPDX-License-Identifier: Apache-2.0
/*
 * Many threads on a device of backup on write. Each has some of its blocks for itself, next to
 * those of others, so that what is theirs is always what they wrote last; but their backups meet,
 * and so does the block that is moved because somebody takes its place.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "tests/unit/bow_world.h"

#define BLOCK    512u
#define NTHREADS 6u
#define GROUP    4u /* blocks of one thread */
#define NGROUPS  600u
#define SIZE     (NGROUPS * GROUP * BLOCK)

struct worker {
	struct world *w;
	pthread_t thread;
	unsigned number, nsteps;
	uint64_t random;
	atomic_uint *nwrong, *nfull;
	atomic_bool *more; /* it goes on as long as this is so */
};

static void check_read(struct worker *k, uint64_t off, size_t len)
{
	struct world *w = k->w;
	uint8_t got[GROUP * BLOCK];
	struct ovbd_error err;

	if (ovbd_blob_pread(w->d->blob, got, len, off, &err) < 0)
		atomic_fetch_add(k->nwrong, 1);
	for (size_t i = 0; i < len; i++)
		if (w->known[off + i] && got[i] != w->want[off + i]) {
			atomic_fetch_add(k->nwrong, 1);
			return;
		}
}

static void try_write(struct worker *k, uint64_t off, size_t len)
{
	struct world *w = k->w;
	uint8_t buf[GROUP * BLOCK];
	struct ovbd_error err;
	int r;

	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)test_random(&k->random);
	r = ovbd_device_pwrite(w->d, buf, len, off, 0, &err);
	if (r == 0) {
		memcpy(w->want + off, buf, len);
		memset(w->known + off, 1, len);
	}
	atomic_fetch_add(k->nwrong, r < 0 && r != -ENOSPC);
	atomic_fetch_add(k->nfull, r == -ENOSPC);
}

static void *work(void *arg)
{
	struct worker *k = arg;
	struct ovbd_error err;

	for (unsigned i = 0; i < k->nsteps || atomic_load(k->more); i++) {
		const uint64_t group = test_random(&k->random) % (NGROUPS / NTHREADS);
		const uint64_t at = test_random(&k->random) % (GROUP * BLOCK);
		const uint64_t off = (group * NTHREADS + k->number) * GROUP * BLOCK + at;
		const size_t len = 1 + test_random(&k->random) % (GROUP * BLOCK - at);

		if (i % 4 == 0) {
			memset(k->w->known + off, 0, len);
			atomic_fetch_add(k->nwrong,
			                 ovbd_device_discard(k->w->d, off, len, &err) < 0);
		} else if (i % 4 == 1) {
			check_read(k, off, len);
		} else {
			try_write(k, i % 64 == 3 && k->number == 0 ? at : off, len);
		}
		if (i % 100 == 0)
			atomic_fetch_add(k->nwrong, ovbd_device_flush(k->w->d, &err) < 0);
	}
	return NULL;
}

/* meanwhile(w) runs beside them. */
static unsigned run(struct world *w, unsigned nsteps, void (*meanwhile)(struct world *w))
{
	struct worker workers[NTHREADS];
	atomic_uint nwrong = 0, nfull = 0;
	atomic_bool more = meanwhile != NULL;

	for (unsigned i = 0; i < NTHREADS; i++) {
		workers[i] =
			(struct worker){w, 0, i, nsteps, w->random + i, &nwrong, &nfull, &more};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	if (meanwhile)
		meanwhile(w);
	atomic_store(&more, false);
	for (unsigned i = 0; i < NTHREADS; i++)
		pthread_join(workers[i].thread, NULL);
	w->random += NTHREADS;
	assert_int_equal(nwrong, 0);
	world_reads_right(w);
	return nfull;
}

static void test_taken_back(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 3; seed++) {
		struct world w;
		struct ovbd_bow_status s;

		world_setup(&w, SIZE, (struct ovbd_bow_params){.block_size = BLOCK});
		w.random = seed * 1000;
		run(&w, 100, NULL);
		world_discard(&w, SIZE / 2, SIZE / 3 + seed * BLOCK);
		world_checkpoint(&w);
		run(&w, 250, NULL);
		world_restores_right(&w);
		world_reopen(&w, (struct ovbd_bow_params){0});
		world_discard(&w, SIZE / 2, SIZE / 3);
		run(&w, 250, NULL);
		world_restores_right(&w);
		s = world_status(&w);
		assert_true(s.log_blocks > 3);
		world_teardown(&w);
	}
}

static void switch_twice(struct world *w)
{
	struct ovbd_error err;
	struct ovbd_bow_status s;

	assert_ok(ovbd_bow_checkpoint(w->d, &err), err);
	do /* until something has been backed up */
		s = world_status(w);
	while (s.log_entries < 50);
	assert_ok(ovbd_bow_commit(w->d, &err), err);
}

static void test_states_change(void **state)
{
	struct world w;

	(void)state;
	world_setup(&w, SIZE, (struct ovbd_bow_params){.block_size = BLOCK});
	world_discard(&w, SIZE / 4, SIZE / 2);
	run(&w, 2000, switch_twice);
	assert_int_equal(world_status(&w).state, OVBD_BOW_COMMITTED);
	world_same(w.disk, w.want, w.known, w.size);
	world_teardown(&w);
}

/* All find at once that there is no room. */
static void test_full(void **state)
{
	const struct ovbd_bow_params p = {.block_size = BLOCK, .on_full = OVBD_BOW_FULL_COMMIT};
	struct world w;

	(void)state;
	world_setup(&w, SIZE, p);
	world_discard(&w, SIZE / 2, SIZE / 8);
	world_checkpoint(&w);
	assert_int_equal(run(&w, 500, NULL), 0);
	assert_int_equal(world_status(&w).state, OVBD_BOW_COMMITTED);
	world_same(w.disk, w.want, w.known, w.size);
	world_teardown(&w);
	world_setup(&w, SIZE, (struct ovbd_bow_params){.block_size = BLOCK});
	world_discard(&w, SIZE / 2, SIZE / 8);
	world_checkpoint(&w);
	assert_true(run(&w, 300, NULL) > 0);
	world_restores_right(&w);
	world_teardown(&w);
}

/* In order, each in a part of its own: what is backed up ahead of one is soon written to. */
static void *work_in_order(void *arg)
{
	struct worker *k = arg;
	struct world *w = k->w;
	const uint64_t part = w->size / 3 / NTHREADS;
	struct ovbd_error err;

	for (uint64_t off = k->number * part; off < (k->number + 1) * part;) {
		const uint64_t left = (k->number + 1) * part - off;
		const size_t len = ovbd_min(left, 1 + test_random(&k->random) % 20000);

		memset(w->want + off, (int)test_random(&k->random), len);
		if (ovbd_device_pwrite(w->d, w->want + off, len, off, 0, &err) < 0)
			atomic_fetch_add(k->nwrong, 1);
		off += len;
	}
	return NULL;
}

static void test_in_order(void **state)
{
	struct worker workers[NTHREADS];
	atomic_uint nwrong = 0;
	struct world w;

	(void)state;
	world_setup(&w, 12 << 20, (struct ovbd_bow_params){0});
	world_discard(&w, w.size / 2, w.size / 2);
	world_checkpoint(&w);
	assert_int_equal(world_status(&w).block_size, 4096);
	for (unsigned i = 0; i < NTHREADS; i++) {
		workers[i] = (struct worker){.w = &w, .number = i, .nwrong = &nwrong, .random = i};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work_in_order,
		                                &workers[i]),
		                 0);
	}
	for (unsigned i = 0; i < NTHREADS; i++)
		pthread_join(workers[i].thread, NULL);
	assert_int_equal(nwrong, 0);
	world_reads_right(&w);
	world_restores_right(&w);
	world_teardown(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken_back),
		cmocka_unit_test(test_states_change),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
