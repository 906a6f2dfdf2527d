/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writable layer in files of a directory, over layers in memory, and the model that it is
 * compared with: for each sector a number, of which its bytes are made. 0: zeros.
 */
#ifndef OVBD_TESTS_LIB_RW_MODEL_H
#define OVBD_TESTS_LIB_RW_MODEL_H

#include "lsmt/rw.h"
#include "tests/lib/lsmt_make.h"

#define TEST_RW_SECTOR  512u
#define TEST_RW_SECTORS 8192u /* of the largest device */
#define TEST_RW_LAYERS  8u

enum test_rw_format {
	TEST_RW_APPEND,
	TEST_RW_SPARSE,
	TEST_RW_SPARSE_NO_MAP,
	TEST_RW_LOG,
	TEST_RW_NFORMATS
};

struct test_rw {
	enum test_rw_format format;
	uint64_t seed, random;
	char dir[256];
	unsigned nlayers;
	struct test_layer layers[TEST_RW_LAYERS];
	uint64_t nsectors;               /* of the device */
	uint64_t model[TEST_RW_SECTORS]; /* beyond nsectors: what would show if it grew */
	uint64_t next;                   /* the number of the next write */
	struct ovbd_device *device;
};

/* The bytes of a sector. */
void test_rw_fill(uint64_t number, uint8_t ret[TEST_RW_SECTOR]);

/* Random layers, and an empty writable layer over them; opened. dir exists. */
void test_rw_create(struct test_rw *t, enum test_rw_format format, uint64_t seed, const char *dir);
void test_rw_open(struct test_rw *t);
void test_rw_close(struct test_rw *t); /* only the device */
void test_rw_free(struct test_rw *t);

/* One random thing is done, and to the model too. */
void test_rw_step(struct test_rw *t);

/* All is read and compared; what says when. */
void test_rw_check(struct test_rw *t, const char *what);

/* Committed, and put over the same layers, it reads the same; twice, it has the same bytes. */
void test_rw_check_commit(struct test_rw *t);

/* Sealed in place and put over the same layers, it reads the same; it is closed then, and what it
 * was is refused. */
void test_rw_check_sealed(struct test_rw *t);

/* The stack of the layers; NULL if there are none. */
struct ovbd_blob *test_rw_lower(const struct test_rw *t, const struct test_layer *top);

/* dir/name, malloc'ed. */
char *test_rw_path(const struct test_rw *t, const char *name);

#endif
