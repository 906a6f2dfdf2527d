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
	for (size_t off = 0; off < 3; off++)
		for (size_t n = 0; n < 600; n++)
			assert_int_equal(ovbd_bow_checksum(0x89abcdef, buf + off, n),
			                 crc_slow(0x89abcdef, buf + off, n));
	assert_int_equal(ovbd_bow_checksum_seed(3u << 20, 1024), 3072);
}

static void test_header_round(void **state)
{
	const struct bow_header h = {.header_size = BOW_HEADER_SIZE,
	                             .block_size = 2048,
	                             .count = 84,
	                             .sequence = 3,
	                             .sector0 = 6144};
	uint8_t buf[BOW_SECTOR] = {0};
	struct bow_header got;
	struct ovbd_error err;

	(void)state;
	ovbd_bow_header_encode(&h, buf);
	assert_memory_equal(buf, "BOW\0\0\1\34\0\0\10\0\0\124\0\0\0\3\0\0\0\14\0\0\0\0\0\0\0", 28);
	assert_true(ovbd_bow_magic(buf));
	assert_ok(ovbd_bow_header_decode(buf, 8192, &got, &err), err);
	assert_int_equal(got.block_size, 2048);
	assert_int_equal(got.count, 84);
	assert_int_equal(got.sequence, 3);
	assert_int_equal(got.sector0, 6144);
	assert_false(got.partial);
	assert_fails(ovbd_bow_header_decode(buf, 8191, &got, &err), -EBADMSG, err, "beyond");
	ovbd_put_le32(buf + BOW_OFF_COUNT, 85);
	assert_fails(ovbd_bow_header_decode(buf, 8192, &got, &err), -EBADMSG, err, "do not fit");
}

/* What is wrong with a field of each kind. */
static void test_header_refused(void **state)
{
	static const struct {
		size_t off;
		uint32_t value; /* of 4 bytes */
		int code;
		const char *why;
	} cases[] = {
		{BOW_OFF_MAGIC, 0x00574f43, -EBADMSG, "a magic of 0x00574f43 is none"},
		{BOW_OFF_VERSION, 0x001c0101, -ENOTSUP, "version 0x0101 is not 0x0100"},
		{BOW_OFF_VERSION, 0x001b0100, -EBADMSG, "a header of 27 bytes"},
		{BOW_OFF_VERSION, 0x01e90100, -EBADMSG, "a header of 489 bytes"},
		{BOW_OFF_BLOCK_SIZE, 0, -EBADMSG, "a block size of 0"},
		{BOW_OFF_BLOCK_SIZE, 256, -EBADMSG, "a block size of 256"},
		{BOW_OFF_BLOCK_SIZE, 8192, -EBADMSG, "a block size of 8192"},
		{BOW_OFF_BLOCK_SIZE, 1536, -EBADMSG, "a block size of 1536"},
		{BOW_OFF_COUNT, 21, -EBADMSG, "21 entries do not fit"},
		{BOW_OFF_COUNT, 0, -EBADMSG, "block 3 of it has no entries"},
		{BOW_OFF_SEQUENCE, 16, -EBADMSG, "block 16 of it, of a device of 16 blocks"},
		{BOW_OFF_SECTOR0, 16, -EBADMSG, "block 0 at sector 16, beyond"},
		{BOW_OFF_SECTOR0, 0, -EBADMSG, "block 0 at sector 0 is not"},
		{BOW_OFF_SECTOR0 + 4, 1u << 31, -EBADMSG, "beyond"},
	};
	const struct bow_header h = {
		.header_size = 28, .block_size = 512, .count = 20, .sequence = 3, .sector0 = 7680};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t buf[BOW_SECTOR] = {0};
		struct bow_header got;
		struct ovbd_error err;

		ovbd_bow_header_encode(&h, buf);
		assert_ok(ovbd_bow_header_decode(buf, 8192, &got, &err), err);
		ovbd_put_le32(buf + cases[i].off, cases[i].value);
		assert_fails(ovbd_bow_header_decode(buf, 8192, &got, &err), cases[i].code, err,
		             cases[i].why);
	}
}

