// SPDX-License-Identifier: Apache-2.0
/* The helper process, with files in the place of block devices: nobody else's claim is in the way
 * there. tests/kernel/ublk-start.sh has the devices. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/helper.h"

static char dir[] = "/tmp/ovbd-helper-XXXXXX", file[64], name[64];

static int begin(void **state)
{
	int fd;

	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(name, sizeof(name), "%s/name", dir);
	fd = open(file, O_CREAT | O_WRONLY, 0600);
	return fd < 0 ? -1 : close(fd);
}

static int end(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(dir);
}

static pid_t helper_pid(void)
{
	FILE *f = fopen("/proc/thread-self/children", "re");
	int pid = -1;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return pid;
}

static void test_not_started(void **state)
{
	struct ovbd_error err;

	(void)state;
	assert_true(ovbd_helper_write_back(file, &err) < 0);
	assert_non_null(strstr(err.msg, "restart ovbdd"));
}

static void test_steps(void **state)
{
	struct ovbd_error err;
	struct stat st;
	int claim, other;

	(void)state;
	assert_int_equal(ovbd_helper_start(&err), 0);
	assert_int_equal(ovbd_helper_start(&err), 0); /* again */
	assert_int_equal(ovbd_helper_link("file", name, &err), 0);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(ovbd_helper_link("file", name, &err), -EEXIST);
	assert_int_equal(ovbd_helper_link("", name, &err), 0);
	assert_int_equal(ovbd_helper_link("", name, &err), -ENOENT);
	assert_non_null(strstr(err.msg, name));
	assert_int_equal(ovbd_helper_write_back(file, &err), 0);
	assert_int_equal(ovbd_helper_write_back(name, &err), -ENOENT);
	assert_int_equal(ovbd_helper_hold(file, &other, &err), 0);
	ovbd_helper_release(other);
	assert_int_equal(ovbd_helper_claim(name, &claim, &err), -ENOENT);
	assert_int_equal(ovbd_helper_claim(file, &claim, &err), 0);
	assert_int_equal(ovbd_helper_claim(file, &other, &err), 0);
	ovbd_helper_release(claim);
	ovbd_helper_release(other);
	ovbd_helper_release(-1);
}

/* Whether nobody but the caller has the file open: else there is no such lease. */
static bool is_nobodys(int fd)
{
	const bool r = fcntl(fd, F_SETLEASE, F_WRLCK) == 0;

	if (r)
		fcntl(fd, F_SETLEASE, F_UNLCK);
	else
		assert_int_equal(errno, EAGAIN);
	return r;
}

/* Who is told that it is done finds no user in the helper: "nobody uses it" must not depend on how
 * soon a child ends. */
static void test_closed_when_told(void **state)
{
	struct ovbd_error err;
	int fd = open(file, O_RDWR | O_CLOEXEC), hold;

	(void)state;
	assert_true(fd >= 0);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(ovbd_helper_write_back(file, &err), 0);
		assert_true(is_nobodys(fd));
		assert_int_equal(ovbd_helper_hold(file, &hold, &err), 0);
		assert_false(is_nobodys(fd));
		ovbd_helper_release(hold);
		assert_true(is_nobodys(fd));
	}
	close(fd);
}

/* A terminal's interrupt is not its end; and when it has ended, that is said. */
static void test_ended(void **state)
{
	const pid_t pid = helper_pid();
	struct ovbd_error err;
	int claim;

	(void)state;
	kill(pid, SIGINT);
	kill(pid, SIGTERM);
	assert_int_equal(ovbd_helper_write_back(file, &err), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(ovbd_helper_claim(file, &claim, &err), -EPIPE);
	assert_non_null(strstr(err.msg, "restart ovbdd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_started),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_closed_when_told),
		cmocka_unit_test(test_ended),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
