// SPDX-License-Identifier: Apache-2.0
/*
 * Sixteen threads read an image (http, cache with room for a fifth, tar, ZFile, two layers) while
 * faults are switched on and off at random; in some rounds the server wants tokens, which do not
 * last. Every read that returns has the right bytes; every other fails in time, with the place in
 * its sentence; when it is over, all reads right. Nothing grows from round to round.
 *
 *     OVBD_SEED=N     another choice of faults (when they strike is up to the threads)
 *     OVBD_CASES=N    rounds until so many faults have struck, instead of three
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/auto.h"
#include "image/image.h"
#include "remote/cache.h"
#include "tests/net/fixture.h"
#include "tests/net/patience.h"
#include "tests/net/proxy.h"

#define NREADERS    16
#define IMAGE_SIZE  (12u << 20)
#define READ_MAX    (96u << 10)
#define ROUND_MS    3000
#define NROUNDS     3
#define DEADLINE_MS 1000
#define GRACE_MS    1000
#define LASTS_US    1500000 /* a fault, at most */
#define HANGS_MS    60000   /* a read that takes so long does not end */
#define HEALS_MS    90000
#define SETTLES_MS  20000

static const struct ovbd_http_params http = {
	.connect_timeout_ms = 300,
	.stall_timeout_ms = 300,
	.deadline_ms = DEADLINE_MS,
	.open_attempts = 12,
	.backoff_ms = 5,
};

static const char *const proxy_faults[] = {
	"refuse",
	"close",
	"close times=3",
	"reset times=8",
	"reset at=head+30 times=8",
	"reset at=body+1000 times=8",
	"end at=head+200 times=8",
	"end at=body+30000 times=8",
	"half at=body+30000 times=3",
	"stall times=4",
	"stall at=head+100 times=4",
	"stall at=body+10000 times=4",
	"trickle=20 at=body+500 times=4",
	"latency=150 times=16",
	"latency=30",
	"extra=100 at=end times=8",
	"reset at=body+1000",
	"stall at=body+10000",
	"flip=10007 at=body+5000 times=4", /* the last NFLIPS */
	"flip=4001 at=body+1",
};
#define NFLIPS 2

static const char *const server_faults[] = {
	"ok200,times=8",
	"start,times=8",
	"total,times=3",
	"norange,times=8",
	"etag=%22x%22,times=3",
	"size=5,times=3",
	"encoding=gzip,times=8",
	"multipart,times=8",
	"longchunked=5,times=8",
	"closed=20000,times=8",
	"status=401,times=3",
	"status=403,times=3",
	"status=404,times=3",
	"status=416,times=3",
	"status=429,retryafter=0,times=8",
	"status=429,retryafter=100,times=3",
	"status=500,times=8",
	"status=502,times=8",
	"status=503",
	"status=504,times=8",
	"badstatus,times=8",
	"drop,times=8",
	"never,times=8",
	"never", /* the last NREFUSALS */
};

#define NREFUSALS 2

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct reader {
	pthread_t thread;
	uint64_t random;
	atomic_uint_fast64_t began_ms; /* of the read in progress, or 0 */
};

static uint64_t seed = 1, ncases;
static uint8_t *expected;
static char names[2][128];
static struct test_proxy proxy;
static struct ovbd_cache *cache;
static struct ovbd_image *image;
static struct reader readers[NREADERS];
static atomic_bool round_over, broken;
static const char *welcome = ""; /* in this round: who may ask */
static bool flips; /* in this round; otherwise nothing but right bytes comes out of the network */
static atomic_uint_fast64_t nright, nfailed, slowest_ms;

#define complain(...)                                                                              \
	do {                                                                                       \
		fprintf(stderr, "seed %llu: ", (unsigned long long)seed);                          \
		fprintf(stderr, __VA_ARGS__);                                                      \
		fprintf(stderr, "\n");                                                             \
		atomic_store(&broken, true);                                                       \
	} while (0)

/* --- readers --- */

