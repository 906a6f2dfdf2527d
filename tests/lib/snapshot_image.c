// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/snapshot_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/upper.h"
#include "tests/unit/test.h"

const char *const test_snapshot_names[] = {"append", "sparse", "log"};

/* in memory, where there is room: what is asked is not how a disk flushes */
static char shm[] = "/dev/shm/ovbd-snapshot-XXXXXX", tmp[] = "/tmp/ovbd-snapshot-XXXXXX";
static char *dir;

char *test_snapshot_path(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	return path;
}

void test_snapshot_fill(uint8_t buf[TEST_BLOCK], uint64_t writer, uint64_t seq)
{
	const uint64_t v = writer << 48 | seq;

	for (size_t i = 0; i < TEST_BLOCK; i += sizeof(v))
		memcpy(buf + i, &v, sizeof(v));
}

/* A layer in which every other block of each writer has the number 0, and the rest is missing. */
static void make_base(void)
{
	const struct ovbd_layer_params p = {.virtual_size = TEST_SIZE};
	struct ovbd_layer_writer *w;
	struct ovbd_sink *sink;
	struct ovbd_error err;
	uint8_t buf[TEST_BLOCK];
	char *path = test_snapshot_path("base.lsmt");

	assert_ok(ovbd_sink_create_file(path, NULL, &sink, &err), err);
	assert_ok(ovbd_layer_create(sink, &p, &w, &err), err);
	for (uint64_t i = 0; i < TEST_WRITERS * TEST_BLOCKS; i += 2) {
		test_snapshot_fill(buf, 1 + i / TEST_BLOCKS, 0);
		assert_ok(ovbd_layer_put(w, i * TEST_BLOCK, buf, TEST_BLOCK, &err), err);
	}
	assert_ok(ovbd_layer_finish(w, &err), err);
	ovbd_layer_writer_close(w);
	free(path);
}

/* FORMAT.json with an empty writable layer over the base (or nothing). */
char *test_snapshot_make(enum test_snapshot_format format, bool base)
{
	const struct ovbd_rw_params p = {.virtual_size = TEST_SIZE,
	                                 .sparse = format == TEST_SPARSE};
	char *config, *data = test_snapshot_path(test_snapshot_names[format]), *index = NULL;
	struct ovbd_error err;
	FILE *f;

	assert_true(asprintf(&config, "%s/%s.json", dir, test_snapshot_names[format]) > 0);
	if (format != TEST_LOG)
		assert_true(asprintf(&index, "%s.index", data) > 0);
	assert_ok(ovbd_upper_create(data, index, &p, &err), err);
	assert_int_equal(chmod(data, 0640), 0);
	f = fopen(config, "w");
	assert_non_null(f);
	fprintf(f, "{\"lowers\": [%s], \"upper\": {", base ? "{\"file\": \"base.lsmt\"}" : "");
	if (index)
		fprintf(f, "\"data\": \"%s\", \"index\": \"%s.index\"}, \"mine\": 7}",
		        test_snapshot_names[format], test_snapshot_names[format]);
	else
		fprintf(f, "\"file\": \"%s\"}, \"mine\": 7}", test_snapshot_names[format]);
	assert_int_equal(fclose(f), 0);
	free(data);
	free(index);
	return config;
}

struct ovbd_image *test_snapshot_open(const char *config)
{
	struct ovbd_image *img;
	struct ovbd_error err;

	assert_ok(ovbd_image_open(&config, 1, NULL, &img, &err), err);
	return img;
}

void test_snapshot_clean(void)
{
	char command[128];

	snprintf(command, sizeof(command), "find %s -mindepth 1 ! -name base.lsmt -delete", dir);
	assert_int_equal(system(command), 0);
}

int test_snapshot_make_dir(void **state)
{
	(void)state;
	dir = mkdtemp(shm);
	if (!dir)
		dir = mkdtemp(tmp);
	if (!dir)
		return -1;
	make_base();
	return 0;
}

int test_snapshot_remove_dir(void **state)
{
	char *base = test_snapshot_path("base.lsmt");

	(void)state;
	test_snapshot_clean();
	unlink(base);
	free(base);
	return rmdir(dir);
}
