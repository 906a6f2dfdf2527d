// SPDX-License-Identifier: Apache-2.0
/*
 * A process that dies at any step of a snapshot leaves a configuration that leads to all that it
 * had flushed, before and after. Snapshots as the original has them; and what is refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image/upper.h"
#include "tests/lib/snapshot_image.h"
#include "tests/unit/test.h"

/* ---- who dies ---- */

static const char *const steps[] = {
	"snapshot-made",
	"snapshot-named",
	"snapshot-switched",
	"snapshot-sealed",
};

static struct ovbd_device *dying;
static const char *dies_at;

static void write_one(struct ovbd_device *d, uint64_t block, uint64_t seq)
{
	uint8_t buf[TEST_BLOCK];

	test_snapshot_fill(buf, 1, seq);
	if (ovbd_device_pwrite(d, buf, TEST_BLOCK, block * TEST_BLOCK, OVBD_WRITE_FUA, NULL) < 0)
		abort();
}

static void die_at(const char *step)
{
	if (strcmp(step, dies_at) != 0)
		return;
	write_one(dying, 1, 22); /* it is served to the end */
	_exit(0);
}

static void die(const char *config, const char *step)
{
	const struct ovbd_snapshot_params p = {.at = die_at};
	struct ovbd_snapshot s;
	struct ovbd_image *img;
	int status;
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (ovbd_image_open(&config, 1, NULL, &img, NULL) < 0)
			_exit(2);
		write_one(img->upper, 0, 11);
		write_one(img->upper, 1, 11);
		if (ovbd_device_discard(img->upper, 4 * TEST_BLOCK, TEST_BLOCK, NULL) < 0 ||
		    ovbd_device_flush(img->upper, NULL) < 0)
			_exit(3);
		dying = img->upper;
		dies_at = step;
		_exit(ovbd_image_snapshot(img, &p, &s, NULL) < 0 ? 4 : 5);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void expect_block(struct ovbd_image *img, uint64_t block, uint64_t seq)
{
	uint8_t buf[TEST_BLOCK], want[TEST_BLOCK] = {0};
	struct ovbd_error err;

	if (seq)
		test_snapshot_fill(want, 1, seq);
	assert_ok(ovbd_blob_pread(img->blob, buf, TEST_BLOCK, block * TEST_BLOCK, &err), err);
	assert_memory_equal(buf, want, TEST_BLOCK);
}

static void test_deaths(void **state)
{
	static const struct ovbd_snapshot_params p;
	struct ovbd_snapshot s;
	struct ovbd_error err;

	(void)state;
	for (enum test_snapshot_format f = 0; f < TEST_SNAPSHOT_NFORMATS; f++)
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			struct ovbd_image *img;
			char *config;

			test_snapshot_clean();
			config = test_snapshot_make(f, true);
			die(config, steps[i]);
			img = test_snapshot_open(config);
			assert_int_equal(img->nlayers, i > 0 ? 2 : 1);
			expect_block(img, 0, 11);
			expect_block(img, 1, 22);
			expect_block(img, 4, 0);
			write_one(img->upper, 0, 33);
			assert_ok(ovbd_image_snapshot(img, &p, &s, &err), err);
			assert_int_equal(s.nlayers, i > 0 ? 3 : 2);
			ovbd_snapshot_release(&s);
			write_one(img->upper, 1, 44);
			ovbd_image_close(img);
			img = test_snapshot_open(config);
			expect_block(img, 0, 33);
			expect_block(img, 1, 44);
			expect_block(img, 4, 0);
			ovbd_image_close(img);
			free(config);
		}
}

/* ---- the original's way, and what is refused ---- */

