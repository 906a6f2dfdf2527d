/* SPDX-License-Identifier: Apache-2.0 */
/* Images with an empty writable layer in files of a directory, for tests of snapshots. */
#ifndef OVBD_TESTS_LIB_SNAPSHOT_IMAGE_H
#define OVBD_TESTS_LIB_SNAPSHOT_IMAGE_H

#include "image/snapshot.h"

#define TEST_WRITERS 3u
#define TEST_BLOCKS  128u /* of a writer */
#define TEST_BLOCK   4096u
#define TEST_SIZE    ((uint64_t)TEST_WRITERS * TEST_BLOCKS * TEST_BLOCK)

enum test_snapshot_format { TEST_APPEND, TEST_SPARSE, TEST_LOG, TEST_SNAPSHOT_NFORMATS };

/* Names of its files, and of its configuration without ".json". */
extern const char *const test_snapshot_names[TEST_SNAPSHOT_NFORMATS];

/* A directory with a layer, base.lsmt, in which every other block of each writer has the number 0,
 * and the rest is missing. For cmocka. */
int test_snapshot_make_dir(void **state);
int test_snapshot_remove_dir(void **state);

/* All but the base is removed. */
void test_snapshot_clean(void);

/* The path in it, to be freed. */
char *test_snapshot_path(const char *name);

/* The configuration of an image with an empty writable layer over the base (or nothing): its path,
 * to be freed. */
char *test_snapshot_make(enum test_snapshot_format format, bool base);

struct ovbd_image *test_snapshot_open(const char *config);

/* What block a writer (from 1 on) writes as its number seq. */
void test_snapshot_fill(uint8_t buf[TEST_BLOCK], uint64_t writer, uint64_t seq);

#endif
