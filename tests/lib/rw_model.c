// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/rw_model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tests/unit/test.h"

#define RUN_MAX 48u /* sectors, of most writes */

void test_rw_fill(uint64_t number, uint8_t ret[TEST_RW_SECTOR])
{
	for (size_t i = 0; i < TEST_RW_SECTOR; i += 8)
		ovbd_put_le64(ret + i, number ? number * 0x9e3779b97f4a7c15u + i : 0);
}

static uint64_t below(struct test_rw *t, uint64_t n)
{
	return test_random(&t->random) % n;
}

char *test_rw_path(const struct test_rw *t, const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", t->dir, name) > 0);
	return path;
}

/* ---- what is beneath ---- */

static void put(struct test_rw *t, struct ovbd_layer_writer *w, uint64_t at, uint64_t n)
{
	uint8_t raw[TEST_RW_SECTOR];
	struct ovbd_error err;

	for (uint64_t i = at; i < at + n; i++) {
		t->model[i] = t->next++;
		test_rw_fill(t->model[i], raw);
		assert_ok(ovbd_layer_put(w, i * TEST_RW_SECTOR, raw, sizeof(raw), &err), err);
	}
}

static void make_layer(struct test_rw *t, unsigned number, uint64_t nsectors)
{
	struct test_writer w = test_writer_create(
		&(struct ovbd_layer_params){.virtual_size = nsectors * TEST_RW_SECTOR,
	                                    .over_base = number > 0});

	for (uint64_t nruns = below(t, 30); nruns > 0; nruns--) {
		const uint64_t at = below(t, nsectors);
		const uint64_t n = ovbd_min(1 + below(t, 200), nsectors - at);

		if (below(t, 4)) {
			put(t, w.w, at, n);
			continue;
		}
		memset(&t->model[at], 0, n * sizeof(t->model[0]));
		assert_int_equal(ovbd_layer_zero(w.w, at * TEST_RW_SECTOR, n * TEST_RW_SECTOR,
		                                 NULL),
		                 0);
	}
	t->layers[number] = test_writer_take(&w);
}

struct ovbd_blob *test_rw_lower(const struct test_rw *t, const struct test_layer *top)
{
	struct ovbd_layer *layers[TEST_RW_LAYERS + 1];
	struct ovbd_blob *stack;
	struct ovbd_error err;
	unsigned n = 0;

	for (; n < t->nlayers; n++)
		assert_ok(test_layer_open(&t->layers[n], &layers[n], &err), err);
	if (top)
		assert_ok(test_layer_open(top, &layers[n++], &err), err);
	if (n == 0)
		return NULL;
	assert_ok(ovbd_stack_open(layers, n, &stack, &err), err);
	return stack;
}

/* ---- files ---- */

static struct ovbd_rw_file open_file(const struct test_rw *t, const char *name)
{
	char *path = test_rw_path(t, name);
	struct ovbd_rw_file f;
	struct ovbd_error err;
	int fd = open(path, O_CREAT | O_RDWR, 0644);

	assert_true(fd >= 0);
	close(fd);
	assert_ok(ovbd_device_open_growing(path, OVBD_DEVICE_GROWING_MAX, &f.device, &f.end, &err),
	          err);
	free(path);
	return f;
}

static void make_files(struct test_rw *t)
{
	const struct ovbd_rw_params p = {
		.virtual_size = t->nsectors * TEST_RW_SECTOR,
		.uuid = "12345678-0000-4000-8000-00000000abcd",
		.tag = "a message",
		.sparse = t->format == TEST_RW_SPARSE || t->format == TEST_RW_SPARSE_NO_MAP,
	};
	struct ovbd_rw_file data, index;
	struct ovbd_error err;

	if (t->format == TEST_RW_LOG) {
		data = open_file(t, "rw");
		assert_ok(ovbd_rw_create(data.device, &p, &err), err);
		ovbd_device_close(data.device);
		return;
	}
	data = open_file(t, "data");
	index = open_file(t, "index");
	assert_ok(ovbd_rw_create_pair(data.device, index.device, &p, &err), err);
	ovbd_device_close(data.device);
	ovbd_device_close(index.device);
}

