// SPDX-License-Identifier: Apache-2.0
/* Keys, and a server that is not there. */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remote/cache_key.h"
#include "remote/lazy.h"

#define D "sha256:0000000000000000000000000000000000000000000000000000000000000000"

static void test_keys(void **state)
{
	static const struct {
		const char *url, *key;
	} cases[] = {
		{"https://r.example/v2/a/b/blobs/" D, "https://r.example:443 " D " 5"},
		{"https://u:p@R.example:443/v2/c/blobs/" D, "https://r.example:443 " D " 5"},
		{"http://r.example/v2/c/blobs/" D, "http://r.example:80 " D " 5"},
		{"https://r.example:5000/v2/c/blobs/" D, "https://r.example:5000 " D " 5"},
		/* no registry: the place itself */
		{"https://r.example/" D, "https://r.example:443/" D " " D " 5"},
		{"https://r.example/v2/blobs/" D, "https://r.example:443/v2/blobs/" D " " D " 5"},
		{"https://r.example/v2/../u/blobs/" D,
	         "https://r.example:443/u/blobs/" D " " D " 5"},
		{"https://r.example/v2/%2e%2e/u/blobs/" D,
	         "https://r.example:443/v2/%2e%2e/u/blobs/" D " " D " 5"},
		{"https://r.example/v2/a/blobs/" D "?x=1",
	         "https://r.example:443/v2/a/blobs/" D "?x=1 " D " 5"},
		/* not by its digest */
		{"https://r.example/layer", NULL},
		{"https://r.example/x" D, NULL},
		{"https://r.example/v2/a/blobs/" D "/", NULL},
		{"https://r.example/?/" D, NULL},
		{"https://r example/" D, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *key = NULL;

		assert_int_equal(ovbd_cache_key(cases[i].url, D, 5, &key, NULL), 0);
		if (!cases[i].key)
			assert_null(key);
		else
			assert_string_equal(key, cases[i].key);
		free(key);
	}
}

/* A port of 127.0.0.1 at which nobody listens. */
static int reserve_port(char url[64])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	snprintf(url, 64, "http://127.0.0.1:%u/x", ntohs(a.sin_port));
	return fd;
}

static void *read_byte(void *arg)
{
	struct ovbd_error err;
	char byte;

	assert_fails(ovbd_blob_pread(arg, &byte, 1, 7, &err), -EIO, err, "http://127.0.0.1:");
	return NULL;
}

/* Opening asks nobody. Who reads hears why; of many that read at once, all of the same try. */
static void test_no_server(void **state)
{
	const struct ovbd_http_params p = {.max_attempts = 4, .open_attempts = 1, .backoff_ms = 50};
	struct ovbd_blob *b = NULL;
	pthread_t threads[16];
	struct ovbd_error err;
	char url[64];
	int fd = reserve_port(url);

	(void)state;
	assert_ok(ovbd_lazy_open(url, 10, &p, &b, &err), err);
	assert_int_equal(b->size, 10);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_byte, b), 0);
	for (unsigned i = 0; i < 16; i++)
		pthread_join(threads[i], NULL);
	assert_fails(ovbd_blob_pread(b, url, 1, 7, &err), -EIO, err, "Failed to connect");
	assert_null(strstr(err.msg, "attempts"));
	ovbd_lazy_be_patient(b);
	assert_fails(ovbd_blob_pread(b, url, 1, 7, &err), -EIO, err, "gave up after 4 attempts");
	assert_int_equal(ovbd_lazy_stats(b).requests, 0);
	assert_true(ovbd_blob_distrust(b, 0, 1));
	ovbd_blob_close(b);
	close(fd);
	assert_fails(ovbd_lazy_open("ftp://x/y", 1, &p, &b, &err), -ENOTSUP, err, "ftp://x/y");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_no_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
