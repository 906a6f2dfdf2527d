// SPDX-License-Identifier: Apache-2.0
/* The decoders and encoders alone: bytes in, values out. */
#include "tests/unit/test.h"

#include <errno.h>

#include "base/bytes.h"
#include "lsmt/format.h"

#define NULL_UUID "00000000-0000-0000-0000-000000000000"

/* What a commit of overlaybd writes, field by field. */
static void test_header_bytes(void **state)
{
	static const uint8_t begin[56] = {
		'L',  'S',  'M',  'T',  0,    1,    2,    0, /* magic0 */
		0x65, 0x7e, 0x63, 0xd2, 0x94, 0x44, 0x08, 0x4c,
		0xa2, 0xd2, 0xc8, 0xec, 0x4f, 0xcf, 0xae, 0x8a, /* magic1 */
		0x86, 0x01, 0,    0,                            /* size: 390 */
		6,    0,    0,    0,                            /* flags */
		0,    0x12, 0,    0,    0,    0,    0,    0,    /* index_offset: 4608 */
		0,    1,    0,    0,    0,    0,    0,    0,    /* index_size: 256 */
		0x88, 0x77, 0x66, 0x55, 0x44, 0,    0,    0,    /* virtual_size */
	};
	const struct lsmt_header h = {
		.flags = LSMT_FLAG_DATA | LSMT_FLAG_SEALED,
		.index_off = 4608,
		.nentries = 256,
		.virtual_size = 0x4455667788,
		.uuid = "10000000-0000-4000-8000-00000000ABCD",
		.parent_uuid = NULL_UUID,
		.tag = "layer zero",
	};
	uint8_t raw[LSMT_HEADER_SIZE];

	(void)state;
	ovbd_lsmt_header_encode(&h, raw);
	assert_memory_equal(raw, begin, sizeof(begin));
	assert_memory_equal(raw + 56, "10000000-0000-4000-8000-00000000ABCD", 37);
	assert_memory_equal(raw + 93, NULL_UUID, 37);
	assert_memory_equal(raw + 130, "\0\0\1\1", 4);
	assert_memory_equal(raw + 134, "layer zero", 11);
	assert_true(ovbd_is_zero(raw + 145, sizeof(raw) - 145));
}

static void test_header_round(void **state)
{
	struct lsmt_header h = {
		.flags = LSMT_FLAG_HEADER | LSMT_FLAG_DATA,
		.virtual_size = LSMT_DEVICE_MAX,
		.uuid = NULL_UUID,
		.parent_uuid = NULL_UUID,
	};
	struct lsmt_header back;
	uint8_t raw[LSMT_HEADER_SIZE];

	(void)state;
	memset(h.tag, 'm', LSMT_TAG_MAX); /* as long as it gets: no NUL in the file */
	ovbd_lsmt_header_encode(&h, raw);
	raw[LSMT_OFF_END] = 'm';
	assert_int_equal(ovbd_lsmt_header_decode(raw, LSMT_HEADER, &back, NULL), 0);
	assert_int_equal(back.virtual_size, h.virtual_size);
	assert_int_equal(back.flags, h.flags);
	assert_int_equal(back.version, 0x101);
	assert_string_equal(back.uuid, h.uuid);
	assert_string_equal(back.tag, h.tag);
}

static void test_untrusted_text(void **state)
{
	struct lsmt_header h = {.flags = LSMT_FLAG_HEADER | LSMT_FLAG_DATA};
	uint8_t raw[LSMT_HEADER_SIZE];

	(void)state;
	ovbd_lsmt_header_encode(&h, raw);
	memset(raw + LSMT_OFF_UUID, 0xff, OVBD_UUID_SIZE);
	memcpy(raw + LSMT_OFF_PARENT_UUID, "a\033[1m\n b", 9);
	assert_int_equal(ovbd_lsmt_header_decode(raw, LSMT_HEADER, &h, NULL), 0);
	assert_string_equal(h.uuid, "????????????????????????????????????");
	assert_string_equal(h.parent_uuid, "a?[1m??b");
	assert_string_equal(h.tag, "");
}

