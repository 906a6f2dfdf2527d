// SPDX-License-Identifier: Apache-2.0
/* Writing: the same bytes however it is done, those overlaybd would write, and what goes wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lz4.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "tests/lib/fault.h"
#include "tests/lib/zfile_make.h"
#include "zfile/format.h"

static const struct ovbd_zfile_params zstd_4k = {.codec = OVBD_CODEC_ZSTD,
                                                 .block_size = 4096,
                                                 .checksum = true,
                                                 .nthreads = 1};
static const struct ovbd_zfile_params lz4_64k = {.codec = OVBD_CODEC_LZ4,
                                                 .block_size = 65536,
                                                 .checksum = true,
                                                 .nthreads = 1};

/* Writes raw in appends of random lengths. */
static struct test_bytes write_cut(const struct test_bytes *raw, const struct ovbd_zfile_params *p,
                                   uint64_t seed)
{
	static const uint64_t longest[] = {1000, 5000, 200000, 1 << 20};
	struct test_bytes out = {0};
	struct ovbd_sink *mem, *z;

	assert_int_equal(ovbd_sink_create_mem(&mem, NULL), 0);
	assert_int_equal(ovbd_zfile_create(mem, p, &z, NULL), 0);
	for (size_t off = 0; off < raw->len;) {
		const size_t n =
			(size_t)ovbd_min(raw->len - off, test_random(&seed) % longest[seed % 4]);

		assert_int_equal(ovbd_sink_append(z, raw->p + off, n, NULL), 0);
		off += n;
	}
	assert_int_equal(ovbd_sink_finish(z, NULL), 0);
	out.p = ovbd_sink_mem_take(mem, &out.len);
	ovbd_sink_close(z);
	return out;
}

static void test_same_bytes(void **state)
{
	static const unsigned nthreads[] = {1, 2, 3, 8};
	struct test_bytes raw = test_mixed((3 << 20) + 4321, 30);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct ovbd_zfile_params p = i ? lz4_64k : zstd_4k;
		struct test_bytes want = test_zfile_make(&raw, &p);

		for (unsigned k = 0; k < 4; k++) {
			struct test_bytes got;

			p.nthreads = nthreads[k];
			got = write_cut(&raw, &p, i * 4 + k);
			assert_int_equal(got.len, want.len);
			assert_memory_equal(got.p, want.p, want.len);
			free(got.p);
		}
		free(want.p);
	}
	free(raw.p);
}

/* What the library's one-shot function makes of a block: contexts that are kept leave no trace. */
static size_t compress_once(enum ovbd_codec_id codec, const uint8_t *src, size_t len, uint8_t *dst,
                            size_t cap)
{
	if (codec == OVBD_CODEC_LZ4)
		return (size_t)LZ4_compress_default((const char *)src, (char *)dst, (int)len,
		                                    (int)cap);
	return ZSTD_compress(dst, cap, src, len, 3);
}

/* Assembles the file by hand, from the format's description. */
static void test_layout(void **state)
{
	struct test_bytes raw = test_mixed(500000, 31);

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		const struct ovbd_zfile_params p = {
			.codec = i & 1 ? OVBD_CODEC_LZ4 : OVBD_CODEC_ZSTD,
			.checksum = i & 2,
			.block_size = i & 4 ? 65536 : 4096,
			.nthreads = 2,
		};
		struct test_bytes z = test_zfile_make(&raw, &p);
		const uint8_t *index = z.p + ovbd_get_le64(z.p + ZFILE_OFF_INDEX_OFFSET);
		const uint8_t *at = z.p + 512;
		uint64_t n = 0;

		for (size_t off = 0; off < raw.len; off += p.block_size, n++) {
			const size_t len = (size_t)ovbd_min(p.block_size, raw.len - off);
			uint8_t block[70000];
			size_t size = compress_once(p.codec, raw.p + off, len, block, 69000);

			if (p.checksum) {
				ovbd_put_le32(block + size, ovbd_crc32c(100007, block, size));
				size += 4;
			}
			assert_int_equal(ovbd_get_le32(index + 4 * n), size);
			assert_memory_equal(at, block, size);
			at += size;
		}
		assert_ptr_equal(at, index);
		assert_int_equal(ovbd_get_le64(z.p + ZFILE_OFF_INDEX_SIZE), n);
		assert_ptr_equal(index + 4 * n, z.p + z.len - 512);
		assert_int_equal(ovbd_get_le64(z.p + ZFILE_OFF_FLAGS), 27);
		assert_int_equal(ovbd_get_le64(z.p + z.len - 512 + ZFILE_OFF_FLAGS), 22);
		assert_int_equal(ovbd_get_le32(z.p + ZFILE_OFF_SIZE), 96);
		free(z.p);
	}
	free(raw.p);
}

