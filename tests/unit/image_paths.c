// SPDX-License-Identifier: Apache-2.0
/* What the lines of a list of paths say, and what is no list. */
#include "tests/unit/test.h"

#include "image/paths.h"

static void lines(void **state)
{
	static const struct {
		const char *line, *path; /* NULL: none */
		bool all;
	} cases[] = {
		{"/bin/tool", "/bin/tool", false},
		{"/bin/tool \t\r", "/bin/tool", false},
		{"/a name", "/a name", false},
		{"/lib/", "/lib", true},
		{"/lib//", "/lib", true},
		{"/lib/*", "/lib", true},
		{"/lib/a*", "/lib/a*", false},
		{"/", "/", true},
		{"/*", "/", true},
		{"lib", "lib", false},
		{"", NULL, false},
		{" \r", NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text = cases[i].line;
		size_t len = strlen(text);
		struct ovbd_paths_entry e;

		assert_int_equal(ovbd_paths_next(&text, &len, &e), cases[i].path != NULL);
		assert_int_equal(len, 0);
		if (!cases[i].path)
			continue;
		assert_int_equal(e.len, strlen(cases[i].path));
		assert_memory_equal(e.path, cases[i].path, e.len);
		assert_int_equal(e.all, cases[i].all);
	}
}

static void in_order(void **state)
{
	static const char *const paths[] = {"/z", "/a", "/m"};
	const char *text = "\n/z\n\n/a\r\n/m";
	size_t len = strlen(text);
	struct ovbd_paths_entry e;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_true(ovbd_paths_next(&text, &len, &e));
		assert_int_equal(e.len, 2);
		assert_memory_equal(e.path, paths[i], 2);
	}
	assert_false(ovbd_paths_next(&text, &len, &e));
}

static void lists(void **state)
{
	(void)state;
	assert_true(ovbd_paths_is_list("/a", 2));
	assert_true(ovbd_paths_is_list("\n\n/a\nb\n", 7));
	assert_false(ovbd_paths_is_list("", 0));
	assert_false(ovbd_paths_is_list("\n \n", 3));
	assert_false(ovbd_paths_is_list("a\n/b\n", 5));
	assert_false(ovbd_paths_is_list("/a\0/b", 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(in_order),
		cmocka_unit_test(lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
