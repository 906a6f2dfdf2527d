// SPDX-License-Identifier: Apache-2.0
/* A real server, in plain text and over TLS with HTTP/2; and what TLS is there to refuse. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "remote/http.h"
#include "tests/net/nginx.h"

static int open_at(const char *scheme, unsigned at, const char *name, const char *ca,
                   struct ovbd_blob **ret, struct ovbd_error *err)
{
	const struct ovbd_http_params p = {.tls.ca_file = ca, .backoff_ms = 1};
	char url[128];

	snprintf(url, sizeof(url), "%s://127.0.0.1:%u/%s", scheme, at, name);
	return ovbd_http_open(url, &p, ret, err);
}

static void read_at_random(struct ovbd_blob *b)
{
	static uint8_t buf[TEST_SITE_SIZE];
	struct ovbd_error err;
	uint64_t seed = 5;

	assert_int_equal(b->size, TEST_SITE_SIZE);
	assert_ok(ovbd_blob_pread(b, buf, TEST_SITE_SIZE, 0, &err), err);
	assert_memory_equal(buf, nginx.site.data, TEST_SITE_SIZE);
	for (unsigned i = 0; i < 50; i++) {
		const size_t len = 1 + test_random(&seed) % TEST_SITE_SIZE;
		const uint64_t off = test_random(&seed) % (TEST_SITE_SIZE - len + 1);

		assert_ok(ovbd_blob_pread(b, buf, len, off, &err), err);
		assert_memory_equal(buf, nginx.site.data + off, len);
	}
	assert_int_equal(ovbd_http_stats(b).retries, 0);
}

static void test_plain(void **state)
{
	AUTO_BLOB *b = NULL;
	AUTO_BLOB *one = NULL;
	AUTO_BLOB *empty = NULL;
	AUTO_BLOB *none = NULL;
	struct ovbd_error err;
	uint8_t byte;

	(void)state;
	test_nginx_need();
	assert_ok(open_at("http", nginx.port, "data", NULL, &b, &err), err);
	read_at_random(b);
	assert_ok(open_at("http", nginx.port, "one", NULL, &one, &err), err);
	assert_int_equal(one->size, 1);
	assert_ok(ovbd_blob_pread(one, &byte, 1, 0, &err), err);
	assert_int_equal(byte, nginx.site.data[0]);
	assert_ok(open_at("http", nginx.port, "empty", NULL, &empty, &err), err);
	assert_int_equal(empty->size, 0);
	assert_fails(open_at("http", nginx.port, "none", NULL, &none, &err), -ENOENT, err,
	             "/none: bytes 0-4095: the answer was 404 Not Found");
}

static void test_tls(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	char cmd[600];
	char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, cmd, NULL};

	(void)state;
	test_nginx_need();
	assert_fails(open_at("https", nginx.tls_port, "data", NULL, &b, &err), -EIO, err,
	             "SSL certificate problem");
	assert_ok(open_at("https", nginx.tls_port, "data", nginx.ca_file, &b, &err), err);
	read_at_random(b);
	snprintf(cmd, sizeof(cmd), "[ $(grep -c '^HTTP/2.0 206' %s/access.log) -ge 50 ]",
	         nginx.site.dir);
	assert_int_equal(test_run(argv), 0);
}

/* From http to https is right, from https to http is not. */
static void test_redirects(void **state)
{
	AUTO_BLOB *up = NULL;
	AUTO_BLOB *down = NULL;
	struct ovbd_error err;

	(void)state;
	test_nginx_need();
	assert_ok(open_at("http", nginx.port, "up/", nginx.ca_file, &up, &err), err);
	read_at_random(up);
	assert_fails(open_at("https", nginx.tls_port, "down/", nginx.ca_file, &down, &err), -EIO,
	             err, "was not followed: it leads away from https://");
}

