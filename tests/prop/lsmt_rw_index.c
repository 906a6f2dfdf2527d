// SPDX-License-Identifier: Apache-2.0
/*
 * The index of a writable layer against an array of sectors; and with readers beside the writer.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "lsmt/rw_index.h"
#include "tests/unit/test.h"

#define SECTOR 512u
#define HOLE   0u
#define ZERO   1u /* or 2 + the source's sector */

struct model {
	uint64_t nsectors;
	uint64_t *sectors, *seen;
	uint64_t ngone; /* sectors said to be gone */
	bool bad_gone;
};

static uint64_t seed_of(void)
{
	const char *seed = getenv("OVBD_SEED");

	return seed ? strtoull(seed, NULL, 0) : 1;
}

/* What is gone was there before. */
static void gone(void *arg, const struct ovbd_segment *s)
{
	struct model *m = arg;

	for (uint64_t i = 0; i < s->len / SECTOR; i++) {
		m->ngone++;
		if (m->sectors[s->off / SECTOR + i] != 2 + s->src / SECTOR + i)
			m->bad_gone = true;
	}
}

static void put(struct ovbd_rw_index *ix, struct model *m, const struct ovbd_segment *s)
{
	struct ovbd_error err;
	uint64_t ndata = 0;

	m->ngone = 0;
	for (uint64_t i = 0; i < s->len / SECTOR; i++)
		ndata += m->sectors[s->off / SECTOR + i] > ZERO;
	assert_ok(ovbd_rw_index_put(ix, s, gone, m, &err), err);
	assert_false(m->bad_gone);
	assert_int_equal(m->ngone, ndata);
	for (uint64_t i = 0; i < s->len / SECTOR; i++)
		m->sectors[s->off / SECTOR + i] = s->kind == OVBD_RUN_HOLE ? HOLE
		                                  : s->kind == OVBD_RUN_ZERO
		                                          ? ZERO
		                                          : 2 + s->src / SECTOR + i;
}

static void fill_in(struct model *m, const struct ovbd_segment *s)
{
	for (uint64_t i = 0; i < s->len / SECTOR; i++)
		m->seen[s->off / SECTOR + i] = s->kind == OVBD_RUN_HOLE   ? HOLE
		                               : s->kind == OVBD_RUN_ZERO ? ZERO
		                                                          : 2 + s->src / SECTOR + i;
}

static int each(void *arg, const struct ovbd_segment *s, struct ovbd_error *err)
{
	(void)err;
	fill_in(arg, s);
	return 0;
}

static void compare(const struct model *m, uint64_t seed, const char *how)
{
	for (uint64_t i = 0; i < m->nsectors; i++)
		if (m->seen[i] != m->sectors[i])
			fail_msg("seed %llu: %s: sector %llu is %llu, not %llu",
			         (unsigned long long)seed, how, (unsigned long long)i,
			         (unsigned long long)m->seen[i], (unsigned long long)m->sectors[i]);
}

/* By lookups, by going through all, and frozen. */
static void check(const struct ovbd_rw_index *ix, struct model *m, uint64_t seed)
{
	const uint64_t end = m->nsectors * SECTOR;
	struct ovbd_index *frozen;
	struct ovbd_segment s;
	struct ovbd_error err;

	for (uint64_t off = 0; off < end; off += s.len) {
		s = ovbd_rw_index_at(ix, off, end - off);
		assert_true(s.off == off && s.len > 0 && s.len <= end - off);
		fill_in(m, &s);
	}
	compare(m, seed, "looked up");
	memset(m->seen, 0, m->nsectors * sizeof(m->seen[0]));
	assert_ok(ovbd_rw_index_each(ix, each, m, &err), err);
	compare(m, seed, "one after the other");
	assert_ok(ovbd_rw_index_freeze(ix, &frozen, &err), err);
	for (uint64_t off = 0; off < end; off += s.len) {
		s = ovbd_index_at(frozen, off, end - off);
		fill_in(m, &s);
	}
	compare(m, seed, "frozen");
	ovbd_index_free(frozen);
}

