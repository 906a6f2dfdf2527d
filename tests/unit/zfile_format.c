// SPDX-License-Identifier: Apache-2.0
/* Headers and the jump table: what is accepted, what is refused, and what is written. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "tests/lib/zfile_make.h"
#include "zfile/codec.h"
#include "zfile/format.h"
#include "zfile/jump.h"

#define FILE_SIZE 100000u

/* A trailer that is right for a file of FILE_SIZE. */
static const struct zfile_header good = {
	.flags = ZFILE_FLAG_DATA | ZFILE_FLAG_SEALED | ZFILE_FLAG_DIGEST,
	.index_off = 50000,
	.nblocks = 25,
	.raw_size = 100000,
	.index_crc = 0x12345678,
	.block_size = 4096,
	.codec = OVBD_CODEC_ZSTD,
	.checksum = true,
};

static void test_encode_decode(void **state)
{
	struct zfile_header h = good, got;
	uint8_t raw[ZFILE_HEADER_SIZE];

	(void)state;
	h.dict_size = 77;
	h.use_dict = true;
	ovbd_zfile_header_encode(&h, raw);
	assert_int_equal(ovbd_zfile_header_decode(raw, ZFILE_TRAILER, &got, NULL), 0);
	assert_true(got.flags == h.flags && got.index_off == h.index_off);
	assert_true(got.nblocks == h.nblocks && got.raw_size == h.raw_size);
	assert_true(got.index_crc == h.index_crc && got.block_size == h.block_size);
	assert_true(got.dict_size == h.dict_size && got.codec == h.codec);
	assert_true(got.use_dict && got.checksum);
	assert_int_equal(ovbd_zfile_header_decode(raw, ZFILE_HEADER, &got, NULL), -EBADMSG);
}

/* The digest of the first header overlaybd writes for lz4, 4 KiB and checksums is always this. */
static void test_known_digest(void **state)
{
	const struct zfile_header h = {
		.flags = ZFILE_FLAG_HEADER | ZFILE_FLAG_DATA | ZFILE_FLAG_DIGEST,
		.block_size = 4096,
		.codec = OVBD_CODEC_LZ4,
		.checksum = true,
	};
	uint8_t raw[ZFILE_HEADER_SIZE];

	(void)state;
	ovbd_zfile_header_encode(&h, raw);
	assert_int_equal(ovbd_get_le32(raw + ZFILE_OFF_DIGEST), 0xc7a212fc);
}

