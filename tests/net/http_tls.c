// SPDX-License-Identifier: Apache-2.0
/* What fails before a request is sent: TLS, and the name of the server. */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "remote/http.h"
#include "tests/net/patience.h"
#include "tests/net/proxy.h"
#include "tests/net/server.h"

#define OFF         50000
#define LEN         1000
#define DEADLINE_MS 2000
#define GRACE_MS    1000

static struct test_site site;
static char cert[300], expired[300], trusted[300], key[300];
static bool has_certs;

static struct ovbd_http_params short_params(void)
{
	return (struct ovbd_http_params){
		.connect_timeout_ms = 500,
		.stall_timeout_ms = 500,
		.deadline_ms = DEADLINE_MS,
		.open_attempts = 2,
		.max_attempts = 2,
		.backoff_ms = 5,
		.tls.ca_file = trusted,
	};
}

static void need_certs(void)
{
	if (!has_certs) {
		print_message("openssl is not installed\n");
		skip();
	}
}

static int read_right(struct ovbd_blob *b, struct ovbd_error *err)
{
	uint8_t buf[LEN];
	const int r = ovbd_blob_pread(b, buf, LEN, OFF, err);

	if (r == 0)
		assert_memory_equal(buf, site.data + OFF, LEN);
	return r;
}

/* A server whose certificate has expired is not asked again, and is right when it has another. */
static void test_expired(void **state)
{
	const struct ovbd_http_params p = {.backoff_ms = 5, .tls.ca_file = trusted};
	struct test_server server;
	AUTO_BLOB *b = NULL;
	AUTO_BLOB *other = NULL;
	struct ovbd_error err;
	char url[64];
	unsigned port;

	(void)state;
	need_certs();
	test_server_start(&server, site.dir, 0, cert, key);
	port = server.port;
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/data", port);
	assert_ok(ovbd_http_open(url, &p, &b, &err), err);
	assert_ok(read_right(b, &err), err);

	test_server_kill(&server);
	test_server_start(&server, site.dir, port, expired, key);
	assert_fails(read_right(b, &err), -EIO, err, "certificate has expired");
	assert_non_null(strstr(err.msg, "/data: bytes 50000-50999: "));
	assert_fails(ovbd_http_open(url, &p, &other, &err), -EIO, err, "certificate has expired");

	test_server_kill(&server);
	test_server_start(&server, site.dir, port, cert, key);
	assert_ok(read_right(b, &err), err);
	test_server_kill(&server);
}

/* In each phase of the handshake, for ever and once. */
static void test_handshake(void **state)
{
	static const struct {
		const char *fault, *text;
		int code;
	} cases[] = {
		{"stall", "SSL connection timeout", -ETIMEDOUT},
		{"stall at=300", "SSL connection timeout", -ETIMEDOUT},
		{"trickle=20", "SSL connection timeout", -ETIMEDOUT},
		{"reset at=100", "Connection reset by peer", -EIO},
		{"end at=100", "SSL", -EIO},
		{"flip=50 at=5", "SSL", -EIO},
		{"refuse", "Connection refused", -EIO},
		{"close", "SSL", -EIO},
	};
	const struct ovbd_http_params p = short_params();
	struct ovbd_http_params patient = p;
	struct test_server server;
	struct test_proxy proxy;
	struct ovbd_error err;
	char url[64], once[64];

	(void)state;
	need_certs();
	patient.max_attempts = patient.open_attempts = 100;
	patient.deadline_ms = 60000;
	patient.stall_timeout_ms = 1000;
	test_server_start(&server, site.dir, 0, cert, key);
	test_proxy_start(&proxy, server.port);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/data", proxy.port);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_BLOB *b = NULL;
		struct test_patience began;
		int r;

		test_proxy_do(&proxy, "ok");
		assert_ok(ovbd_http_open(url, &patient, &b, &err), err);
		ovbd_blob_close(OVBD_MOVE(b));
		test_proxy_do(&proxy, cases[i].fault);
		began = test_patience_begin();
		r = ovbd_http_open(url, &p, &b, &err);
		if (!test_patience_within(&began, DEADLINE_MS + GRACE_MS))
			fail_msg("%s: not in time: %s", cases[i].fault, err.msg);
		if (r != cases[i].code || !strstr(err.msg, cases[i].text) ||
		    !strstr(err.msg, "/data: bytes 0-4095: ") || !strstr(err.msg, " attempts in "))
			fail_msg("%s: %d: %s", cases[i].fault, r, err.msg);

		test_proxy_do(&proxy, "ok");
		assert_ok(ovbd_http_open(url, &patient, &b, &err), err);
		snprintf(once, sizeof(once), "%s times=1", cases[i].fault);
		if (strcmp(cases[i].fault, "refuse") != 0)
			test_proxy_do(&proxy, once);
		test_proxy_do(&proxy, "cut");
		assert_ok(read_right(b, &err), err);
	}
	test_proxy_stop(&proxy);
	test_server_kill(&server);
}

