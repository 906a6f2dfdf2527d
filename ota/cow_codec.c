// SPDX-License-Identifier: Apache-2.0
/*
 * The five ways in which data are stored, behind one function. Contexts are kept for the next
 * piece: making one anew costs more than a block of 4 KiB takes to decompress.
 */
#include "ota/cow_impl.h"

#include <assert.h>
#include <brotli/decode.h>
#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

struct cow_codec {
	enum ovbd_cow_algorithm algorithm;
	z_stream zlib;
	bool zlib_made;
	ZSTD_DCtx *zstd;
};

const char *ovbd_cow_algorithm_name(enum ovbd_cow_algorithm a)
{
	static const char *const names[] = {"none", "gz", "brotli", "lz4", "zstd"};

	return names[a];
}

int cow_codec_create(enum ovbd_cow_algorithm a, struct cow_codec **ret, struct ovbd_error *err)
{
	struct cow_codec *c = calloc(1, sizeof(*c));

	if (!c)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	c->algorithm = a;
	c->zlib_made = a == OVBD_COW_GZ && inflateInit(&c->zlib) == Z_OK;
	c->zstd = a == OVBD_COW_ZSTD ? ZSTD_createDCtx() : NULL;
	if ((a == OVBD_COW_GZ && !c->zlib_made) || (a == OVBD_COW_ZSTD && !c->zstd)) {
		cow_codec_free(c);
		return ovbd_fail(err, -ENOMEM, "out of memory for a decompressor");
	}
	*ret = c;
	return 0;
}

void cow_codec_free(struct cow_codec *c)
{
	if (!c)
		return;
	if (c->zlib_made)
		inflateEnd(&c->zlib);
	ZSTD_freeDCtx(c->zstd);
	free(c);
}

/* The stream must end exactly with the input, and the output be full. */
static bool inflate_all(z_stream *z, const void *in, size_t in_len, void *out, size_t out_len)
{
	if (inflateReset(z) != Z_OK)
		return false;
	memcpy(&z->next_in, &in, sizeof(in)); /* zlib does not write there, but does not say so */
	z->avail_in = (uInt)in_len;
	z->next_out = out;
	z->avail_out = (uInt)out_len;
	return inflate(z, Z_FINISH) == Z_STREAM_END && z->avail_in == 0 && z->avail_out == 0;
}

static bool brotli_all(const void *in, size_t in_len, void *out, size_t out_len)
{
	size_t n = out_len;

	return BrotliDecoderDecompress(in_len, in, &n, out) == BROTLI_DECODER_RESULT_SUCCESS &&
	       n == out_len;
}

static bool decompress(struct cow_codec *c, const void *in, size_t in_len, void *out,
                       size_t out_len)
{
	switch (c->algorithm) {
	case OVBD_COW_NONE:
		return false; /* raw data do not come here */
	case OVBD_COW_GZ:
		return inflate_all(&c->zlib, in, in_len, out, out_len);
	case OVBD_COW_BROTLI:
		return brotli_all(in, in_len, out, out_len);
	case OVBD_COW_LZ4:
		return LZ4_decompress_safe(in, out, (int)in_len, (int)out_len) == (int)out_len;
	case OVBD_COW_ZSTD:
		return ZSTD_decompressDCtx(c->zstd, out, out_len, in, in_len) == out_len;
	}
	return false;
}

int cow_codec_decompress(struct cow_codec *c, const void *in, size_t in_len, void *out,
                         size_t out_len)
{
	assert(in_len <= INT32_MAX && out_len <= INT32_MAX);
	return decompress(c, in, in_len, out, out_len) ? 0 : -EBADMSG;
}
