/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records what the process does to the files of one directory, by wrapping the calls (link with
 * ovbd_test_cut), and makes of it what a power cut may have left: what was not synced has arrived,
 * is lost, is zeros, or is torn at a sector of 512 bytes, each write by itself; names were made,
 * moved and removed in their order, up to any moment.
 *
 * Files are written by pwrite() only; sizes and names are no more durable than bytes.
 */
#ifndef OVBD_TESTS_LIB_CUT_H
#define OVBD_TESTS_LIB_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Forgets what was recorded, and begins; syncs: as they are, or as if they did nothing. */
void test_cut_record(bool syncs);

/* Ends it. From now on syncs only return, so that what follows is quick. How many steps there
 * were. */
size_t test_cut_stop(void);

/* How many syncs there were of files that nothing was done to since the last one. */
size_t test_cut_idle_syncs(void);

/* Fills dir, which is empty, with what the first n steps may have left. */
void test_cut_make(const char *dir, size_t n, uint64_t *random);

#endif
