// SPDX-License-Identifier: Apache-2.0
/* Stacks of a few small layers: sizes, runs, errors, ownership, memory that runs out, threads. The
 * contents of random stacks are tests/prop/lsmt_stack.c's. */
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "lsmt/index.h"
#include "tests/lib/fault.h"
#include "tests/lib/lsmt_make.h"

#define NTHREADS 4

/* A letter a sector: its data; '0' zeroed, '.' nothing. The size is that of the picture unless
 * told. */
static struct test_layer draw(const char *picture, uint64_t size)
{
	const struct ovbd_layer_params params = {.virtual_size =
	                                                 size ? size : strlen(picture) * 512,
	                                         .over_base = true};
	struct test_writer w = test_writer_create(&params);
	uint8_t sector[512];

	for (size_t i = 0; picture[i]; i++) {
		struct ovbd_error err;
		const size_t left = params.virtual_size - i * 512;
		const size_t len = left < 512 ? left : 512;

		memset(sector, picture[i], sizeof(sector));
		if (picture[i] == '0')
			assert_ok(ovbd_layer_zero(w.w, i * 512, len, &err), err);
		else if (picture[i] != '.')
			assert_ok(ovbd_layer_put(w.w, i * 512, sector, len, &err), err);
	}
	return test_writer_take(&w);
}

static struct ovbd_layer *open_drawn(const struct test_layer *l)
{
	struct ovbd_layer *layer;
	struct ovbd_error err;

	assert_ok(test_layer_open(l, &layer, &err), err);
	return layer;
}

/* A stack of pictures, bottom first; images keeps the bytes alive. */
static struct ovbd_blob *stack_of(struct test_layer *images, const char *const *pictures, size_t n)
{
	struct ovbd_layer *layers[8];
	struct ovbd_blob *b;
	struct ovbd_error err;

	for (size_t i = 0; i < n; i++) {
		images[i] = draw(pictures[i], 0);
		layers[i] = open_drawn(&images[i]);
	}
	assert_ok(ovbd_stack_open(layers, n, &b, &err), err);
	return b;
}

static void close_stack(struct ovbd_blob *b, struct test_layer *images, size_t n)
{
	ovbd_blob_close(b);
	for (size_t i = 0; i < n; i++)
		free(images[i].p);
}

/* The picture as it should read: '.' and '0' are zeros. */
static void check_content(struct ovbd_blob *b, const char *picture)
{
	uint8_t *buf = malloc(b->size);
	struct ovbd_error err;

	assert_non_null(buf);
	assert_int_equal(b->size, strlen(picture) * 512);
	assert_ok(ovbd_blob_pread(b, buf, b->size, 0, &err), err);
	for (size_t i = 0; i < b->size; i++) {
		const char want = picture[i / 512];

		assert_int_equal(buf[i], want == '.' || want == '0' ? 0 : want);
	}
	free(buf);
}

static void check_run(struct ovbd_blob *b, uint64_t off, uint64_t len, uint64_t want,
                      enum ovbd_run_kind kind)
{
	struct ovbd_run run;
	struct ovbd_error err;

	assert_ok(ovbd_blob_run_at(b, off, len, &run, &err), err);
	assert_int_equal(run.len, want);
	assert_int_equal(run.kind, kind);
}

static void test_picture(void **state)
{
	static const char *const pictures[] = {
		"aaaaaaaa........",
		"..bb0...0.b.....",
		"...c.c....c0...0",
	};
	struct test_layer images[3];
	struct ovbd_blob *b = stack_of(images, pictures, 3);

	(void)state;
	check_content(b, "aabc0caa0.c0...0");
	assert_int_equal(ovbd_index_count(ovbd_stack_index(b)), 10);
	close_stack(b, images, 3);
}

/* What no layer has is the base's, as far as it goes; what is zeroed is not. */
static void test_over_base(void **state)
{
	struct test_layer images[2] = {draw("..aa....a...", 0), draw("...b.0....0b", 0)};
	struct ovbd_layer *layers[2] = {open_drawn(&images[0]), open_drawn(&images[1])};
	static uint8_t bytes[9 * 512];
	struct ovbd_blob *base, *b;
	struct ovbd_error err;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	assert_ok(ovbd_blob_open_mem(bytes, sizeof(bytes), &base, &err), err);
	assert_ok(ovbd_stack_open_over(test_blob_faulty(base), layers, 2, &b, &err), err);
	check_content(b, "xxabx0xxa.0b");
	check_run(b, 0, 12 * 512, 2 * 512, OVBD_RUN_DATA); /* a memory blob has no holes */
	check_run(b, 5 * 512, 7 * 512, 512, OVBD_RUN_ZERO);
	check_run(b, 9 * 512, 3 * 512, 512, OVBD_RUN_HOLE); /* beyond the base */
	test_fault_set(1);
	assert_fails(ovbd_blob_pread(b, bytes, 1024, 2048, &err), -EIO, err, "base: ");
	assert_true(test_fault_hit());
	close_stack(b, images, 2);
}

