// SPDX-License-Identifier: Apache-2.0
/*
 * The index against a binary search over the same segments as an array of 16-byte records: the way
 * std::upper_bound() does it, and then the same trimming. Queries are random and independent, so
 * what is measured is how many lookups a second a core can do, not how long one takes.
 */
#include "bench/bench.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "lsmt/index.h"
#include "lsmt/search.h"

#define SECTOR   UINT64_C(512)
#define NQUERIES (1u << 16)
#define LAPS     32 /* through the queries, a call */

/* As on disk: offset 50 bits | length 14 bits; source 55 bits | zeroed | layer 8 bits. Sectors. */
struct record {
	uint64_t where, what;
};

struct lookup {
	struct ovbd_index *ix;
	struct record *records;
	size_t n;
	uint64_t *queries;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t begin_of(const struct record *r)
{
	return r->where & ((UINT64_C(1) << 50) - 1);
}

static uint64_t end_of(const struct record *r)
{
	return begin_of(r) + (r->where >> 50);
}

/* The first record that begins beyond the sector. */
static inline const struct record *upper_bound(const struct record *r, size_t n, uint64_t sector)
{
	while (n > 0) {
		const size_t half = n / 2;

		if (begin_of(r + half) <= sector) {
			r += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return r;
}

/* ovbd_index_at() by binary search. */
__attribute__((noinline)) static struct ovbd_segment record_at(const struct record *records,
                                                               size_t n, uint64_t off, uint64_t len)
{
	const uint64_t sector = off / SECTOR;
	const struct record *next = upper_bound(records, n, sector), *r = next - 1;
	struct ovbd_segment s = {.off = off, .len = len, .kind = OVBD_RUN_HOLE};
	uint64_t end = UINT64_MAX;

	if (next != records && sector < end_of(r)) {
		end = end_of(r) * SECTOR;
		s.kind = r->what >> 55 & 1 ? OVBD_RUN_ZERO : OVBD_RUN_DATA;
		s.src = ((r->what & ((UINT64_C(1) << 55) - 1)) - begin_of(r)) * SECTOR + off;
		s.layer = (uint32_t)(r->what >> 56);
	} else if (next != records + n) {
		end = begin_of(next) * SECTOR;
	}
	s.len = end - off < len ? end - off : len;
	return s;
}

static uint64_t sum(const struct ovbd_segment *s)
{
	return s->len + s->src + s->layer + (uint64_t)s->kind;
}

static void at_ours(void *arg)
{
	const struct lookup *l = arg;
	uint64_t total = 0;

	for (size_t i = 0; i < LAPS * NQUERIES; i++) {
		const struct ovbd_segment s = ovbd_index_at(l->ix, l->queries[i % NQUERIES], 4096);

		total += sum(&s);
	}
	bench_keep(total);
}

static void at_theirs(void *arg)
{
	const struct lookup *l = arg;
	uint64_t total = 0;

	for (size_t i = 0; i < LAPS * NQUERIES; i++) {
		const struct ovbd_segment s =
			record_at(l->records, l->n, l->queries[i % NQUERIES], 4096);

		total += sum(&s);
	}
	bench_keep(total);
}

static void find_ours(void *arg)
{
	const struct lookup *l = arg;
	uint64_t total = 0;

	for (size_t i = 0; i < LAPS * NQUERIES; i++)
		total += l->ix->find(l->ix, l->queries[i % NQUERIES]);
	bench_keep(total);
}

static void find_theirs(void *arg)
{
	const struct lookup *l = arg;
	uint64_t total = 0;

	for (size_t i = 0; i < LAPS * NQUERIES; i++)
		total += (uint64_t)(upper_bound(l->records, l->n,
		                                l->queries[i % NQUERIES] / SECTOR) -
		                    l->records);
	bench_keep(total);
}

/* Segments of 1 to 64 sectors, one in four zeroed, with a gap behind every other. */
static void setup(struct lookup *l, size_t n)
{
	const struct ovbd_index_bounds bounds = {.end = UINT64_C(1) << 40,
	                                         .src_end = UINT64_C(1) << 40,
	                                         .nsegments = n};
	struct ovbd_index_builder *b = NULL;
	uint64_t state = 88172645463325252u, at = 0;
	int r = ovbd_index_builder_create(&bounds, &b, NULL);

	l->n = n;
	l->records = calloc(n, sizeof(*l->records));
	l->queries = calloc(NQUERIES, sizeof(*l->queries));
	for (size_t i = 0; r == 0 && i < n; i++) {
		const uint64_t len = 1 + next_random(&state) % 64;
		const uint64_t src = next_random(&state) >> 33, zero = next_random(&state) % 4 == 0;
		const struct ovbd_segment s = {.off = at * SECTOR,
		                               .len = len * SECTOR,
		                               .src = src * SECTOR,
		                               .layer = (uint32_t)(i % 8),
		                               .kind = zero ? OVBD_RUN_ZERO : OVBD_RUN_DATA};

		l->records[i] = (struct record){.where = at | len << 50,
		                                .what = src | zero << 55 | (uint64_t)i % 8 << 56};
		r = ovbd_index_builder_add(b, &s, NULL);
		at += len + (next_random(&state) % 2 ? next_random(&state) % 32 : 0);
	}
	if (r == 0)
		r = ovbd_index_builder_finish(b, &l->ix, NULL);
	if (r < 0 || !l->records || !l->queries)
		abort();
	for (size_t i = 0; i < NQUERIES; i++)
		l->queries[i] = next_random(&state) % (at - 8) * SECTOR;
}

static void teardown(struct lookup *l)
{
	ovbd_index_free(l->ix);
	free(l->records);
	free(l->queries);
}

static void check(const struct lookup *l)
{
	for (size_t i = 0; i < NQUERIES; i++) {
		const struct ovbd_segment a = ovbd_index_at(l->ix, l->queries[i], 4096);
		const struct ovbd_segment b = record_at(l->records, l->n, l->queries[i], 4096);

		assert(a.len == b.len && a.kind == b.kind);
		assert(a.kind == OVBD_RUN_HOLE || a.layer == b.layer);
		assert(a.kind != OVBD_RUN_DATA || a.src == b.src);
	}
}

static void rows(struct bench *b, size_t n, const char *count, double want_at, double want_find)
{
	struct lookup l;
	char name[64];
	struct bench_row row = {
		.group = "lookup",
		.name = name,
		.limit = "binary search over an array",
		.unit = "M lookups/s",
		.work = LAPS * NQUERIES / 1e6,
		.rounds = 9,
		.arg = &l,
	};

	setup(&l, n);
	check(&l);
	row.ours = at_ours;
	row.theirs = at_theirs;
	row.target = want_at;
	snprintf(name, sizeof(name), "%s segments, whole call", count);
	bench_run(b, &row);
	row.ours = find_ours;
	row.theirs = find_theirs;
	row.target = want_find;
	snprintf(name, sizeof(name), "%s segments, search alone", count);
	bench_run(b, &row);
	teardown(&l);
}

void bench_lookup(struct bench *b)
{
	rows(b, 1000, "1K", 2, 0);
	rows(b, 10000, "10K", 0, 0);
	rows(b, 100000, "100K", 5, 0);
	rows(b, 1000000, "1M", 5, 12);
}
