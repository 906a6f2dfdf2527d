// SPDX-License-Identifier: Apache-2.0
/* Which keys of cached blobs say what digest all of it has. */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "remote/cache_key.h"

#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_keys(void **state)
{
	static const struct {
		const char *key;
		bool has;
	} keys[] = {
		{"http://h:80 sha256:" DIGITS " 5", true},
		{"http://h:80/a/b?c sha256:" DIGITS " 5 \"etag\" x", true},
		{"http://h:80 sha256:" DIGITS, true},
		{"http://h:80 sha256:" DIGITS "0 5", false},
		{"http://h:80 sha512:" DIGITS " 5", false},
		{"http://h:80 SHA256:" DIGITS " 5", false},
		{"http://h:80 5 sha256:" DIGITS, false},
		{"http://h:80", false},
		{"fs-verity sha256:" DIGITS " 5", false},
		{"", false},
	};
	static const struct {
		const char *url, *key;
	} urls[] = {
		{"https://h/v2/a/b/blobs/sha256:" DIGITS, "https://h:443 sha256:" DIGITS " 5"},
		{"https://u:p@H:99/v2/a/blobs/sha256:" DIGITS, "https://h:99 sha256:" DIGITS " 5"},
		{"https://h/v2/a/blobs/sha256:" DIGITS "?x", NULL},
		{"https://h/v2/a/blobs/sha256:" DIGITS "0", NULL},
		{"https://h/v2/a/other/sha256:" DIGITS, NULL},
		{"https://h/sha256:" DIGITS, NULL},
		{"https://h/v2/a/blobs/", NULL},
		{"https://h", NULL},
	};
	char text[OVBD_CACHE_SHA256_SIZE];
	char *k = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_int_equal(ovbd_cache_key_sha256(keys[i].key, text), keys[i].has);
	assert_true(ovbd_cache_key_sha256(keys[0].key, text));
	assert_string_equal(text, "sha256:" DIGITS);
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		assert_int_equal(ovbd_cache_key_registry(urls[i].url, 5, &k, NULL), 0);
		if (urls[i].key)
			assert_string_equal(k, urls[i].key);
		else
			assert_null(k);
		free(k);
	}
	assert_int_equal(ovbd_cache_key_add("http://h/x 5 \"e\" ", "sha256:1", &k, NULL), 0);
	assert_string_equal(k, "http://h/x sha256:1 5 \"e\" ");
	free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
