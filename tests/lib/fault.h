/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Things that fail when told to, for "fail the N-th call, for every N":
 *
 *     for (long n = 1;; n++) {
 *             test_fault_set(n);              // the n-th faulty call from here on fails
 *             r = the_thing_under_test();
 *             if (!test_fault_hit())          // n was beyond the last call: it went through
 *                     break;
 *             assert_true(r < 0);             // it failed, leaked nothing (ASan), left nothing
 *     }
 *
 * Faulty calls are: pread of a test_blob_faulty(), append/patch/finish of a test_sink_faulty(),
 * and, in programs linked with ovbd_test_malloc, malloc, calloc and realloc of our own code.
 */
#ifndef OVBD_TESTS_LIB_FAULT_H
#define OVBD_TESTS_LIB_FAULT_H

#include <stdbool.h>

#include "base/blob.h"
#include "base/sink.h"

/* The n-th faulty call from now on fails (1: the next one); 0: none. */
void test_fault_set(long n);

/* Whether it has come to that. Also switches it off. */
bool test_fault_hit(void);

/* Counts a faulty call; true if it is the one to fail. For doubles of your own. */
bool test_fault_now(void);

/* Passes everything on to take_b; fails with -EIO. */
struct ovbd_blob *test_blob_faulty(struct ovbd_blob *take_b);

/* Passes everything on to take_s; fails with -ENOSPC. */
struct ovbd_sink *test_sink_faulty(struct ovbd_sink *take_s);

#endif
