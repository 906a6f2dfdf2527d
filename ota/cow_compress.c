// SPDX-License-Identifier: Apache-2.0
/*
 * The other direction of cow_codec.c: contexts are kept here too. The bytes depend on the input,
 * the algorithm and the level alone.
 */
#include "ota/cow_compress.h"

#include <assert.h>
#include <brotli/encode.h>
#include <errno.h>
#include <limits.h>
#include <lz4.h>
#include <lz4hc.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/auto.h"
#include "base/bytes.h"
#include "ota/cow_write.h"

#define BROTLI_WINDOW 22

/* Of each algorithm: the lowest and the highest level, and the one Android's writer uses. */
static const struct {
	int min, max, usual;
} levels[] = {
	[OVBD_COW_NONE] = {0, 0, 0},     [OVBD_COW_GZ] = {1, 9, 9},
	[OVBD_COW_BROTLI] = {1, 11, 11}, [OVBD_COW_LZ4] = {1, LZ4HC_CLEVEL_MAX, 0},
	[OVBD_COW_ZSTD] = {-7, 22, 3},
};

struct cow_compressor {
	enum ovbd_cow_algorithm algorithm;
	int level;
	z_stream zlib;
	bool zlib_made;
	ZSTD_CCtx *zstd;
	void *lz4;
};

int ovbd_cow_level_check(enum ovbd_cow_algorithm a, int level, struct ovbd_error *err)
{
	if (level == 0 || (level >= levels[a].min && level <= levels[a].max))
		return 0;
	if (levels[a].max == 0)
		return ovbd_fail(err, -EINVAL, "%s has no levels", ovbd_cow_algorithm_name(a));
	return ovbd_fail(err, -EINVAL, "the level of %s is %d to %d, not %d",
	                 ovbd_cow_algorithm_name(a), levels[a].min, levels[a].max, level);
}

static bool create_context(struct cow_compressor *c)
{
	switch (c->algorithm) {
	case OVBD_COW_GZ:
		c->zlib_made = deflateInit(&c->zlib, c->level) == Z_OK;
		return c->zlib_made;
	case OVBD_COW_LZ4:
		c->lz4 = malloc((size_t)(c->level > 0 ? LZ4_sizeofStateHC() : LZ4_sizeofState()));
		return c->lz4 != NULL;
	case OVBD_COW_ZSTD:
		c->zstd = ZSTD_createCCtx();
		return c->zstd &&
		       !ZSTD_isError(
			       ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, c->level));
	case OVBD_COW_NONE:
	case OVBD_COW_BROTLI:
		return true;
	}
	return false;
}

int cow_compressor_create(enum ovbd_cow_algorithm a, int level, struct cow_compressor **ret,
                          struct ovbd_error *err)
{
	OVBD_AUTO(cow_compressor_freep) struct cow_compressor *c = NULL;
	const int r = ovbd_cow_level_check(a, level, err);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	c->algorithm = a;
	c->level = level ? level : levels[a].usual;
	if (!create_context(c))
		return ovbd_fail(err, -ENOMEM, "out of memory for a compressor");
	*ret = OVBD_MOVE(c);
	return 0;
}

void cow_compressor_free(struct cow_compressor *c)
{
	if (!c)
		return;
	if (c->zlib_made)
		deflateEnd(&c->zlib);
	ZSTD_freeCCtx(c->zstd);
	free(c->lz4);
	free(c);
}

size_t cow_compress_bound(enum ovbd_cow_algorithm a, size_t len)
{
	switch (a) {
	case OVBD_COW_NONE:
		return len;
	case OVBD_COW_GZ:
		return compressBound((uLong)len);
	case OVBD_COW_BROTLI:
		return BrotliEncoderMaxCompressedSize(len);
	case OVBD_COW_LZ4:
		return (size_t)LZ4_compressBound((int)len);
	case OVBD_COW_ZSTD:
		return ZSTD_compressBound(len);
	}
	return 0;
}

static size_t deflate_all(z_stream *z, const void *in, size_t in_len, void *out, size_t cap)
{
	if (deflateReset(z) != Z_OK)
		return 0;
	memcpy(&z->next_in, &in, sizeof(in)); /* zlib does not write there, but does not say so */
	z->avail_in = (uInt)in_len;
	z->next_out = out;
	z->avail_out = (uInt)cap;
	return deflate(z, Z_FINISH) == Z_STREAM_END ? cap - z->avail_out : 0;
}

static size_t brotli_all(int level, const void *in, size_t in_len, void *out, size_t cap)
{
	size_t n = cap;

	return BrotliEncoderCompress(level, BROTLI_WINDOW, BROTLI_MODE_GENERIC, in_len, in, &n, out)
	               ? n
	               : 0;
}

static size_t lz4_all(const struct cow_compressor *c, const void *in, size_t in_len, void *out,
                      size_t cap)
{
	if (c->level > 0)
		return (size_t)LZ4_compress_HC_extStateHC(c->lz4, in, out, (int)in_len, (int)cap,
		                                          c->level);
	return (size_t)LZ4_compress_fast_extState(c->lz4, in, out, (int)in_len, (int)cap, 1);
}

size_t cow_compress(struct cow_compressor *c, const void *in, size_t in_len, void *out, size_t cap)
{
	size_t n = 0;

	assert(in_len <= INT32_MAX && cap <= INT32_MAX);
	switch (c->algorithm) {
	case OVBD_COW_NONE:
		break;
	case OVBD_COW_GZ:
		return deflate_all(&c->zlib, in, in_len, out, cap);
	case OVBD_COW_BROTLI:
		return brotli_all(c->level, in, in_len, out, cap);
	case OVBD_COW_LZ4:
		return lz4_all(c, in, in_len, out, cap);
	case OVBD_COW_ZSTD:
		n = ZSTD_compress2(c->zstd, out, cap, in, in_len);
		break;
	}
	return ZSTD_isError(n) ? 0 : n;
}