/* With a digest every bit counts; without one, only the bits that say something. */
static void test_every_bit(void **state)
{
	struct zfile_header h = good, got;
	uint8_t raw[ZFILE_HEADER_SIZE];

	(void)state;
	ovbd_zfile_header_encode(&h, raw);
	for (unsigned bit = 0; bit < 8 * ZFILE_HEADER_SIZE; bit++) {
		const bool digest_flag = bit == 8 * ZFILE_OFF_FLAGS + 4;

		raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(ovbd_zfile_header_decode(raw, ZFILE_TRAILER, &got, NULL),
		                 digest_flag ? 0 : -EBADMSG);
		raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	h.flags &= ~(uint64_t)ZFILE_FLAG_DIGEST;
	ovbd_zfile_header_encode(&h, raw);
	memset(raw + ZFILE_OFF_DIGEST, 0xee, 4);
	memset(raw + ZFILE_OFF_RESERVED, 0xee, 4);
	raw[ZFILE_OFF_LEVEL] = 9;
	memset(raw + ZFILE_OFF_SIZE, 0xee, 4);
	memset(raw + ZFILE_OFF_VERIFY + 1, 0xee, ZFILE_HEADER_SIZE - ZFILE_OFF_VERIFY - 1);
	assert_int_equal(ovbd_zfile_header_decode(raw, ZFILE_TRAILER, &got, NULL), 0);
	assert_int_equal(ovbd_zfile_header_check(&got, ZFILE_TRAILER, FILE_SIZE, NULL), 0);
}

struct check_case {
	const char *name;
	struct zfile_header h;
	uint64_t file_size;
	int r;
};

#define WITH(...) ((struct zfile_header){__VA_ARGS__})
#define BASE                                                                                       \
	.flags = ZFILE_FLAG_DATA | ZFILE_FLAG_SEALED, .index_off = 50000, .nblocks = 25,           \
	.raw_size = 100000, .block_size = 4096, .codec = OVBD_CODEC_LZ4

static void test_check(void **state)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
	const struct check_case cases[] = {
		{"good", WITH(BASE), FILE_SIZE, 0},
		{"ends where it can", WITH(BASE, .index_off = FILE_SIZE - 612), FILE_SIZE, 0},
		{"ends too late", WITH(BASE, .index_off = FILE_SIZE - 611), FILE_SIZE, -EBADMSG},
		{"offset wraps", WITH(BASE, .index_off = UINT64_MAX - 50), FILE_SIZE, -EBADMSG},
		{"offset in the header", WITH(BASE, .index_off = 511), FILE_SIZE, -EBADMSG},
		{"dictionary", WITH(BASE, .dict_size = 49488), FILE_SIZE, 0},
		{"long dictionary", WITH(BASE, .dict_size = 49489), FILE_SIZE, -EBADMSG},
		{"longest dictionary", WITH(BASE, .dict_size = UINT32_MAX), FILE_SIZE, -EBADMSG},
		{"used dictionary", WITH(BASE, .use_dict = true), FILE_SIZE, -ENOTSUP},
		{"lzo", WITH(BASE, .codec = 0), FILE_SIZE, -ENOTSUP},
		{"codec 3", WITH(BASE, .codec = 3), FILE_SIZE, -ENOTSUP},
		{"codec 255", WITH(BASE, .codec = 255), FILE_SIZE, -ENOTSUP},
		{"one block too many", WITH(BASE, .nblocks = 26), FILE_SIZE, -EBADMSG},
		{"one block too few", WITH(BASE, .nblocks = 24), FILE_SIZE, -EBADMSG},
		{"last block full", WITH(BASE, .raw_size = 25 * 4096), FILE_SIZE, 0},
		{"one byte more", WITH(BASE, .raw_size = 25 * 4096 + 1), FILE_SIZE, -EBADMSG},
		{"huge", WITH(BASE, .raw_size = UINT64_MAX), FILE_SIZE, -EBADMSG},
		{"huge, with the blocks for it",
	         WITH(BASE, .raw_size = UINT64_MAX, .nblocks = 1ull << 52), FILE_SIZE, -EBADMSG},
		{"entries wrap", WITH(BASE, .raw_size = 1ull << 62, .nblocks = 1ull << 50),
	         FILE_SIZE, -EBADMSG},
		{"blocks of 0", WITH(BASE, .block_size = 0), FILE_SIZE, -EBADMSG},
		{"blocks of 2048", WITH(BASE, .block_size = 2048, .nblocks = 49), FILE_SIZE,
	         -EBADMSG},
		{"blocks of 12288", WITH(BASE, .block_size = 12288, .nblocks = 9), FILE_SIZE,
	         -EBADMSG},
		{"blocks of 64K", WITH(BASE, .block_size = 65536, .nblocks = 2), FILE_SIZE, 0},
		{"blocks of 128K", WITH(BASE, .block_size = 131072, .nblocks = 1), FILE_SIZE,
	         -EBADMSG},
		{"not sealed", WITH(BASE, .flags = ZFILE_FLAG_DATA), FILE_SIZE, -EBADMSG},
		{"not data", WITH(BASE, .flags = ZFILE_FLAG_SEALED), FILE_SIZE, -EBADMSG},
		{"flag 5 and above", WITH(BASE, .flags = 0xffffffe6), FILE_SIZE, 0},
		{"empty", WITH(BASE, .raw_size = 0, .nblocks = 0, .index_off = 512), 1024, 0},
		{"too short", WITH(BASE, .raw_size = 0, .nblocks = 0, .index_off = 512), 1023,
	         -EBADMSG},
	};
#pragma GCC diagnostic pop

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct check_case *c = &cases[i];
		const int r = ovbd_zfile_header_check(&c->h, ZFILE_TRAILER, c->file_size, NULL);

		if (r != c->r)
			fail_msg("%s: %d, not %d", c->name, r, c->r);
	}
}

/* An overwritten header is not sealed, and needs not be. */
static void test_header_not_sealed(void **state)
{
	struct zfile_header h = good;

	(void)state;
	h.flags = ZFILE_FLAG_HEADER | ZFILE_FLAG_DATA | ZFILE_FLAG_OVERWRITTEN;
	assert_int_equal(ovbd_zfile_header_check(&h, ZFILE_HEADER, FILE_SIZE, NULL), 0);
}

/* Loads a table of these lengths that is all there is in a file after 512 + room bytes. */
static int load(const uint32_t *lengths, uint64_t n, uint32_t room, struct zfile_header *h,
                struct zfile_jump *ret)
{
	AUTO_FREE uint8_t *file = NULL;
	AUTO_BLOB *b = NULL;
	uint64_t nlarge;

