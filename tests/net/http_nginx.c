// SPDX-License-Identifier: Apache-2.0
/* A real server, in plain text and over TLS with HTTP/2; and what TLS is there to refuse. */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "remote/http.h"
#include "tests/net/proxy.h"
#include "tests/net/server.h"

#define TLS_ANSWER_MAX 4000 /* the handshake, and an answer with 1000 bytes, are shorter */

static struct test_site site;
static pid_t nginx = -1; /* none: it is not installed, or TLS cannot be had */
static unsigned port, tls_port;
static char ca_file[300];

/* Paths are below the folder that nginx is started for. */
#define CONFIG                                                                                     \
	"daemon off;\n"                                                                            \
	"user root;\n"                                                                             \
	"pid nginx.pid;\n"                                                                         \
	"error_log error.log;\n"                                                                   \
	"events {}\n"                                                                              \
	"http {\n"                                                                                 \
	"  log_format protocol '$server_protocol $status';\n"                                      \
	"  access_log access.log protocol;\n"                                                      \
	"  client_body_temp_path tmp;\n"                                                           \
	"  proxy_temp_path tmp;\n"                                                                 \
	"  fastcgi_temp_path tmp;\n"                                                               \
	"  uwsgi_temp_path tmp;\n"                                                                 \
	"  scgi_temp_path tmp;\n"                                                                  \
	"  server {\n"                                                                             \
	"    listen 127.0.0.1:%u;\n"                                                               \
	"    listen 127.0.0.1:%u ssl http2;\n"                                                     \
	"    listen unix:%s/sock;\n"                                                               \
	"    ssl_verify_client optional;\n"                                                        \
	"    ssl_client_certificate cert.pem;\n"                                                   \
	"    ssl_certificate cert.pem;\n"                                                          \
	"    ssl_certificate_key key.pem;\n"                                                       \
	"    root .;\n"                                                                            \
	"    location /up/ { return 302 https://127.0.0.1:%u/data; }\n"                            \
	"    location /down/ { return 302 http://127.0.0.1:%u/data; }\n"                           \
	"    location /members/ {\n"                                                               \
	"      if ($ssl_client_verify != SUCCESS) { return 403; }\n"                               \
	"      rewrite ^/members/(.*) /$1 last;\n"                                                 \
	"    }\n"                                                                                  \
	"    location /signed/ {\n"                                                                \
	"      secure_link $arg_md5,$arg_expires;\n"                                               \
	"      secure_link_md5 \"$secure_link_expires$uri secret\";\n"                             \
	"      if ($secure_link = \"\") { return 403; }\n"                                         \
	"      if ($secure_link = \"0\") { return 410; }\n"                                        \
	"      rewrite ^/signed/(.*) /$1 break;\n"                                                 \
	"    }\n"                                                                                  \
	"  }\n"                                                                                    \
	"}\n"

/* Two ports that are free now. */
static void free_ports(unsigned *ret_a, unsigned *ret_b)
{
	unsigned *const ret[2] = {ret_a, ret_b};
	int fds[2];

	for (size_t i = 0; i < 2; i++) {
		struct sockaddr_in addr = {.sin_family = AF_INET,
		                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t len = sizeof(addr);

		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fds[i], (struct sockaddr *)&addr, len), 0);
		assert_int_equal(getsockname(fds[i], (struct sockaddr *)&addr, &len), 0);
		*ret[i] = ntohs(addr.sin_port);
	}
	close(fds[0]);
	close(fds[1]);
}

static bool listens(unsigned at)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	                           .sin_port = htons((uint16_t)at)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const bool yes = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;

	close(fd);
	return yes;
}

/* False if it has ended by itself: a port was taken after all, or there is no nginx. */
static bool start_nginx(void)
{
	const struct timespec tick = {.tv_nsec = 1000000};
	char text[sizeof(CONFIG) + 400], path[300];
	/* it does not outlive us */
	char *const argv[] = {(char[]){"setpriv"},
	                      (char[]){"--pdeathsig"},
	                      (char[]){"TERM"},
	                      (char[]){"nginx"},
	                      (char[]){"-p"},
	                      site.dir,
	                      (char[]){"-c"},
	                      path,
	                      NULL};

	free_ports(&port, &tls_port);
	snprintf(path, sizeof(path), "%s/nginx.conf", site.dir);
	snprintf(text, sizeof(text), CONFIG, port, tls_port, site.dir, tls_port, port);
	test_site_put(&site, "nginx.conf", text, strlen(text));
	nginx = test_spawn(argv, NULL, NULL);
	if (nginx < 0)
		return false;
	while (!(listens(port) && listens(tls_port))) {
		if (waitpid(nginx, NULL, WNOHANG) == nginx)
			return false;
		nanosleep(&tick, NULL);
	}
	return true;
}