/* It names the layer, and the bytes of it or the block that is wrong. */
static bool tells_the_place(const char *text)
{
	const char *url = strstr(text, names[0]) ? names[0] : names[1];
	const char *at = strstr(text, url);
	unsigned long long first, last;

	if (!at)
		return false;
	for (at = strstr(at, ": "); at; at = strstr(at + 1, ": "))
		if (sscanf(at, ": bytes %llu-%llu: ", &first, &last) == 2 ||
		    sscanf(at, ": zfile block %llu at %llu: ", &first, &last) == 2)
			return true;
	return false;
}

static void check_failure(const struct test_patience *p, int code, const struct ovbd_error *err)
{
	uint64_t excused;
	const uint64_t took = test_patience_took(p, &excused);

	atomic_fetch_add(&nfailed, 1);
	if (took > atomic_load(&slowest_ms))
		atomic_store(&slowest_ms, took);
	if (took > DEADLINE_MS + GRACE_MS + excused)
		complain("a failure took %llu ms (%llu of them waiting to be run): %s",
		         (unsigned long long)took, (unsigned long long)excused, err->msg);
	if (!tells_the_place(err->msg) || (code == -EBADMSG && !flips))
		complain("%d: %s", code, err->msg);
}

static void read_once(struct reader *r, uint8_t *buf)
{
	const uint64_t off = test_random(&r->random) % (IMAGE_SIZE - READ_MAX);
	const size_t len = 1 + test_random(&r->random) % READ_MAX;
	struct test_patience p = test_patience_begin();
	struct ovbd_error err = {0};
	int code;

	atomic_store(&r->began_ms, p.begin_ms);
	code = ovbd_blob_pread(image->blob, buf, len, off, &err);
	if (code < 0)
		check_failure(&p, code, &err);
	else if (memcmp(buf, expected + off, len) != 0)
		complain("wrong bytes in %zu at %llu", len, (unsigned long long)off);
	else
		atomic_fetch_add(&nright, 1);
	atomic_store(&r->began_ms, 0);
}

static void *read_on(void *arg)
{
	struct reader *r = arg;
	AUTO_FREE uint8_t *buf = malloc(READ_MAX);

	while (buf && !atomic_load(&round_over) && !atomic_load(&broken))
		read_once(r, buf);
	return NULL;
}

/* Images that are opened meanwhile, and closed again. */
static void *open_on(void *arg)
{
	const char *const both[] = {names[0], names[1]};
	const struct ovbd_image_params params = {.http = &http, .cache = cache};

	while (!atomic_load(&round_over) && !atomic_load(&broken)) {
		struct ovbd_image *other = NULL;
		struct ovbd_error err = {0};
		const int r = ovbd_image_open(both, 2, &params, &other, &err);

		if (r < 0 && !strstr(err.msg, "http://127.0.0.1:"))
			complain("open: %d: %s", r, err.msg);
		ovbd_image_close(other);
	}
	return arg;
}

/* --- faults --- */

static void look_for_hangs(void)
{
	const uint64_t now = test_now_ms();

	for (unsigned i = 0; i < NREADERS; i++) {
		const uint64_t began = atomic_load(&readers[i].began_ms);

		if (began > 0 && now > began + HANGS_MS) {
			complain("a read hangs");
			abort();
		}
	}
}

static void set_lies(const char *lies)
{
	char text[200];

	snprintf(text, sizeof(text), "%s%s%s", welcome, welcome[0] && lies[0] ? "," : "", lies);
	test_server_set(&server, "storm", text);
}

static void be_honest(void)
{
	test_proxy_do(&proxy, "ok");
	set_lies("");
}

static void switch_faults(uint64_t *random)
{
	const uint64_t n = test_random(random) % 8;
	const size_t nproxy = COUNT(proxy_faults) - (flips ? 0 : NFLIPS);
	const size_t nserver = COUNT(server_faults) - (welcome[0] ? 0 : NREFUSALS);

	if (n < 3)
		test_proxy_do(&proxy, proxy_faults[test_random(random) % nproxy]);
	else if (n < 5)
		set_lies(server_faults[test_random(random) % nserver]);
	else if (n == 5)
		test_proxy_do(&proxy, test_random(random) % 2 ? "cut" : "freeze");
	else
		be_honest();
}

