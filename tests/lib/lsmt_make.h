/* SPDX-License-Identifier: Apache-2.0 */
/* Layers in memory for tests. All abort() when they fail, except where they return an int. */
#ifndef OVBD_TESTS_LIB_LSMT_MAKE_H
#define OVBD_TESTS_LIB_LSMT_MAKE_H

#include "lsmt/format.h"
#include "lsmt/lsmt.h"

struct test_layer {
	uint8_t *p; /* malloc'ed */
	size_t len;
};

/* A layer written by hand, with whatever index is wanted. */
struct test_layer_spec {
	uint64_t virtual_size;
	size_t nsectors; /* of data: sector i, from the file's start, is full of (uint8_t)i */
	const struct lsmt_entry *entries;
	size_t nentries;
	size_t index_shift;    /* bytes before the index that belong to nothing */
	size_t gap;            /* bytes between index and trailer, 0xa5 */
	uint32_t header_flags; /* 0: those of a committed file */
};

struct test_layer test_layer_by_hand(const struct test_layer_spec *spec);

/* A writer into memory; take() finishes both. */
struct test_writer {
	struct ovbd_layer_writer *w;
	struct ovbd_sink *mem;
};

struct test_writer test_writer_create(const struct ovbd_layer_params *p);
struct test_layer test_writer_take(struct test_writer *w);

/* Opens l, which stays the caller's. */
int test_layer_open(const struct test_layer *l, struct ovbd_layer **ret, struct ovbd_error *err);

/* Reads [off, off + len) of the layer's device, holes and zeros as zeros, by its index alone. */
int test_layer_read(struct ovbd_layer *l, void *buf, size_t len, uint64_t off,
                    struct ovbd_error *err);

/* The number of entries in the file's index, and entry i of them. */
uint64_t test_layer_nentries(const struct test_layer *l);
struct lsmt_entry test_layer_entry(const struct test_layer *l, uint64_t i);

#endif
