// SPDX-License-Identifier: Apache-2.0
/* What people write and read: sizes, mistyped words, untrusted text, progress, exit statuses. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "tools/cli.h"
#include "tools/progress.h"
#include "tools/size.h"
#include "tools/text.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_size_parse(void **state)
{
	static const struct {
		const char *text;
		int code;
		uint64_t size;
	} cases[] = {
		{"0", 0, 0},
		{"512", 0, 512},
		{"512B", 0, 512},
		{"64K", 0, 65536},
		{"64k", 0, 65536},
		{"64KiB", 0, 65536},
		{"4G", 0, UINT64_C(4) << 30},
		{"1.5G", 0, UINT64_C(3) << 29},
		{"0.25M", 0, 262144},
		{"2T", 0, UINT64_C(2) << 40},
		{"15E", 0, UINT64_C(15) << 60},
		{"0x1000", 0, 4096},
		{"0x10K", 0, 16384},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"16E", -ERANGE, 0},
		{"15.99999E", -EINVAL, 0}, /* no whole number of bytes */
		{"", -EINVAL, 0},
		{"K", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 K", -EINVAL, 0},
		{"1KB", -EINVAL, 0}, /* 1000 or 1024? */
		{"1Ki", -EINVAL, 0},
		{"1X", -EINVAL, 0},
		{"1.", -EINVAL, 0},
		{"1.K", -EINVAL, 0},
		{"1.5", -EINVAL, 0},
		{"0.1K", -EINVAL, 0},
		{"1.0000000001G", -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t size = 0;
		const int r = ovbd_size_parse(cases[i].text, &size);

		if (r != cases[i].code || size != cases[i].size)
			fail_msg("\"%s\": %d, %llu", cases[i].text, r, (unsigned long long)size);
	}
}

static void test_size_text(void **state)
{
	static const struct {
		uint64_t size;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{1023, "1023 B"},
		{1024, "1 KiB"},
		{1025, "1.00 KiB"},
		{65536, "64 KiB"},
		{10240 + 512, "10.5 KiB"},
		{UINT64_C(1299227607), "1.21 GiB"},
		{(UINT64_C(1) << 20) - 1, "1.00 MiB"}, /* not 1024 KiB */
		{(UINT64_C(1) << 30) - (UINT64_C(1) << 19), "1.00 GiB"},
		{UINT64_MAX, "16.0 EiB"},
	};
	char buf[OVBD_SIZE_TEXT], full[OVBD_SIZE_FULL];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_string_equal(ovbd_size_text(buf, cases[i].size), cases[i].text);
	assert_string_equal(ovbd_size_full(full, 1), "1 byte");
	assert_string_equal(ovbd_size_full(full, 0), "0 bytes");
	assert_string_equal(ovbd_size_full(full, 65536), "64 KiB (65536 bytes)");
}

static void test_nearest(void **state)
{
	static const char *const verbs[] = {"convert", "info", "map", "check", "compare", "serve"};

	(void)state;
	assert_string_equal(ovbd_nearest("covnert", verbs, COUNT(verbs)), "convert");
	assert_string_equal(ovbd_nearest("chek", verbs, COUNT(verbs)), "check");
	assert_string_equal(ovbd_nearest("mpa", verbs, COUNT(verbs)), "map");
	assert_null(ovbd_nearest("commit", verbs, COUNT(verbs)));
	assert_null(ovbd_nearest("x", verbs, COUNT(verbs)));
	assert_null(ovbd_nearest("", verbs, COUNT(verbs)));
	assert_null(
		ovbd_nearest("convertconvertconvertconvertconvertconvert", verbs, COUNT(verbs)));
}

static void test_text_escape(void **state)
{
	static const char *const cases[][2] = {
		{"", ""},
		{"plain text", "plain text"},
		{"Gr\xc3\xbc\xc3\x9f Gott", "Gr\xc3\xbc\xc3\x9f Gott"},
		{"\x1b[2J", "\\x1b[2J"},
		{"a\nb\tc\x7f", "a\\x0ab\\x09c\\x7f"},
		{"\xff\xfe", "\\xff\\xfe"},
		{"\xc3", "\\xc3"},                   /* cut off */
		{"\xc0\xaf", "\\xc0\\xaf"},          /* overlong */
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* a surrogate */
		{"\xc2\x9b"
	         "1m",
	         "\\xc2\\x9b"
	         "1m"},                              /* C1: also begins an escape sequence */
		{"\xe2\x80\xae", "\\xe2\\x80\\xae"}, /* right-to-left override */
		{"\xf0\x9f\x90\xa7", "\xf0\x9f\x90\xa7"},
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond Unicode */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *got = ovbd_text_escape(cases[i][0]);

		assert_string_equal(got, cases[i][1]);
		free(got);
	}
}

static void test_progress_text(void **state)
{
	static const struct {
		uint64_t done, total;
		double seconds;
		const char *text;
	} cases[] = {
		{0, 1 << 20, 0, "  0 %  0 B of 1 MiB  0 B/s"},
		{1 << 19, 1 << 20, 2, " 50 %  512 KiB of 1 MiB  256 KiB/s  2 s left"},
		{1 << 20, 100 << 20, 1, "  1 %  1 MiB of 100 MiB  1 MiB/s  1:39 left"},
		{1 << 10, 100 << 20, 1, "  0 %  1 KiB of 100 MiB  1 KiB/s  28:26:39 left"},
		{1 << 20, 1 << 20, 4, "100 %  1 MiB of 1 MiB  256 KiB/s"},
		{UINT64_MAX - 1, UINT64_MAX, 0.001, "100 %  16.0 EiB of 16.0 EiB"},
	};
	char buf[OVBD_PROGRESS_TEXT];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		ovbd_progress_text(buf, cases[i].done, cases[i].total, cases[i].seconds);
		if (strncmp(buf, cases[i].text, strlen(cases[i].text)) != 0)
			fail_msg("\"%s\"", buf);
	}
}

static void test_exit_status(void **state)
{
	(void)state;
	assert_int_equal(ovbd_exit_status(0, true), 0);
	assert_int_equal(ovbd_exit_status(-EBADMSG, false), 1);
	assert_int_equal(ovbd_exit_status(-EBADMSG, true), 65);
	assert_int_equal(ovbd_exit_status(-ENOENT, true), 69);
	assert_int_equal(ovbd_exit_status(-ENOTSUP, true), 69);
	assert_int_equal(ovbd_exit_status(-EIO, true), 74);
	assert_int_equal(ovbd_exit_status(-EAGAIN, true), 75);
	assert_int_equal(ovbd_exit_status(-ETIMEDOUT, true), 75);
	assert_int_equal(ovbd_exit_status(-ESTALE, true), 75);
	assert_int_equal(ovbd_exit_status(-EACCES, true), 77);
	assert_int_equal(ovbd_exit_status(-ENOMEM, true), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_parse),    cmocka_unit_test(test_size_text),
		cmocka_unit_test(test_nearest),       cmocka_unit_test(test_text_escape),
		cmocka_unit_test(test_progress_text), cmocka_unit_test(test_exit_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