/* --- names --- */

/* This process gets a network of its own, without any way out, and its resolver is on 127.0.0.1:53.
 * False: it may not. */
static bool leave_the_net(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	char conf[300], real[4096];
	const char text[] = "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n";
	AUTO_FD fd = -1;

	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(conf, sizeof(conf), "%s/resolv.conf", site.dir);
	test_site_put(&site, "resolv.conf", text, sizeof(text) - 1);
	return ioctl(fd, SIOCSIFFLAGS, &lo) == 0 && realpath("/etc/resolv.conf", real) &&
	       mount(conf, real, NULL, MS_BIND, NULL) == 0;
}

/* Exits with 0, or 77 if it cannot be tried. */
static void try_names(bool mute)
{
	const struct sockaddr_in dns = {.sin_family = AF_INET,
	                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	                                .sin_port = htons(53)};
	const struct ovbd_http_params p = short_params();
	struct ovbd_blob *b = NULL;
	struct test_patience began;
	struct ovbd_error err;
	int r, fd;

	if (!leave_the_net())
		_exit(77);
	test_patience_start();
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (mute && bind(fd, (const struct sockaddr *)&dns, sizeof(dns)) < 0)
		_exit(1);
	began = test_patience_begin();
	r = ovbd_http_open("http://registry.invalid/data", &p, &b, &err);
	if (r == (mute ? -ETIMEDOUT : -EIO) &&
	    test_patience_within(&began, DEADLINE_MS + GRACE_MS) &&
	    strstr(err.msg, "http://registry.invalid/data: bytes 0-4095: ") &&
	    strstr(err.msg, " 2 attempts in ") &&
	    strstr(err.msg, mute ? "Resolving timed out" : "Could not resolve host"))
		_exit(0);
	fprintf(stderr, "%d: %s\n", r, err.msg);
	_exit(1);
}

static void test_names(void **state)
{
	(void)state;
	for (unsigned mute = 0; mute < 2; mute++) {
		const pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0)
			try_names(mute);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
			print_message("may not have a network of its own: not root\n");
			skip();
		}
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

static int setup(void **state)
{
	(void)state;
	test_site_create(&site);
	snprintf(cert, sizeof(cert), "%s/cert.pem", site.dir);
	snprintf(expired, sizeof(expired), "%s/expired.pem", site.dir);
	snprintf(trusted, sizeof(trusted), "%s/trusted.pem", site.dir);
	snprintf(key, sizeof(key), "%s/key.pem", site.dir);
	has_certs = test_make_cert(site.dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_site_remove(&site);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), /* forks, and so is before there are threads */
		cmocka_unit_test(test_expired),
		cmocka_unit_test(test_handshake),
	};
	const int r = cmocka_run_group_tests(tests, setup, teardown);

	return r;
}
