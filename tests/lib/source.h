/* SPDX-License-Identifier: Apache-2.0 */
/* A source of bytes that are known without being stored: slow, failing and counting as told. */
#ifndef OVBD_TESTS_LIB_SOURCE_H
#define OVBD_TESTS_LIB_SOURCE_H

#include <stdatomic.h>

#include "base/blob.h"

struct test_source {
	struct ovbd_blob blob;
	uint64_t seed;
	unsigned delay_us;                   /* before each read */
	atomic_int fail;                     /* the next so many reads fail with -EIO */
	atomic_int hold;                     /* reads wait as long as it is not 0 */
	atomic_int nwaiting;                 /* so many */
	atomic_int lie;                      /* the first byte of the next so many is wrong */
	atomic_uint_fast64_t nreads, nbytes; /* that succeeded */
};

/* Closing its blob does nothing; it may be opened again. */
void test_source_init(struct test_source *s, uint64_t size, uint64_t seed);

/* What it says lies in [off, off + len). */
void test_source_bytes(const struct test_source *s, void *buf, size_t len, uint64_t off);

/* Whether buf has that. */
bool test_source_is(const struct test_source *s, const void *buf, size_t len, uint64_t off);

#endif