static void one(uint64_t seed, uint64_t nsectors, uint64_t nputs, uint64_t len_max)
{
	struct model m = {.nsectors = nsectors};
	struct ovbd_rw_index *ix;
	struct ovbd_epoch *epoch;
	struct ovbd_error err;
	uint64_t random = seed;

	m.sectors = calloc(nsectors, sizeof(*m.sectors));
	m.seen = calloc(nsectors, sizeof(*m.seen));
	assert_non_null(m.sectors);
	assert_non_null(m.seen);
	assert_ok(ovbd_epoch_create(&epoch, &err), err);
	assert_ok(ovbd_rw_index_create(epoch, &ix, &err), err);
	for (uint64_t i = 0; i < nputs; i++) {
		const uint64_t what = test_random(&random) % 8;
		const uint64_t max = test_random(&random) % 64 ? len_max : nsectors;
		struct ovbd_segment s = {.off = test_random(&random) % nsectors * SECTOR};

		s.len = (1 + test_random(&random) % max) * SECTOR;
		if (s.off + s.len > nsectors * SECTOR)
			s.len = nsectors * SECTOR - s.off;
		s.kind = what == 0 ? OVBD_RUN_HOLE : what == 1 ? OVBD_RUN_ZERO : OVBD_RUN_DATA;
		if (s.kind == OVBD_RUN_DATA) /* often what continues a neighbour */
			s.src = what < 5 ? s.off + (1u << 20)
			                 : test_random(&random) % 100000 * SECTOR;
		put(ix, &m, &s);
		if (i % (nputs / 4 + 1) == 0)
			check(ix, &m, seed);
	}
	check(ix, &m, seed);
	assert_true(ovbd_rw_index_memory(ix) <= 40 * ovbd_rw_index_count(ix) + (384u << 10));
	ovbd_rw_index_free(ix);
	ovbd_epoch_free(epoch);
	free(m.sectors);
	free(m.seen);
}

static void test_model(void **state)
{
	const char *cases = getenv("OVBD_CASES");
	const uint64_t n = cases ? strtoull(cases, NULL, 0) : 12, seed = seed_of();

	(void)state;
	for (uint64_t i = 0; i < n; i++) {
		one(seed + i, 300, 300, 40);
		one(seed + i, 20000, 3000, 16);
		one(seed + i, 100000, 1000, 40000);
	}
	one(seed, 200000, 60000, 4);
}

/* Longer than a slot can say, up to the end of what there is. */
static void test_long(void **state)
{
	const uint64_t end = OVBD_INDEX_END_MAX, big = UINT64_C(1) << 40;
	struct ovbd_segment s = {.len = end, .kind = OVBD_RUN_ZERO}, got;
	struct ovbd_rw_index *ix;
	struct ovbd_epoch *epoch;
	struct ovbd_error err;

	(void)state;
	assert_ok(ovbd_epoch_create(&epoch, &err), err);
	assert_ok(ovbd_rw_index_create(epoch, &ix, &err), err);
	assert_ok(ovbd_rw_index_put(ix, &s, NULL, NULL, &err), err);
	assert_int_equal(ovbd_rw_index_count(ix), 1);
	s = (struct ovbd_segment){big, 64u << 20, 4096, 0, OVBD_RUN_DATA};
	assert_ok(ovbd_rw_index_put(ix, &s, NULL, NULL, &err), err);
	got = ovbd_rw_index_at(ix, 12345, end);
	assert_true(got.kind == OVBD_RUN_ZERO && got.len == big - 12345);
	got = ovbd_rw_index_at(ix, big + (64u << 20) - 100, end / 2);
	assert_true(got.kind == OVBD_RUN_DATA && got.src == 4096 + (64u << 20) - 100);
	assert_int_equal(got.len, 100);
	got = ovbd_rw_index_at(ix, end - 1, 1);
	assert_true(got.kind == OVBD_RUN_ZERO && got.len == 1);
	/* all of it goes, in one */
	s = (struct ovbd_segment){0, end, 0, 0, OVBD_RUN_HOLE};
	assert_ok(ovbd_rw_index_put(ix, &s, NULL, NULL, &err), err);
	assert_int_equal(ovbd_rw_index_count(ix), 0);
	ovbd_rw_index_free(ix);
	ovbd_epoch_free(epoch);
}

