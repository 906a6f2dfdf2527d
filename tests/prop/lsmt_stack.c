// SPDX-License-Identifier: Apache-2.0
/*
 * Random stacks of up to 255 layers, written by the layer writer, against the device as an array of
 * bytes. Layers differ in size; what lies beyond the size of the topmost is not seen.
 *
 *     prop_lsmt_stack          all rounds
 *     prop_lsmt_stack SEED N   one, of N layers at most
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "lsmt/index.h"
#include "tests/lib/lsmt_make.h"

#define DEVICE_MAX (256u << 10)

struct round {
	uint64_t seed, state;
	size_t nlayers;
	uint64_t size;
	uint8_t content[DEVICE_MAX];
	uint8_t kind[DEVICE_MAX / 512]; /* enum ovbd_run_kind of each sector */
	uint8_t got[DEVICE_MAX];
	uint8_t data[DEVICE_MAX];
	struct test_layer image[OVBD_LAYERS_MAX];
	struct ovbd_layer *layer[OVBD_LAYERS_MAX];
	struct ovbd_blob *stack;
};

static uint64_t below(struct round *rd, uint64_t n)
{
	return test_random(&rd->state) % n;
}

static void must(const struct round *rd, bool good, const char *what)
{
	if (!good)
		fail_msg("seed %llu, %zu layers: %s", (unsigned long long)rd->seed, rd->nlayers,
		         what);
}

/* A range the writer takes: whole sectors, or to the end of the device. */
static uint64_t some_range(struct round *rd, uint64_t size, uint64_t *ret_len)
{
	const uint64_t nsectors = (size + 511) / 512, at = below(rd, nsectors);
	const uint64_t len = (1 + below(rd, 1 + below(rd, 64))) * 512;

	*ret_len = ovbd_min(len, size - at * 512);
	return at * 512;
}

static void put(struct round *rd, struct ovbd_layer_writer *w, uint64_t off, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		rd->data[i] = (uint8_t)(1 + below(rd, 255));
	assert_int_equal(ovbd_layer_put(w, off, rd->data, (size_t)len, NULL), 0);
	memcpy(rd->content + off, rd->data, (size_t)len);
	memset(rd->kind + off / 512, OVBD_RUN_DATA, (size_t)(len + 511) / 512);
}

static void zero(struct round *rd, struct ovbd_layer_writer *w, uint64_t off, uint64_t len)
{
	assert_int_equal(ovbd_layer_zero(w, off, len, NULL), 0);
	memset(rd->content + off, 0, (size_t)len);
	memset(rd->kind + off / 512, OVBD_RUN_ZERO, (size_t)(len + 511) / 512);
}

static uint64_t some_size(struct round *rd, uint64_t usual)
{
	switch (below(rd, 12)) {
	case 0:
		return 1 + below(rd, usual);
	case 1:
		return 1 + below(rd, DEVICE_MAX);
	default:
		return usual;
	}
}

static void make_layer(struct round *rd, size_t i, uint64_t usual)
{
	const uint64_t size = some_size(rd, usual);
	struct test_writer w = test_writer_create(
		&(struct ovbd_layer_params){.virtual_size = size, .over_base = true});

	for (uint64_t nops = below(rd, 12); nops > 0; nops--) {
		uint64_t len, off = some_range(rd, size, &len);

		/* A last sector in part is padded with zeros, which may show in a larger device. */
		if ((off + len) % 512 != 0)
			memset(rd->content + off + len, 0, 512 - (off + len) % 512);
		if (below(rd, 4))
			put(rd, w.w, off, len);
		else
			zero(rd, w.w, off, len);
	}
	rd->image[i] = test_writer_take(&w);
	assert_int_equal(test_layer_open(&rd->image[i], &rd->layer[i], NULL), 0);
	rd->size = size;
}

static void check_content(struct round *rd)
{
	assert_int_equal(ovbd_blob_pread(rd->stack, rd->got, (size_t)rd->size, 0, NULL), 0);
	must(rd, memcmp(rd->got, rd->content, (size_t)rd->size) == 0, "the whole device");
	for (int i = 0; i < 20; i++) {
		const uint64_t off = below(rd, rd->size), len = 1 + below(rd, rd->size - off);

		memset(rd->got, 0xee, (size_t)len);
		assert_int_equal(ovbd_blob_pread(rd->stack, rd->got, (size_t)len, off, NULL), 0);
		must(rd, memcmp(rd->got, rd->content + off, (size_t)len) == 0, "a range");
	}
}

/* Runs tile the device, are as long as they can be, and of the kind the model says. */
static void check_runs(struct round *rd)
{
	struct ovbd_run run;
	int before = -1;

	for (uint64_t off = 0; off < rd->size; off += run.len) {
		assert_int_equal(ovbd_blob_run_at(rd->stack, off, rd->size - off, &run, NULL), 0);
		must(rd, (int)run.kind != before, "two runs of a kind");
		for (uint64_t i = off; i < off + run.len; i += 512)
			must(rd, rd->kind[i / 512] == run.kind, "the kind of a run");
		before = (int)run.kind;
	}
}

static void run_round(struct round *rd, uint64_t seed, size_t layers_max)
{
	uint64_t usual;

	memset(rd, 0, sizeof(*rd));
	memset(rd->kind, OVBD_RUN_HOLE, sizeof(rd->kind));
	rd->seed = rd->state = seed;
	usual = 1 + below(rd, below(rd, 8) ? 32768 : DEVICE_MAX);
	rd->nlayers = 1 + below(rd, layers_max);
	for (size_t i = 0; i < rd->nlayers; i++)
		make_layer(rd, i, usual);
	assert_int_equal(ovbd_stack_open(rd->layer, rd->nlayers, &rd->stack, NULL), 0);
	must(rd, rd->stack->size == rd->size, "the size");
	check_content(rd);
	check_runs(rd);
	must(rd, ovbd_index_end(ovbd_stack_index(rd->stack)) <= ovbd_align_up(rd->size, 512),
	     "the index ends beyond the device");
	ovbd_blob_close(rd->stack);
	for (size_t i = 0; i < rd->nlayers; i++)
		free(rd->image[i].p);
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
	run(1, 3000, 8);
}

static void test_many_layers(void **state)
{
	(void)state;
	run(100001, 60, OVBD_LAYERS_MAX);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few_layers),
		cmocka_unit_test(test_many_layers),
	};

	if (argc == 3) {
		run(strtoull(argv[1], NULL, 10), 1, strtoul(argv[2], NULL, 10));
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