static void test_header_refused(void **state)
{
	static const struct {
		enum lsmt_part part;
		uint32_t flags;
		size_t at;
		uint8_t value;
		int code;
		const char *text;
	} cases[] = {
		{LSMT_HEADER, 7, 0, 'X', -EBADMSG, "lsmt header: no LSMT magic"},
		{LSMT_HEADER, 7, 23, 0, -EBADMSG, "lsmt header: no LSMT magic"},
		{LSMT_TRAILER, 6, 8, 0, -EBADMSG, "the file is not sealed, or cut off"},
		{LSMT_HEADER, 6, 0, 'L', -EBADMSG, "flags 0x6 are not those of a header"},
		{LSMT_TRAILER, 7, 0, 'L', -EBADMSG, "flags 0x7 are not those of a trailer"},
		{LSMT_HEADER, 1, 0, 'L', -EBADMSG, "the index file of a writable layer"},
		{LSMT_TRAILER, 4, 0, 'L', -EBADMSG, "the index file of a writable layer"},
		{LSMT_TRAILER, 2, 0, 'L', -EBADMSG, "flags 0x2 are not those of a sealed file"},
		{LSMT_TRAILER, 6, 132, 3, -ENOTSUP, "lsmt trailer: version 3.1 is newer than 2.0"},
		{LSMT_TRAILER, 6, 132, 2, -EBADMSG, "version 2 without its flag 0x100"},
		{LSMT_TRAILER, 0x106, 132, 2, -EBADMSG, "not those of a layer with references"},
		{LSMT_TRAILER, 0x100, 132, 2, -EBADMSG, "are not those of a sealed file"},
		{LSMT_TRAILER, 0x104, 132, 2, 0, NULL},
		{LSMT_HEADER, 0x105, 132, 2, -EBADMSG, "the index file of a writable layer"},
		{LSMT_HEADER, 0x107, 132, 2, 0, NULL},
		{LSMT_HEADER, 7, 132, 255, -ENOTSUP, "version 255.1"},
		{LSMT_HEADER, 3, 133, 9, 0, NULL},   /* a later minor version */
		{LSMT_HEADER, 3, 132, 0, 0, NULL},   /* an earlier one */
		{LSMT_HEADER, 19, 0, 'L', 0, NULL},  /* of a sparse writable layer */
		{LSMT_TRAILER, 22, 0, 'L', 0, NULL}, /* which sealing may keep */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lsmt_header h = {.flags = cases[i].flags};
		struct ovbd_error err = {""};
		uint8_t raw[LSMT_HEADER_SIZE];
		int r;

		ovbd_lsmt_header_encode(&h, raw);
		raw[cases[i].at] = cases[i].value;
		r = ovbd_lsmt_header_decode(raw, cases[i].part, &h, &err);
		assert_fails(r, cases[i].code, err, cases[i].text ? cases[i].text : "");
	}
}

