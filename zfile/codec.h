/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to zfile/: the two ways to compress a block. A context holds a codec's working memory for
 * one direction; it belongs to one call at a time, and what a call gives does not depend on the
 * calls before it.
 */
#ifndef OVBD_ZFILE_CODEC_H
#define OVBD_ZFILE_CODEC_H

#include <stddef.h>

#include "base/error.h"
#include "zfile/zfile.h"

struct ovbd_codec {
	enum ovbd_codec_id id;
	const char *name;
	/* The longest that len bytes can become. */
	size_t (*bound)(size_t len);

	/* level 0 is the default; -EINVAL for a level the codec does not have. */
	int (*compressor_create)(int level, void **ret, struct ovbd_error *err);
	void (*compressor_free)(void *take_ctx);
	/* cap >= bound(len). 0, or -errno when the codec ran out of memory. */
	int (*compress)(void *ctx, const void *src, size_t len, void *dst, size_t cap,
	                size_t *ret_len);

	int (*decompressor_create)(void **ret, struct ovbd_error *err);
	void (*decompressor_free)(void *take_ctx);
	/* Writes at most cap bytes to dst, whatever src holds. -EBADMSG if src is no whole valid
	 * block or would become longer than cap. */
	int (*decompress)(void *ctx, const void *src, size_t len, void *dst, size_t cap,
	                  size_t *ret_len);
};

extern const struct ovbd_codec ovbd_codec_lz4, ovbd_codec_zstd;

/* NULL if unknown. id is what a file says, so it may be anything. */
const struct ovbd_codec *ovbd_codec_find(unsigned id);

#endif