static void save(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void test_given(void **state)
{
	static const struct ovbd_rw_params params = {.virtual_size = TEST_SIZE};
	static const struct ovbd_rw_params smaller = {.virtual_size = TEST_SIZE / 2};
	char *next = test_snapshot_path("next.json"), *data = test_snapshot_path("n.data"),
	     *index = test_snapshot_path("n.index");
	const struct ovbd_snapshot_params p = {.config = next};
	struct ovbd_snapshot s;
	struct ovbd_image *img;
	struct ovbd_error err;
	char *config;

	(void)state;
	test_snapshot_clean();
	config = test_snapshot_make(TEST_APPEND, true);
	img = test_snapshot_open(config);
	write_one(img->upper, 0, 11);
	assert_fails(ovbd_image_snapshot(img, &p, &s, &err), -ENOENT, err, "next.json");
	save(next, "{\"lowers\": [{\"file\": \"base.lsmt\"}], "
	           "\"upper\": {\"data\": \"n.data\", \"index\": \"n.index\"}}");
	assert_fails(ovbd_image_snapshot(img, &p, &s, &err), -EINVAL, err,
	             "its topmost layer must be the file of the writable layer");
	save(next, "{\"lowers\": [{\"file\": \"base.lsmt\"}, {\"file\": \"append\"}], "
	           "\"upper\": {\"data\": \"append\", \"index\": \"n.index\"}}");
	assert_fails(ovbd_image_snapshot(img, &p, &s, &err), -EINVAL, err,
	             "names no other writable layer");
	save(next, "{\"lowers\": [{\"file\": \"base.lsmt\"}, {\"file\": \"append\"}], "
	           "\"upper\": {\"data\": \"n.data\", \"index\": \"n.index\"}}");
	assert_ok(ovbd_upper_create(data, index, &smaller, &err), err);
	assert_fails(ovbd_image_snapshot(img, &p, &s, &err), -EINVAL, err,
	             "which a snapshot does not change");
	assert_int_equal(unlink(data), 0);
	assert_int_equal(unlink(index), 0);
	assert_ok(ovbd_upper_create(data, index, &params, &err), err);
	assert_ok(ovbd_image_snapshot(img, &p, &s, &err), err);
	assert_int_equal(access(next, F_OK), -1); /* it has the other's name now */
	assert_string_equal(s.data, data);
	ovbd_snapshot_release(&s);
	write_one(img->upper, 1, 22);
	ovbd_image_close(img);
	img = test_snapshot_open(config);
	assert_int_equal(img->nlayers, 2);
	expect_block(img, 0, 11);
	expect_block(img, 1, 22);
	ovbd_image_close(img);
	free(next);
	free(data);
	free(index);
	free(config);
}

static void test_refused(void **state)
{
	char *config, *data = test_snapshot_path("none/x"), *mine = test_snapshot_path("x.rw"),
		      *text = NULL;
	struct ovbd_snapshot_params p = {.data = data};
	struct ovbd_snapshot s;
	struct ovbd_image *img;
	struct ovbd_error err;
	FILE *f;

	(void)state;
	test_snapshot_clean();
	config = test_snapshot_make(TEST_LOG, true);
	img = test_snapshot_open(config);
	assert_fails(ovbd_image_snapshot(img, &p, &s, &err), -ENOENT, err, "none/x");
	p = (struct ovbd_snapshot_params){.data = mine, .index = data};
	assert_fails(ovbd_image_snapshot(img, &p, &s, &err), -EINVAL, err,
	             "of a snapshot's only data is given");
	p.index = NULL;
	assert_ok(ovbd_image_snapshot(img, &p, &s, &err), err);
	assert_string_equal(s.data, mine);
	ovbd_snapshot_release(&s);
	assert_fails(ovbd_image_snapshot(img, &p, &s, &err), -EEXIST, err, "x.rw");
	/* as many layers as there can be */
	f = fopen(config, "w");
	assert_non_null(f);
	fprintf(f, "{\"upper\": {\"file\": \"x.rw\"}, \"lowers\": [");
	for (unsigned i = 0; i < OVBD_LAYERS_MAX; i++)
		fprintf(f, "%s{\"file\": \"base.lsmt\"}", i ? ", " : "");
	fprintf(f, "]}");
	assert_int_equal(fclose(f), 0);
	assert_fails(ovbd_image_snapshot(img, &p, &s, &err), -E2BIG, err,
	             "has 255 layers beneath the writable one; a stack has at most 255");
	save(config, "{\"upper\": {\"file\": \"other\"}, \"lowers\": [{\"file\": \"base.lsmt\"}]}");
	assert_fails(ovbd_image_snapshot(img, &p, &s, &err), -ESTALE, err,
	             "names another writable layer than the one that is in use");
	ovbd_image_close(img);
	free(text);
	free(config);
	free(data);
	free(mine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_deaths),
	                                   cmocka_unit_test(test_given),
	                                   cmocka_unit_test(test_refused)};

	return cmocka_run_group_tests(tests, test_snapshot_make_dir, test_snapshot_remove_dir);
}
