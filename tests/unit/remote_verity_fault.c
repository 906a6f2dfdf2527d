// SPDX-License-Identifier: Apache-2.0
/* Memory, reads and writes fail at the N-th call, for every N. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/sink.h"
#include "tests/lib/fault.h"
#include "tests/lib/sealed.h"

#define SIZE (300u * OVBD_VERITY_BLOCK + 5)

static int write_it(const struct test_sealed *s, struct ovbd_error *err)
{
	struct ovbd_sink *out = NULL, *tree = NULL;
	AUTO_SINK *v = NULL;
	int r = ovbd_sink_create_mem(&out, err);

	if (r < 0)
		return r;
	r = ovbd_sink_create_mem(&tree, err);
	if (r < 0) {
		ovbd_sink_close(out);
		return r;
	}
	r = ovbd_verity_sink_create(out, tree, NULL, &v, err);
	if (r == 0)
		r = ovbd_sink_append(v, s->bytes, s->size, err);
	if (r == 0)
		r = ovbd_sink_append_zeros(v, 3 * s->size, err);
	return r < 0 ? r : ovbd_sink_finish(v, err);
}

static int read_it(struct test_sealed *s, uint8_t *buf, long n, struct ovbd_error *err)
{
	struct ovbd_blob *data = test_blob_faulty(&s->data_wire.blob);
	struct ovbd_blob *tree = test_blob_faulty(&s->tree_wire.blob);
	AUTO_BLOB *b = NULL;
	int r;

	test_fault_set(n);
	r = ovbd_verity_blob_open(data, "data", tree, "tree", &s->root, false, &b, err);

	if (r == 0)
		r = ovbd_blob_pread(b, buf, s->size, 0, err);
	if (r == 0)
		r = ovbd_blob_pread(b, buf, s->size - 7, 7, err);
	if (r == 0)
		assert_memory_equal(buf, s->bytes + 7, s->size - 7);
	return r;
}

static void test_writing(void **state)
{
	struct ovbd_error err;
	AUTO_SEALED s;
	long n;

	(void)state;
	test_seal(&s, SIZE);
	for (n = 1;; n++) {
		int r;

		test_fault_set(n);
		r = write_it(&s, &err);
		if (!test_fault_hit()) {
			assert_ok(r, err);
			break;
		}
		assert_int_equal(r, -ENOMEM);
	}
	assert_true(n > 5);
}

static void test_reading(void **state)
{
	AUTO_FREE uint8_t *buf = NULL;
	struct ovbd_error err;
	AUTO_SEALED s;
	long n;

	(void)state;
	test_seal(&s, SIZE);
	buf = malloc(SIZE);
	for (n = 1;; n++) {
		const int r = read_it(&s, buf, n, &err);

		if (!test_fault_hit()) {
			assert_ok(r, err);
			break;
		}
		/* without memory for it a block of the tree is just not kept */
		if (r < 0)
			assert_true(r == -ENOMEM || r == -EIO);
	}
	assert_true(n > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writing),
		cmocka_unit_test(test_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