static void storm(uint64_t *random)
{
	const uint64_t end = test_now_ms() + ROUND_MS;
	unsigned n = 0;
	pthread_t opener;

	atomic_store(&round_over, false);
	for (unsigned i = 0; i < NREADERS; i++) {
		readers[i].random = test_random(random);
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
	}
	assert_int_equal(pthread_create(&opener, NULL, open_on, NULL), 0);
	while (test_now_ms() < end && !atomic_load(&broken)) {
		switch_faults(random);
		usleep((useconds_t)(test_random(random) % (n++ % 8 ? 60000 : LASTS_US)));
		look_for_hangs();
	}
	be_honest();
	atomic_store(&round_over, true);
	for (unsigned i = 0; i < NREADERS; i++)
		pthread_join(readers[i].thread, NULL);
	pthread_join(opener, NULL);
}

/* All of it reads right again. What a ZFile has found wrong twice is asked for anew only after a
 * while. */
static void heal(void)
{
	const uint64_t start = test_now_ms();
	uint8_t *buf = malloc(READ_MAX);

	assert_non_null(buf);
	for (uint64_t off = 0; off < IMAGE_SIZE;) {
		const size_t len = IMAGE_SIZE - off < READ_MAX ? IMAGE_SIZE - off : READ_MAX;
		struct ovbd_error err;

		if (ovbd_blob_pread(image->blob, buf, len, off, &err) < 0) {
			if (test_now_ms() - start > HEALS_MS)
				fail_msg("seed %llu: does not heal: %s", (unsigned long long)seed,
				         err.msg);
			usleep(20000);
			continue;
		}
		if (memcmp(buf, expected + off, len) != 0)
			fail_msg("seed %llu: wrong bytes at %llu", (unsigned long long)seed,
			         (unsigned long long)off);
		off += len;
	}
	free(buf);
}

/* --- what must not grow --- */

struct usage {
	size_t nfds, nthreads, nbytes;
};