static int setup(void **state)
{
	(void)state;
	setenv("PATH", "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/sbin:/bin", 1);
	test_site_create(&site);
	snprintf(ca_file, sizeof(ca_file), "%s/cert.pem", site.dir);
	if (!test_make_cert(site.dir))
		return 0;
	for (unsigned i = 0; i < 5 && !start_nginx(); i++)
		nginx = -1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (nginx > 0) {
		kill(nginx, SIGTERM);
		waitpid(nginx, NULL, 0);
	}
	test_site_remove(&site);
	return 0;
}

static void need_nginx(void)
{
	if (nginx < 0) {
		print_message("nginx or openssl is not installed, or nginx does not start\n");
		skip();
	}
}

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
	assert_memory_equal(buf, site.data, TEST_SITE_SIZE);
	for (unsigned i = 0; i < 50; i++) {
		const size_t len = 1 + test_random(&seed) % TEST_SITE_SIZE;
		const uint64_t off = test_random(&seed) % (TEST_SITE_SIZE - len + 1);

		assert_ok(ovbd_blob_pread(b, buf, len, off, &err), err);
		assert_memory_equal(buf, site.data + off, len);
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
	need_nginx();
	assert_ok(open_at("http", port, "data", NULL, &b, &err), err);
	read_at_random(b);
	assert_ok(open_at("http", port, "one", NULL, &one, &err), err);
	assert_int_equal(one->size, 1);
	assert_ok(ovbd_blob_pread(one, &byte, 1, 0, &err), err);
	assert_int_equal(byte, site.data[0]);
	assert_ok(open_at("http", port, "empty", NULL, &empty, &err), err);
	assert_int_equal(empty->size, 0);
	assert_fails(open_at("http", port, "none", NULL, &none, &err), -ENOENT, err,
	             "/none: bytes 0-4095: the answer was 404 Not Found");
}

static void test_tls(void **state)
{
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;
	char cmd[600];
	char *const argv[] = {(char[]){"sh"}, (char[]){"-c"}, cmd, NULL};

	(void)state;
	need_nginx();
	assert_fails(open_at("https", tls_port, "data", NULL, &b, &err), -EIO, err,
	             "SSL certificate problem");
	assert_ok(open_at("https", tls_port, "data", ca_file, &b, &err), err);
	read_at_random(b);
	snprintf(cmd, sizeof(cmd), "[ $(grep -c '^HTTP/2.0 206' %s/access.log) -ge 50 ]", site.dir);
	assert_int_equal(test_run(argv), 0);
}

/* From http to https is right, from https to http is not. */
static void test_redirects(void **state)
{
	AUTO_BLOB *up = NULL;
	AUTO_BLOB *down = NULL;
	struct ovbd_error err;

	(void)state;
	need_nginx();
	assert_ok(open_at("http", port, "up/", ca_file, &up, &err), err);
	read_at_random(up);
	assert_fails(open_at("https", tls_port, "down/", ca_file, &down, &err), -EIO, err,
	             "was not followed: it leads away from https://");
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
	need_nginx();
	test_site_put(&site, "other", site.data, 100000);
	assert_ok(open_at("http", port, "other", NULL, &b, &err), err);
	assert_ok(ovbd_blob_pread(b, buf, 100, 50000, &err), err);
	test_site_put(&site, "other", site.data + 1, 100000);
	snprintf(cmd, sizeof(cmd), "touch -d '1 hour ago' %s/other", site.dir);
	assert_int_equal(test_run(argv), 0);
	assert_fails(ovbd_blob_pread(b, buf, 100, 50000, &err), -ESTALE, err,
	             "/other: bytes 50000-50099: the object has changed since it was opened");
}

/* A connection of which nothing comes any more, though it stays open, is given up for a new one,
 * also where (HTTP/2) a single request can be given up. */
static void test_frozen(void **state)
{
	const struct ovbd_http_params p = {.stall_timeout_ms = 500,
	                                   .backoff_ms = 1,
	                                   .tls.ca_file = ca_file};
	AUTO_BLOB *b = NULL;
	struct test_proxy proxy;
	struct ovbd_error err;
	uint8_t buf[100];
	char url[64];

	(void)state;
	need_nginx();
	for (unsigned i = 0; i < 2; i++) {
		test_proxy_start(&proxy, i ? tls_port : port);
		snprintf(url, sizeof(url), "%s://127.0.0.1:%u/data", i ? "https" : "http",
		         proxy.port);
		assert_ok(ovbd_http_open(url, &p, &b, &err), err);
		test_proxy_do(&proxy, "freeze");
		assert_ok(ovbd_blob_pread(b, buf, sizeof(buf), 50000, &err), err);
		assert_memory_equal(buf, site.data + 50000, sizeof(buf));
		assert_true(ovbd_http_stats(b).retries >= 1);
		ovbd_blob_close(OVBD_MOVE(b));
		test_proxy_stop(&proxy);
	}
}

