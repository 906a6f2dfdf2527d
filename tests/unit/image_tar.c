// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>

#include "base/bytes.h"
#include "image/tar.h"
#include "image/tar_format.h"

/* A header as other writers make it. */
static void make_header(uint8_t raw[TAR_BLOCK], char type, const char *size, bool gnu)
{
	unsigned sum = 0;

	memset(raw, 0, TAR_BLOCK);
	memcpy(raw, "name", 4);
	memcpy(raw + 124, size, strlen(size));
	raw[156] = (uint8_t)type;
	memcpy(raw + 257, gnu ? "ustar  " : "ustar\00000", 8);
	memset(raw + 148, ' ', 8);
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += raw[i];
	snprintf((char *)raw + 148, 8, "%06o", sum);
}

static int member(const void *buf, size_t len, uint64_t *off, uint64_t *size,
                  struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL;

	assert_ok(ovbd_blob_open_mem(buf, len, &b, err), *err);
	return ovbd_tar_member(b, off, size, err);
}

static void test_headers(void **state)
{
	static uint8_t buf[8 * TAR_BLOCK];
	struct ovbd_error err;
	uint64_t off, size;

	(void)state;
	for (int gnu = 0; gnu < 2; gnu++) {
		make_header(buf, '0', "00000001000", gnu);
		assert_int_equal(member(buf, sizeof(buf), &off, &size, &err), 1);
		assert_int_equal(off, 512);
		assert_int_equal(size, 512);
		buf[3] ^= 1; /* the checksum no longer fits: no tar */
		assert_int_equal(member(buf, sizeof(buf), &off, &size, &err), 0);
	}
	make_header(buf, '0', "       1001 ", false); /* spaces, as overlaybd writes */
	assert_int_equal(member(buf, sizeof(buf), &off, &size, &err), 1);
	assert_int_equal(size, 513);
	make_header(buf, '0', "12x", false);
	assert_int_equal(member(buf, sizeof(buf), &off, &size, &err), 0);
	make_header(buf, '0', "00000007001", false); /* a byte more than there is */
	assert_fails(member(buf, sizeof(buf), &off, &size, &err), -EBADMSG, err, "truncated");
	assert_int_equal(member(buf, 511, &off, &size, &err), 0);
}

static void test_base256(void **state)
{
	static uint8_t buf[2 * TAR_BLOCK];
	struct ovbd_error err;
	uint64_t off, size;

	(void)state;
	make_header(buf, '0', "\x80", true);
	buf[134] = 2; /* the number's last bytes, and the checksum with them */
	buf[153] = (uint8_t)(buf[153] + 2);
	assert_int_equal(member(buf, sizeof(buf), &off, &size, &err), 1);
	assert_int_equal(size, 512);
}

static void test_pax(void **state)
{
	static const struct {
		const char *records;
		int r;
		uint64_t size;
	} cases[] = {
		{"", 0, 0},
		{"15 size=246847\n", 1, 246847},
		{"30 atime=1795233624.618302211\n9 size=7\n", 1, 7},
		{"9 size=7\n9 size=8\n", 1, 8}, /* the later one wins */
		{"11 foo=bar\n", 0, 0},
		{"9 size=x\n", -EBADMSG, 0},
		{"8 size=7\n", -EBADMSG, 0},
		{"11 size=7\n", -EBADMSG, 0},
		{"99999999999999999999999 size=7\n", -EBADMSG, 0},
		{"30 size=99999999999999999999\n", -EBADMSG, 0},
		{"2 \n", -EBADMSG, 0},
		{"0 \n", -EBADMSG, 0},
		{"size=7\n", -EBADMSG, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t size = 0;
		const uint8_t *text = (const uint8_t *)cases[i].records;

		assert_int_equal(tar_pax_size(text, strlen(cases[i].records), &size), cases[i].r);
		assert_int_equal(size, cases[i].size);
		/* cut anywhere: an answer or an error, never a byte beyond (ASan) */
		for (size_t len = 0; len < strlen(cases[i].records); len++) {
			AUTO_FREE uint8_t *copy = malloc(len + 1);

			memcpy(copy, text, len);
			tar_pax_size(copy, len, &size);
		}
	}
}

/* Wraps len bytes; the result is to be freed. */
static uint8_t *wrap(const void *data, size_t len, size_t *ret_len)
{
	struct ovbd_error err;
	struct ovbd_sink *mem, *tar;
	uint8_t *bytes;

	assert_ok(ovbd_sink_create_mem(&mem, &err), err);
	assert_ok(ovbd_tar_create(mem, &tar, &err), err);
	assert_ok(ovbd_sink_append(tar, data, len, &err), err);
	if (len > 0)
		assert_ok(ovbd_sink_patch(tar, "Z", 1, 0, &err), err);
	assert_ok(ovbd_sink_finish(tar, &err), err);
	bytes = ovbd_sink_mem_take(mem, ret_len);
	ovbd_sink_close(tar);
	return bytes;
}

static void test_round_trip(void **state)
{
	static uint8_t data[5000];

	(void)state;
	memset(data, 'a', sizeof(data));
	for (size_t len = 0; len <= sizeof(data); len += len < 20 ? 1 : 499) {
		struct ovbd_error err;
		size_t tar_len;
		uint64_t off, size = 0;
		AUTO_FREE uint8_t *tar = wrap(data, len, &tar_len);

		assert_int_equal(tar_len, 1536 + ovbd_align_up(len, 512) + 1024);
		assert_int_equal(member(tar, tar_len, &off, &size, &err), 1);
		assert_int_equal(off, 1536);
		assert_int_equal(size, len);
		if (len > 0)
			assert_int_equal(tar[1536], 'Z');
		assert_true(ovbd_is_zero(tar + 1536 + len, tar_len - 1536 - len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_base256),
		cmocka_unit_test(test_pax),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
