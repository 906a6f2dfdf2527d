/* SPDX-License-Identifier: Apache-2.0 */
/* A file, its Merkle tree and its root; and both on a wire. */
#ifndef OVBD_TESTS_LIB_SEALED_H
#define OVBD_TESTS_LIB_SEALED_H

#include "remote/verity.h"
#include "tests/lib/wire.h"

struct test_sealed {
	uint8_t *bytes, *tree;
	size_t size, tree_size;
	struct ovbd_verity_root root;
	struct test_wire data_wire, tree_wire;
};

/* What lies at i of all of them. */
static inline uint8_t test_sealed_byte(uint64_t i)
{
	return (uint8_t)(i * 7 + (i >> 8) * 3 + (i >> 16));
}

void test_seal(struct test_sealed *s, size_t size);
void test_unseal(struct test_sealed *s);
#define AUTO_SEALED OVBD_AUTO(test_unseal) struct test_sealed

/* The data over their wire, proven by the tree over its. */
int test_sealed_open(struct test_sealed *s, struct ovbd_blob **ret, struct ovbd_error *err);

/* The root of bytes; tree, which may be NULL, gets the tree. */
struct ovbd_verity_root test_measure(const uint8_t *bytes, size_t size, struct ovbd_sink *tree);

#endif
