// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "ota/cow.h"
#include "tests/unit/test.h"

#define BLOCK OVBD_COW_BLOCK_SIZE

struct bytes {
	uint8_t *p;
	size_t len;
};

/* An open COW has 48 bytes of memory for an operation, at most: of 3.0, and of 2.0 without
 * clusters, whose count is not known before. */
static void test_memory(void **state)
{
	const uint32_t n = 200000;

	(void)state;
	for (unsigned v3 = 0; v3 < 2; v3++) {
		const uint32_t head = v3 ? 78 : 38, size = v3 ? 16 : 20, tail = v3 ? 0 : 84;
		struct bytes x = {.len = head + (size_t)n * size + tail};
		struct mallinfo2 before, after;
		struct ovbd_error err;
		struct ovbd_blob *b;
		struct ovbd_cow *c;

		x.p = calloc(1, x.len);
		assert_non_null(x.p);
		ovbd_put_le64(x.p, UINT64_C(0x436f77634f572121));
		x.p[8] = v3 ? 3 : 2;
		ovbd_put_le16(x.p + 12, (uint16_t)head);
		ovbd_put_le16(x.p + 14, (uint16_t)tail);
		ovbd_put_le16(x.p + 16, (uint16_t)size);
		ovbd_put_le32(x.p + 18, BLOCK);
		if (v3) {
			ovbd_put_le64(x.p + 54, n);
			ovbd_put_le64(x.p + 62, n);
		} else {
			x.p[x.len - 84] = 255;
			ovbd_put_le64(x.p + x.len - 80, (uint64_t)n * 20);
			ovbd_put_le64(x.p + x.len - 72, n);
		}
		for (uint32_t i = 0; i < n; i++) {
			uint8_t *op = x.p + head + (size_t)i * size;

			op[0] = v3 ? 0 : OVBD_COW_ZERO;
			ovbd_put_le32(op + 4, n - i);
			if (v3)
				op[15] = OVBD_COW_ZERO << 4;
		}
		before = mallinfo2();
		assert_ok(ovbd_blob_open_mem(x.p, x.len, &b, &err), err);
		assert_ok(ovbd_cow_open(b, NULL, &c, &err), err);
		after = mallinfo2();
		assert_int_equal(ovbd_cow_count(c), n);
		assert_in_range(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd, n,
		                48 * (uint64_t)n);
		ovbd_cow_close(c);
		free(x.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
