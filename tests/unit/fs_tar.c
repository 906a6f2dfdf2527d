// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>

#include "base/bytes.h"
#include "fs/tar.h"

/* A header whose field at off has text, of n bytes. */
static const char *parse(size_t off, const void *text, size_t n, struct tar_header *ret)
{
	uint8_t raw[TAR_BLOCK] = {0};
	unsigned sum = 0;

	memcpy(raw, "name", 4);
	memcpy(raw + 257, "ustar\00000", 8);
	memcpy(raw + off, text, n);
	memset(raw + 148, ' ', 8);
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += raw[i];
	snprintf((char *)raw + 148, 8, "%06o", sum);
	return tar_header_parse(raw, ret);
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		bool ok;
		int64_t v;
	} cases[] = {
		{"00000000000", 12, true, 0},
		{"14061106400\0", 12, true, 1623493888},
		{"  14061106400", 12, true, 1623493888 / 8},
		{"777777777777", 12, true, 68719476735},
		{"", 0, true, 0},
		{"12345678", 8, false, 0},
		{"1 2", 3, true, 1},
		{"-1", 2, false, 0},
		{"\x80\0\0\0\0\0\0\x01\0\0\0\0", 12, true, INT64_C(1) << 32},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, true, -1},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\x88\xca\x6c\0", 12, true, -2000000000},
		{"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12, true, INT64_MAX},
		{"\x80\0\0\x01\0\0\0\0\0\0\0\0", 12, false, 0},
		{"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, false, 0},
		{"\xc0\0\0\0\0\0\0\0\0\0\0\0", 12, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tar_header h;
		const char *wrong = parse(136, cases[i].text, cases[i].n, &h);

		if ((wrong == NULL) != cases[i].ok)
			fail_msg("time %zu: %s", i, wrong ? wrong : "taken");
		if (!wrong && h.mtime != cases[i].v)
			fail_msg("time %zu: %lld", i, (long long)h.mtime);
		wrong = parse(124, cases[i].text, cases[i].n, &h);
		if ((wrong == NULL) != (cases[i].ok && cases[i].v >= 0))
			fail_msg("size %zu: %s", i, wrong ? wrong : "taken");
	}
}

static void test_names(void **state)
{
	struct tar_header h;
	char full[101] = "";

	(void)state;
	memset(full, 'n', 100);
	assert_null(parse(0, full, 100, &h));
	assert_string_equal(h.name, full);
	assert_null(parse(345, "the/prefix", 10, &h));
	assert_string_equal(h.name, "the/prefix/name");
	assert_null(parse(157, full, 100, &h));
	assert_string_equal(h.link, full);
	assert_non_null(tar_header_parse((const uint8_t[TAR_BLOCK]){0}, &h));
}

/* Records, each with its length before it. */
static size_t records(char *to, const char *const *list)
{
	size_t n = 0;

	for (; *list; list++) {
		size_t len = strlen(*list) + 3;

		len += len + 1 > 99 ? 2 : len > 9 ? 1 : 0;
		n += (size_t)sprintf(to + n, "%zu %s\n", len, *list);
	}
	return n;
}

static int parse_pax(const char *const *list, struct tar_pax *ret, struct ovbd_error *err)
{
	static char buf[4096];
	const size_t n = records(buf, list);

	*ret = (struct tar_pax){0};
	return tar_pax_parse(buf, n, ret, err);
}

static void test_pax(void **state)
{
	static const char *const all[] = {"path=a/b=c",
	                                  "linkpath=",
	                                  "size=12345678901",
	                                  "uid=4294967294",
	                                  "comment=no",
	                                  "mtime=-1.25",
	                                  "atime=1234567890.123456789123",
	                                  "SCHILY.xattr.user.x=v=w",
	                                  "SCHILY.xattr.user.x=again",
	                                  NULL};
	struct tar_pax p;
	struct ovbd_error err = {""};

	(void)state;
	assert_ok(parse_pax(all, &p, &err), err);
	assert_string_equal(p.path, "a/b=c");
	assert_string_equal(p.link, "");
	assert_int_equal(p.size, 12345678901);
	assert_true(p.has_uid && !p.has_gid);
	assert_int_equal(p.uid, 4294967294);
	assert_int_equal(p.mtime.s, -2);
	assert_int_equal(p.mtime.ns, 750000000);
	assert_int_equal(p.atime.ns, 123456789);
	assert_int_equal(p.nxattrs, 1);
	assert_memory_equal(p.xattrs[0].value, "again", 5);
	tar_pax_free(&p);
}

static void test_bad_pax(void **state)
{
	static const char *const values[] = {
		"size=",   "size=-1", "size=99999999999999999999", "mtime=1e9", "mtime=",
		"mtime=.", "uid=0x1", "GNU.sparse.numbytes=1"};
	static const char *const whole[] = {"5 a=b",    "99 a=b\n",
	                                    "a=b\n",    "6 a=b\n\n",
	                                    " 6 a=b\n", "6 abc\n",
	                                    "3 =\n",    "000000000000000000006 a=b\n"};
	struct ovbd_error err;
	struct tar_pax p;

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		if (parse_pax((const char *const[]){values[i], NULL}, &p, &err) == 0)
			fail_msg("%s", values[i]);
		tar_pax_free(&p);
	}
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		char buf[64];

		strcpy(buf, whole[i]);
		p = (struct tar_pax){0};
		if (tar_pax_parse(buf, strlen(buf), &p, &err) == 0)
			fail_msg("%s", whole[i]);
		tar_pax_free(&p);
	}
}