/* The prototypes' headers are told from each other by what can be no source, or no block 0. */
static void test_prototypes(void **state)
{
	const struct bow_entry e = {.source = 0, .dest = 8192, .size = 4096, .checksum = 1};
	struct bow_header h = {.prototype = true,
	                       .header_size = BOW_PROTOTYPE_HEADER_SIZE,
	                       .block_size = 4096,
	                       .count = 170,
	                       .sequence = 2};
	uint8_t buf[BOW_BLOCK_MAX] = {0};
	struct bow_header got;
	struct bow_entry read;
	struct ovbd_error err;

	(void)state;
	for (int later = 0; later < 2; later++) {
		if (later) {
			h.header_size = BOW_PROTOTYPE_SECTOR0_HEADER_SIZE;
			h.sector0 = 12288;
			h.count = 169;
		}
		ovbd_bow_header_encode(&h, buf);
		ovbd_bow_entry_encode(&e, buf + h.header_size);
		assert_memory_equal(buf,
		                    later ? "BOW\0\251\0\0\0\2\0\0\0\30\0\0\0\0\0\0\0"
		                          : "BOW\0\252\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0",
		                    20);
		assert_ok(ovbd_bow_header_decode(buf, 16384, &got, &err), err);
		assert_true(got.prototype);
		assert_int_equal(got.header_size, h.header_size);
		assert_int_equal(got.block_size, 4096);
		assert_int_equal(got.count, h.count);
		assert_int_equal(got.sequence, 2);
		assert_int_equal(got.sector0, h.sector0);
		assert_ok(ovbd_bow_entry_decode(buf, &got, 0, 16384, &read, &err), err);
		assert_int_equal(read.dest, 8192);
		ovbd_put_le32(buf + BOW_OFF_PROTOTYPE_COUNT, h.count + 1);
		assert_fails(ovbd_bow_header_decode(buf, 16384, &got, &err), -EBADMSG, err,
		             "do not fit");
		ovbd_put_le32(buf + BOW_OFF_PROTOTYPE_COUNT, 0);
		assert_fails(ovbd_bow_header_decode(buf, 16384, &got, &err), -EBADMSG, err,
		             "no entries");
	}
}

/* Entries of blocks of 1024 on a device of 64 KiB. */
static void test_entries(void **state)
{
	static const struct {
		uint32_t i;
		struct bow_entry e; /* bytes */
		const char *why;    /* NULL: it is right */
	} cases[] = {
		{0, {0, 1024, 1024, 5}, NULL},
		{1, {1024, 2048, 1024, 5}, NULL},
		{1, {2048, 1024, 1024, 5}, NULL},
		{20, {1024, 32768, 31744, 0}, NULL},
		{20, {1024, 32768, 32768, 0}, "overlap"},
		{1, {1024, 2048, 0, 5}, "0 bytes are not whole blocks"},
		{1, {1024, 4096, 1536, 5}, "1536 bytes are not whole blocks"},
		{1, {1024, 4096, 512, 5}, "512 bytes are not whole blocks"},
		{1, {65536, 4096, 1024, 5}, "lie beyond"},
		{1, {1024, 64512, 2048, 5}, "lie beyond"},
		{1, {1024, UINT64_C(1) << 63, 1024, 5}, "lie beyond"},
		{1, {512, 4096, 1024, 5}, "is not where a block of 1024 begins"},
		{1, {1024, 4608, 1024, 5}, "is not where a block of 1024 begins"},
		{1, {1024, 0, 1024, 5}, "its backup is said to be in block 0"},
		{0, {0, 0, 1024, 5}, "its backup is said to be in block 0"},
		{0, {0, 2048, 2048, 5}, "are not block 0"},
		{0, {1024, 2048, 1024, 5}, "are not block 0"},
		{1, {0, 2048, 1024, 5}, "by the first entry only"},
		{1, {2048, 2048, 1024, 5}, "overlap their backup"},
		{1, {2048, 3072, 2048, 5}, "overlap their backup"},
		{1, {3072, 2048, 2048, 5}, "overlap their backup"},
	};
	const struct bow_header h = {.header_size = 28,
	                             .block_size = 1024,
	                             .count = 21,
	                             .sector0 = 8192};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t buf[BOW_BLOCK_MAX] = {0};
		struct bow_entry got;
		struct ovbd_error err;
		int r;

		ovbd_bow_entry_encode(&cases[i].e, buf + ovbd_bow_entry_off(28, cases[i].i));
		r = ovbd_bow_entry_decode(buf, &h, cases[i].i, 65536, &got, &err);
		if (cases[i].why) {
			assert_fails(r, -EBADMSG, err, cases[i].why);
			continue;
		}
		assert_ok(r, err);
		assert_memory_equal(&got, &cases[i].e, sizeof(got));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksum),       cmocka_unit_test(test_header_round),
		cmocka_unit_test(test_header_refused), cmocka_unit_test(test_prototypes),
		cmocka_unit_test(test_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
