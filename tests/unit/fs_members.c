// SPDX-License-Identifier: Apache-2.0
/* What is found in a tar that is read in place: names, links; what is refused, or cut short. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>

#include "fs/members.h"

#define ROOM 65536u

struct tar {
	uint8_t bytes[ROOM];
	size_t len;
};

static void number(uint8_t *to, int width, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%0*llo", width, (unsigned long long)v);
	memcpy(to, text, (size_t)width);
}

/* A member; content of size bytes follows, which are its number in the tar. */
static void add(struct tar *t, char type, const char *name, const char *link, size_t size)
{
	uint8_t *h = t->bytes + t->len;
	unsigned sum = 0;

	memset(h, 0, 512);
	memcpy(h, name, strlen(name));
	memcpy(h + 100, "0000644\0000000000\0000000000\0", 24);
	number(h + 124, 11, size);
	number(h + 136, 11, 0);
	h[156] = (uint8_t)type;
	memcpy(h + 157, link, strlen(link));
	memcpy(h + 257, "ustar\00000", 8);
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < 512; i++)
		sum += h[i];
	number(h + 148, 6, sum);
	h[154] = '\0';
	t->len += 512;
	memset(t->bytes + t->len, (int)(t->len / 512), (size + 511) / 512 * 512);
	t->len += (size + 511) / 512 * 512;
}

static void end(struct tar *t)
{
	memset(t->bytes + t->len, 0, 1024);
	t->len += 1024;
}

static int open_tar(const struct tar *t, size_t len, struct ovbd_fs_members **ret,
                    struct ovbd_blob **ret_blob, struct ovbd_error *err)
{
	assert_ok(ovbd_blob_open_mem(t->bytes, len, ret_blob, err), *err);
	return ovbd_fs_members_open(*ret_blob, ret, err);
}

static void make(struct tar *t)
{
	t->len = 0;
	add(t, '5', "./dir/", "", 0);
	add(t, '0', "./dir/a", "", 5);
	add(t, '0', "/big", "", 3000);
	add(t, '2', "dir/to-b", "../b//./c", 0);
	add(t, '0', "b/c", "", 1);
	add(t, '1', "hard", "dir/to-b", 0);
	add(t, '2', "out", "../x", 0);
	add(t, '2', "absolute", "/big", 0);
	add(t, '2', "x", "y", 0);
	add(t, '2', "y", "x", 0);
	add(t, '2', "gone", "nothing", 0);
	add(t, '0', "../dots", "", 1);
	add(t, '0', "a/../big", "", 1);
	add(t, '0', "twice", "", 1);
	add(t, '0', "./twice", "", 1);
	add(t, '5', "dir", "", 0);
	add(t, '6', "fifo", "", 0);
	add(t, '0', "empty", "", 0);
	end(t);
}

static void test_find(void **state)
{
	static const struct {
		const char *name;
		int code;
		const char *words; /* or NULL */
		size_t size;
	} cases[] = {
		{"dir/a", 0, NULL, 5},
		{"./dir//a", 0, NULL, 5},
		{"big", 0, NULL, 3000},
		{"dir/to-b", 0, NULL, 1},
		{"hard", 0, NULL, 1},
		{"empty", 0, NULL, 0},
		{"b", -ENOENT, "b: is not in the archive", 0},
		{"dots", -ENOENT, "not in the archive", 0},
		{"out", -EBADMSG, "out: is a link out of the archive: ../x", 0},
		{"absolute", -EBADMSG, "is a link out of the archive: /big", 0},
		{"x", -EBADMSG, "in a circle", 0},
		{"gone", -EBADMSG, "gone: is a link to nothing, which is not in the archive", 0},
		{"../dots", -EBADMSG, "../dots: is no name within an archive", 0},
		{"a/../big", -EBADMSG, "is no name within an archive", 0},
		{"", -EBADMSG, "is no name within an archive", 0},
		{"twice", -EBADMSG, "twice: is in the archive more than once", 0},
		{"dir", -EBADMSG, "dir: is no regular file", 0},
		{"fifo", -EBADMSG, "fifo: is no regular file", 0},
	};
	static struct tar t;
	OVBD_AUTO(ovbd_fs_members_closep) struct ovbd_fs_members *m = NULL;
	AUTO_BLOB *b = NULL;
	struct ovbd_error err;

	(void)state;
	make(&t);
	assert_ok(open_tar(&t, t.len, &m, &b, &err), err);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_fs_member f;
		const int r = ovbd_fs_members_find(m, cases[i].name, &f, &err);
		uint8_t *p = t.bytes + f.off;

		if (r != cases[i].code || (cases[i].words && !strstr(err.msg, cases[i].words)))
			fail_msg("%s: %d, %s", cases[i].name, r, r < 0 ? err.msg : "found");
		if (r < 0)
			continue;
		assert_int_equal(f.size, cases[i].size);
		for (size_t k = 0; k < f.size; k++)
			assert_int_equal(p[k], (f.off / 512) & 255);
	}
}

/* Cut anywhere but between members, it is damaged; a tar may end without its zeros. */
static void test_cut(void **state)
{
	static struct tar t;

	(void)state;
	t.len = 0;
	add(&t, '0', "one", "", 700);
	add(&t, '0', "two", "", 512);
	for (size_t len = 1; len <= t.len; len++) {
		OVBD_AUTO(ovbd_fs_members_closep) struct ovbd_fs_members *m = NULL;
		AUTO_BLOB *b = NULL;
		struct ovbd_error err;
		const bool whole = len == 512 + 1024 || len == t.len;
		const int r = open_tar(&t, len, &m, &b, &err);

		if (r != (whole ? 0 : -EBADMSG))
			fail_msg("%zu bytes: %d", len, r);
		if (r < 0)
			assert_non_null(strstr(err.msg, "ends in the middle"));
	}
}

static void test_wrong(void **state)
{
	static struct tar t;
	struct ovbd_fs_members *m = NULL;
	struct ovbd_error err;
	struct ovbd_blob *b;

	(void)state;
	t.len = 0;
	add(&t, '0', "one", "", 700);
	t.bytes[3] ^= 1;
	assert_fails(open_tar(&t, t.len, &m, &b, &err), -EBADMSG, err, "is no header of a tar");
	ovbd_blob_close(b);
	t.len = 0;
	add(&t, '0', "one", "", 0);
	memcpy(t.bytes + 124, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12); /* its size */
	memset(t.bytes + 148, ' ', 8);
	for (unsigned i = 0, sum = 0; i < 512; i++) {
		sum += t.bytes[i];
		if (i == 511)
			number(t.bytes + 148, 6, sum);
	}
	t.bytes[154] = '\0';
	assert_fails(open_tar(&t, t.len, &m, &b, &err), -EBADMSG, err, "ends in the middle");
	ovbd_blob_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