/* Runs go on over segments of any layer, as long as the kind is the same. */
static void test_runs(void **state)
{
	static const char *const pictures[] = {
		"aaaaaaaa......00",
		"..bb0...0.b...00",
		"...c.c....c0....",
	};
	struct test_layer images[3];
	struct ovbd_blob *b = stack_of(images, pictures, 3);

	(void)state;
	check_run(b, 0, 8192, 4 * 512, OVBD_RUN_DATA);
	check_run(b, 100, 200, 200, OVBD_RUN_DATA);
	check_run(b, 100, 8092, 1948, OVBD_RUN_DATA);
	check_run(b, 4 * 512, 6144, 512, OVBD_RUN_ZERO);
	check_run(b, 5 * 512, 11 * 512, 3 * 512, OVBD_RUN_DATA);
	check_run(b, 8 * 512, 8 * 512, 512, OVBD_RUN_ZERO);
	check_run(b, 9 * 512 + 511, 1, 1, OVBD_RUN_HOLE);
	check_run(b, 12 * 512, 4 * 512, 2 * 512, OVBD_RUN_HOLE);
	check_run(b, 14 * 512, 2 * 512, 2 * 512, OVBD_RUN_ZERO);
	close_stack(b, images, 3);
}

/* The topmost layer that has a size decides; what lies beyond is cut off, also within a sector. */
static void test_sizes(void **state)
{
	static const struct {
		uint64_t sizes[3], want, end;
	} cases[] = {
		{{4096, 4096, 4096}, 4096, 4096}, {{4096, 0, 0}, 4096, 4096},
		{{512, 4096, 0}, 4096, 4096},     {{4096, 512, 0}, 512, 512},
		{{8192, 4096, 1024}, 1024, 1024}, {{1024, 4096, 8192}, 8192, 8192},
		{{4096, 4096, 700}, 700, 1024},   {{0, 0, 0}, 0, 0},
		{{4000, 3000, 2000}, 2000, 2048},
	};

	(void)state;
	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		struct ovbd_layer *layers[3];
		struct test_layer images[3];
		uint8_t buf[8192];
		struct ovbd_error err;
		struct ovbd_blob *b;

		for (size_t i = 0; i < 3; i++) {
			char picture[17] = "";

			memset(picture, 'a' + (int)i, (size_t)(cases[k].sizes[i] + 511) / 512);
			images[i] = draw(picture, cases[k].sizes[i]);
			layers[i] = open_drawn(&images[i]);
		}
		assert_ok(ovbd_stack_open(layers, 3, &b, &err), err);
		assert_int_equal(b->size, cases[k].want);
		assert_int_equal(ovbd_index_end(ovbd_stack_index(b)), cases[k].end);
		assert_ok(ovbd_blob_pread(b, buf, (size_t)b->size, 0, &err), err);
		for (size_t i = 0; i < b->size; i++) {
			int top = 2;

			while (top > 0 && cases[k].sizes[top] <= i / 512 * 512)
				top--;
			/* a layer's own last sector is padded with zeros */
			assert_int_equal(buf[i], i < cases[k].sizes[top] ? 'a' + top : 0);
		}
		assert_fails(ovbd_blob_pread(b, buf, 1, b->size, &err), -EINVAL, err, "stack");
		close_stack(b, images, 3);
	}
}

static void test_refuses(void **state)
{
	struct ovbd_layer *layers[OVBD_LAYERS_MAX + 1];
	struct test_layer image = draw("a", 0);
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;

	(void)state;
	assert_fails(ovbd_stack_open(layers, 0, &b, &err), -EINVAL, err, "no layers");
	for (size_t i = 0; i <= OVBD_LAYERS_MAX; i++)
		layers[i] = open_drawn(&image);
	assert_fails(ovbd_stack_open(layers, OVBD_LAYERS_MAX + 1, &b, &err), -E2BIG, err,
	             "256 layers: at most 255"); /* and closes them: the leak checker sees it */
	assert_null(b);
	for (size_t i = 0; i < OVBD_LAYERS_MAX; i++)
		layers[i] = open_drawn(&image);
	assert_ok(ovbd_stack_open(layers, OVBD_LAYERS_MAX, &b, &err), err);
	assert_int_equal(ovbd_index_at(ovbd_stack_index(b), 0, 512).layer, 254);
	ovbd_blob_close(b);
	free(image.p);
}

/* A read that fails says in which layer. */
static void test_names_layer(void **state)
{
	static const char *const pictures[] = {"aaaa", "..b.", "...c"};
	struct ovbd_layer *layers[3];
	struct test_layer images[3];
	struct ovbd_error err;
	struct ovbd_blob *b;
	uint8_t buf[2048];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct ovbd_blob *mem;

		images[i] = draw(pictures[i], 0);
		assert_ok(ovbd_blob_open_mem(images[i].p, images[i].len, &mem, &err), err);
		assert_ok(ovbd_layer_open(test_blob_faulty(mem), images[i].len, &layers[i], &err),
		          err);
	}
	assert_ok(ovbd_stack_open(layers, 3, &b, &err), err);
	for (unsigned n = 1; n <= 3; n++) {
		char text[16];

		snprintf(text, sizeof(text), "layer %u: ", n - 1);
		test_fault_set((long)n);
		assert_fails(ovbd_blob_pread(b, buf, sizeof(buf), 0, &err), -EIO, err, text);
		assert_ptr_equal(strstr(err.msg, text), err.msg);
		assert_true(test_fault_hit());
	}
	assert_ok(ovbd_blob_pread(b, buf, sizeof(buf), 0, &err), err);
	close_stack(b, images, 3);
}

