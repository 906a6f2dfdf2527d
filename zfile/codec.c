// SPDX-License-Identifier: Apache-2.0
#include "zfile/codec.h"

const struct ovbd_codec *ovbd_codec_find(unsigned id)
{
	switch (id) {
	case OVBD_CODEC_LZ4:
		return &ovbd_codec_lz4;
	case OVBD_CODEC_ZSTD:
		return &ovbd_codec_zstd;
	default:
		return NULL;
	}
}

const char *ovbd_codec_name(enum ovbd_codec_id id)
{
	const struct ovbd_codec *c = ovbd_codec_find(id);

	return c ? c->name : NULL;
}
