/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk with a log, offline: its checkpoint taken back, and its commit made, with the power cut at
 * every write of that, and of what is done after the cut, again and again.
 */
#ifndef OVBD_TESTS_LIB_BOW_OFFLINE_H
#define OVBD_TESTS_LIB_BOW_OFFLINE_H

#include <stdbool.h>
#include <stdint.h>

struct test_bow_offline {
	const char *where; /* for messages */
	uint64_t size;
	/* Bytes, and a byte for each sector: whether nobody knows it. */
	const uint8_t *want, *any;
	uint64_t random;
	unsigned depth; /* cuts after cuts */
	uint64_t nstates;
};

/* bytes, which stay as they are: restored, and every cut of that restored, it is as wanted. */
void test_bow_restore_cuts(struct test_bow_offline *o, const uint8_t *bytes);

/* The same for ovbd_bow_settle(). */
void test_bow_settle_cuts(struct test_bow_offline *o, const uint8_t *bytes);

/* bytes are as wanted. */
void test_bow_is_wanted(const struct test_bow_offline *o, const uint8_t *bytes, const char *what);

#endif