void test_rw_open(struct test_rw *t)
{
	struct ovbd_rw_pair files = {
		.map = {NULL, 0},
		.no_thread = t->seed % 2,
		.pinned_min = t->seed % 3 ? 4096 : 0,
	};
	struct ovbd_error err;

	if (t->format == TEST_RW_LOG) {
		const struct ovbd_rw_open_params p = {
			.no_thread = t->seed % 2,
			.checkpoint_blocks = (unsigned)(t->seed % 5),
			.pinned_min = t->seed % 3 ? 4096 : 0,
		};

		files.data = open_file(t, "rw");
		assert_ok(ovbd_rw_open(&files.data, &p, test_rw_lower(t, NULL), &t->device, &err),
		          err);
		return;
	}
	files.data = open_file(t, "data");
	files.index = open_file(t, "index");
	if (t->format == TEST_RW_SPARSE)
		files.map = open_file(t, "map");
	assert_ok(ovbd_rw_open_pair(&files, test_rw_lower(t, NULL), &t->device, &err), err);
}

void test_rw_close(struct test_rw *t)
{
	ovbd_device_close(t->device);
	t->device = NULL;
}

void test_rw_create(struct test_rw *t, enum test_rw_format format, uint64_t seed, const char *dir)
{
	memset(t, 0, sizeof(*t));
	t->format = format;
	t->seed = t->random = seed;
	t->next = 1;
	snprintf(t->dir, sizeof(t->dir), "%s", dir);
	t->nlayers = (unsigned)below(t, TEST_RW_LAYERS + 1);
	t->nsectors = 64 + below(t, TEST_RW_SECTORS - 64);
	for (unsigned i = 0; i < t->nlayers; i++)
		make_layer(t, i, t->nsectors);
	if (t->nlayers > 0 && below(t, 2)) { /* another size than what is beneath */
		const uint64_t n = 64 + below(t, TEST_RW_SECTORS - 64);

		t->nsectors = n;
	}
	make_files(t);
	test_rw_open(t);
}

void test_rw_free(struct test_rw *t)
{
	static const char *const names[] = {"data", "index", "map", "rw"};

	test_rw_close(t);
	for (unsigned i = 0; i < t->nlayers; i++)
		free(t->layers[i].p);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = test_rw_path(t, names[i]);

		unlink(path);
		free(path);
	}
}

/* ---- steps ---- */

static uint64_t some_range(struct test_rw *t, uint64_t *ret_n)
{
	const uint64_t at = below(t, t->nsectors);
	const uint64_t max = below(t, 40) ? RUN_MAX : t->nsectors;
	uint64_t first = at, n = 1 + below(t, max);

	if (below(t, 2)) { /* whole blocks */
		first = at / 8 * 8;
		n = (n + 7) / 8 * 8;
	}
	*ret_n = ovbd_min(n, t->nsectors - first);
	return first;
}

static void step_write(struct test_rw *t)
{
	uint64_t n, at = some_range(t, &n);
	uint8_t *buf = malloc(n * TEST_RW_SECTOR);
	struct ovbd_error err;

	assert_non_null(buf);
	for (uint64_t i = 0; i < n; i++) {
		t->model[at + i] = t->next++;
		test_rw_fill(t->model[at + i], buf + i * TEST_RW_SECTOR);
	}
	assert_ok(ovbd_device_pwrite(t->device, buf, n * TEST_RW_SECTOR, at * TEST_RW_SECTOR,
	                             below(t, 16) ? 0 : OVBD_WRITE_FUA, &err),
	          err);
	free(buf);
}

static void step_zero(struct test_rw *t)
{
	uint64_t n, at = some_range(t, &n);
	struct ovbd_error err;

	if (below(t, 2))
		assert_ok(ovbd_device_discard(t->device, at * TEST_RW_SECTOR, n * TEST_RW_SECTOR,
		                              &err),
		          err);
	else
		assert_ok(ovbd_device_write_zeroes(t->device, at * TEST_RW_SECTOR,
		                                   n * TEST_RW_SECTOR, 0, &err),
		          err);
	memset(&t->model[at], 0, n * sizeof(t->model[0]));
}

static void step_resize(struct test_rw *t)
{
	const uint64_t n = 64 + below(t, TEST_RW_SECTORS - 64);
	struct ovbd_error err;

	assert_ok(ovbd_rw_resize(t->device, n * TEST_RW_SECTOR, &err), err);
	if (n < t->nsectors)
		memset(&t->model[n], 0, (t->nsectors - n) * sizeof(t->model[0]));
	t->nsectors = n;
	assert_int_equal(t->device->blob->size, n * TEST_RW_SECTOR);
}

static void step_reopen(struct test_rw *t)
{
	struct ovbd_error err;

	assert_ok(ovbd_device_flush(t->device, &err), err);
	test_rw_close(t);
	test_rw_open(t);
}

void test_rw_step(struct test_rw *t)
{
	const uint64_t what = below(t, 100);
	struct ovbd_error err;

	if (what < 60)
		step_write(t);
	else if (what < 80)
		step_zero(t);
	else if (what < 92)
		assert_ok(ovbd_device_flush(t->device, &err), err);
	else if (what < 96)
		step_reopen(t);
	else if (what < 98)
		step_resize(t);
	else
		test_rw_check(t, "now and then");
}

