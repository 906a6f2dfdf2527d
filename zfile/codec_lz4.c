// SPDX-License-Identifier: Apache-2.0
/*
 * LZ4 blocks (no frame) with the default acceleration. The compressor's context is the library's
 * hash table, which every call starts afresh; the decompressor needs no memory.
 */
#include "zfile/codec.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>

static size_t bound(size_t len)
{
	return (size_t)LZ4_compressBound((int)len);
}

static int compressor_create(int level, void **ret, struct ovbd_error *err)
{
	void *state;

	if (level != 0)
		return ovbd_fail(err, -EINVAL, "lz4 has no level %d: it has one speed", level);
	state = malloc((size_t)LZ4_sizeofState());
	if (!state)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*ret = state;
	return 0;
}

static int compress(void *ctx, const void *src, size_t len, void *dst, size_t cap, size_t *ret_len)
{
	const int n = LZ4_compress_fast_extState(ctx, src, dst, (int)len, (int)cap, 1);

	if (n <= 0)
		return -EINVAL;
	*ret_len = (size_t)n;
	return 0;
}

static int decompressor_create(void **ret, struct ovbd_error *err)
{
	(void)err;
	*ret = NULL;
	return 0;
}

static int decompress(void *ctx, const void *src, size_t len, void *dst, size_t cap,
                      size_t *ret_len)
{
	const int n = LZ4_decompress_safe(src, dst, (int)len, (int)cap);

	(void)ctx;
	if (n < 0)
		return -EBADMSG;
	*ret_len = (size_t)n;
	return 0;
}

const struct ovbd_codec ovbd_codec_lz4 = {
	.id = OVBD_CODEC_LZ4,
	.name = "lz4",
	.bound = bound,
	.compressor_create = compressor_create,
	.compressor_free = free,
	.compress = compress,
	.decompressor_create = decompressor_create,
	.decompressor_free = free,
	.decompress = decompress,
};