/* A sink that takes bytes once and for all, into a buffer. */
struct pipe {
	struct ovbd_sink sink;
	struct test_bytes *to;
};

static int pipe_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	struct test_bytes *to = OVBD_CONTAINER_OF(s, struct pipe, sink)->to;

	(void)err;
	to->p = realloc(to->p, to->len + len);
	memcpy(to->p + to->len, buf, len);
	to->len += len;
	return 0;
}

static int pipe_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	(void)s;
	(void)err;
	return 0;
}

static void pipe_close(struct ovbd_sink *s)
{
	(void)s;
}

/* A sink that cannot be patched gets what trailer_only gets. */
static void test_trailer_only(void **state)
{
	static const struct ovbd_sink_ops ops = {.name = "pipe",
	                                         .append = pipe_append,
	                                         .finish = pipe_finish,
	                                         .close = pipe_close};
	struct test_bytes raw = test_mixed(10000, 32), want, got = {0};
	struct pipe sink = {.sink = {.ops = &ops}, .to = &got};
	struct ovbd_zfile_params p = zstd_4k;
	AUTO_BLOB *b = NULL;
	AUTO_SINK *z = NULL;

	(void)state;
	p.trailer_only = true;
	want = test_zfile_make(&raw, &p);
	assert_int_equal(ovbd_get_le64(want.p + ZFILE_OFF_FLAGS), 19);
	assert_int_equal(ovbd_get_le64(want.p + ZFILE_OFF_INDEX_OFFSET), 0);
	assert_int_equal(test_zfile_open(&want, &b, NULL), 0);
	assert_false(ovbd_zfile_info(b).header_overwrite);
	p.trailer_only = false;
	assert_int_equal(ovbd_zfile_create(&sink.sink, &p, &z, NULL), 0);
	assert_int_equal(ovbd_sink_append(z, raw.p, raw.len, NULL), 0);
	assert_int_equal(ovbd_sink_finish(z, NULL), 0);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.p, want.p, want.len);
	free(got.p);
	free(want.p);
	free(raw.p);
}

static void test_empty(void **state)
{
	struct test_bytes raw = {.p = NULL}, z = test_zfile_make(&raw, &zstd_4k);
	AUTO_BLOB *b = NULL;

	(void)state;
	assert_int_equal(z.len, 1024);
	assert_int_equal(test_zfile_open(&z, &b, NULL), 0);
	assert_int_equal(b->size, 0);
	assert_int_equal(ovbd_zfile_info(b).nblocks, 0);
	assert_int_equal(ovbd_zfile_check(b, NULL, NULL, NULL), 0);
	free(z.p);
}

