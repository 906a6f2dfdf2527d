// SPDX-License-Identifier: Apache-2.0
/*
 * Every fault alone: while it lasts, a read gives the right bytes or the error that docs/remote.md
 * says, in time and with the whole story; the same blob reads right when it is over; and what
 * strikes once is not noticed, where another attempt can help.
 *
 * Each row is a process of its own, with a proxy of its own, since most of their time is waiting.
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "remote/http.h"
#include "tests/net/fixture.h"
#include "tests/net/matrix.h"
#include "tests/net/patience.h"
#include "tests/net/proxy.h"

#define OFF         50000
#define LEN         1000
#define NPARALLEL   12
#define DEADLINE_MS 1500
#define GRACE_MS    1000
#define HANGS_S     120
#define HEALS_MS    60000
#define FDS_MAX     12 /* sockets and what libcurl needs for them */

struct trial {
	const struct fault_row *row;
	struct test_proxy proxy;
	char name[16]; /* for range-server.py */
	char url[128];
};

#define broken(t, ...)                                                                             \
	do {                                                                                       \
		fprintf(stderr, "%s: ", (t)->row->name);                                           \
		fprintf(stderr, __VA_ARGS__);                                                      \
		fprintf(stderr, "\n");                                                             \
		_exit(1);                                                                          \
	} while (0)

/* Short, so that a fault that lasts shows; and long, so that a slow machine is none. */
static const struct ovbd_http_params short_params = {
	.connect_timeout_ms = 500,
	.stall_timeout_ms = 400,
	.deadline_ms = DEADLINE_MS,
	.max_attempts = 2,
	.open_attempts = 2,
	.backoff_ms = 5,
};

static struct ovbd_http_params long_params(const struct fault_row *row)
{
	return (struct ovbd_http_params){
		.stall_timeout_ms = row->code == -ETIMEDOUT ? 400 : 10000,
		/* of which half is left for another attempt, where one trickles */
		.deadline_ms = row->proxy && strstr(row->proxy, "trickle") ? 6000 : 60000,
		.open_attempts = 100,
		.backoff_ms = 5,
	};
}

static void honest(struct trial *t)
{
	test_server_set(&server, t->name, "");
	test_proxy_do(&t->proxy, "ok");
}

/* times: "times=1" or "". What is open is cut where the fault is one of new connections. */
static void spoil(struct trial *t, const char *times)
{
	char text[200];

	if (t->row->lie) {
		snprintf(text, sizeof(text), "%s%s%s", t->row->lie, times[0] ? "," : "", times);
		test_server_set(&server, t->name, text);
	} else {
		snprintf(text, sizeof(text), "%s%s%s", t->row->proxy, times[0] ? " " : "", times);
		test_proxy_do(&t->proxy, text);
		if (t->row->cut)
			test_proxy_do(&t->proxy, "cut");
	}
}

static int read_right(struct trial *t, struct ovbd_blob *b, struct ovbd_error *err)
{
	uint8_t buf[LEN];
	const int r = ovbd_blob_pread(b, buf, LEN, OFF, err);

	if (r == 0 && memcmp(buf, site.data + OFF, LEN) != 0)
		broken(t, "wrong bytes");
	return r;
}

static void check_time(const struct trial *t, const struct test_patience *p, const char *what)
{
	uint64_t excused;
	const uint64_t took = test_patience_took(p, &excused);

	if (took > DEADLINE_MS + GRACE_MS + excused)
		broken(t, "%s took %llu ms (%llu of them waiting to be run)", what,
		       (unsigned long long)took, (unsigned long long)excused);
}

static void check_sentence(const struct trial *t, const char *range, uint64_t nretries,
                           const struct ovbd_error *err)
{
	if (strncmp(err->msg, t->url, strlen(t->url)) != 0 || !strstr(err->msg, range) ||
	    !strstr(err->msg, t->row->text))
		broken(t, "no '%s' and '%s' in: %s", range, t->row->text, err->msg);
	if ((nretries > 0) != !!strstr(err->msg, " attempts in "))
		broken(t, "%llu retries, but: %s", (unsigned long long)nretries, err->msg);
}

