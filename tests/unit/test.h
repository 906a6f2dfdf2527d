/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka with what it needs before it, and what most unit tests want. */
#ifndef OVBD_TESTS_UNIT_TEST_H
#define OVBD_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"

/* r is 0, or the test fails with the sentence. */
#define assert_ok(r, err)                                                                          \
	do {                                                                                       \
		const int r_ = (r);                                                                \
		if (r_ < 0)                                                                        \
			fail_msg("%d: %s", r_, (err).msg);                                         \
	} while (0)

/* r is code, and the sentence has text in it. */
#define assert_fails(r, code, err, text)                                                           \
	do {                                                                                       \
		const int r_ = (r);                                                                \
		if (r_ != (code))                                                                  \
			fail_msg("%d, not %d: %s", r_, (code), (err).msg);                         \
		if (!strstr((err).msg, text))                                                      \
			fail_msg("\"%s\" is not in \"%s\"", text, (err).msg);                      \
	} while (0)

/* A small generator: the same numbers for the same seed on every machine (splitmix64). */
static inline uint64_t test_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

#endif
