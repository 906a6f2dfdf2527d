// SPDX-License-Identifier: Apache-2.0
/* One zstd frame per block. Contexts are worth keeping: to make one costs more than a 4 KiB
 * block. */
#include "zfile/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

/* What overlaybd writes, whatever ZSTD_CLEVEL_DEFAULT may come to be. */
#define LEVEL_DEFAULT 3

struct compressor {
	ZSTD_CCtx *cctx;
	int level;
};

static int error_of(size_t result)
{
	return ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
}

static void compressor_free(void *take_ctx)
{
	struct compressor *c = take_ctx;

	if (c)
		ZSTD_freeCCtx(c->cctx);
	free(c);
}

static int compressor_create(int level, void **ret, struct ovbd_error *err)
{
	struct compressor *c;

	if (level < ZSTD_minCLevel() || level > ZSTD_maxCLevel())
		return ovbd_fail(err, -EINVAL, "zstd has no level %d: they go from %d to %d", level,
		                 ZSTD_minCLevel(), ZSTD_maxCLevel());
	c = calloc(1, sizeof(*c));
	if (c)
		c->cctx = ZSTD_createCCtx();
	if (!c || !c->cctx) {
		compressor_free(c);
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	c->level = level != 0 ? level : LEVEL_DEFAULT;
	*ret = c;
	return 0;
}

static int compress(void *ctx, const void *src, size_t len, void *dst, size_t cap, size_t *ret_len)
{
	const struct compressor *c = ctx;
	const size_t n = ZSTD_compressCCtx(c->cctx, dst, cap, src, len, c->level);

	if (ZSTD_isError(n))
		return error_of(n);
	*ret_len = n;
	return 0;
}

static void decompressor_free(void *take_ctx)
{
	ZSTD_freeDCtx(take_ctx);
}

static int decompressor_create(void **ret, struct ovbd_error *err)
{
	ZSTD_DCtx *dctx = ZSTD_createDCtx();

	if (!dctx)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*ret = dctx;
	return 0;
}

static int decompress(void *ctx, const void *src, size_t len, void *dst, size_t cap,
                      size_t *ret_len)
{
	const size_t n = ZSTD_decompressDCtx(ctx, dst, cap, src, len);

	if (ZSTD_isError(n))
		return error_of(n);
	*ret_len = n;
	return 0;
}

const struct ovbd_codec ovbd_codec_zstd = {
	.id = OVBD_CODEC_ZSTD,
	.name = "zstd",
	.bound = ZSTD_compressBound,
	.compressor_create = compressor_create,
	.compressor_free = compressor_free,
	.compress = compress,
	.decompressor_create = decompressor_create,
	.decompressor_free = decompressor_free,
	.decompress = decompress,
};
