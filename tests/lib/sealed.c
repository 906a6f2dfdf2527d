// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/sealed.h"

#include <stdlib.h>

#include "tests/unit/test.h"

struct ovbd_verity_root test_measure(const uint8_t *bytes, size_t size, struct ovbd_sink *tree)
{
	struct ovbd_verity_root root = {{0}};
	struct ovbd_blob *b = NULL;
	struct ovbd_error err;

	assert_ok(ovbd_blob_open_mem(bytes, size, &b, &err), err);
	assert_ok(ovbd_verity_measure(b, tree, NULL, NULL, &root, &err), err);
	ovbd_blob_close(b);
	return root;
}

void test_seal(struct test_sealed *s, size_t size)
{
	struct ovbd_sink *tree = NULL;
	struct ovbd_error err;

	*s = (struct test_sealed){.bytes = malloc(size + 1), .size = size};
	assert_non_null(s->bytes);
	for (size_t i = 0; i < size; i++)
		s->bytes[i] = test_sealed_byte(i);
	assert_ok(ovbd_sink_create_mem(&tree, &err), err);
	s->root = test_measure(s->bytes, size, tree);
	assert_ok(ovbd_sink_finish(tree, &err), err);
	s->tree = ovbd_sink_mem_take(tree, &s->tree_size);
	ovbd_sink_close(tree);
	test_wire_init(&s->data_wire, s->bytes, size);
	test_wire_init(&s->tree_wire, s->tree, s->tree_size);
}

int test_sealed_open(struct test_sealed *s, struct ovbd_blob **ret, struct ovbd_error *err)
{
	return ovbd_verity_blob_open(&s->data_wire.blob, "data", &s->tree_wire.blob, "tree",
	                             &s->root, false, ret, err);
}

void test_unseal(struct test_sealed *s)
{
	free(s->bytes);
	free(s->tree);
}
