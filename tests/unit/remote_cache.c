// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
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
	snprintf(dir, sizeof(dir), "cache.%d.XXXXXX", (int)getpid());
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

/* All of the blob, in a cache of its own; what that has asked the source for. */
static uint64_t read_all(struct ovbd_cache_stats *ret)
{
	AUTO_CACHE *c = open_cache(0);
	const uint64_t before = source.nbytes;
	struct ovbd_blob *b = open_blob(c, "k");

	read_at(b, 0, SIZE);
	ovbd_blob_close(b);
	*ret = ovbd_cache_stats(c);
	return source.nbytes - before;
}

static void test_kept(void **state)
{
	struct ovbd_cache_stats st;

	(void)state;
	assert_int_equal(read_all(&st), SIZE);
	assert_int_equal(st.source_bytes, SIZE);
	assert_int_equal(st.stored_bytes, SIZE);
	assert_int_equal(read_all(&st), 0);
	assert_int_equal(st.hit_bytes, SIZE);
	assert_int_equal(st.nbad, 0);
	assert_in_range(st.used, SIZE, SIZE + (64u << 10));
}

static void test_ranges(void **state)
{
	uint64_t random = 1;
	AUTO_CACHE *c = open_cache(0);
	struct ovbd_blob *b = open_blob(c, "k");
	struct ovbd_blob *same = open_blob(c, "k");

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		const uint64_t off = test_random(&random) % SIZE;
		const uint64_t len = 1 + test_random(&random) % (SIZE - off);

		read_at(i % 2 ? b : same, off, (size_t)(i % 3 ? ovbd_min(len, 9000) : len));
	}
	assert_int_equal(source.nbytes, SIZE);
	ovbd_blob_close(b);
	ovbd_blob_close(same);
}

static void *read_randomly(void *arg)
{
	struct ovbd_blob *b = arg;
	uint64_t random = (uint64_t)(uintptr_t)&random;

	for (unsigned i = 0; i < 200; i++)
		read_at(b, test_random(&random) % (SIZE - 50000), 1 + i * 200);
	return NULL;
}

static void run_threads(struct ovbd_blob *b, void *(*run)(void *))
{
	pthread_t threads[16];

	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, b), 0);
	for (unsigned i = 0; i < 16; i++)
		pthread_join(threads[i], NULL);
}

/* However many want a chunk, it is fetched once. */
static void test_single_flight(void **state)
{
	AUTO_CACHE *c = open_cache(0);
	struct ovbd_blob *b = open_blob(c, "k");

	(void)state;
	source.delay_us = 2000;
	run_threads(b, read_randomly);
	assert_true(source.nbytes <= SIZE);
	ovbd_blob_close(b);
}

/* Two caches of one directory are as two processes to each other: locks are by descriptor. */
static void test_two_caches(void **state)
{
	AUTO_CACHE *c1 = open_cache(0);
	AUTO_CACHE *c2 = open_cache(0);
	struct ovbd_blob *b1 = open_blob(c1, "k"), *b2 = open_blob(c2, "k");
	pthread_t thread;

	(void)state;
	source.delay_us = 2000;
	assert_int_equal(pthread_create(&thread, NULL, read_randomly, b2), 0);
	read_randomly(b1);
	pthread_join(thread, NULL);
	assert_true(source.nbytes <= SIZE);
	ovbd_blob_close(b1);
	ovbd_blob_close(b2);
}

static void test_failures(void **state)
{
	AUTO_CACHE *c = open_cache(0);
	struct ovbd_blob *b = open_blob(c, "k");
	struct ovbd_error err;
	uint8_t byte;

	(void)state;
	read_at(b, 3 * CHUNK, 1);
	source.fail = 1;
	assert_fails(ovbd_blob_pread(b, &byte, 1, 0, &err), -EIO, err, "the source failed");
	read_at(b, 0, CHUNK);
	source.fail = 1 << 20;
	read_at(b, 3 * CHUNK, CHUNK); /* needs no source */
	assert_fails(ovbd_blob_pread(b, &byte, 1, 5 * CHUNK, &err), -EIO, err, "the source failed");
	source.fail = 0;
	read_at(b, 0, SIZE);
	ovbd_blob_close(b);
}

static int open_part(const char *ending)
{
	char name[CACHE_NAME_SIZE], path[256];
	int fd;

	cache_name("k", name);
	snprintf(path, sizeof(path), "%s/ovbd-cache-1/%s.%s", dir, name, ending);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	return fd;
}

