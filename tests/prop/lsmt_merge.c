// SPDX-License-Identifier: Apache-2.0
/* Merging random layers, against a model that notes for every sector of a small device who
 * shows. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "lsmt/index.h"
#include "lsmt/search.h"

#define SECTOR      UINT64_C(512)
#define SECTORS_MAX 2048

/* A sector of the model. */
struct cell {
	uint64_t src;
	uint32_t layer;
	enum ovbd_run_kind kind;
};

struct round {
	uint64_t seed, state;
	uint64_t nsectors; /* of the device */
	uint64_t base;     /* sector of the device at which the model begins */
	uint64_t clip;     /* sectors; where the merge shall end */
	size_t nlayers;
	unsigned density; /* the more, the shorter the gaps */
	struct cell cell[SECTORS_MAX];
	struct ovbd_index *layer[OVBD_LAYERS_MAX];
	uint64_t ninput;
};

static uint64_t below(struct round *rd, uint64_t n)
{
	return test_random(&rd->state) % n;
}

static void paint(struct round *rd, const struct ovbd_segment *s, uint32_t layer)
{
	for (uint64_t i = 0; i < s->len / SECTOR; i++) {
		const uint64_t at = s->off / SECTOR - rd->base + i;

		if (at < rd->clip)
			rd->cell[at] = (struct cell){
				.src = s->kind == OVBD_RUN_DATA ? s->src + i * SECTOR : 0,
				.layer = layer,
				.kind = s->kind,
			};
	}
}

static void make_layer(struct round *rd, uint32_t layer)
{
	const struct ovbd_index_bounds bounds = {
		.end = (rd->base + rd->nsectors) * SECTOR,
		.src_end = below(rd, 8) ? UINT64_C(1) << 20 : UINT64_C(1) << 42,
	};
	struct ovbd_index_builder *b;
	struct ovbd_error err;

	assert_ok(ovbd_index_builder_create(&bounds, &b, &err), err);
	for (uint64_t at = below(rd, 40);;) {
		const uint64_t len = 1 + below(rd, 1 + below(rd, 40));
		const struct ovbd_segment s = {
			.off = (rd->base + at) * SECTOR,
			.len = len * SECTOR,
			.src = below(rd, bounds.src_end / SECTOR - len) * SECTOR,
			.kind = below(rd, 4) ? OVBD_RUN_DATA : OVBD_RUN_ZERO,
			.layer = (uint32_t)below(rd, 4), /* does not matter */
		};

		if (at + len > rd->nsectors)
			break;
		assert_ok(ovbd_index_builder_add(b, &s, &err), err);
		paint(rd, &s, layer);
		at += len + below(rd, 1 + below(rd, rd->density ? 400 / rd->density : 1));
	}
	assert_ok(ovbd_index_builder_finish(b, &rd->layer[layer], &err), err);
	rd->ninput += ovbd_index_count(rd->layer[layer]);
}

static bool same(const struct cell *a, const struct ovbd_segment *b)
{
	return a->kind == b->kind && (a->kind == OVBD_RUN_HOLE || a->layer == b->layer) &&
	       (a->kind != OVBD_RUN_DATA || a->src == b->src);
}

/* Every sector by at(); then every segment by get(): tight, in order, and none that continues
 * another. */
static void check(struct round *rd, const struct ovbd_index *ix)
{
	uint64_t covered = 0, want = 0;

	for (uint64_t i = 0; i < rd->nsectors; i++) {
		const struct ovbd_segment s = ovbd_index_at(ix, (rd->base + i) * SECTOR, SECTOR);

		want += rd->cell[i].kind != OVBD_RUN_HOLE;
		if (!same(&rd->cell[i], &s))
			fail_msg("seed %llu, sector %llu: layer %u kind %d src %llu, not layer %u "
			         "kind %d src %llu",
			         (unsigned long long)rd->seed, (unsigned long long)i, s.layer,
			         (int)s.kind, (unsigned long long)s.src, rd->cell[i].layer,
			         (int)rd->cell[i].kind, (unsigned long long)rd->cell[i].src);
	}
	for (uint64_t i = 0; i < ovbd_index_count(ix); i++) {
		const struct ovbd_segment s = ovbd_index_get(ix, i);

		covered += s.len / SECTOR;
		if (i > 0) {
			const struct ovbd_segment p = ovbd_index_get(ix, i - 1);

			assert_true(p.off + p.len <= s.off);
			assert_false(p.off + p.len == s.off && p.layer == s.layer &&
			             p.kind == s.kind &&
			             (s.kind == OVBD_RUN_ZERO || p.src + p.len == s.src));
		}
	}
	assert_int_equal(covered, want);
	assert_true(ovbd_index_count(ix) <= 2 * rd->ninput);
}

