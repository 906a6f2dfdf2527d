// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "remote/verity_format.h"
#include "tests/lib/sealed.h"

#define BLOCK OVBD_VERITY_BLOCK

/* ---- the construction ---- */

/* What `fsverity digest` says of bytes as test_sealed_byte() has them. */
static const struct {
	size_t size;
	const char *root;
	size_t tree_size;
} theirs[] = {
	{0, "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95", 0},
	{1, "b803429503d95915829b29fdbc8bbad142f3abfd11b1cadf5526582e685c0551", 0},
	{4095, "8319d18839c573da745de4ea1188160247332f3292ec6efd13b16985adb6aec7", 0},
	{4096, "082e89df9cc14c46064de246af5bbd9315c4c9863cf7696996d2d69514f83222", 0},
	{4097, "3851be5aac17e5010973f4466dbb74b2f7ef3f522b4aca41c43e240ece2ce322", 4096},
	{524288, "49b19b189ba3fadb040ffe22c398564b6c4ac66a35f57ac5dab7c6bff714afc6", 4096},
	{524289, "94ba9c58f2e65f6cdffeaa6aba75d4c899c5ad9a2b16d9a8e4584004f3eef527", 12288},
	{67108864, "9d3312f2b7ce606e338ebb643305bed808a23b69a11cc55eca86c46a39ef4212", 528384},
	{67108865, "d5dccd939bce7473a3b2aa3012a829271d814df67ac11e307a2c45861a76117c", 540672},
};

static void test_fsverity(void **state)
{
	char text[OVBD_VERITY_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++) {
		AUTO_SEALED s;

		test_seal(&s, theirs[i].size);
		ovbd_verity_root_text(&s.root, text);
		assert_string_equal(text + 7, theirs[i].root);
		assert_int_equal(s.tree_size, theirs[i].tree_size);
		assert_int_equal(ovbd_verity_tree_size(s.size), s.tree_size);
	}
}

/* However large the data are, the levels fit, and lie one behind the other, the smallest first. */
static void test_geometry(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++)
		for (int more = -1; more <= 1; more++) {
			const uint64_t size = (UINT64_C(1) << bit) + (uint64_t)(int64_t)more;
			const struct verity_geometry g = verity_geometry(size);
			uint64_t at = 0;

			assert_true(g.nlevels <= VERITY_LEVELS_MAX);
			assert_true(g.nblocks >= size / BLOCK);
			for (unsigned level = g.nlevels; level-- > 0;) {
				assert_int_equal(g.levels[level].first, at);
				at += g.levels[level].n;
			}
			assert_int_equal(g.tree_size, at * BLOCK);
			if (g.nlevels > 0)
				assert_int_equal(g.levels[g.nlevels - 1].n, 1);
		}
	assert_int_equal(verity_geometry(UINT64_MAX).nlevels, 8);
}

static void test_root_text(void **state)
{
	static const char good[] =
		"sha256:00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
	static const char *const bad[] = {"",
	                                  "sha256:",
	                                  "00112233445566778899aabbccddeeff",
	                                  "sha256:00112233445566778899aabbccddeeff",
	                                  "md5:00112233445566778899aabbccddeeff",
	                                  "sha256:00112233445566778899aabbccddeeff0011223344556677"
	                                  "8899aabbccddeefg",
	                                  "sha256:00112233445566778899aabbccddeeff0011223344556677"
	                                  "8899aabbccddeeff0"};
	struct ovbd_verity_root root;
	char text[OVBD_VERITY_TEXT_SIZE];
	struct ovbd_error err;

	(void)state;
	assert_ok(ovbd_verity_root_parse(good, &root, &err), err);
	assert_int_equal(root.bytes[1], 0x11);
	ovbd_verity_root_text(&root, text);
	assert_int_equal(strcasecmp(text, good), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_fails(ovbd_verity_root_parse(bad[i], &root, &err), -EBADMSG, err,
		             "is no root");
	assert_fails(ovbd_verity_root_parse("sha512:00", &root, &err), -ENOTSUP, err, "SHA-256");
}

/* ---- the sink ---- */

/* Written in pieces, with zeros and patches, it is as measured afterwards. */
static void write_randomly(uint64_t seed)
{
	struct ovbd_sink *out = NULL, *tree = NULL, *s = NULL, *measured = NULL;
	AUTO_FREE uint8_t *bytes = NULL, *has = NULL, *want = NULL;
	struct ovbd_verity_root root;
	uint8_t buf[20000];
	struct ovbd_error err;
	size_t size, n, m;
	struct ovbd_sink *keep_out, *keep_tree;

	assert_ok(ovbd_sink_create_mem(&out, &err), err);
	assert_ok(ovbd_sink_create_mem(&tree, &err), err);
	keep_out = out;
	keep_tree = tree;
	assert_ok(ovbd_verity_sink_create(out, tree, NULL, &s, &err), err);
	for (uint64_t i = test_random(&seed) % 60; i > 0; i--) {
		const size_t len = test_random(&seed) % sizeof(buf);

		memset(buf, (int)test_random(&seed), len);
		if (test_random(&seed) % 3 == 0)
			assert_ok(ovbd_sink_append_zeros(s, len * 10, &err), err);
		else
			assert_ok(ovbd_sink_append(s, buf, len, &err), err);
	}
	for (unsigned i = 0; i < 5 && s->written > 0; i++) {
		const uint64_t off =
			test_random(&seed) % ovbd_min(s->written, OVBD_VERITY_PATCH_MAX);
		const uint64_t end = ovbd_min(s->written, OVBD_VERITY_PATCH_MAX);

		memset(buf, (int)test_random(&seed), sizeof(buf));
		assert_ok(ovbd_sink_patch(s, buf, (size_t)ovbd_min(sizeof(buf), end - off), off,
		                          &err),
		          err);
	}
	assert_ok(ovbd_sink_finish(s, &err), err);
	bytes = ovbd_sink_mem_take(keep_out, &size);
	has = ovbd_sink_mem_take(keep_tree, &n);
	assert_ok(ovbd_sink_create_mem(&measured, &err), err);
	root = test_measure(bytes, size, measured);
	assert_ok(ovbd_sink_finish(measured, &err), err);
	want = ovbd_sink_mem_take(measured, &m);
	assert_int_equal(n, m);
	assert_memory_equal(has, want, n);
	assert_memory_equal(&root, (const struct ovbd_verity_root[]){ovbd_verity_sink_root(s)},
	                    sizeof(root));
	ovbd_sink_close(s);
	ovbd_sink_close(measured);
}

static void test_sink(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 50; seed++)
		write_randomly(seed);
}

static void test_sink_patch_too_late(void **state)
{
	static const uint8_t zeros[2 * BLOCK];
	struct ovbd_sink *out = NULL, *tree = NULL, *s = NULL;
	struct ovbd_error err;

	(void)state;
	assert_ok(ovbd_sink_create_mem(&out, &err), err);
	assert_ok(ovbd_sink_create_mem(&tree, &err), err);
	assert_ok(ovbd_verity_sink_create(out, tree, NULL, &s, &err), err);
	for (unsigned i = 0; i < 20; i++)
		assert_ok(ovbd_sink_append(s, zeros, sizeof(zeros), &err), err);
	assert_fails(ovbd_sink_patch(s, zeros, 10, OVBD_VERITY_PATCH_MAX - 9, &err), -ENOTSUP, err,
	             "its hash is made");
	ovbd_sink_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fsverity),
		cmocka_unit_test(test_geometry),
		cmocka_unit_test(test_root_text),
		cmocka_unit_test(test_sink),
		cmocka_unit_test(test_sink_patch_too_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
