// SPDX-License-Identifier: Apache-2.0
/* What a registry says of an upload, and where its end goes. */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "oci/push.h"

static void test_ranges(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t n;
	} cases[] = {
		{"0-0", true, 0},
		{"0-1023", true, 1024},
		{"bytes=0-1023", true, 1024},
		{"bytes 0-1023", true, 1024},
		{"0-18446744073709551614", true, UINT64_MAX},
		{"0-18446744073709551615", false, 0},
		{"0-99999999999999999999", false, 0},
		{"1-1023", false, 0},
		{"0-", false, 0},
		{"0-12x", false, 0},
		{"0--1", false, 0},
		{"bytes", false, 0},
		{"", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t n = 7;

		assert_int_equal(oci_push_range(cases[i].text, &n), cases[i].ok);
		assert_int_equal(n, cases[i].ok ? cases[i].n : 7);
	}
}

static void test_digests(void **state)
{
	static const struct {
		const char *url, *all;
	} cases[] = {
		{"http://h/u/1", "http://h/u/1?digest=sha256:7"},
		{"http://h/u/1?", "http://h/u/1?digest=sha256:7"},
		{"http://h/u/1?state=a%3Db", "http://h/u/1?state=a%3Db&digest=sha256:7"},
		{"http://h/u/1?state=a&", "http://h/u/1?state=a&digest=sha256:7"},
		{"http://h/u/1?a=b#c", "http://h/u/1?a=b&digest=sha256:7"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *url = oci_push_with_digest(cases[i].url, "sha256:7");

		assert_string_equal(url, cases[i].all);
		free(url);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_digests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
