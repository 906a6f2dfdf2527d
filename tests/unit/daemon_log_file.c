// SPDX-License-Identifier: Apache-2.0
/* Lines of many threads through many files: none lost, none torn. */
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/auto.h"
#include "daemon/log_file.h"

enum { NTHREADS = 4, NLINES = 2000, NOLD = 400 };

static char dir[] = "/tmp/ovbd-log-XXXXXX";
static char path[64];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/log", dir);
	return 0;
}

static void remove_files(void)
{
	char name[80];

	unlink(path);
	for (unsigned n = 1; n <= NOLD; n++) {
		snprintf(name, sizeof(name), "%s.%u", path, n);
		unlink(name);
	}
}

static int remove_dir(void **state)
{
	(void)state;
	remove_files();
	return rmdir(dir);
}

static struct ovbd_log_file *open_log(uint64_t size_max, unsigned nold)
{
	const struct ovbd_log_file_params p = {.path = path, .size_max = size_max, .nold = nold};
	struct ovbd_log_file *f;
	struct ovbd_error err;

	assert_ok(ovbd_log_file_open(&p, &f, &err), err);
	return f;
}

static void say(struct ovbd_log_file *f, const char *line)
{
	ovbd_log_file_write(f, line, strlen(line));
}

/* What the file path.n holds (path itself for 0), "" if there is none. */
static const char *content(unsigned n)
{
	static char text[1 << 20];
	char name[80];
	FILE *f;
	size_t len = 0;

	snprintf(name, sizeof(name), n ? "%s.%u" : "%s", path, n);
	f = fopen(name, "r");
	if (f) {
		len = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[len] = '\0';
	return text;
}

static void test_rotation(void **state)
{
	struct ovbd_log_file *f = open_log(10, 2);

	(void)state;
	say(f, "11111\n");
	say(f, "222\n"); /* just fits */
	assert_string_equal(content(0), "11111\n222\n");
	say(f, "3\n");
	assert_string_equal(content(0), "3\n");
	assert_string_equal(content(1), "11111\n222\n");
	say(f, "a line that is longer than a file may be\n");
	say(f, "5\n");
	assert_string_equal(content(0), "5\n");
	assert_string_equal(content(1), "a line that is longer than a file may be\n");
	assert_string_equal(content(2), "3\n");
	assert_string_equal(content(3), "");
	ovbd_log_file_close(f);
	f = open_log(10, 2); /* goes on where it was */
	say(f, "6\n");
	assert_string_equal(content(0), "5\n6\n");
	ovbd_log_file_close(f);
	f = open_log(10, 0);
	say(f, "7777777\n");
	assert_string_equal(content(0), "7777777\n");
	ovbd_log_file_close(f);
	remove_files();
}

static void *write_lines(void *arg)
{
	static _Atomic int next;
	const int number = next++;

	for (int i = 0; i < NLINES; i++) {
		char line[64];

		snprintf(line, sizeof(line), "thread %d line %d of many\n", number % NTHREADS, i);
		say(arg, line);
	}
	return NULL;
}

/* Two of the same path at once, as when a daemon is replaced. */
static void test_no_line_lost(void **state)
{
	static bool seen[NTHREADS][NLINES];
	struct ovbd_log_file *f[2] = {open_log(2000, NOLD), open_log(2000, NOLD)};
	pthread_t threads[NTHREADS];
	int t, i, n = 0;

	(void)state;
	for (t = 0; t < NTHREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, write_lines, f[t % 2]), 0);
	for (t = 0; t < NTHREADS; t++)
		pthread_join(threads[t], NULL);
	for (unsigned k = 0; k <= NOLD; k++) {
		AUTO_FREE char *text = strdup(content(k));

		for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
			assert_int_equal(sscanf(line, "thread %d line %d of many", &t, &i), 2);
			assert_in_range(t, 0, NTHREADS - 1);
			assert_in_range(i, 0, NLINES - 1);
			assert_false(seen[t][i]);
			seen[t][i] = true;
			n++;
		}
	}
	assert_int_equal(n, NTHREADS * NLINES);
	ovbd_log_file_close(f[0]);
	ovbd_log_file_close(f[1]);
	remove_files();
}

static void test_reopen(void **state)
{
	struct ovbd_log_file *f = open_log(0, 1);
	struct ovbd_error err;
	char moved[80];

	(void)state;
	snprintf(moved, sizeof(moved), "%s.1", path);
	say(f, "1\n");
	assert_int_equal(rename(path, moved), 0);
	say(f, "2\n");
	assert_ok(ovbd_log_file_reopen(f, &err), err);
	assert_ok(ovbd_log_file_reopen(f, &err), err);
	say(f, "3\n");
	assert_string_equal(content(1), "1\n2\n");
	assert_string_equal(content(0), "3\n");
	ovbd_log_file_close(f);
	remove_files();
}

static void test_full_disk(void **state)
{
	struct ovbd_log_file *f;
	struct ovbd_error err;

	(void)state;
	assert_int_equal(symlink("/dev/full", path), 0);
	f = open_log(1000, 1);
	say(f, "1\n");
	say(f, "2\n");
	assert_int_equal(unlink(path), 0);
	assert_ok(ovbd_log_file_reopen(f, &err), err);
	say(f, "3\n");
	assert_non_null(strstr(content(0), "warning: 2 lines could not be written: No space left"));
	assert_non_null(strstr(content(0), "\n3\n"));
	ovbd_log_file_close(f);
	remove_files();
}

static void test_no_directory(void **state)
{
	const struct ovbd_log_file_params p = {.path = "/nonexistent/log"};
	struct ovbd_log_file *f;
	struct ovbd_error err;

	(void)state;
	assert_fails(ovbd_log_file_open(&p, &f, &err), -ENOENT, err, "/nonexistent/log: opening");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotation),     cmocka_unit_test(test_no_line_lost),
		cmocka_unit_test(test_reopen),       cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_no_directory),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
