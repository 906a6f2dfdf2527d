/* SPDX-License-Identifier: Apache-2.0 */
/* A file for tests of what reads one: made and removed as the fixture of a group. */
#ifndef OVBD_TESTS_UNIT_TEXT_FILE_H
#define OVBD_TESTS_UNIT_TEXT_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/test.h"

static char path[] = "/tmp/ovbd-test-XXXXXX";

static inline int make_file(void **state)
{
	const int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static inline int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static inline void write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

#endif