/* Another file of the same size in its place, an hour older. */
static void test_replaced(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	uint8_t buf[100];
	char cmd[600];
	char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, cmd, NULL};

	(void)state;
	test_nginx_need();
	test_site_put(&nginx.site, "other", nginx.site.data, 100000);
	assert_ok(open_at("http", nginx.port, "other", NULL, &b, &err), err);
	assert_ok(ovbd_blob_pread(b, buf, 100, 50000, &err), err);
	test_site_put(&nginx.site, "other", nginx.site.data + 1, 100000);
	snprintf(cmd, sizeof(cmd), "touch -d '1 hour ago' %s/other", nginx.site.dir);
	assert_int_equal(test_run(argv), 0);
	assert_fails(ovbd_blob_pread(b, buf, 100, 50000, &err), -ESTALE, err,
	             "/other: bytes 50000-50099: the object has changed since it was opened");
}

/* Who shows the right certificate is let in; key and certificate may be one file or two. */
static void test_client_certificate(void **state)
{
	AUTO_BLOB *b = NULL;
	AUTO_BLOB *none = NULL;
	struct ovbd_error err;
	struct ovbd_http_params p = {.tls.ca_file = nginx.ca_file, .backoff_ms = 1};
	char url[128], key[300];

	(void)state;
	test_nginx_need();
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/members/data", nginx.tls_port);
	snprintf(key, sizeof(key), "%s/key.pem", nginx.site.dir);
	assert_fails(ovbd_http_open(url, &p, &none, &err), -EACCES, err, "answer was 403");
	p.tls.cert_file = nginx.ca_file;
	p.tls.key_file = key;
	assert_ok(ovbd_http_open(url, &p, &b, &err), err);
	read_at_random(b);
	/* a connection of who has shown one is not used for who has none */
	p.tls.cert_file = p.tls.key_file = NULL;
	assert_fails(ovbd_http_open(url, &p, &none, &err), -EACCES, err, "answer was 403");
	p.tls.cert_file = "/no/such.pem";
	assert_fails(ovbd_http_open(url, &p, &none, &err), -EIO, err, "/no/such.pem");
	assert_null(strstr(err.msg, "gave up")); /* the next attempt would find none either */
}

static void test_trust(void **state)
{
	AUTO_BLOB *a = NULL;
	AUTO_BLOB *b = NULL;
	AUTO_BLOB *none = NULL;
	struct ovbd_error err;
	struct ovbd_http_params p = {.backoff_ms = 1};
	char url[128], dir[300], cmd[1300];
	char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, cmd, NULL};

	(void)state;
	test_nginx_need();
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/data", nginx.tls_port);
	snprintf(dir, sizeof(dir), "%s/ca", nginx.site.dir);
	snprintf(cmd, sizeof(cmd), "mkdir %s && cp %s %s && openssl rehash %s", dir, nginx.ca_file,
	         dir, dir);
	assert_int_equal(test_run(argv), 0);
	p.tls.ca_dir = dir;
	assert_ok(ovbd_http_open(url, &p, &a, &err), err);
	p.tls.ca_dir = NULL;
	p.tls.skip_verify = true;
	assert_ok(ovbd_http_open(url, &p, &b, &err), err);
	/* nor is one of who believes anything used for who does not */
	p.tls.skip_verify = false;
	assert_fails(ovbd_http_open(url, &p, &none, &err), -EIO, err, "SSL certificate problem");
}

static int count_http2(void)
{
	char cmd[600];
	char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, cmd, NULL};

	snprintf(cmd, sizeof(cmd), "exit $(grep -c '^HTTP/2.0 206' %s/access.log)", nginx.site.dir);
	return test_run(argv); /* modulo 256 */
}

/* A mirror over TLS, with its own CA; without it nobody is there, and the own host is asked. */
static void test_mirror_over_tls(void **state)
{
	struct ovbd_http_host host = {NULL};
	const struct ovbd_http_params p = {.hosts = &host, .nhosts = 1, .backoff_ms = 1};
	char url[128], base[128], cmd[900];
	char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, cmd, NULL};
	struct ovbd_error err;

	(void)state;
	test_nginx_need();
	snprintf(cmd, sizeof(cmd), "mkdir %s/v2 && ln %s/data %s/v2/data", nginx.site.dir,
	         nginx.site.dir, nginx.site.dir);
	assert_int_equal(test_run(argv), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/v2/data", nginx.port);
	snprintf(base, sizeof(base), "https://127.0.0.1:%u/v2", nginx.tls_port);
	host.base = base;
	for (unsigned trusted = 0; trusted < 2; trusted++) {
		AUTO_BLOB *b = NULL;
		const int before = count_http2();

		/* under another name it has not failed lately */
		if (trusted)
			host.tls.ca_file = nginx.ca_file;
		snprintf(base, sizeof(base), "https://127.0.%s1:%u/v2", trusted ? "0." : "",
		         nginx.tls_port);
		assert_ok(ovbd_http_open(url, &p, &b, &err), err);
		read_at_random(b);
		assert_int_equal(count_http2() == before, !trusted);
	}
}

