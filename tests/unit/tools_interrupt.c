// SPDX-License-Identifier: Apache-2.0
/* A signal that comes just before a read from somebody who says nothing ends that read. */
#include "tests/unit/test.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "tools/interrupt.h"

static void test_before_a_read(void **state)
{
	int fds[2];
	char c;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	ovbd_interrupt_catch();
	assert_int_equal(ovbd_interrupted(), 0);
	raise(SIGTERM);
	assert_int_equal(ovbd_interrupted(), SIGTERM);
	assert_true(atomic_load(ovbd_interrupt_flag()));
	assert_int_equal(read(fds[0], &c, 1), -1); /* for ever, without the alarm */
	assert_int_equal(errno, EINTR);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_before_a_read)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
