// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include "base/bytes.h"
#include "base/crc32c.h"

static void test_byte_orders(void **state)
{
	uint8_t raw[9] = {0};

	(void)state;
	ovbd_put_le64(raw + 1, 0x0123456789abcdefu);
	assert_int_equal(raw[1], 0xef);
	assert_int_equal(raw[8], 0x01);
	assert_int_equal(ovbd_get_le64(raw + 1), 0x0123456789abcdefu);
	assert_int_equal(ovbd_get_le32(raw + 1), 0x89abcdefu);
	assert_int_equal(ovbd_get_le16(raw + 1), 0xcdefu);
	ovbd_put_le16(raw, 0xfffe);
	assert_int_equal(raw[0], 0xfe);
	assert_int_equal(raw[1], 0xff);
	ovbd_put_be64(raw + 1, 0x0123456789abcdefu);
	assert_int_equal(raw[1], 0x01);
	assert_int_equal(ovbd_get_be64(raw + 1), 0x0123456789abcdefu);
	assert_int_equal(ovbd_get_be32(raw + 5), 0x89abcdefu);
	assert_int_equal(ovbd_get_be16(raw + 7), 0xcdefu);
}

static void test_checked(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_false(ovbd_add(UINT64_MAX, 1, &v));
	assert_false(ovbd_mul(UINT64_MAX / 2 + 1, 2, &v));
	assert_int_equal(v, 7);
	assert_true(ovbd_add(UINT64_MAX - 1, 1, &v));
	assert_true(v == UINT64_MAX);
	assert_true(ovbd_within(0, 10, 10));
	assert_true(ovbd_within(10, 0, 10));
	assert_false(ovbd_within(1, 10, 10));
	assert_false(ovbd_within(11, 0, 10));
	assert_false(ovbd_within(UINT64_MAX, UINT64_MAX, 10));
	assert_false(ovbd_within(5, UINT64_MAX - 2, 10));
	assert_int_equal(ovbd_align_up(513, 512), 1024);
	assert_int_equal(ovbd_align_down(1023, 512), 512);
	assert_null(ovbd_array_alloc(UINT64_MAX / 4, 16));
}

static void test_is_zero(void **state)
{
	uint8_t buf[300] = {0};

	(void)state;
	for (size_t len = 0; len <= 200; len++) {
		for (size_t start = 0; start < 9; start++) {
			assert_true(ovbd_is_zero(buf + start, len));
			for (size_t at = 0; at < len; at++) {
				buf[start + at] = 1;
				assert_false(ovbd_is_zero(buf + start, len));
				buf[start + at] = 0;
			}
			/* what lies around is not looked at */
			buf[start + len] = 1;
			assert_true(ovbd_is_zero(buf + start, len));
			buf[start + len] = 0;
		}
	}
}

/* "123456789" has the well-known value e3069283 in the standard's (inverted) variant. */
static void test_crc32c_known(void **state)
{
	uint8_t zeros[32] = {0};

	(void)state;
	for (size_t i = 0; ovbd_crc32c_impls[i]; i++) {
		const struct ovbd_crc32c_impl *c = ovbd_crc32c_impls[i];

		if (!c->supported())
			continue;
		assert_int_equal(~c->update(0xffffffffu, "123456789", 9), 0xe3069283u);
		assert_int_equal(~c->update(0xffffffffu, zeros, 32), 0x8a9136aau); /* RFC 3720 */
		assert_int_equal(c->update(100007, zeros, 0), 100007);
	}
	assert_int_equal(~ovbd_crc32c(0xffffffffu, "123456789", 9), 0xe3069283u);
}

/* Every implementation against a bit-by-bit one, at every length over several laps and alignments;
 * and in two pieces. */
static void test_crc32c_agree(void **state)
{
	static uint8_t buf[2400];
	uint64_t seed = 1;
	uint32_t want = 100007;

	(void)state;
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)test_random(&seed);
	for (size_t len = 0; len < sizeof(buf) - 8; len++) {
		for (size_t i = 0; ovbd_crc32c_impls[i]; i++) {
			const struct ovbd_crc32c_impl *c = ovbd_crc32c_impls[i];
			const size_t cut = len / 3;

			if (!c->supported())
				continue;
			assert_int_equal(c->update(100007, buf, len), want);
			assert_int_equal(c->update(c->update(100007, buf, cut), buf + cut,
			                           len - cut),
			                 want);
		}
		want ^= buf[len];
		for (int bit = 0; bit < 8; bit++)
			want = want >> 1 ^ (want & 1 ? 0x82f63b78u : 0);
	}
}

static void test_error(void **state)
{
	struct ovbd_error err;
	char longest[2 * OVBD_ERROR_SIZE];

	(void)state;
	assert_int_equal(ovbd_fail(NULL, -5, "%d", 1), -5);
	assert_int_equal(ovbd_fail(&err, -5, "block %d", 812), -5);
	assert_string_equal(err.msg, "block 812");
	assert_int_equal(ovbd_fail_within(&err, -5, "layer %d", 3), -5);
	assert_string_equal(err.msg, "layer 3: block 812");
	assert_int_equal(ovbd_fail_errno(&err, -2, "%s", "/x"), -2);
	assert_string_equal(err.msg, "/x: No such file or directory");
	/* a name is said once, and not mistaken for a piece of a word */
	ovbd_fail(&err, -5, "layer 3: /x: entries are bad");
	assert_int_equal(ovbd_fail_named(&err, -5, "/x"), -5);
	assert_string_equal(err.msg, "layer 3: /x: entries are bad");
	ovbd_fail_named(&err, -5, "tr");
	assert_string_equal(err.msg, "tr: layer 3: /x: entries are bad");
	ovbd_fail_named(&err, -5, "tr");
	assert_string_equal(err.msg, "tr: layer 3: /x: entries are bad");
	/* too long a sentence is cut, not overrun */
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ovbd_fail(&err, -1, "%s", longest);
	assert_int_equal(strlen(err.msg), OVBD_ERROR_SIZE - 1);
	ovbd_fail_within(&err, -1, "layer");
	assert_int_equal(strlen(err.msg), OVBD_ERROR_SIZE - 1);
	assert_memory_equal(err.msg, "layer: aaa", 10);
	ovbd_fail_errno(&err, -2, "%s", longest);
	ovbd_fail_within(&err, -1, "%s", longest);
	assert_int_equal(strlen(err.msg), OVBD_ERROR_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_byte_orders),  cmocka_unit_test(test_checked),
		cmocka_unit_test(test_is_zero),      cmocka_unit_test(test_crc32c_known),
		cmocka_unit_test(test_crc32c_agree), cmocka_unit_test(test_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