/* ---- memory that runs out ---- */

static int build(size_t n, struct ovbd_index **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_index_builder_closep) struct ovbd_index_builder *b = NULL;
	const struct ovbd_index_bounds bounds = {.end = 1 << 30, .src_end = 1 << 30};
	int r = ovbd_index_builder_create(&bounds, &b, err);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = ovbd_index_builder_add(b, &(struct ovbd_segment){.off = i * 1024, .len = 512},
		                           err);
	return r < 0 ? r : ovbd_index_builder_finish(OVBD_MOVE(b), ret, err);
}

static void test_malloc_index(void **state)
{
	struct ovbd_index *ix[2] = {NULL, NULL}, *merged = NULL;
	struct ovbd_error err;
	int r;

	(void)state;
	for (long n = 1;; n++) {
		test_fault_set(n);
		r = build(1000, &ix[0], &err);
		if (!test_fault_hit())
			break;
		assert_fails(r, -ENOMEM, err, "out of memory");
		assert_null(ix[0]);
	}
	assert_ok(r, err);
	assert_ok(build(3000, &ix[1], &err), err);
	for (long n = 1;; n++) {
		test_fault_set(n);
		r = ovbd_index_merge((const struct ovbd_index *const *)ix, 2, 1 << 30, 0, &merged,
		                     &err);
		if (!test_fault_hit())
			break;
		assert_fails(r, -ENOMEM, err, "out of memory");
		assert_null(merged);
	}
	assert_ok(r, err);
	assert_int_equal(ovbd_index_count(merged), 3000);
	ovbd_index_free(merged);
	ovbd_index_free(ix[0]);
	ovbd_index_free(ix[1]);
}

static void test_malloc_stack(void **state)
{
	struct test_layer images[2] = {draw("a0a.a", 0), draw(".bb..", 0)};
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;

	(void)state;
	for (long n = 1;; n++) {
		struct ovbd_layer *layers[2] = {open_drawn(&images[0]), open_drawn(&images[1])};
		int r;

		test_fault_set(n);
		r = ovbd_stack_open(layers, 2, &b, &err);
		if (!test_fault_hit()) {
			assert_ok(r, err);
			break;
		}
		assert_fails(r, -ENOMEM, err, "out of memory");
		assert_null(b);
	}
	check_content(b, "abb.a");
	close_stack(b, images, 2);
}

/* ---- many readers ---- */

struct reader {
	struct ovbd_blob *b;
	const uint8_t *want;
	uint64_t seed;
	atomic_uint *nbad;
};

static void *read_random(void *arg)
{
	struct reader *rd = arg;
	uint8_t buf[8192];

	for (int i = 0; i < 3000; i++) {
		const uint64_t off = test_random(&rd->seed) % rd->b->size;
		const uint64_t len = test_random(&rd->seed) % (rd->b->size - off) + 1;
		struct ovbd_error err;

		if (ovbd_blob_pread(rd->b, buf, (size_t)len, off, &err) < 0 ||
		    memcmp(buf, rd->want + off, (size_t)len) != 0)
			atomic_fetch_add(rd->nbad, 1);
	}
	return NULL;
}

static void test_threads(void **state)
{
	static const char *const pictures[] = {
		"aaaaaaaa........",
		"..bb0...0.b.....",
		"...c.c....c0...0",
	};
	struct test_layer images[3];
	struct ovbd_blob *b = stack_of(images, pictures, 3);
	struct reader readers[NTHREADS];
	pthread_t threads[NTHREADS];
	uint8_t want[16 * 512];
	atomic_uint nbad = 0;
	struct ovbd_error err;

	(void)state;
	assert_ok(ovbd_blob_pread(b, want, sizeof(want), 0, &err), err);
	for (uint64_t i = 0; i < NTHREADS; i++) {
		readers[i] = (struct reader){.b = b, .want = want, .seed = i, .nbad = &nbad};
		assert_int_equal(pthread_create(&threads[i], NULL, read_random, &readers[i]), 0);
	}
	for (size_t i = 0; i < NTHREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(nbad, 0);
	close_stack(b, images, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_picture),      cmocka_unit_test(test_runs),
		cmocka_unit_test(test_sizes),        cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_names_layer),  cmocka_unit_test(test_malloc_index),
		cmocka_unit_test(test_malloc_stack), cmocka_unit_test(test_threads),
		cmocka_unit_test(test_over_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