static void test_unix_socket(void **state)
{
	struct ovbd_http_document d;
	struct ovbd_error err;
	char path[300];
	const struct ovbd_http_params p = {.unix_socket = path};

	(void)state;
	test_nginx_need();
	snprintf(path, sizeof(path), "%s/sock", nginx.site.dir);
	assert_ok(ovbd_http_get("http://localhost/one", &p, NULL, 100, &d, &err), err);
	assert_int_equal(d.len, 1);
	free(d.body);
	snprintf(path, sizeof(path), "%s/none", nginx.site.dir);
	assert_fails(ovbd_http_get("http://localhost/one", &p, NULL, 100, &d, &err), -EIO, err,
	             "http://localhost/one: ");
}

/* A URL at nginx that it takes for so many seconds from now. */
static void sign(unsigned seconds, char *ret, size_t size)
{
	const long expires = (long)time(NULL) + seconds;
	char cmd[256], md5[64] = "";
	FILE *f;

	snprintf(cmd, sizeof(cmd),
	         "printf '%%s' '%ld/signed/data secret' | openssl md5 -binary | openssl base64 | "
	         "tr +/ -_ | tr -d =",
	         expires);
	f = popen(cmd, "re");
	assert_non_null(f);
	assert_non_null(fgets(md5, sizeof(md5), f));
	pclose(f);
	md5[strcspn(md5, "\n")] = '\0';
	snprintf(ret, size,
	         "to=http:%%2F%%2F127.0.0.1:%u%%2Fsigned%%2Fdata%%3Fmd5=%s%%26expires=%ld",
	         nginx.port, md5, expires);
}

/* A registry whose signed URLs end after some seconds: nothing is seen of it. */
static void test_signed(void **state)
{
	const struct ovbd_http_params p = {.backoff_ms = 1};
	const struct timespec tick = {.tv_nsec = 50000000};
	AUTO_BLOB *b = NULL;
	struct test_server registry;
	struct ovbd_error err;
	char url[128], lie[256];
	uint8_t buf[100];

	(void)state;
	test_nginx_need();
	test_server_start(&registry, nginx.site.dir, 0, NULL, NULL);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/~as=signed/data", registry.port);
	sign(4, lie, sizeof(lie));
	test_server_set(&registry, "signed", lie);
	assert_ok(ovbd_http_open(url, &p, &b, &err), err);
	sign(3600, lie, sizeof(lie));
	test_server_set(&registry, "signed", lie);
	while (test_server_stat(&registry, "requests") < 2) {
		assert_ok(ovbd_blob_pread(b, buf, sizeof(buf), 70000, &err), err);
		assert_memory_equal(buf, nginx.site.data + 70000, sizeof(buf));
		nanosleep(&tick, NULL);
	}
	assert_ok(ovbd_blob_pread(b, buf, sizeof(buf), 70000, &err), err);
	assert_int_equal(test_server_stat(&registry, "requests"), 2);
	assert_int_equal(ovbd_http_stats(b).retries, 0);
	test_server_kill(&registry);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_certificate),
		cmocka_unit_test(test_trust),
		cmocka_unit_test(test_mirror_over_tls),
		cmocka_unit_test(test_unix_socket),
		cmocka_unit_test(test_signed),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_redirects),
		cmocka_unit_test(test_replaced),
	};

	const int r = cmocka_run_group_tests(tests, test_nginx_setup, test_nginx_teardown);

	return r == 0 && nginx.pid < 0 ? 77 : r;
}