static void flip(const char *ending, uint64_t at)
{
	AUTO_FD fd = open_part(ending);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static void cut(const char *ending, uint64_t size, bool grow)
{
	AUTO_FD fd = open_part(ending);

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (grow) /* as after a power cut that took the data */
		assert_int_equal(ftruncate(fd, SIZE), 0);
}

/* Whatever is done to the files between two runs: right bytes, and only what was hit is fetched. */
static void test_damage(void **state)
{
	struct ovbd_cache_stats st;

	(void)state;
	read_all(&st);
	flip("data", 7 * CHUNK + 100);
	flip("data", SIZE - 1);
	assert_int_equal(read_all(&st), CHUNK + 1234);
	assert_int_equal(st.nbad, 2);
	assert_int_equal(read_all(&st), 0);
	for (unsigned at = 0; at < 8; at++) {
		flip("map", cache_entry_at(9) + at);
		assert_int_equal(read_all(&st), CHUNK);
		assert_int_equal(read_all(&st), 0);
	}
	cut("data", 11 * CHUNK, false);
	assert_int_equal(read_all(&st), SIZE - 11 * CHUNK);
	cut("data", 5 * CHUNK, true);
	assert_int_equal(read_all(&st), SIZE - 5 * CHUNK);
	cut("data", 0, true);
	assert_int_equal(read_all(&st), SIZE);
	cut("map", cache_entry_at(4) + 3, false);
	assert_int_equal(read_all(&st), SIZE - 4 * CHUNK);
	for (unsigned at = 0; at < CACHE_HEADER_SIZE; at += 97) {
		flip("map", at);
		assert_int_equal(read_all(&st), SIZE);
	}
	cut("map", 0, false);
	assert_int_equal(read_all(&st), SIZE);
	assert_int_equal(read_all(&st), 0);
}

/* The same while a blob is open and has used its chunks: what can be noticed, is. */
static void test_cut_in_use(void **state)
{
	AUTO_CACHE *c = open_cache(0);
	struct ovbd_blob *b = open_blob(c, "k");

	(void)state;
	read_at(b, 0, SIZE / 2);
	while (ovbd_cache_stats(c).stored_bytes < SIZE / 2)
		usleep(1000);
	cut("data", CHUNK, false);
	read_at(b, 0, SIZE);
	cut("map", 0, false);
	read_at(b, 0, SIZE);
	ovbd_blob_close(b);
}

static uint64_t blocks_of(void)
{
	char command[128];
	unsigned long long kib = 0;
	FILE *p;

	snprintf(command, sizeof(command), "du -sk %s", dir);
	p = popen(command, "r");
	assert_int_equal(fscanf(p, "%llu", &kib), 1);
	pclose(p);
	return kib << 10;
}

/* Four blobs in room for one, by two caches at once, for longer than an evicted chunk lives on. */
static void *crowd(void *arg)
{
	struct ovbd_cache *c = arg;
	static const char *const keys[] = {"a", "b", "c", "d"};
	struct ovbd_blob *b[4];
	uint64_t random = (uint64_t)(uintptr_t)&random, end = cache_now_ms() + 16000;

	for (unsigned i = 0; i < 4; i++)
		b[i] = open_blob(c, keys[i]);
	while (cache_now_ms() < end)
		read_at(b[test_random(&random) % 4], test_random(&random) % (SIZE - 5000), 5000);
	for (unsigned i = 0; i < 4; i++)
		ovbd_blob_close(b[i]);
	return NULL;
}

static void test_evict(void **state)
{
	const uint64_t max = 32 * CHUNK;
	struct ovbd_cache *c[2] = {open_cache(max), open_cache(max)};
	pthread_t threads[4];
	uint64_t most = 0;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd, c[i % 2]), 0);
	for (unsigned i = 0; i < 75; i++) {
		const uint64_t now = blocks_of();

		most = now > most ? now : most;
		usleep(200000);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(ovbd_cache_stats(c[0]).nevicted + ovbd_cache_stats(c[1]).nevicted > 10);
	assert_true(ovbd_cache_stats(c[0]).hit_bytes > 0);
	if (most > max + max / 20 + (128u << 10))
		fail_msg("%llu bytes of %llu", (unsigned long long)most, (unsigned long long)max);
	ovbd_cache_close(c[0]);
	ovbd_cache_close(c[1]);
}