/* After much came and much went the memory is that of what is left, or less than came. */
static void test_memory(void **state)
{
	const uint64_t n = 30000;
	struct ovbd_rw_index *ix;
	struct ovbd_epoch *epoch;
	struct ovbd_error err;
	uint64_t random = 5;

	(void)state;
	assert_ok(ovbd_epoch_create(&epoch, &err), err);
	assert_ok(ovbd_rw_index_create(epoch, &ix, &err), err);
	for (uint64_t i = 0; i < 3 * n; i++) {
		const uint64_t lap = i / n, at = lap ? test_random(&random) % n : n - 1 - i;
		const struct ovbd_segment s = {
			.off = at * 8192,
			.len = 4096,
			.src = test_random(&random) % n * 4096,
			.kind = lap == 1 ? OVBD_RUN_HOLE : OVBD_RUN_DATA,
		};

		assert_ok(ovbd_rw_index_put(ix, &s, NULL, NULL, &err), err);
	}
	assert_true(ovbd_rw_index_memory(ix) <= 40 * n + (384u << 10));
	ovbd_rw_index_free(ix);
	ovbd_epoch_free(epoch);
}

/* ---- threads ---- */

#define NREADERS 3
#define SHARED   4096u /* sectors */

struct shared {
	struct ovbd_rw_index *ix;
	struct ovbd_epoch *epoch;
	atomic_bool done;
	atomic_uint_fast64_t nreads, nbad;
};

/* A put's source tells its offset: what is found must fit, whenever it is looked for. */
static void *reader(void *arg)
{
	struct shared *sh = arg;
	uint64_t random = (uint64_t)(uintptr_t)&random;

	while (!atomic_load(&sh->done)) {
		const uint64_t off = test_random(&random) % SHARED * SECTOR;
		const unsigned t = ovbd_epoch_enter(sh->epoch);
		const struct ovbd_segment s = ovbd_rw_index_at(sh->ix, off, SHARED * SECTOR - off);

		if (s.off != off || s.len == 0 || s.kind == OVBD_RUN_HOLE ||
		    (s.kind == OVBD_RUN_DATA && s.src % (SHARED * SECTOR) != off))
			atomic_fetch_add(&sh->nbad, 1);
		ovbd_epoch_leave(sh->epoch, t);
		atomic_fetch_add(&sh->nreads, 1);
	}
	return NULL;
}

static void test_readers(void **state)
{
	struct ovbd_segment s = {.len = SHARED * SECTOR, .kind = OVBD_RUN_ZERO};
	struct shared sh = {.ix = NULL};
	pthread_t threads[NREADERS];
	uint64_t random = seed_of();
	struct ovbd_error err;

	(void)state;
	assert_ok(ovbd_epoch_create(&sh.epoch, &err), err);
	assert_ok(ovbd_rw_index_create(sh.epoch, &sh.ix, &err), err);
	assert_ok(ovbd_rw_index_put(sh.ix, &s, NULL, NULL, &err), err);
	for (unsigned i = 0; i < NREADERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, &sh), 0);
	for (uint64_t i = 0; i < 30000 || atomic_load(&sh.nreads) < 20000; i++) {
		const uint64_t n = test_random(&random) % 64 ? 16 : SHARED;

		s.off = test_random(&random) % SHARED * SECTOR;
		s.len = (1 + test_random(&random) % n) * SECTOR;
		if (s.off + s.len > SHARED * SECTOR)
			s.len = SHARED * SECTOR - s.off;
		s.kind = test_random(&random) % 8 ? OVBD_RUN_DATA : OVBD_RUN_ZERO;
		s.src = s.off + test_random(&random) % 100 * SHARED * SECTOR;
		assert_ok(ovbd_rw_index_put(sh.ix, &s, NULL, NULL, &err), err);
	}
	atomic_store(&sh.done, true);
	for (unsigned i = 0; i < NREADERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&sh.nbad), 0);
	ovbd_rw_index_free(sh.ix);
	ovbd_epoch_free(sh.epoch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
