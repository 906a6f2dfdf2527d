// SPDX-License-Identifier: Apache-2.0
/* Who looks after a cache's directory, while others use it. */
#include "tests/unit/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "remote/cache_impl.h"
#include "tests/lib/source.h"

#define CHUNK      (64u << 10)
#define SIZE       (40u * CHUNK + 1234)
#define AUTO_CACHE OVBD_AUTO(ovbd_cache_closep) struct ovbd_cache

static char dir[64];
static struct test_source source;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "admin.%d.XXXXXX", (int)getpid());
	test_source_init(&source, SIZE, 1);
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static struct ovbd_cache *open_cache(uint64_t size_max)
{
	const struct ovbd_cache_params p = {.size_max = size_max, .chunk_size = CHUNK};
	struct ovbd_cache *c = NULL;
	struct ovbd_error err;

	assert_ok(ovbd_cache_open(dir, &p, &c, &err), err);
	return c;
}

static struct ovbd_blob *open_blob(struct ovbd_cache *c, const char *key)
{
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;

	assert_ok(ovbd_cache_blob_open(c, key, &source.blob, &b, &err), err);
	return b;
}

static void read_at(struct ovbd_blob *b, uint64_t off, size_t len)
{
	AUTO_FREE uint8_t *buf = malloc(len);
	struct ovbd_error err;

	assert_ok(ovbd_blob_pread(b, buf, len, off, &err), err);
	if (!test_source_is(&source, buf, len, off))
		fail_msg("wrong bytes in %zu at %llu", len, (unsigned long long)off);
}

static void fill(const char *key)
{
	AUTO_CACHE *c = open_cache(0);
	struct ovbd_blob *b = open_blob(c, key);

	read_at(b, 0, SIZE);
	ovbd_blob_close(b);
}

static uint64_t present_of(const char *key)
{
	struct ovbd_cache *c = NULL;
	struct ovbd_cache_item item;
	char name[CACHE_NAME_SIZE];
	struct cache_file f;
	uint64_t present = 0;

	assert_int_equal(ovbd_cache_attach(dir, &c, NULL), 0);
	cache_name(key, name);
	if (cache_item_fill(c, name, &f, &item)) {
		present = item.present;
		cache_file_unpeek(&f);
	}
	ovbd_cache_close(c);
	return present;
}

/* Whoever evicts, a process of users or one that looks after it, leaves what is pinned. */
static void test_pinned(void **state)
{
	AUTO_CACHE *admin = NULL;
	char name[CACHE_NAME_SIZE];
	struct ovbd_error err;
	uint64_t left;

	(void)state;
	fill("k");
	assert_ok(ovbd_cache_attach(dir, &admin, &err), err);
	cache_name("k", name);
	assert_ok(ovbd_cache_pin(admin, name, "k", true, &err), err);
	{
		AUTO_CACHE *c = open_cache(64 * CHUNK);
		struct ovbd_blob *b = open_blob(c, "other");
		uint64_t at = 0;

		while (ovbd_cache_stats(c).nevicted == 0) {
			read_at(b, at++ % 40 * CHUNK, 1);
			usleep(1000);
		}
		ovbd_blob_close(b);
	}
	assert_int_equal(present_of("k"), SIZE);
	assert_ok(ovbd_cache_gc(admin, 0, &left, &err), err);
	assert_int_equal(present_of("k"), SIZE);
	assert_int_equal(present_of("other"), 0);
	assert_in_range(left, SIZE, SIZE + (64u << 10));
	assert_ok(ovbd_cache_pin(admin, name, "k", false, &err), err);
	assert_ok(ovbd_cache_gc(admin, 0, &left, &err), err);
	assert_int_equal(present_of("k"), 0);
}

static atomic_bool over;

static void *read_on(void *arg)
{
	uint64_t random = 3;

	while (!atomic_load(&over))
		read_at(arg, test_random(&random) % (SIZE - 5000), 5000);
	return NULL;
}

/* All is thrown out while somebody reads it. */
static void test_gc_in_use(void **state)
{
	AUTO_CACHE *admin = NULL;
	AUTO_CACHE *c = open_cache(0);
	struct ovbd_blob *b = open_blob(c, "k");
	struct ovbd_error err;
	pthread_t thread;
	uint64_t left;

	(void)state;
	over = false;
	read_at(b, 0, SIZE);
	while (ovbd_cache_stats(c).stored_bytes < SIZE)
		usleep(1000);
	assert_ok(ovbd_cache_attach(dir, &admin, &err), err);
	assert_int_equal(pthread_create(&thread, NULL, read_on, b), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_ok(ovbd_cache_gc(admin, 0, &left, &err), err);
	over = true;
	pthread_join(thread, NULL);
	assert_true(source.nbytes > SIZE);
	ovbd_blob_close(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_pinned), TEST(test_gc_in_use)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