/* TLS with HTTP/2 in it, broken at any byte of a connection: the read goes on over a new one. */
static void test_spoilt_tls(void **state)
{
	static const struct {
		const char *how;
		unsigned step;
	} cases[] = {{"end", 61}, {"reset", 61}, {"flip=1", 61}, {"stall", 800}};
	const struct ovbd_http_params p = {.connect_timeout_ms = 500,
	                                   .stall_timeout_ms = 500,
	                                   .max_attempts = 100,
	                                   .backoff_ms = 1,
	                                   .tls.ca_file = ca_file};
	AUTO_BLOB *b = NULL;
	struct test_proxy proxy;
	struct ovbd_error err;
	uint8_t buf[1000];
	char text[64];

	(void)state;
	need_nginx();
	test_proxy_start(&proxy, tls_port);
	snprintf(text, sizeof(text), "https://127.0.0.1:%u/data", proxy.port);
	assert_ok(ovbd_http_open(text, &p, &b, &err), err);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned at = 0; at < TLS_ANSWER_MAX; at += cases[i].step) {
			snprintf(text, sizeof(text), "%s at=%u times=1", cases[i].how, at);
			test_proxy_do(&proxy, text);
			test_proxy_do(&proxy, "cut");
			/* a certificate with another bit is another's, and not asked for again */
			if (ovbd_blob_pread(b, buf, sizeof(buf), 50000, &err) < 0 &&
			    (cases[i].how[0] != 'f' || !strstr(err.msg, "certificate") ||
			     ovbd_blob_pread(b, buf, sizeof(buf), 50000, &err) < 0))
				fail_msg("%s: %s", text, err.msg);
			assert_memory_equal(buf, site.data + 50000, sizeof(buf));
		}
	test_proxy_stop(&proxy);
}

/* Who shows the right certificate is let in; key and certificate may be one file or two. */
static void test_client_certificate(void **state)
{
	AUTO_BLOB *b = NULL;
	AUTO_BLOB *none = NULL;
	struct ovbd_error err;
	struct ovbd_http_params p = {.tls.ca_file = ca_file, .backoff_ms = 1};
	char url[128], key[300];

	(void)state;
	need_nginx();
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/members/data", tls_port);
	snprintf(key, sizeof(key), "%s/key.pem", site.dir);
	assert_fails(ovbd_http_open(url, &p, &none, &err), -EACCES, err, "answer was 403");
	p.tls.cert_file = ca_file;
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
	need_nginx();
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/data", tls_port);
	snprintf(dir, sizeof(dir), "%s/ca", site.dir);
	snprintf(cmd, sizeof(cmd), "mkdir %s && cp %s %s && openssl rehash %s", dir, ca_file, dir,
	         dir);
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

	snprintf(cmd, sizeof(cmd), "exit $(grep -c '^HTTP/2.0 206' %s/access.log)", site.dir);
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
	need_nginx();
	snprintf(cmd, sizeof(cmd), "mkdir %s/v2 && ln %s/data %s/v2/data", site.dir, site.dir,
	         site.dir);
	assert_int_equal(test_run(argv), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/v2/data", port);
	snprintf(base, sizeof(base), "https://127.0.0.1:%u/v2", tls_port);
	host.base = base;
	for (unsigned trusted = 0; trusted < 2; trusted++) {
		AUTO_BLOB *b = NULL;
		const int before = count_http2();

		/* under another name it has not failed lately */
		if (trusted)
			host.tls.ca_file = ca_file;
		snprintf(base, sizeof(base), "https://127.0.%s1:%u/v2", trusted ? "0." : "",
		         tls_port);
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
	need_nginx();
	snprintf(path, sizeof(path), "%s/sock", site.dir);
	assert_ok(ovbd_http_get("http://localhost/one", &p, NULL, 100, &d, &err), err);
	assert_int_equal(d.len, 1);
	free(d.body);
	snprintf(path, sizeof(path), "%s/none", site.dir);
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
	         "to=http:%%2F%%2F127.0.0.1:%u%%2Fsigned%%2Fdata%%3Fmd5=%s%%26expires=%ld", port,
	         md5, expires);
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
	need_nginx();
	test_server_start(&registry, site.dir, 0, NULL, NULL);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/~as=signed/data", registry.port);
	sign(4, lie, sizeof(lie));
	test_server_set(&registry, "signed", lie);
	assert_ok(ovbd_http_open(url, &p, &b, &err), err);
	sign(3600, lie, sizeof(lie));
	test_server_set(&registry, "signed", lie);
	while (test_server_stat(&registry, "requests") < 2) {
		assert_ok(ovbd_blob_pread(b, buf, sizeof(buf), 70000, &err), err);
		assert_memory_equal(buf, site.data + 70000, sizeof(buf));
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
		cmocka_unit_test(test_frozen),
		cmocka_unit_test(test_spoilt_tls),
	};

	const int r = cmocka_run_group_tests(tests, setup, teardown);

	return r == 0 && nginx < 0 ? 77 : r;
}
