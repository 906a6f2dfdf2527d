// SPDX-License-Identifier: Apache-2.0
/*
 * Random stacks of layers with references, over a base or over nothing known, against the device as
 * an array of bytes that each layer changes. What the stack says of itself (its runs) is written to
 * one layer, which over the base must be the same device.
 *
 *     prop_lsmt_refs          all rounds
 *     prop_lsmt_refs SEED N   one, of N layers at most
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "lsmt/index.h"
#include "tests/lib/lsmt_make.h"

#define DEVICE_MAX (128u << 10)
#define NSECTORS   (DEVICE_MAX / 512)

/* The device, and of each sector: is it one of the base's, and which. */
struct model {
	uint8_t content[DEVICE_MAX];
	int32_t from[NSECTORS];
};

struct round {
	uint64_t seed, state;
	size_t nlayers;
	uint64_t size, base_size;
	bool shrunk;     /* a layer has made it smaller */
	uint64_t needed; /* of the base, for the references of the layer of all */
	struct model now, below;
	uint8_t base[DEVICE_MAX], got[DEVICE_MAX], data[DEVICE_MAX];
	struct test_layer image[OVBD_LAYERS_MAX + 1];
};

static uint64_t pick(struct round *rd, uint64_t n)
{
	return test_random(&rd->state) % n;
}

static void must(const struct round *rd, bool good, const char *what)
{
	if (!good)
		fail_msg("seed %llu, %zu layers: %s", (unsigned long long)rd->seed, rd->nlayers,
		         what);
}

/* ---- a layer, and what it does to the model ---- */

static void put(struct round *rd, struct ovbd_layer_writer *w, uint64_t off, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		rd->data[i] = (uint8_t)(1 + pick(rd, 255));
	assert_int_equal(ovbd_layer_put(w, off, rd->data, (size_t)len, NULL), 0);
	memcpy(rd->now.content + off, rd->data, (size_t)len);
	for (uint64_t i = off / 512; i < (off + len) / 512; i++)
		rd->now.from[i] = -1;
}

static void zero(struct round *rd, struct ovbd_layer_writer *w, uint64_t off, uint64_t len)
{
	assert_int_equal(ovbd_layer_zero(w, off, len, NULL), 0);
	memset(rd->now.content + off, 0, (size_t)len);
	for (uint64_t i = off / 512; i < (off + len) / 512; i++)
		rd->now.from[i] = -1;
}

static void refer(struct round *rd, struct ovbd_layer_writer *w, uint64_t off, uint64_t len)
{
	const uint64_t room = (rd->size - 1) / 512 + 1;
	const uint64_t src = pick(rd, room) * 512;

	len = ovbd_min(len, room * 512 - src);
	assert_int_equal(ovbd_layer_refer(w, off, len, src, NULL), 0);
	memcpy(rd->now.content + off, rd->below.content + src, (size_t)len);
	memcpy(rd->now.from + off / 512, rd->below.from + src / 512,
	       (size_t)len / 512 * sizeof(rd->now.from[0]));
}

static void make_layer(struct round *rd, size_t i, bool references)
{
	const uint64_t size = pick(rd, 8) ? (1 + pick(rd, NSECTORS)) * 512 : 0;
	const uint64_t end = size ? size : rd->size;
	struct test_writer w =
		test_writer_create(&(struct ovbd_layer_params){.virtual_size = size,
	                                                       .over_base = true,
	                                                       .references = references});
	uint64_t off = ovbd_min(pick(rd, 16) * 512, end);

	rd->below = rd->now;
	if (pick(rd, 3) == 0) /* references hide what was put before */
		zero(rd, w.w, off, end - off);
	while (off < end) {
		const uint64_t len = ovbd_min((1 + pick(rd, 1 + pick(rd, 40))) * 512, end - off);

		switch (references ? pick(rd, 5) : 2 * pick(rd, 2)) {
		case 0:
			put(rd, w.w, off, len);
			break;
		case 1:
		case 3:
			refer(rd, w.w, off, len);
			break;
		case 2:
			zero(rd, w.w, off, len);
			break;
		default: /* a hole */
			break;
		}
		off += len + (pick(rd, 3) ? 0 : pick(rd, 20) * 512);
	}
	rd->image[i] = test_writer_take(&w);
	rd->shrunk |= end < rd->size;
	rd->size = end;
}

/* ---- what is made of them ---- */

static struct ovbd_blob *stack_of(struct round *rd, size_t first, size_t n, struct ovbd_blob *base)
{
	struct ovbd_layer *layers[OVBD_LAYERS_MAX];
	struct ovbd_blob *stack;
	struct ovbd_error err;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(test_layer_open(&rd->image[first + i], &layers[i], NULL), 0);
	assert_ok(ovbd_stack_open_over(base, layers, n, &stack, &err), err);
	return stack;
}

static struct ovbd_blob *base_of(struct round *rd)
{
	struct ovbd_blob *b;

	assert_int_equal(ovbd_blob_open_mem(rd->base, (size_t)rd->base_size, &b, NULL), 0);
	return b;
}