static void test_refuses(void **state)
{
	static const struct {
		struct ovbd_zfile_params p;
		const char *sentence;
	} cases[] = {
		{{0, 0, 4096, true, false, 1}, "compression algorithm 0 is unknown"},
		{{3, 0, 4096, true, false, 1}, "compression algorithm 3 is unknown"},
		{{1, 0, 0, true, false, 1}, "block size 0 is not a power of two"},
		{{1, 0, 2048, true, false, 1}, "block size 2048 is not a power of two"},
		{{1, 0, 5000, true, false, 1}, "block size 5000 is not a power of two"},
		{{1, 0, 131072, true, false, 1}, "block size 131072 is not a power of two"},
		{{1, 0, 4096, true, false, 0}, "0 threads"},
		{{1, 0, 4096, true, false, 1025}, "1025 threads"},
		{{1, 7, 4096, true, false, 1}, "lz4 has no level 7"},
		{{2, 99, 4096, true, false, 1}, "zstd has no level 99"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ovbd_sink *mem, *z;
		struct ovbd_error err;

		assert_int_equal(ovbd_sink_create_mem(&mem, NULL), 0);
		assert_int_equal(ovbd_zfile_create(mem, &cases[i].p, &z, &err), -EINVAL);
		if (!strstr(err.msg, cases[i].sentence))
			fail_msg("\"%s\" is not in \"%s\"", cases[i].sentence, err.msg);
	}
}

static void test_levels(void **state)
{
	struct test_bytes raw = test_mixed(300000, 33), z1, z19;
	struct ovbd_zfile_params p = zstd_4k;

	(void)state;
	p.level = 1;
	z1 = test_zfile_make(&raw, &p);
	p.level = 19;
	z19 = test_zfile_make(&raw, &p);
	assert_true(z19.len < z1.len);
	assert_int_equal(z19.p[ZFILE_OFF_LEVEL], 0); /* what existing readers know */
	free(z1.p);
	free(z19.p);
	free(raw.p);
}

/* Blocks that overlaybd could not read are counted by the writer and by the reader alike. */
static void test_nlarge(void **state)
{
	struct test_bytes raw = test_mixed(5 * 65536, 34), z = {0};
	struct ovbd_sink *mem, *s;
	AUTO_BLOB *b = NULL;
	uint64_t seed = 1;

	(void)state;
	for (size_t i = 0; i < 3 * 65536; i++)
		raw.p[i] = (uint8_t)test_random(&seed);
	memset(raw.p + 3 * 65536, 0, 2 * 65536);
	assert_int_equal(ovbd_sink_create_mem(&mem, NULL), 0);
	assert_int_equal(ovbd_zfile_create(mem, &lz4_64k, &s, NULL), 0);
	assert_int_equal(ovbd_sink_append(s, raw.p, raw.len, NULL), 0);
	assert_int_equal(ovbd_sink_finish(s, NULL), 0);
	assert_int_equal(ovbd_zfile_sink_nlarge(s), 3);
	z.p = ovbd_sink_mem_take(mem, &z.len);
	ovbd_sink_close(s);
	assert_int_equal(test_zfile_open(&z, &b, NULL), 0);
	assert_int_equal(ovbd_zfile_info(b).nlarge, 3);
	assert_int_equal(ovbd_zfile_check(b, NULL, NULL, NULL), 0);
	free(raw.p);
	free(z.p);
}

/* The N-th call of the inner sink fails, for every N: an error, and no leak. */
static void test_failing_inner(void **state)
{
	struct ovbd_zfile_params p = zstd_4k;
	struct test_bytes raw = test_mixed(700000, 35);
	long n;

	(void)state;
	p.nthreads = 2;
	for (n = 1;; n++) {
		struct ovbd_error err = {""};
		AUTO_SINK *z = NULL;
		struct ovbd_sink *mem;
		int r;

		assert_int_equal(ovbd_sink_create_mem(&mem, NULL), 0);
		test_fault_set(n);
		r = ovbd_zfile_create(test_sink_faulty(mem), &p, &z, &err);
		for (size_t off = 0; r == 0 && off < raw.len; off += 100000)
			r = ovbd_sink_append(z, raw.p + off, 100000, &err);
		if (r == 0)
			r = ovbd_sink_finish(z, &err);
		if (!test_fault_hit())
			break;
		assert_int_equal(r, -ENOSPC);
		assert_string_equal(err.msg, "told to fail");
	}
	assert_true(n > 8); /* header, six jobs, jump table, trailer, patch, finish */
	free(raw.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_bytes),   cmocka_unit_test(test_layout),
		cmocka_unit_test(test_trailer_only), cmocka_unit_test(test_empty),
		cmocka_unit_test(test_refuses),      cmocka_unit_test(test_levels),
		cmocka_unit_test(test_nlarge),       cmocka_unit_test(test_failing_inner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
