/* SPDX-License-Identifier: Apache-2.0 */
/* The COW files of Android's own tools, in ../shared/fixtures/android-cow, and their manifest. */
#ifndef OVBD_TESTS_LIB_COW_FIXTURES_H
#define OVBD_TESTS_LIB_COW_FIXTURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_bytes {
	uint8_t *p; /* to be freed */
	size_t len;
};

struct test_cow_fixture {
	char name[128], base[128], class[32], wanted[65];
	struct test_bytes cow, old; /* the base */
};

/* False, and it is said why: they are not there, the test is skipped. First of all. */
bool test_cow_fixtures_there(void);

/* A file of theirs, or the same with .gz behind. */
struct test_bytes test_cow_load(const char *name);

/* Calls check for each line of the manifest, whose digest of the COW has been verified. */
void test_cow_fixtures(void (*check)(const struct test_cow_fixture *f, void *arg), void *arg);

void test_sha256(const void *p, size_t len, char ret[65]);

#endif
