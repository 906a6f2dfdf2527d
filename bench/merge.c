// SPDX-License-Identifier: Apache-2.0
/*
 * Merging the indexes of many layers, search tree included, against one qsort() of all their
 * segments as 16-byte records, layer after layer as they would be read.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lsmt/index.h"

#define SECTOR    UINT64_C(512)
#define NSEGMENTS 1000000u

struct record {
	uint64_t where, what;
};

struct merge {
	struct ovbd_index *layers[OVBD_LAYERS_MAX];
	size_t nlayers;
	struct record *records, *sorted;
	uint64_t end;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int by_offset(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return (x->where > y->where) - (x->where < y->where);
}

static void merge_ours(void *arg)
{
	const struct merge *m = arg;
	struct ovbd_index *merged = NULL;
	int r = ovbd_index_merge((const struct ovbd_index *const *)m->layers, m->nlayers, m->end, 0,
	                         &merged, NULL);

	if (r < 0)
		abort();
	bench_keep(ovbd_index_count(merged));
	ovbd_index_free(merged);
}

/* Copies too, as sorting is in place; that is a hundredth of it. */
static void merge_theirs(void *arg)
{
	const struct merge *m = arg;

	memcpy(m->sorted, m->records, NSEGMENTS * sizeof(*m->sorted));
	qsort(m->sorted, NSEGMENTS, sizeof(*m->sorted), by_offset);
	bench_keep(m->sorted[NSEGMENTS / 2].where);
}

/* A layer: n segments of 1 to 64 sectors, spread over all of the device, one in sixteen zeroed. */
static struct ovbd_index *make_layer(const struct merge *m, size_t n, uint64_t *state,
                                     struct record *records)
{
	const struct ovbd_index_bounds bounds = {.end = m->end,
	                                         .src_end = UINT64_C(1) << 40,
	                                         .nsegments = n};
	const uint64_t stride = m->end / SECTOR / n;
	struct ovbd_index_builder *b = NULL;
	struct ovbd_index *ix = NULL;
	int r = ovbd_index_builder_create(&bounds, &b, NULL);

	for (size_t i = 0; r == 0 && i < n; i++) {
		const uint64_t len = 1 + next_random(state) % 64, src = next_random(state) >> 33;
		const uint64_t at = i * stride + next_random(state) % (stride - len + 1);
		const struct ovbd_segment s = {.off = at * SECTOR,
		                               .len = len * SECTOR,
		                               .src = src * SECTOR,
		                               .kind = i % 16 == 0 ? OVBD_RUN_ZERO : OVBD_RUN_DATA};

		records[i] = (struct record){.where = at, .what = src};
		r = ovbd_index_builder_add(b, &s, NULL);
	}
	if (r < 0 || ovbd_index_builder_finish(b, &ix, NULL) < 0)
		abort();
	return ix;
}

static void row(struct bench *b, size_t nlayers)
{
	struct merge m = {.nlayers = nlayers, .end = UINT64_C(64) << 30};
	uint64_t state = 88172645463325252u;
	char name[64];
	const struct bench_row row = {
		.group = "merge",
		.name = name,
		.limit = "one qsort() of all segments",
		.unit = "M segments/s",
		.work = NSEGMENTS / 1e6,
		.target = 1,
		.ours = merge_ours,
		.theirs = merge_theirs,
		.arg = &m,
	};

	m.records = calloc(NSEGMENTS, sizeof(*m.records));
	m.sorted = calloc(NSEGMENTS, sizeof(*m.sorted));
	if (!m.records || !m.sorted)
		abort();
	for (size_t i = 0; i < nlayers; i++)
		m.layers[i] = make_layer(&m, NSEGMENTS / nlayers, &state,
		                         m.records + i * (NSEGMENTS / nlayers));
	snprintf(name, sizeof(name), "1M segments in %zu layers", nlayers);
	bench_run(b, &row);
	for (size_t i = 0; i < nlayers; i++)
		ovbd_index_free(m.layers[i]);
	free(m.records);
	free(m.sorted);
}

void bench_merge(struct bench *b)
{
	row(b, 10);
	row(b, 50);
	row(b, 200);
}
