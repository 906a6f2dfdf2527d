// SPDX-License-Identifier: Apache-2.0
/* References: what the writer takes, what a stack refuses, and how large it may become. The
 * contents of random stacks are tests/prop/lsmt_refs.c's. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "lsmt/index.h"
#include "tests/lib/fault.h"
#include "tests/lib/lsmt_make.h"

static struct test_writer writer_of(uint64_t size)
{
	return test_writer_create(&(struct ovbd_layer_params){.virtual_size = size,
	                                                      .over_base = true,
	                                                      .references = true});
}

/* A layer of one reference. */
static struct test_layer one(uint64_t size, uint64_t off, uint64_t len, uint64_t src)
{
	struct test_writer w = writer_of(size);

	assert_int_equal(ovbd_layer_refer(w.w, off, len, src, NULL), 0);
	return test_writer_take(&w);
}

static void test_writer_refuses(void **state)
{
	static const struct {
		uint64_t off, len, src;
		const char *text;
	} cases[] = {
		{0, 8704, 0, "beyond the end of a layer of 8192"},
		{256, 512, 0, "are not whole sectors"},
		{0, 512, 256, "nothing that a layer can refer to"},
		{0, 512, LSMT_DEVICE_MAX, "nothing that a layer can refer to"},
	};
	struct test_writer w;
	struct ovbd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		w = writer_of(8192);
		assert_fails(ovbd_layer_refer(w.w, cases[i].off, cases[i].len, cases[i].src, &err),
		             -EINVAL, err, cases[i].text);
		ovbd_layer_writer_close(w.w);
	}
	w = writer_of(8192);
	assert_ok(ovbd_layer_refer(w.w, 0, 1024, 4096, &err), err);
	assert_ok(ovbd_layer_refer(w.w, 4096, 1024, 0, &err), err);
	assert_ok(ovbd_layer_refer(w.w, 512, 512, 0, &err), err);
	assert_fails(ovbd_layer_finish(w.w, &err), -EINVAL, err,
	             "references of a layer overlap at 512");
	ovbd_layer_writer_close(w.w);
}

/* They hide all else, whenever it was put; those that go on with each other are one. */
static void test_entries(void **state)
{
	static const struct lsmt_entry want[] = {
		{.off = 0, .len = 1024, .src = 4096},
		{.off = 1024, .len = 2048, .src = 512, .reference = true},
		{.off = 3072, .len = 512, .src = 8704 - 1024},
		{.off = 3584, .len = 512, .src = 0, .reference = true},
	};
	struct test_writer w = writer_of(8192);
	struct test_layer image;
	uint8_t data[4096];

	(void)state;
	memset(data, 'x', sizeof(data));
	assert_int_equal(ovbd_layer_refer(w.w, 1024, 1024, 512, NULL), 0);
	assert_int_equal(ovbd_layer_put(w.w, 0, data, 4096, NULL), 0);
	assert_int_equal(ovbd_layer_refer(w.w, 3584, 512, 0, NULL), 0);
	assert_int_equal(ovbd_layer_refer(w.w, 2048, 1024, 1536, NULL), 0);
	image = test_writer_take(&w);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct lsmt_entry e = test_layer_entry(&image, i);

		assert_int_equal(e.off, want[i].off);
		assert_int_equal(e.len, want[i].len);
		assert_int_equal(e.reference, want[i].reference);
		if (e.reference)
			assert_int_equal(e.src, want[i].src);
	}
	assert_true(test_layer_entry(&image, 4).padding);
	free(image.p);
}

static void test_refuses(void **state)
{
	static const struct {
		uint64_t below, base, src; /* sizes: 0: none */
		const char *text;
	} cases[] = {
		{0, 0, 0, "layer 0: refers to what lies below it, up to 4096, and nothing does"},
		{0, 4095, 0, NULL},
		{0, 3584, 0,
	         "layer 0: refers to what lies below it, up to 4096, which ends at 3584"},
		{8192, 0, 4096, NULL},
		{8192, 0, 4608,
	         "layer 1: refers to what lies below it, up to 8704, which ends at 8192"},
		{8192, 65536, 4608, "layer 1: refers to what lies below it, up to 8704"},
		{8192, 512, 4096, NULL},
	};
	static const uint8_t base[65536];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct test_writer w = writer_of(cases[i].below);
		struct test_layer image[2] = {test_writer_take(&w),
		                              one(16384, 0, 4096, cases[i].src)};
		struct ovbd_blob *b = NULL, *stack = NULL;
		const size_t first = cases[i].below ? 0 : 1;
		struct ovbd_layer *layers[2];
		struct ovbd_error err = {""};

		for (size_t k = 0; k < 2; k++)
			assert_int_equal(test_layer_open(&image[k], &layers[k], NULL), 0);
		if (first == 1)
			ovbd_layer_close(layers[0]);
		if (cases[i].base)
			assert_int_equal(ovbd_blob_open_mem(base, (size_t)cases[i].base, &b, NULL),
			                 0);
		assert_fails(ovbd_stack_open_over(b, layers + first, 2 - first, &stack, &err),
		             cases[i].text ? -EINVAL : 0, err, cases[i].text ? cases[i].text : "");
		ovbd_blob_close(stack);
		free(image[0].p);
		free(image[1].p);
	}
}

/* A layer of many fragments with holes between, and layers that each show all of what is below them
 * twice: with each of them the index doubles. */
#define FRAGMENTS 1024u

static void open_doubled(struct ovbd_layer **ret, size_t n, struct test_layer *images)
{
	struct test_writer w = writer_of(2 * FRAGMENTS * 512);
	uint8_t data[512] = {1};

	for (uint64_t i = 0; i < FRAGMENTS; i++)
		assert_int_equal(ovbd_layer_put(w.w, i * 1024, data, 512, NULL), 0);
	images[0] = test_writer_take(&w);
	for (size_t i = 1; i < n; i++) {
		const uint64_t half = (2 * FRAGMENTS * 512) << (i - 1);

		w = writer_of(2 * half);
		assert_int_equal(ovbd_layer_refer(w.w, 0, half, 0, NULL), 0);
		assert_int_equal(ovbd_layer_refer(w.w, half, half, 0, NULL), 0);
		images[i] = test_writer_take(&w);
	}
	for (size_t i = 0; i < n; i++)
		assert_int_equal(test_layer_open(&images[i], &ret[i], NULL), 0);
}

static void test_blow_up(void **state)
{
	static const size_t cases[] = {2, 9, 10, 11, 12, 30};
	struct test_layer images[32];
	struct ovbd_layer *layers[32];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint64_t nsegments = (uint64_t)FRAGMENTS << cases[i];
		const bool fits = nsegments < OVBD_SEGMENTS_ALWAYS;
		struct ovbd_blob *stack = NULL;
		struct ovbd_error err;

		open_doubled(layers, cases[i], images);
		if (fits) {
			assert_ok(ovbd_stack_open(layers, cases[i], &stack, &err), err);
			assert_int_equal(ovbd_index_count(ovbd_stack_index(stack)), nsegments);
		} else if (nsegments > 2 * OVBD_SEGMENTS_ALWAYS) {
			assert_fails(ovbd_stack_open(layers, cases[i], &stack, &err), -E2BIG, err,
			             "bytes of memory, too much for what is stored");
		} else { /* beyond what is promised, but maybe there is room */
			ovbd_stack_open(layers, cases[i], &stack, &err);
		}
		ovbd_blob_close(stack);
		for (size_t k = 0; k < cases[i]; k++)
			free(images[k].p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writer_refuses),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_blow_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
