// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/auto.h"
#include "daemon/mountinfo.h"

static void test_decode(void **state)
{
	static const struct {
		const char *line;
		int r;
		struct ovbd_mount m;
	} cases[] = {
		{"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n",
	         0,
	         {36, 98, 0, "/mnt2", "ext3", "/dev/root"}},
		{"1842 29 0:61 / /a\\040b/c\\134d\\0111 ro - fuse.ovbd ovbd ro",
	         0,
	         {1842, 0, 61, "/a b/c\\d\t1", "fuse.ovbd", "ovbd"}},
		{"36 35 98:0 / / rw a:1 b:2 c:3 - tmpfs none rw",
	         0,
	         {36, 98, 0, "/", "tmpfs", "none"}},
		{"36 35 98:0 / /x\\04 rw - tmpfs  rw", 0, {36, 98, 0, "/x\\04", "tmpfs", ""}},
		{"", -EBADMSG, {0}},
		{"36", -EBADMSG, {0}},
		{"36 35 98:0 / /x rw shared:1 tmpfs none rw", -EBADMSG, {0}},
		{"36 35 98:0 / /x rw -", -EBADMSG, {0}},
		{"x 35 98:0 / /x rw - tmpfs none rw", -EBADMSG, {0}},
		{"36 35 98 / /x rw - tmpfs none rw", -EBADMSG, {0}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		AUTO_FREE char *line = strdup(cases[i].line);
		struct ovbd_mount m;

		assert_int_equal(ovbd_mountinfo_decode(line, &m), cases[i].r);
		if (cases[i].r < 0)
			continue;
		assert_int_equal(m.id, cases[i].m.id);
		assert_int_equal(m.major, cases[i].m.major);
		assert_int_equal(m.minor, cases[i].m.minor);
		assert_string_equal(m.path, cases[i].m.path);
		assert_string_equal(m.fs_type, cases[i].m.fs_type);
		assert_string_equal(m.source, cases[i].m.source);
	}
}

static void test_find(void **state)
{
	AUTO_FREE char *line = NULL;
	struct ovbd_mount m;

	(void)state;
	assert_int_equal(ovbd_mountinfo_find("/proc", &m, &line, NULL), 1);
	assert_string_equal(m.path, "/proc");
	assert_string_equal(m.fs_type, "proc");
	assert_int_equal(ovbd_mountinfo_find("/no/such place", &m, &line, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