/* No room on the disk, stood in for by a limit to the size of files: it serves all the same. */
static void test_no_room(void **state)
{
	const struct rlimit small = {.rlim_cur = 8 * CHUNK, .rlim_max = RLIM_INFINITY};
	const struct rlimit none = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
	struct ovbd_cache_stats st;
	struct ovbd_error err;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(read_all(&st), SIZE);
	assert_int_equal(st.stored_bytes, 0);
	{
		AUTO_CACHE *c = open_cache(0);
		struct ovbd_blob *b = open_blob(c, "k");

		read_at(b, 0, SIZE);
		ovbd_blob_close(b);
		assert_true(ovbd_cache_trouble(c, &err));
		assert_non_null(strstr(err.msg, "the cache cannot store"));
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
}

static void test_bad_params(void **state)
{
	static const struct ovbd_cache_params bad[] = {{.chunk_size = 2048},
	                                               {.chunk_size = 5000},
	                                               {.chunk_size = 8u << 20},
	                                               {.size_max = 1}};
	struct ovbd_cache *c = NULL;
	struct ovbd_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_fails(ovbd_cache_open(dir, &bad[i], &c, &err), -EINVAL, err, "cache");
	assert_fails(ovbd_cache_open("/nothere/x", NULL, &c, &err), -ENOENT, err, "/nothere/x");
	assert_fails(ovbd_cache_open("/dev/null", NULL, &c, &err), -ENOTDIR, err, "/dev/null");
	assert_null(c);
}

static void *read_half(void *arg)
{
	read_at(arg, 0, SIZE / 2);
	return NULL;
}

/* What the directory has is read while a source does not answer, also by who joins others. */
static void test_outage(void **state)
{
	AUTO_CACHE *c = NULL;
	struct ovbd_blob *b;
	pthread_t thread;

	(void)state;
	{
		AUTO_CACHE *before = open_cache(0);

		b = open_blob(before, "k");
		read_at(b, 2 * CHUNK, 4 * CHUNK);
		ovbd_blob_close(b);
	}
	c = open_cache(0);
	b = open_blob(c, "k");
	source.hold = 1;
	assert_int_equal(pthread_create(&thread, NULL, read_half, b), 0);
	while (atomic_load(&source.nwaiting) < 2) /* before them, and behind */
		usleep(1000);
	read_at(b, 2 * CHUNK + 10, 4 * CHUNK - 10);
	source.hold = 0;
	pthread_join(thread, NULL);
	ovbd_blob_close(b);
}

static bool is_right(struct ovbd_blob *b, uint64_t off)
{
	struct ovbd_error err;
	uint8_t byte;

	assert_ok(ovbd_blob_pread(b, &byte, 1, off, &err), err);
	return test_source_is(&source, &byte, 1, off);
}

/* A chunk that the source lied about, and whose checksum is right: who knows better is heard. */
static void test_distrust(void **state)
{
	AUTO_CACHE *c = open_cache(0);
	struct ovbd_blob *b = open_blob(c, "k");

	(void)state;
	source.lie = 1;
	assert_false(is_right(b, 3 * CHUNK));
	assert_false(is_right(b, 3 * CHUNK));
	assert_int_equal(source.nbytes, CHUNK);
	assert_true(ovbd_blob_distrust(b, 3 * CHUNK + 5, 100));
	assert_true(is_right(b, 3 * CHUNK));
	assert_int_equal(source.nbytes, 2 * CHUNK);
	assert_true(ovbd_blob_distrust(b, 3 * CHUNK, 1)); /* who has read it before */
	assert_true(is_right(b, 3 * CHUNK));
	assert_int_equal(source.nbytes, 2 * CHUNK);
	assert_false(ovbd_blob_distrust(b, SIZE - 1, 2));
	ovbd_blob_close(b);
	assert_int_equal(ovbd_cache_stats(c).nrefetched, 1);
	assert_int_equal(ovbd_cache_stats(c).nbad, 0);
}

/* The same of one that another process has stored. */
static void test_distrust_stored(void **state)
{
	struct ovbd_cache_stats st;
	struct ovbd_blob *b;

	(void)state;
	source.lie = 1;
	{
		AUTO_CACHE *before = open_cache(0);

		b = open_blob(before, "k");
		assert_false(is_right(b, 2 * CHUNK));
		ovbd_blob_close(b);
	}
	{
		AUTO_CACHE *c = open_cache(0);

		b = open_blob(c, "k");
		assert_false(is_right(b, 2 * CHUNK));
		assert_int_equal(source.nbytes, CHUNK);
		assert_true(ovbd_blob_distrust(b, 2 * CHUNK, CHUNK));
		assert_true(is_right(b, 2 * CHUNK));
		ovbd_blob_close(b);
	}
	assert_int_equal(read_all(&st), SIZE - CHUNK);
}

/* A source that always lies is not asked for ever. */
static void test_distrust_in_vain(void **state)
{
	AUTO_CACHE *c = open_cache(0);
	struct ovbd_blob *b = open_blob(c, "k");

	(void)state;
	source.lie = 1 << 20;
	for (unsigned i = 0; i < 100; i++) {
		assert_false(is_right(b, 0));
		assert_true(ovbd_blob_distrust(b, 0, 10));
	}
	assert_true(source.nbytes <= 3 * CHUNK);
	ovbd_blob_close(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kept),
		TEST(test_ranges),
		TEST(test_single_flight),
		TEST(test_two_caches),
		TEST(test_failures),
		TEST(test_damage),
		TEST(test_cut_in_use),
		TEST(test_evict),
		TEST(test_no_room),
		TEST(test_bad_params),

		TEST(test_outage),
		TEST(test_distrust),
		TEST(test_distrust_stored),
		TEST(test_distrust_in_vain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
