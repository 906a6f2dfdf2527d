// SPDX-License-Identifier: Apache-2.0
/* What is proven, and kept: nothing wrong is kept, and nothing of what is kept is read wrong. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "remote/cache.h"
#include "tests/lib/sealed.h"

#define CHUNK      4096u
#define SIZE       (CHUNK + 900)
#define AUTO_CACHE OVBD_AUTO(ovbd_cache_closep) struct ovbd_cache

static char dir[64];
static struct test_sealed sealed;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "verity.%d.XXXXXX", (int)getpid());
	test_seal(&sealed, SIZE);
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	test_unseal(&sealed);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* All of it, through a cache that is opened for that. Wrong bytes are a failure of the test. */
static int read_all(struct ovbd_error *err)
{
	const struct ovbd_cache_params p = {.chunk_size = CHUNK};
	AUTO_CACHE *c = NULL;
	AUTO_BLOB *b = NULL;
	AUTO_FREE char *key = NULL;
	uint8_t buf[SIZE];
	int r;

	assert_ok(ovbd_cache_open(dir, &p, &c, err), *err);
	r = test_sealed_open(&sealed, &b, err);
	if (r < 0)
		return r;
	assert_ok(ovbd_blob_key(b, &key, err), *err);
	assert_ok(ovbd_cache_blob_open(c, key, OVBD_MOVE(b), &b, err), *err);
	r = ovbd_blob_pread(b, buf, SIZE, 0, err);
	if (r == 0)
		assert_memory_equal(buf, sealed.bytes, SIZE);
	ovbd_blob_close(OVBD_MOVE(b));
	return r;
}

static int open_kept(const char *suffix)
{
	char pattern[128];
	glob_t found;
	int fd;

	snprintf(pattern, sizeof(pattern), "%s/ovbd-cache-1/*.%s", dir, suffix);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	fd = open(found.gl_pathv[0], O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	globfree(&found);
	return fd;
}

static void flip(int fd, off_t at, uint8_t bits)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= bits;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* Every byte of the file with the data, changed between two runs: it is not read. */
static void test_any_byte_kept(void **state)
{
	struct ovbd_error err;
	AUTO_FD fd = -1;

	(void)state;
	assert_ok(read_all(&err), err);
	fd = open_kept("data");
	for (off_t at = 0; at < (off_t)SIZE; at++) {
		const uint64_t before = sealed.data_wire.nbytes;

		flip(fd, at, (uint8_t)(1 << at % 8));
		assert_ok(read_all(&err), err);
		/* its chunk came anew */
		assert_true(sealed.data_wire.nbytes > before);
	}
}

/* So with the file that says what is there. Its checksum may be one of other bytes. */
static void test_any_byte_of_map(void **state)
{
	struct ovbd_error err;

	(void)state;
	assert_ok(read_all(&err), err);
	for (off_t at = 0; at < 4096 + 2 * 16; at += at < 64 || at >= 4080 ? 1 : 61) {
		AUTO_FD fd = open_kept("map");

		flip(fd, at, (uint8_t)(1 << at % 8));
		assert_ok(read_all(&err), err);
	}
}

/* What the wire has changed is not kept. */
static void test_nothing_wrong_is_kept(void **state)
{
	struct ovbd_error err;

	sealed.data_wire.flip = 1;
	for (uint64_t at = 0; at < SIZE; at += 97) {
		sealed.data_wire.at = at;
		sealed.data_wire.times = -1;
		assert_fails(read_all(&err), -EBADMSG, err, "read twice");
		sealed.data_wire.times = 0;
		assert_ok(read_all(&err), err);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
		sealed.data_wire.flip = 1;
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_any_byte_kept),
		TEST(test_any_byte_of_map),
		TEST(test_nothing_wrong_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
