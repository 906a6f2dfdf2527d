/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in memory that come over a wire on which one of them is changed. */
#ifndef OVBD_TESTS_LIB_WIRE_H
#define OVBD_TESTS_LIB_WIRE_H

#include <stdatomic.h>

#include "base/blob.h"

struct test_wire {
	struct ovbd_blob blob;
	const uint8_t *bytes; /* the caller's */
	uint64_t at;          /* this byte */
	uint8_t flip;         /* is changed by these bits */
	atomic_int times;     /* in the next so many reads that have it; < 0: in all */
	atomic_int fail;      /* the next so many reads fail with -EIO; < 0: all */
	unsigned delay_us;    /* before each read */
	atomic_uint_fast64_t nreads, nbytes;
};

/* Closing its blob does nothing; it may be opened again. */
void test_wire_init(struct test_wire *w, const uint8_t *bytes, uint64_t size);

#endif
