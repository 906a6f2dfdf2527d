// SPDX-License-Identifier: Apache-2.0
/*
 * What the kernel's compressors of these names make, and read: lz4 is a block without a frame, zstd
 * one frame, and deflate a stream without a header, with a window of 2 KiB.
 */
#include "ota/dm_update_impl.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define DEFLATE_WINDOW_BITS 11
#define DEFLATE_MEM_LEVEL   8

struct dm_update_codec {
	enum ovbd_dm_update_codec codec;
	int level;
	z_stream zlib;
	bool inflating, deflating;
	ZSTD_DCtx *dctx;
	ZSTD_CCtx *cctx;
};

const char *ovbd_dm_update_codec_name(enum ovbd_dm_update_codec c)
{
	static const char *const names[] = {"none", "lz4", "zstd", "deflate"};

	return names[c];
}

int dm_update_codec_create(enum ovbd_dm_update_codec which, int level, struct dm_update_codec **ret,
                           struct ovbd_error *err)
{
	const bool compress = level >= 0;
	struct dm_update_codec *c = calloc(1, sizeof(*c));
	bool good = true;

	if (!c)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	c->codec = which;
	c->level = level;
	if (which == OVBD_DM_UPDATE_ZSTD && compress)
		good = (c->cctx = ZSTD_createCCtx()) != NULL;
	else if (which == OVBD_DM_UPDATE_ZSTD)
		good = (c->dctx = ZSTD_createDCtx()) != NULL;
	else if (which == OVBD_DM_UPDATE_DEFLATE && compress)
		good = c->deflating =
			deflateInit2(&c->zlib, Z_BEST_COMPRESSION, Z_DEFLATED, -DEFLATE_WINDOW_BITS,
		                     DEFLATE_MEM_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK;
	else if (which == OVBD_DM_UPDATE_DEFLATE) /* whatever window others have used */
		good = c->inflating = inflateInit2(&c->zlib, -MAX_WBITS) == Z_OK;
	if (!good) {
		dm_update_codec_free(c);
		return ovbd_fail(err, -ENOMEM, "out of memory for %s",
		                 ovbd_dm_update_codec_name(which));
	}
	*ret = c;
	return 0;
}

void dm_update_codec_free(struct dm_update_codec *c)
{
	if (!c)
		return;
	if (c->inflating)
		inflateEnd(&c->zlib);
	if (c->deflating)
		deflateEnd(&c->zlib);
	ZSTD_freeDCtx(c->dctx);
	ZSTD_freeCCtx(c->cctx);
	free(c);
}

/* Gives zlib what it reads, which it does not write to, but does not say so, and where to write. */
static void aim(z_stream *z, const void *in, size_t in_len, void *out, size_t out_size)
{
	memcpy(&z->next_in, &in, sizeof(in));
	z->avail_in = (uInt)in_len;
	z->next_out = out;
	z->avail_out = (uInt)out_size;
}

static int64_t inflate_all(z_stream *z, const void *in, size_t in_len, void *out, size_t out_size)
{
	if (inflateReset(z) != Z_OK)
		return -EBADMSG;
	aim(z, in, in_len, out, out_size);
	if (inflate(z, Z_FINISH) != Z_STREAM_END || z->avail_in > 0)
		return -EBADMSG;
	return (int64_t)(out_size - z->avail_out);
}

int64_t dm_update_decompress(struct dm_update_codec *c, const void *in, size_t in_len, void *out,
                             size_t out_size)
{
	size_t n;
	int n4;

	if (in_len > INT32_MAX)
		return -EBADMSG;
	switch (c->codec) {
	case OVBD_DM_UPDATE_LZ4:
		n4 = LZ4_decompress_safe(in, out, (int)in_len, (int)out_size);
		return n4 < 0 ? -EBADMSG : n4;
	case OVBD_DM_UPDATE_ZSTD:
		n = ZSTD_decompressDCtx(c->dctx, out, out_size, in, in_len);
		return ZSTD_isError(n) ? -EBADMSG : (int64_t)n;
	case OVBD_DM_UPDATE_DEFLATE:
		return inflate_all(&c->zlib, in, in_len, out, out_size);
	case OVBD_DM_UPDATE_NONE:
		break; /* is not decompressed */
	}
	return -EBADMSG;
}

size_t dm_update_bound(enum ovbd_dm_update_codec c, size_t len)
{
	switch (c) {
	case OVBD_DM_UPDATE_LZ4:
		return (size_t)LZ4_compressBound((int)len);
	case OVBD_DM_UPDATE_ZSTD:
		return ZSTD_compressBound(len);
	case OVBD_DM_UPDATE_DEFLATE: /* zlib's own bound for any window */
		return len + ((len + 7) >> 3) + ((len + 63) >> 6) + 11;
	case OVBD_DM_UPDATE_NONE:
		break;
	}
	return len;
}

int64_t dm_update_compress(struct dm_update_codec *c, const void *in, size_t in_len, void *out,
                           size_t out_size)
{
	size_t n;
	int n4;

	switch (c->codec) {
	case OVBD_DM_UPDATE_LZ4:
		n4 = LZ4_compress_default(in, out, (int)in_len, (int)out_size);
		return n4 <= 0 ? -EINVAL : n4;
	case OVBD_DM_UPDATE_ZSTD:
		n = ZSTD_compressCCtx(c->cctx, out, out_size, in, in_len,
		                      c->level ? c->level : ZSTD_CLEVEL_DEFAULT);
		return ZSTD_isError(n) ? -EINVAL : (int64_t)n;
	case OVBD_DM_UPDATE_DEFLATE:
		if (deflateReset(&c->zlib) != Z_OK)
			return -EINVAL;
		aim(&c->zlib, in, in_len, out, out_size);
		if (deflate(&c->zlib, Z_FINISH) != Z_STREAM_END)
			return -EINVAL;
		return (int64_t)(out_size - c->zlib.avail_out);
	case OVBD_DM_UPDATE_NONE:
		break;
	}
	memcpy(out, in, in_len);
	return (int64_t)in_len;
}