static void check_content(struct round *rd, struct ovbd_blob *stack)
{
	must(rd, stack->size == rd->size, "the size");
	assert_int_equal(ovbd_blob_pread(stack, rd->got, (size_t)rd->size, 0, NULL), 0);
	must(rd, memcmp(rd->got, rd->now.content, (size_t)rd->size) == 0, "the whole device");
	for (int i = 0; i < 10; i++) {
		const uint64_t off = pick(rd, rd->size), len = 1 + pick(rd, rd->size - off);

		assert_int_equal(ovbd_blob_pread(stack, rd->got, (size_t)len, off, NULL), 0);
		must(rd, memcmp(rd->got, rd->now.content + off, (size_t)len) == 0, "a range");
	}
}

/* One run of a range of which nobody knows what lies below, into the layer of the whole range. */
static void squash_run(struct round *rd, struct ovbd_blob *range, struct ovbd_layer_writer *w,
                       uint64_t off, const struct ovbd_run *run)
{
	for (uint64_t i = 0; i < run->len / 512; i++) {
		const int32_t from = rd->now.from[off / 512 + i];

		must(rd, run->below == (from >= 0), "is it of below");
		must(rd, from < 0 || run->src / 512 + i == (uint64_t)from, "from where");
	}
	if (run->below && run->src != off) {
		assert_int_equal(ovbd_layer_refer(w, off, run->len, run->src, NULL), 0);
		if (run->src + run->len > rd->needed)
			rd->needed = run->src + run->len;
		assert_int_equal(ovbd_blob_pread(range, rd->got, 512, off, NULL), -EINVAL);
	} else if (run->below) {
		return; /* a hole */
	} else if (run->kind == OVBD_RUN_ZERO) {
		assert_int_equal(ovbd_layer_zero(w, off, run->len, NULL), 0);
	} else {
		assert_int_equal(ovbd_blob_pread(range, rd->got, (size_t)run->len, off, NULL), 0);
		assert_int_equal(ovbd_layer_put(w, off, rd->got, (size_t)run->len, NULL), 0);
	}
}

static void squash(struct round *rd, struct ovbd_blob *range)
{
	struct test_writer w =
		test_writer_create(&(struct ovbd_layer_params){.virtual_size = rd->size,
	                                                       .over_base = true,
	                                                       .references = true});
	const uint64_t end = ovbd_min(rd->size, range->size); /* may be told by the base only */
	struct ovbd_run run;

	for (uint64_t off = 0; off < end; off += run.len) {
		assert_int_equal(ovbd_blob_run_at(range, off, end - off, &run, NULL), 0);
		squash_run(rd, range, w.w, off, &run);
	}
	rd->image[OVBD_LAYERS_MAX] = test_writer_take(&w);
}

/* Where a layer had made the device larger, and another referred to that, nobody could tell but the
 * base, which is too short then. */
static void check_squashed(struct round *rd)
{
	struct ovbd_blob *stack;
	struct ovbd_layer *layer;
	struct ovbd_error err;

	if (rd->needed <= rd->base_size) {
		stack = stack_of(rd, OVBD_LAYERS_MAX, 1, base_of(rd));
		check_content(rd, stack);
		ovbd_blob_close(stack);
		return;
	}
	assert_int_equal(test_layer_open(&rd->image[OVBD_LAYERS_MAX], &layer, NULL), 0);
	assert_fails(ovbd_stack_open_over(base_of(rd), &layer, 1, &stack, &err), -EINVAL, err,
	             "it was made over another");
}

static void run_round(struct round *rd, uint64_t seed, size_t layers_max)
{
	struct ovbd_blob *stack, *below;
	size_t half;

	memset(rd, 0, sizeof(*rd));
	rd->seed = rd->state = seed;
	rd->base_size = (1 + pick(rd, NSECTORS)) * 512;
	rd->size = rd->base_size;
	for (uint64_t i = 0; i < rd->base_size; i++)
		rd->base[i] = (uint8_t)(1 + pick(rd, 255));
	memcpy(rd->now.content, rd->base, sizeof(rd->base));
	for (int32_t i = 0; i < (int32_t)NSECTORS; i++)
		rd->now.from[i] = i;
	rd->nlayers = 1 + pick(rd, layers_max);
	half = rd->nlayers / 2;
	for (size_t i = 0; i < rd->nlayers; i++)
		make_layer(rd, i, pick(rd, 4) > 0);
	stack = stack_of(rd, 0, rd->nlayers, base_of(rd));
	check_content(rd, stack);
	ovbd_blob_close(stack);
	/* the same of half of them over the stack of the others */
	stack = stack_of(rd, half, rd->nlayers - half,
	                 half ? stack_of(rd, 0, half, base_of(rd)) : base_of(rd));
	if (half == 0 || !rd->shrunk)
		check_content(rd, stack);
	ovbd_blob_close(stack);
	assert_int_equal(ovbd_blob_open_below(NULL, "", &below, NULL), 0);
	stack = stack_of(rd, 0, rd->nlayers, below);
	squash(rd, stack);
	ovbd_blob_close(stack);
	check_squashed(rd);
	for (size_t i = 0; i < rd->nlayers; i++)
		free(rd->image[i].p);
	free(rd->image[OVBD_LAYERS_MAX].p);
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
	run(1, 3000, 6);
}

static void test_many_layers(void **state)
{
	(void)state;
	run(100001, 15, OVBD_LAYERS_MAX);
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