/* While it lasts. */
static void try_lasting(struct trial *t, struct ovbd_blob *b)
{
	const uint64_t nretries = ovbd_http_stats(b).retries;
	struct ovbd_http_params params = short_params;
	struct ovbd_blob *other = NULL;
	struct test_patience p;
	struct ovbd_error err;
	int r;

	spoil(t, "");
	p = test_patience_begin();
	r = read_right(t, b, &err);
	check_time(t, &p, "a read");
	if (r != t->row->code)
		broken(t, "a read gives %d, not %d: %s", r, t->row->code, r < 0 ? err.msg : "");
	if (r < 0)
		check_sentence(t, ": bytes 50000-50999: ", ovbd_http_stats(b).retries - nretries,
		               &err);
	p = test_patience_begin();
	r = ovbd_http_open(t->url, &params, &other, &err);
	check_time(t, &p, "open");
	if (r < 0 && !strstr(err.msg, "/data: bytes 0-4095: "))
		broken(t, "open says: %s", err.msg);
	ovbd_blob_close(other);
}

static void try_healed(struct trial *t, struct ovbd_blob *b)
{
	const uint64_t start = test_now_ms();
	struct ovbd_error err;

	honest(t);
	while (read_right(t, b, &err) < 0)
		if (test_now_ms() - start > HEALS_MS)
			broken(t, "does not heal: %s", err.msg);
}

static void try_once(struct trial *t)
{
	const struct ovbd_http_params params = long_params(t->row);
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;
	int r;

	if (t->row->once == ONCE_NOT)
		return;
	r = ovbd_http_open(t->url, &params, &b, &err);
	if (r < 0)
		broken(t, "cannot be opened: %s", err.msg);
	spoil(t, "times=1");
	r = read_right(t, b, &err);
	if (r != (t->row->once == ONCE_FAILS ? t->row->code : 0))
		broken(t, "once, a read gives %d: %s", r, r < 0 ? err.msg : "");
	r = read_right(t, b, &err);
	if (r < 0)
		broken(t, "after it, a read gives %d: %s", r, err.msg);
	ovbd_blob_close(b);
}

static unsigned count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void try_row(const struct fault_row *row)
{
	const uint64_t start = test_now_ms();
	struct trial t = {.row = row};
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;
	unsigned nfds;

	alarm(HANGS_S);
	setenv("CMOCKA_TEST_ABORT", "1", 1); /* it is not this process that has the tests */
	test_patience_start();
	test_proxy_start(&t.proxy, server.port);
	snprintf(t.name, sizeof(t.name), "%d", (int)getpid());
	snprintf(t.url, sizeof(t.url), "http://127.0.0.1:%u/~as=%s/data", t.proxy.port, t.name);
	nfds = count_fds();
	while (ovbd_http_open(t.url, &short_params, &b, &err) < 0)
		if (test_now_ms() - start > HEALS_MS)
			broken(&t, "cannot be opened: %s", err.msg);
	try_lasting(&t, b);
	try_healed(&t, b);
	try_once(&t);
	if (count_fds() > nfds + FDS_MAX)
		broken(&t, "%u descriptors, and there were %u", count_fds(), nfds);
	ovbd_blob_close(b);
	if (count_fds() > nfds)
		broken(&t, "%u descriptors are left of %u", count_fds(), nfds);
	test_proxy_stop(&t.proxy);
	test_patience_stop();
}

static unsigned wait_for_one(void)
{
	int status;

	assert_true(wait(&status) > 0);
	if (WIFSIGNALED(status))
		fprintf(stderr, "a row was ended by signal %d\n", WTERMSIG(status));
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void test_rows(void **state)
{
	unsigned nrunning = 0, nbroken = 0;

	(void)state;
	for (size_t i = 0; i < fault_nrows; i++) {
		pid_t pid;

		if (nrunning == NPARALLEL) {
			nbroken += wait_for_one();
			nrunning--;
		}
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			try_row(&fault_rows[i]);
			_exit(0);
		}
		nrunning++;
	}
	while (nrunning-- > 0)
		nbroken += wait_for_one();
	assert_int_equal(nbroken, 0);
}

/* docs/remote.md has each row, with the sentence. */
static void test_table(void **state)
{
	const char *source = getenv("OVBD_SOURCE");
	char path[600], line[1000];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/docs/remote.md", source ? source : ".");
	for (size_t i = 0; i < fault_nrows; i++) {
		const struct fault_row *row = &fault_rows[i];
		char begin[100];
		bool found = false;

		snprintf(begin, sizeof(begin), "| %s |", row->name);
		f = fopen(path, "r");
		assert_non_null(f);
		while (!found && fgets(line, sizeof(line), f))
			found = strncmp(line, begin, strlen(begin)) == 0;
		fclose(f);
		if (!found || !strstr(line, row->text ? row->text : "right bytes"))
			fail_msg("docs/remote.md has no row for '%s' with '%s'", row->name,
			         row->text ? row->text : "right bytes");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, test_net_setup, test_net_teardown);
}