static void test_trailer_check(void **state)
{
	static const struct {
		uint64_t file_size, index_off, nentries, virtual_size;
		int code;
	} cases[] = {
		{8192, 4096, 0, 0, 0},
		{8192 + 512, 4096 + 512, 0, 1, 0},
		{8192 + 16, 4096, 1, 512, 0},
		{8192 + 17, 4096, 1, 512, 0},
		{8192 + 16, 4097, 1, 512, -EBADMSG},
		{8192 + 16, 4096, 2, 512, -EBADMSG},
		{8192, 4097, 0, 0, -EBADMSG},
		{8192, 4095, 0, 0, -EBADMSG},
		{8192, 0, 0, 0, -EBADMSG},
		{8191, 4096, 0, 0, -EBADMSG},
		{8192, UINT64_MAX, 0, 0, -EBADMSG},
		{8192, UINT64_MAX - 15, 1, 0, -EBADMSG},
		{8192, 4096, UINT64_MAX / 16 + 1, 0, -EBADMSG}, /* wraps to 0 */
		{8192, 4096, UINT64_MAX, 0, -EBADMSG},
		{8192, 4096, 0, LSMT_DEVICE_MAX, 0},
		{8192, 4096, 0, LSMT_DEVICE_MAX + 1, -EBADMSG},
		{8192, 4096, 0, UINT64_MAX, -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct lsmt_header h = {
			.index_off = cases[i].index_off,
			.nentries = cases[i].nentries,
			.virtual_size = cases[i].virtual_size,
		};
		const int r = ovbd_lsmt_trailer_check(&h, cases[i].file_size, NULL);

		if (r != cases[i].code)
			fail_msg("case %zu: %d", i, r);
	}
}

static void test_check_rest(void **state)
{
	static const struct {
		size_t at;
		const char *text;
	} cases[] = {
		{24, "size 391 is not 390"},     {130, "reserved bytes at 130"},
		{131, "reserved bytes at 130"},  {132, "version 0.1 is not 1.1"},
		{133, "version 1.0 is not 1.1"}, {390, "bytes from 390 on"},
		{4095, "bytes from 390 on"},
	};
	const struct lsmt_header h = {.flags = 7};
	uint8_t raw[LSMT_HEADER_SIZE];

	(void)state;
	ovbd_lsmt_header_encode(&h, raw);
	assert_int_equal(ovbd_lsmt_header_check_rest(raw, LSMT_HEADER, NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_error err = {""};

		raw[cases[i].at] ^= 1;
		assert_fails(ovbd_lsmt_header_check_rest(raw, LSMT_HEADER, &err), -EBADMSG, err,
		             cases[i].text);
		raw[cases[i].at] ^= 1;
	}
}

static void test_entries(void **state)
{
	static const struct {
		uint64_t w0, w1;
		struct lsmt_entry e;
	} cases[] = {
		{0x0200000000000000, 8, {.len = 128 * 512, .src = 4096}},
		{0x0004000000000001, 9, {.off = 512, .len = 512, .src = 4608}},
		{0xfffc000000000000 | 0x3fffffffffffe,
	         (UINT64_C(1) << 54) - 1,
	         {.off = ((UINT64_C(1) << 50) - 2) * 512,
	          .len = 16383 * 512,
	          .src = (UINT64_C(1) << 63) - 512}},
		{0x0008000000000001,
	         UINT64_C(1) << 54 | 7,
	         {.off = 512, .len = 1024, .src = 7 * 512, .reference = true}},
		{0x0004000000000000,
	         8 | UINT64_C(1) << 55,
	         {.len = 512, .src = 4096, .zeroed = true}},
		{0x0004000000000000,
	         8 | UINT64_C(0xab) << 56,
	         {.len = 512, .src = 4096, .tag = 0xab}},
	};
	uint8_t raw[LSMT_ENTRY_SIZE];
	const struct lsmt_entry padding = {.padding = true};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct lsmt_entry *want = &cases[i].e;
		struct lsmt_entry got;

		ovbd_lsmt_entry_encode(want, raw);
		assert_int_equal(ovbd_get_le64(raw), cases[i].w0);
		assert_int_equal(ovbd_get_le64(raw + 8), cases[i].w1);
		got = ovbd_lsmt_entry_decode(raw);
		assert_int_equal(got.off, want->off);
		assert_int_equal(got.len, want->len);
		assert_int_equal(got.src, want->src);
		assert_int_equal(got.tag, want->tag);
		assert_int_equal(got.zeroed, want->zeroed);
		assert_int_equal(got.reference, want->reference);
		assert_false(got.padding);
	}
	ovbd_lsmt_entry_encode(&padding, raw);
	assert_int_equal(ovbd_get_le64(raw), (UINT64_C(1) << 50) - 1);
	assert_int_equal(ovbd_get_le64(raw + 8), 0);
	/* the offset alone decides */
	ovbd_put_le64(raw, UINT64_MAX);
	assert_true(ovbd_lsmt_entry_decode(raw).padding);
}

static void test_entry_check(void **state)
{
	static const struct {
		struct lsmt_entry e;
		uint64_t prev_end, index_off;
		const char *text;
	} cases[] = {
		{{.len = 512, .src = 4096}, 0, 4608, NULL},
		{{.off = 512, .len = 512, .src = 4096}, 512, 4608, NULL},
		{{.len = 512, .src = 4096, .zeroed = true}, 0, 4096, NULL},
		{{.len = 512, .src = 4608, .zeroed = true}, 0, 4608, NULL},
		{{.len = 0, .src = 4096}, 0, 4608, "index entry 7: length 0"},
		{{.len = 512, .src = 4096}, 512, 4608, "device offset 0 lies before 512"},
		{{.off = LSMT_DEVICE_MAX - 512, .len = 512, .src = 4096}, 0, 4608, NULL},
		{{.off = LSMT_DEVICE_MAX - 512, .len = 1024, .src = 4096},
	         0,
	         8192,
	         "1024 bytes at device offset 576460752303422464 end beyond"},
		{{.len = 512, .src = 3584}, 0, 4608, "512 bytes at 3584 are not within the data"},
		{{.len = 512, .src = 0}, 0, 4608, "512 bytes at 0 are not within the data"},
		{{.len = 1024, .src = 4096}, 0, 4608, "1024 bytes at 4096 are not within"},
		{{.len = 512, .src = 4608}, 0, 4608, "are not within the data, which ends at 4608"},
		{{.len = 512, .src = 4096}, 0, 4607, "are not within the data, which ends at 4607"},
		{{.len = 512, .src = UINT64_MAX - 511}, 0, 4608, "bytes at 18446744073709551104"},
		{{.len = 512, .src = 4608, .zeroed = true},
	         0,
	         4096,
	         "0 bytes at 4608 are not within"},
		{{.len = 512, .src = 3584, .zeroed = true},
	         0,
	         4096,
	         "0 bytes at 3584 are not within"},
		{{.len = 512, .src = 4096, .reference = true}, 0, 4608, "at 9223372036854779904"},
		{{.len = 512, .src = 3584, .tag = 1},
	         0,
	         4608,
	         "its tag 1 is what a turboOCI layer"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_error err = {""};
		const struct lsmt_header t = {.index_off = cases[i].index_off};
		const int r = ovbd_lsmt_entry_check(&cases[i].e, 7, cases[i].prev_end, &t, &err);

		assert_fails(r, cases[i].text ? -EBADMSG : 0, err,
		             cases[i].text ? cases[i].text : "");
	}
}

static void test_uuid(void **state)
{
	static const char *const bad[] = {
		"",
		"0",
		"00000000-0000-0000-0000-00000000000",
		"00000000-0000-0000-0000-0000000000000",
		"00000000-0000-0000-0000-00000000000g",
		"00000000000000000000-0000-0000-00000",
		"0000000--0000-0000-0000-000000000000",
	};
	char uuid[OVBD_UUID_SIZE];

	(void)state;
	assert_int_equal(ovbd_lsmt_uuid_parse(NULL, uuid, NULL), 0);
	assert_string_equal(uuid, NULL_UUID);
	assert_int_equal(ovbd_lsmt_uuid_parse("0189abcd-efAB-CDEF-0000-00000000000f", uuid, NULL),
	                 0);
	assert_string_equal(uuid, "0189ABCD-EFAB-CDEF-0000-00000000000F");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ovbd_error err = {""};

		assert_fails(ovbd_lsmt_uuid_parse(bad[i], uuid, &err), -EINVAL, err,
		             "is not a UUID");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_bytes),   cmocka_unit_test(test_header_round),
		cmocka_unit_test(test_untrusted_text), cmocka_unit_test(test_header_refused),
		cmocka_unit_test(test_trailer_check),  cmocka_unit_test(test_check_rest),
		cmocka_unit_test(test_entries),        cmocka_unit_test(test_entry_check),
		cmocka_unit_test(test_uuid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