static size_t count_in(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static struct usage measure(void)
{
	return (struct usage){
		.nfds = count_in("/proc/self/fd"),
		.nthreads = count_in("/proc/self/task"),
		.nbytes = mallinfo2().uordblks,
	};
}

/* Some time may pass: chunks that wait to be stored take memory. */
static struct usage measure_until_less(const struct usage *limit)
{
	const uint64_t start = test_now_ms();
	struct usage now = measure();

	while ((now.nfds > limit->nfds || now.nthreads > limit->nthreads ||
	        now.nbytes > limit->nbytes) &&
	       test_now_ms() < start + SETTLES_MS) {
		usleep(20000);
		now = measure();
	}
	return now;
}

static void test_storm(void **state)
{
	struct usage first = {0}, limit = {0}, now = {0};
	unsigned long nfaults = 0;
	uint64_t random = seed;
	struct ovbd_cache_stats stats;

	(void)state;
	for (unsigned i = 0; ncases ? nfaults < ncases : i < NROUNDS; i++) {
		flips = i % 2 == 1;
		welcome = i % 3 == 2 ? "bearer,uses=100" : "";
		be_honest();
		storm(&random);
		if (atomic_load(&broken))
			fail_msg("seed %llu", (unsigned long long)seed);
		heal();
		now = i == 0 ? measure() : measure_until_less(&limit);
		if (i == 0) {
			first = now;
			/* a connection may keep sockets to the server, and to that of tokens */
			limit = (struct usage){now.nfds + 3 * NREADERS, now.nthreads + 4,
			                       now.nbytes + (4u << 20)};
		}
		nfaults = test_proxy_count(&proxy).spoiled + test_server_stat(&server, "lies");
		if (ncases)
			printf("%lu faults, %zu fds, %zu threads, %zu bytes\n", nfaults, now.nfds,
			       now.nthreads, now.nbytes);
	}
	stats = ovbd_cache_stats(cache);
	printf("seed %llu: %lu faults; %llu reads right, %llu failed, the slowest in %llu ms; "
	       "%llu chunks evicted, %llu asked for anew; %zu fds and %zu threads, were %zu and "
	       "%zu; %zd bytes more\n",
	       (unsigned long long)seed, nfaults, (unsigned long long)nright,
	       (unsigned long long)nfailed, (unsigned long long)slowest_ms,
	       (unsigned long long)stats.nevicted, (unsigned long long)stats.nrefetched, now.nfds,
	       now.nthreads, first.nfds, first.nthreads, (ssize_t)(now.nbytes - first.nbytes));
	assert_true(nright > 0 && nfaults > 0);
	assert_true(stats.nbad == 0);
	assert_true(now.nfds <= limit.nfds && now.nthreads <= limit.nthreads);
	assert_true(now.nbytes <= limit.nbytes);
}

/* --- the image --- */

static void convert(const char *below, const char *name, const char *to)
{
	char ovbd[600], paths[3][600];
	char *const argv[] = {
		ovbd, (char[]){"convert"}, (char[]){"-q"}, (char[]){"--tar"}, paths[1], paths[2],
		NULL};
	char *const delta[] = {ovbd,           (char[]){"convert"},
	                       (char[]){"-q"}, (char[]){"-B"},
	                       paths[0],       paths[1],
	                       paths[2],       NULL};

	snprintf(ovbd, sizeof(ovbd), "%s/tools/ovbd", getenv("OVBD_BUILD"));
	snprintf(paths[0], sizeof(paths[0]), "%s/%s", site.dir, below ? below : "");
	snprintf(paths[1], sizeof(paths[1]), "%s/%s", site.dir, name);
	snprintf(paths[2], sizeof(paths[2]), "%s/%s", site.dir, to);
	assert_int_equal(test_run(below ? delta : argv), 0);
}

/* A half of it compresses. */
static void make_image(void)
{
	uint64_t random = 7;

	expected = malloc(IMAGE_SIZE);
	assert_non_null(expected);
	for (size_t i = 0; i < IMAGE_SIZE; i++)
		expected[i] = (uint8_t)(i % 8192 < 4096 ? i / 4096 : test_random(&random));
	test_site_put(&site, "v1", expected, IMAGE_SIZE);
	convert(NULL, "v1", "l1");
	for (size_t i = 0; i < IMAGE_SIZE; i++)
		expected[i] ^= (uint8_t)(i / 40960 % 5 == 0);
	test_site_put(&site, "v2", expected, IMAGE_SIZE);
	convert("l1", "v2", "l2");
}

static int setup(void **state)
{
	const struct ovbd_cache_params cache_params = {.chunk_size = 64u << 10,
	                                               .size_max = 2u << 20};
	const char *const both[] = {names[0], names[1]};
	struct ovbd_image_params params = {.http = &http};
	struct ovbd_error err;
	char dir[300];

	test_net_setup(state);
	make_image();
	test_proxy_start(&proxy, server.port);
	test_patience_start();
	for (unsigned i = 0; i < 2; i++)
		snprintf(names[i], sizeof(names[i]), "http://127.0.0.1:%u/~as=storm/l%u",
		         proxy.port, i + 1);
	snprintf(dir, sizeof(dir), "%s/cache", site.dir);
	assert_ok(ovbd_cache_open(dir, &cache_params, &cache, &err), err);
	params.cache = cache;
	assert_ok(ovbd_image_open(both, 2, &params, &image, &err), err);
	return 0;
}

static int teardown(void **state)
{
	ovbd_image_close(image);
	ovbd_cache_close(cache);
	free(expected);
	test_patience_stop();
	test_proxy_stop(&proxy);
	return test_net_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_storm)};

	if (getenv("OVBD_SEED"))
		seed = strtoull(getenv("OVBD_SEED"), NULL, 0);
	if (getenv("OVBD_CASES"))
		ncases = strtoull(getenv("OVBD_CASES"), NULL, 0);
	return cmocka_run_group_tests(tests, setup, teardown);
}