static void run_round(struct round *rd, uint64_t seed, size_t layers_max)
{
	struct ovbd_index *merged;
	struct ovbd_error err;
	uint64_t end;

	memset(rd, 0, sizeof(*rd));
	rd->seed = rd->state = seed;
	rd->nsectors = 1 + below(rd, below(rd, 4) ? 200 : SECTORS_MAX);
	rd->base = below(rd, 3) ? 0 : UINT64_C(1) << (20 + below(rd, 29));
	rd->nlayers = 1 + below(rd, layers_max);
	rd->density = (unsigned)below(rd, 60);
	rd->clip = below(rd, 3) ? rd->nsectors : below(rd, rd->nsectors + 1);
	for (uint64_t i = 0; i < rd->nsectors; i++)
		rd->cell[i].kind = OVBD_RUN_HOLE;
	for (uint32_t i = 0; i < rd->nlayers; i++)
		make_layer(rd, i);
	end = (rd->base + rd->clip) * SECTOR;
	end -= end > 0 ? below(rd, SECTOR) : 0; /* within its last sector: the same */
	assert_ok(ovbd_index_merge((const struct ovbd_index *const *)rd->layer, rd->nlayers, end, 0,
	                           &merged, &err),
	          err);
	check(rd, merged);
	ovbd_index_free(merged);
	for (size_t i = 0; i < rd->nlayers; i++)
		ovbd_index_free(rd->layer[i]);
}

static void run(uint64_t first, uint64_t rounds, size_t layers_max)
{
	struct round *rd = calloc(1, sizeof(*rd));

	assert_non_null(rd);
	for (uint64_t seed = first; seed < first + rounds; seed++)
		run_round(rd, seed, layers_max);
	free(rd);
}

static void test_few_layers(void **state)
{
	(void)state;
	run(1, 4000, 6);
}

static void test_many_layers(void **state)
{
	(void)state;
	run(10001, 300, OVBD_LAYERS_MAX);
}

/* Everything a layer can do to its neighbours, in one picture; 0 is the bottom. */
static void test_picture(void **state)
{
	static const char *const rows[] = {
		"aaaaaaaaaaaaaaaaaaaaaaaa....",
		"..bbb..0000..bbbb...........",
		"...c....cc..c...00..........",
	};
	static const char *const want = "aabcb"
					"aa0cc0"
					"ac"
					"bbb"
					"00aaaaaa....";
	struct ovbd_index *layer[3], *merged;
	struct ovbd_error err;

	(void)state;
	for (uint32_t l = 0; l < 3; l++) {
		const struct ovbd_index_bounds bounds = {.end = 28 * SECTOR, .src_end = 1 << 20};
		struct ovbd_index_builder *b;

		assert_ok(ovbd_index_builder_create(&bounds, &b, &err), err);
		for (uint64_t i = 0; rows[l][i]; i++) {
			const struct ovbd_segment s = {
				.off = i * SECTOR,
				.len = SECTOR,
				.src = (100 + i) * SECTOR,
				.kind = rows[l][i] == '0' ? OVBD_RUN_ZERO : OVBD_RUN_DATA,
			};

			if (rows[l][i] != '.')
				assert_ok(ovbd_index_builder_add(b, &s, &err), err);
		}
		assert_ok(ovbd_index_builder_finish(b, &layer[l], &err), err);
	}
	assert_ok(ovbd_index_merge((const struct ovbd_index *const *)layer, 3, 28 * SECTOR, 0,
	                           &merged, &err),
	          err);
	for (uint64_t i = 0; want[i]; i++) {
		const struct ovbd_segment s = ovbd_index_at(merged, i * SECTOR, SECTOR);
		const char got = s.kind == OVBD_RUN_HOLE   ? '.'
		                 : s.kind == OVBD_RUN_ZERO ? '0'
		                                           : (char)('a' + s.layer);

		assert_int_equal(got, want[i]);
	}
	assert_int_equal(ovbd_index_count(merged), 13);
	ovbd_index_free(merged);
	for (uint32_t l = 0; l < 3; l++)
		ovbd_index_free(layer[l]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_picture),
		cmocka_unit_test(test_few_layers),
		cmocka_unit_test(test_many_layers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
