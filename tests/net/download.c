// SPDX-License-Identifier: Apache-2.0
/* Whom a download waits for, and who does not wait for it. */
#include "tests/unit/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "remote/download.h"
#include "tests/lib/source.h"
#include "tests/net/fixture.h"

#define BLOCK   4096u
#define YIELD_S 2.0 /* before each block, while somebody reads */

static char dir[64];

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "download.%d.XXXXXX", (int)getpid());
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static struct ovbd_blob *open_download(struct ovbd_downloads *d, const char *lie, uint64_t delay_s,
                                       struct test_source *source)
{
	char url[256];
	const struct ovbd_download what = {
		.url = url,
		.digest = "sha256:00000000000000000000000000000000000000000000000000000000000000aa",
		.dir = dir,
		.shown = "layer",
		.params = {.enable = true, .delay_s = delay_s, .tries = 1, .block_size = BLOCK},
	};
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/%s/data", server.port, lie);
	test_source_init(source, TEST_SITE_SIZE, 1);
	assert_ok(ovbd_download_blob_open(d, &what, &source->blob, &b, &err), err);
	return b;
}

/* Who closes a layer does not wait for a server that says nothing. */
static void test_closed(void **state)
{
	OVBD_AUTO(ovbd_downloads_closep) struct ovbd_downloads *d = NULL;
	struct test_source source;
	struct ovbd_error err;
	struct ovbd_blob *b;
	double start;

	(void)state;
	assert_ok(ovbd_downloads_create(NULL, NULL, &d, &err), err);
	test_server_forget(&server);
	b = open_download(d, "~mute", 0, &source);
	while (test_server_stat(&server, "requests") < 1)
		usleep(10000);
	start = now();
	ovbd_blob_close(b);
	assert_true(now() - start < 4);
	assert_int_equal(ovbd_downloads_stats(d).failed, 0);
}

static void *read_once(void *arg)
{
	struct ovbd_error err;
	uint8_t byte;

	assert_ok(ovbd_blob_pread(arg, &byte, 1, 0, &err), err);
	return NULL;
}

/* While somebody waits for what he reads there are long pauses between blocks, and then none. */
static void test_foreground_first(void **state)
{
	OVBD_AUTO(ovbd_downloads_closep) struct ovbd_downloads *d = NULL;
	struct ovbd_blob *b = NULL;
	struct test_source source;
	struct ovbd_error err;
	pthread_t thread;
	double start;

	(void)state;
	assert_true(TEST_SITE_SIZE > 4 * BLOCK);
	assert_ok(ovbd_downloads_create(NULL, NULL, &d, &err), err);
	for (uint64_t delay = 1;; delay *= 2) { /* until he comes before it begins */
		start = now();
		b = open_download(d, "~chunked", delay, &source);
		source.hold = 1;
		assert_int_equal(pthread_create(&thread, NULL, read_once, b), 0);
		while (source.nwaiting == 0)
			usleep(1000);
		if (now() - start < (double)delay)
			break;
		source.hold = 0;
		pthread_join(thread, NULL);
		ovbd_blob_close(b);
	}
	while (ovbd_downloads_stats(d).bytes < 2 * BLOCK)
		usleep(1000);
	assert_true(now() - start > 2 * YIELD_S);
	source.hold = 0;
	pthread_join(thread, NULL);
	while (ovbd_downloads_stats(d).wrong == 0) /* it has another digest */
		usleep(1000);
	assert_int_equal(ovbd_downloads_stats(d).bytes, TEST_SITE_SIZE);
	ovbd_blob_close(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_closed), TEST(test_foreground_first)};

	return cmocka_run_group_tests(tests, test_net_setup, test_net_teardown);
}
