// SPDX-License-Identifier: Apache-2.0
/* A server that lies with the right length, a cache that believes it, and the ZFile's checksums. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "image/blob_named.h"
#include "image/shared.h"
#include "remote/cache.h"
#include "tests/lib/zfile_make.h"

#define CHUNK      (16u << 10)
#define RAW_SIZE   (1u << 20)
#define AUTO_CACHE OVBD_AUTO(ovbd_cache_closep) struct ovbd_cache

/* Bytes of which those from `at` on are wrong in the next nlies reads that have them. */
struct liar {
	struct ovbd_blob blob;
	struct test_bytes z;
	uint64_t at, nbytes;
	unsigned nlies;
};

static char dir[64];
static struct test_bytes raw;
static struct liar liar;
static bool trailer_counts;

static int liar_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct liar *l = OVBD_CONTAINER_OF(b, struct liar, blob);

	(void)err;
	memcpy(buf, l->z.p + off, len);
	l->nbytes += len;
	if (l->nlies > 0 && l->at - off < len) {
		l->nlies--;
		((uint8_t *)buf)[l->at - off] ^= 0x40;
	}
	return 0;
}

static void liar_close(struct ovbd_blob *b)
{
	(void)b;
}

static int setup(void **state)
{
	static const struct ovbd_blob_ops ops = {
		.name = "liar",
		.pread = liar_pread,
		.close = liar_close,
	};
	const struct ovbd_zfile_params p = {
		.codec = OVBD_CODEC_LZ4,
		.block_size = 4096,
		.checksum = true,
		.trailer_only = trailer_counts,
		.nthreads = 1,
	};

	(void)state;
	raw = test_mixed(RAW_SIZE, 1);
	liar = (struct liar){.z = test_zfile_make(&raw, &p)};
	liar.blob = (struct ovbd_blob){.ops = &ops, .size = liar.z.len};
	snprintf(dir, sizeof(dir), "distrust.%d.XXXXXX", (int)getpid());
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	free(raw.p);
	free(liar.z.p);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* liar -> cache -> slice, under a name -> lent */
static struct ovbd_blob *open_bytes(struct ovbd_cache *c)
{
	struct ovbd_blob *b = NULL;

	assert_int_equal(ovbd_cache_blob_open(c, "k", &liar.blob, &b, NULL), 0);
	assert_int_equal(ovbd_blob_open_slice(b, 0, b->size, &b, NULL), 0);
	assert_int_equal(ovbd_blob_open_named(b, "server", &b, NULL), 0);
	return b;
}

static int read_all(struct ovbd_blob *zfile, struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(RAW_SIZE);
	int r = 0;

	for (uint64_t off = 0; r == 0 && off < RAW_SIZE; off += 100000)
		r = ovbd_blob_pread(zfile, buf + off, (size_t)ovbd_min(100000, RAW_SIZE - off), off,
		                    err);
	if (r == 0)
		assert_memory_equal(buf, raw.p, RAW_SIZE);
	return r;
}

static struct ovbd_cache *open_cache(void)
{
	const struct ovbd_cache_params p = {.chunk_size = CHUNK};
	struct ovbd_cache *c = NULL;

	assert_int_equal(ovbd_cache_open(dir, &p, &c, NULL), 0);
	return c;
}

/* Wherever it lied: in a block, the header, the trailer, the jump table. */
static void test_heals(void **state)
{
	const uint64_t size = liar.z.len;
	const uint64_t ats[] = {600, size / 2,         3 * size / 4,
	                        100, size - 512 + 100, size - 512 - 40};

	(void)state;
	for (size_t i = 0; i < sizeof(ats) / sizeof(ats[0]); i++) {
		AUTO_CACHE *fresh = NULL;
		AUTO_BLOB *zfile = NULL;
		struct ovbd_error err;

		teardown(NULL);
		trailer_counts = i == 4;
		setup(NULL);
		trailer_counts = false;
		fresh = open_cache();
		liar.at = ats[i];
		liar.nlies = 1;
		assert_ok(ovbd_zfile_open(open_bytes(fresh), &zfile, &err), err);
		assert_ok(read_all(zfile, &err), err);
		assert_int_equal(liar.nlies, 0);
		assert_in_range(liar.nbytes, size, size + 3 * CHUNK);
		assert_in_range(ovbd_cache_stats(fresh).nrefetched, 1, 3);
	}
}

/* A server that always lies: an error that says what is wrong, and no traffic without end. */
static void test_fails(void **state)
{
	AUTO_CACHE *c = open_cache();
	AUTO_BLOB *zfile = NULL;
	struct ovbd_error err;

	(void)state;
	liar.at = liar.z.len / 2;
	liar.nlies = 1u << 20;
	assert_ok(ovbd_zfile_open(open_bytes(c), &zfile, &err), err);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(read_all(zfile, &err), -EBADMSG);
		assert_non_null(strstr(err.msg, "zfile block "));
		assert_non_null(strstr(err.msg, ": checksum 0x"));
	}
	assert_true(liar.nbytes <= liar.z.len + 4 * CHUNK);
}

/* What has no other copy to offer is not asked twice. */
static void test_file(void **state)
{
	AUTO_BLOB *zfile = NULL;
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;

	(void)state;
	liar.z.p[liar.z.len / 2] ^= 1;
	assert_int_equal(ovbd_blob_open_mem(liar.z.p, liar.z.len, &b, NULL), 0);
	assert_false(ovbd_blob_distrust(b, 0, 1));
	assert_ok(ovbd_zfile_open(b, &zfile, &err), err);
	assert_int_equal(read_all(zfile, &err), -EBADMSG);
}

/* Through what passes it on. */
static void test_passed(void **state)
{
	struct ovbd_shared *shared = NULL;
	AUTO_CACHE *c = open_cache();
	struct ovbd_bytes x = {.blob = open_bytes(c)};
	struct ovbd_blob *lent = NULL;

	(void)state;
	assert_int_equal(ovbd_shared_create(&shared, NULL), 0);
	assert_int_equal(ovbd_shared_put(shared, "k", &x, NULL), 0);
	assert_int_equal(ovbd_blob_open_lent(x.blob, &lent, NULL), 0);
	assert_true(ovbd_blob_distrust(lent, 100, 1));
	assert_int_equal(ovbd_cache_stats(c).nrefetched, 1);
	assert_false(ovbd_blob_distrust(lent, lent->size, 1));
	ovbd_blob_close(lent);
	ovbd_blob_close(x.blob);
	ovbd_shared_close(shared);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_heals), TEST(test_fails), TEST(test_file),
	                                   TEST(test_passed)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
