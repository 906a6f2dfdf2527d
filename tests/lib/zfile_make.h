/* SPDX-License-Identifier: Apache-2.0 */
/* ZFiles in memory for tests: written by our writer, and bent afterwards. All abort() on
 * failure. */
#ifndef OVBD_TESTS_LIB_ZFILE_MAKE_H
#define OVBD_TESTS_LIB_ZFILE_MAKE_H

#include "base/blob.h"
#include "zfile/zfile.h"

struct test_bytes {
	uint8_t *p; /* malloc'ed */
	size_t len;
};

/* len bytes of which about a third does not compress, a third is text and a third zeros, in pieces
 * of odd lengths. The same for every call with this seed. */
struct test_bytes test_mixed(size_t len, uint64_t seed);

/* A pseudo-random number; *state is any number. */
uint64_t test_random(uint64_t *state);

struct test_bytes test_zfile_make(const struct test_bytes *raw, const struct ovbd_zfile_params *p);

/* Makes the digests of header and trailer, where they have one, right again. */
void test_zfile_seal(struct test_bytes *z);

/* The same for the checksum of the jump table. */
void test_zfile_seal_index(struct test_bytes *z);

/* Opens z, which stays the caller's. */
int test_zfile_open(const struct test_bytes *z, struct ovbd_blob **ret, struct ovbd_error *err);

#endif
