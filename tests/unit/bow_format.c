// SPDX-License-Identifier: Apache-2.0
/* The bytes of a log block of backup on write. */
#include "tests/unit/test.h"

#include <errno.h>

#include "base/bytes.h"
#include "bow/format.h"

/* CRC-32 bit by bit, as the log has it: not inverted at either end. */
static uint32_t crc_slow(uint32_t crc, const uint8_t *p, size_t n)
{
	for (; n > 0; n--, p++) {
		crc ^= *p;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return crc;
}

static void test_checksum(void **state)
{
	uint8_t buf[1000];
	uint64_t random = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)test_random(&random);
	assert_int_equal(ovbd_bow_checksum(0, buf, 0), 0);
	assert_int_equal(ovbd_bow_checksum(77, buf, 1000), crc_slow(77, buf, 1000));
	assert_int_equal(ovbd_bow_checksum(ovbd_bow_checksum(77, buf, 300), buf + 300, 700),
	                 crc_slow(77, buf, 1000));
	assert_int_equal(ovbd_bow_checksum_seed(3u << 20, 1024), 3072);
}

static void test_header_round(void **state)
{
	const struct bow_header h = {.header_size = BOW_HEADER_SIZE,
	                             .block_size = 2048,
	                             .count = 84,
	                             .sequence = 9,
	                             .sector0 = 6144};
	uint8_t buf[BOW_SECTOR] = {0};
	struct bow_header got;
	struct ovbd_error err;

	(void)state;
	ovbd_bow_header_encode(&h, buf);
	assert_memory_equal(buf, "BOW\0\0\1\34\0\0\10\0\0\124\0\0\0\11\0\0\0\14\0\0\0\0\0\0\0", 28);
	assert_true(ovbd_bow_magic(buf));
	assert_ok(ovbd_bow_header_decode(buf, 8192, &got, &err), err);
	assert_int_equal(got.block_size, 2048);
	assert_int_equal(got.count, 84);
	assert_int_equal(got.sequence, 9);
	assert_int_equal(got.sector0, 6144);
	assert_false(got.partial);
	assert_fails(ovbd_bow_header_decode(buf, 8191, &got, &err), -EBADMSG, err, "beyond");
	ovbd_put_le32(buf + BOW_OFF_COUNT, 85);
	assert_fails(ovbd_bow_header_decode(buf, 8192, &got, &err), -EBADMSG, err, "do not fit");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_header_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
