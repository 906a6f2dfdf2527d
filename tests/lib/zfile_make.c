// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/zfile_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "zfile/format.h"

uint64_t test_random(uint64_t *state)
{
	/* splitmix64 */
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

struct test_bytes test_mixed(size_t len, uint64_t seed)
{
	static const char text[] = "a blob is a sized sequence of bytes; ";
	struct test_bytes out = {.p = calloc(1, len + 1), .len = len};

	if (!out.p)
		abort();
	for (size_t off = 0; off < len;) {
		const size_t n = (size_t)ovbd_min(len - off, 1 + test_random(&seed) % 30000);
		const unsigned kind = (unsigned)(test_random(&seed) % 3);

		for (size_t i = 0; i < n && kind > 0; i++)
			out.p[off + i] = kind == 1 ? (uint8_t)test_random(&seed)
			                           : (uint8_t)text[(i + n) % (sizeof(text) - 1)];
		off += n;
	}
	return out;
}

struct test_bytes test_zfile_make(const struct test_bytes *raw, const struct ovbd_zfile_params *p)
{
	struct test_bytes out = {0};
	AUTO_SINK *z = NULL;
	struct ovbd_sink *mem;
	struct ovbd_error err;

	if (ovbd_sink_create_mem(&mem, &err) < 0 || ovbd_zfile_create(mem, p, &z, &err) < 0 ||
	    ovbd_sink_append(z, raw->p, raw->len, &err) < 0 || ovbd_sink_finish(z, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	out.p = ovbd_sink_mem_take(mem, &out.len);
	return out;
}

static void seal(uint8_t raw[ZFILE_HEADER_SIZE])
{
	if (!(ovbd_get_le64(raw + ZFILE_OFF_FLAGS) & ZFILE_FLAG_DIGEST))
		return;
	ovbd_put_le32(raw + ZFILE_OFF_DIGEST, 0);
	ovbd_put_le32(raw + ZFILE_OFF_DIGEST, ovbd_crc32c(0, raw, ZFILE_HEADER_SIZE));
}

void test_zfile_seal(struct test_bytes *z)
{
	seal(z->p);
	seal(z->p + z->len - ZFILE_HEADER_SIZE);
}

void test_zfile_seal_index(struct test_bytes *z)
{
	uint8_t *trailer = z->p + z->len - ZFILE_HEADER_SIZE;
	const uint64_t off = ovbd_get_le64(trailer + ZFILE_OFF_INDEX_OFFSET);
	const uint64_t n = ovbd_get_le64(trailer + ZFILE_OFF_INDEX_SIZE);
	const uint32_t crc = ovbd_crc32c(0, z->p + off, (size_t)n * ZFILE_ENTRY_SIZE);

	ovbd_put_le32(trailer + ZFILE_OFF_INDEX_CRC, crc);
	if (ovbd_get_le64(z->p + ZFILE_OFF_FLAGS) & ZFILE_FLAG_OVERWRITTEN)
		ovbd_put_le32(z->p + ZFILE_OFF_INDEX_CRC, crc);
	test_zfile_seal(z);
}

int test_zfile_open(const struct test_bytes *z, struct ovbd_blob **ret, struct ovbd_error *err)
{
	struct ovbd_blob *mem;
	const int r = ovbd_blob_open_mem(z->p, z->len, &mem, err);

	return r < 0 ? r : ovbd_zfile_open(mem, ret, err);
}