static void test_acls(void **state)
{
	static const uint8_t want[] = {2,    0,   0,   0,  1,    0,    6,    0,   0xff, 0xff, 0xff,
	                               0xff, 2,   0,   4,  0,    10,   0,    0,   0,    2,    0,
	                               7,    0,   0,   2,  0,    0,    4,    0,   4,    0,    255,
	                               255,  255, 255, 16, 0,    7,    0,    255, 255,  255,  255,
	                               32,   0,   0,   0,  0xff, 0xff, 0xff, 0xff};
	static const char *const right[] = {
		"user::rw-,user:10:r--,user:512:rwx,group::r--,mask::rwx,other::---",
		"user::rw-\nuser:me:rwx:512\t#effective:rwx\nuser:10:r--\ngroup::r--\nmask::rwx\n"
		"other::---\n"};
	static const struct {
		const char *text;
		int code;
	} wrong[] = {
		{"x", -EBADMSG},
		{"user::rw-", -EBADMSG},
		{"user::rw-,group::r--,other::r--,other::r--", -EBADMSG},
		{"user::rw-,user:5:r--,group::r--,other::r--", -EBADMSG}, /* no mask */
		{"user::rw-,user:5:r--,user:5:rw-,group::r--,mask::rw-,other::r--", -EBADMSG},
		{"user::rw-,user:joe:r--,group::r--,mask::rw-,other::r--", -ENOTSUP},
		{"user::rw-,user:4294967295:r--,group::r--,mask::rw-,other::r--", -ENOTSUP},
		{"user::rw-,mask:5:r--,group::r--,other::r--", -EBADMSG},
		{"user::rw,group::r--,other::r--", -EBADMSG},
		{"user::wr-,group::r--,other::r--", -EBADMSG},
		{"user::rw-,group::r--,other::r--x", -EBADMSG},
		{"::::::::::,:,:::", -EBADMSG},
	};
	struct ovbd_error err = {""};
	char text[256];
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		strcpy(text, right[i]);
		assert_ok(tar_acl_parse(text, strlen(text), &len, &err), err);
		assert_int_equal(len, sizeof(want));
		assert_memory_equal(text, want, len);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		strcpy(text, wrong[i].text);
		if (tar_acl_parse(text, strlen(text), &len, &err) != wrong[i].code)
			fail_msg("%s", wrong[i].text);
	}
	text[0] = '\0';
	assert_ok(tar_acl_parse(text, 0, &len, &err), err);
	assert_int_equal(len, 0);
}

/* What the mode says already is no attribute; the other kind always is. */
static void test_acl_records(void **state)
{
	static const char *const all[] = {"SCHILY.acl.access=user::rw-,group::r--,other::r--",
	                                  "SCHILY.acl.default=user::rw-,group::r--,other::r--",
	                                  NULL};
	struct ovbd_error err = {""};
	struct tar_pax p;

	(void)state;
	assert_ok(parse_pax(all, &p, &err), err);
	assert_int_equal(p.nxattrs, 1);
	assert_string_equal(p.xattrs[0].name, "system.posix_acl_default");
	assert_int_equal(p.xattrs[0].len, 28);
	tar_pax_free(&p);
}

static void test_sparse_maps(void **state)
{
	static const char *const bad[] = {
		"1", "1,2,3", ",", "1,,2", "1,2,", "a,1", "99999999999999999999,1"};
	struct ovbd_error err = {""};
	struct tar_piece *v;
	size_t n;

	(void)state;
	assert_ok(tar_sparse_parse_map("0,512,4096,0,8192,1", &v, &n, &err), err);
	assert_int_equal(n, 3);
	assert_int_equal(v[2].off, 8192);
	assert_ok(tar_sparse_check(v, &n, 8193, 513, &err), err);
	assert_int_equal(n, 2);
	assert_int_equal(tar_sparse_check(v, &n, 8193, 514, &err), -EBADMSG);
	assert_int_equal(tar_sparse_check(v, &n, 8192, 513, &err), -EBADMSG);
	v[1].off = 511;
	assert_int_equal(tar_sparse_check(v, &n, 8193, 513, &err), -EBADMSG);
	free(v);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (tar_sparse_parse_map(bad[i], &v, &n, &err) == 0)
			fail_msg("%s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),     cmocka_unit_test(test_names),
		cmocka_unit_test(test_pax),         cmocka_unit_test(test_bad_pax),
		cmocka_unit_test(test_acls),        cmocka_unit_test(test_acl_records),
		cmocka_unit_test(test_sparse_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