	h->nblocks = n;
	h->index_off = 512 + room;
	file = calloc(1, (size_t)(h->index_off + n * 4));
	assert_non_null(file);
	for (uint64_t i = 0; i < n; i++)
		ovbd_put_le32(file + h->index_off + i * 4, lengths[i]);
	assert_int_equal(ovbd_blob_open_mem(file, (size_t)(h->index_off + n * 4), &b, NULL), 0);
	return ovbd_zfile_jump_load(b, h, ret, &nlarge, NULL);
}

static void test_jump(void **state)
{
	struct zfile_header h = {.block_size = 65536, .codec = OVBD_CODEC_ZSTD, .checksum = true};
	enum { N = 1000 };
	uint32_t lengths[N];
	struct zfile_jump jump;
	uint64_t seed = 5, off = 512, total = 0;

	(void)state;
	for (int i = 0; i < N; i++)
		total += lengths[i] = 5 + (uint32_t)(test_random(&seed) % 65800);
	for (uint64_t n = 0; n <= N; n = n < 70 ? n + 1 : n * 2 - 10) {
		off = 512;
		assert_int_equal(load(lengths, n, (uint32_t)total, &h, &jump), 0);
		for (uint64_t i = 0; i <= n; i++) {
			assert_int_equal(zfile_jump_at(&jump, i), off);
			off += i < n ? lengths[i] : 0;
		}
		ovbd_zfile_jump_free(&jump);
	}
}

static void test_jump_refuses(void **state)
{
	struct zfile_header h = {.block_size = 4096, .codec = OVBD_CODEC_LZ4, .checksum = true};
	const uint32_t bound = (uint32_t)ovbd_codec_lz4.bound(4096) + 4;
	struct zfile_jump jump;

	(void)state;
	assert_int_equal(load((uint32_t[]){5, bound}, 2, 5 + bound, &h, &jump), 0);
	ovbd_zfile_jump_free(&jump);
	assert_int_equal(load((uint32_t[]){5, bound}, 2, 4 + bound, &h, &jump), -EBADMSG);
	assert_int_equal(load((uint32_t[]){5, bound + 1}, 2, 100000, &h, &jump), -EBADMSG);
	assert_int_equal(load((uint32_t[]){5, 4}, 2, 100000, &h, &jump), -EBADMSG);
	assert_int_equal(load((uint32_t[]){5, 0}, 2, 100000, &h, &jump), -EBADMSG);
	assert_int_equal(load((uint32_t[]){UINT32_MAX, 5}, 2, 100000, &h, &jump), -EBADMSG);
	h.checksum = false;
	assert_int_equal(load((uint32_t[]){1}, 1, 1, &h, &jump), 0);
	ovbd_zfile_jump_free(&jump);
	assert_int_equal(load((uint32_t[]){0}, 1, 1, &h, &jump), -EBADMSG);
	h.flags = ZFILE_FLAG_DIGEST;
	h.index_crc = 1;
	assert_int_equal(load((uint32_t[]){1}, 1, 1, &h, &jump), -EBADMSG);
}

/* What overlaybd's reader cannot read: a block of more than 64 KiB with its checksum, and one that
 * lies 65535 bytes or more after the beginning of its group. */
static void test_large(void **state)
{
	struct zfile_large l = {0};

	(void)state;
	ovbd_zfile_large_count(&l, 65536, 65536);
	assert_int_equal(l.nlarge, 0);
	ovbd_zfile_large_count(&l, 65536, 65537);
	assert_int_equal(l.nlarge, 1);
	l = (struct zfile_large){0};
	for (int i = 0; i < 15; i++)
		ovbd_zfile_large_count(&l, 4096, 4368); /* 65520 */
	ovbd_zfile_large_count(&l, 4096, 4368);         /* the last of the group */
	assert_int_equal(l.nlarge, 0);
	for (int i = 0; i < 15; i++)
		ovbd_zfile_large_count(&l, 4096, 4369); /* 65535 */
	assert_int_equal(l.nlarge, 1);
	l = (struct zfile_large){0};
	ovbd_zfile_large_count(&l, 32768, 65534);
	assert_int_equal(l.nlarge, 0);
	ovbd_zfile_large_count(&l, 32768, 1);
	ovbd_zfile_large_count(&l, 32768, 65535);
	assert_int_equal(l.nlarge, 1);
}

static void test_codecs(void **state)
{
	(void)state;
	assert_string_equal(ovbd_codec_name(OVBD_CODEC_LZ4), "lz4");
	assert_string_equal(ovbd_codec_name(OVBD_CODEC_ZSTD), "zstd");
	assert_null(ovbd_codec_find(0));
	assert_null(ovbd_codec_find(3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encode_decode),
		cmocka_unit_test(test_known_digest),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_header_not_sealed),
		cmocka_unit_test(test_jump),
		cmocka_unit_test(test_jump_refuses),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_codecs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