/* ---- checks ---- */

static void compare(const struct test_rw *t, struct ovbd_blob *b, const char *what)
{
	const size_t size = t->nsectors * TEST_RW_SECTOR;
	uint8_t *got = malloc(size), want[TEST_RW_SECTOR];
	struct ovbd_error err;

	assert_non_null(got);
	assert_int_equal(b->size, size);
	assert_ok(ovbd_blob_pread(b, got, size, 0, &err), err);
	for (uint64_t i = 0; i < t->nsectors; i++) {
		test_rw_fill(t->model[i], want);
		if (memcmp(got + i * TEST_RW_SECTOR, want, sizeof(want)) != 0)
			fail_msg("format %d, seed %llu, %u layers, %s: sector %llu is not write "
			         "%llu",
			         (int)t->format, (unsigned long long)t->seed, t->nlayers, what,
			         (unsigned long long)i, (unsigned long long)t->model[i]);
	}
	for (uint64_t off = 0; off < size;) { /* what runs are said to be they are */
		struct ovbd_run run;

		assert_ok(ovbd_blob_run_at(b, off, size - off, &run, &err), err);
		assert_true(run.len > 0 && run.len <= size - off);
		if (run.kind != OVBD_RUN_DATA)
			assert_true(ovbd_is_zero(got + off, run.len));
		off += run.len;
	}
	free(got);
}

void test_rw_check(struct test_rw *t, const char *what)
{
	compare(t, t->device->blob, what);
}

static struct test_layer commit(struct test_rw *t)
{
	struct ovbd_rw_info info;
	struct ovbd_error err;
	struct test_writer w;

	ovbd_rw_info(t->device, &info);
	w = test_writer_create(&(struct ovbd_layer_params){
		.virtual_size = t->device->blob->size,
		.uuid = info.uuid,
		.parent_uuid = info.parent_uuid,
		.tag = info.tag,
		.over_base = info.over_base,
	});
	assert_ok(ovbd_rw_commit(t->device, w.w, info.over_base, &err), err);
	return test_writer_take(&w);
}

static struct ovbd_blob *open_sealed(const struct test_rw *t, const char *name)
{
	struct ovbd_layer *layers[TEST_RW_LAYERS + 1];
	char *path = test_rw_path(t, name);
	struct ovbd_blob *b;
	struct ovbd_error err;
	unsigned n = 0;

	for (; n < t->nlayers; n++)
		assert_ok(test_layer_open(&t->layers[n], &layers[n], &err), err);
	assert_ok(ovbd_blob_open_file(path, &b, &err), err);
	assert_int_equal(ovbd_rw_probe(b, NULL), 0);
	assert_ok(ovbd_layer_open(b, b->size, &layers[n], &err), err);
	assert_ok(ovbd_layer_check(layers[n], NULL, NULL, &err), err);
	assert_ok(ovbd_stack_open(layers, n + 1, &b, &err), err);
	free(path);
	return b;
}

static void expect_refused(const struct test_rw *t, const char *name)
{
	struct ovbd_rw_pair files = {.data = open_file(t, name)};
	struct ovbd_device *d;
	struct ovbd_error err;
	int r;

	assert_int_equal(ovbd_rw_is_sealed(files.data.device->blob, files.data.end, NULL), 1);
	if (t->format == TEST_RW_LOG) {
		r = ovbd_rw_open(&files.data, NULL, NULL, &d, &err);
	} else {
		files.index = open_file(t, "index");
		r = ovbd_rw_open_pair(&files, NULL, &d, &err);
	}
	assert_int_equal(r, -EROFS);
	assert_non_null(strstr(err.msg, "is sealed, a layer that is only read"));
}

void test_rw_check_sealed(struct test_rw *t)
{
	const char *name = t->format == TEST_RW_LOG ? "rw" : "data";
	struct ovbd_blob *stack;
	struct ovbd_error err;

	assert_ok(ovbd_rw_seal(t->device, &err), err);
	compare(t, t->device->blob, "being sealed");
	stack = open_sealed(t, name);
	compare(t, stack, "sealed");
	ovbd_blob_close(stack);
	test_rw_close(t);
	expect_refused(t, name);
}

void test_rw_check_commit(struct test_rw *t)
{
	struct test_layer one = commit(t), two = commit(t);
	struct ovbd_blob *stack = test_rw_lower(t, &one);

	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.p, two.p, one.len);
	compare(t, stack, "committed");
	ovbd_blob_close(stack);
	free(one.p);
	free(two.p);
}
