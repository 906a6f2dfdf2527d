/* SPDX-License-Identifier: Apache-2.0 */
/* Private to ota/dm_update*.c. */
#ifndef OVBD_OTA_DM_UPDATE_IMPL_H
#define OVBD_OTA_DM_UPDATE_IMPL_H

#include "ota/dm_update.h"
#include "ota/dm_update_format.h"

/* Chunks in the order of the file; chunk i is of the bytes from chunks[i].src to chunks[i + 1].src.
 * Entries in the order of the device, and of their chunks. */
struct dm_update_chunk {
	uint64_t src;
	uint64_t first; /* of its entries */
	uint32_t max;   /* the largest index of theirs: it must decompress to that */
};

struct dm_update_place {
	uint64_t dest;
	uint32_t chunk, index;
};

struct ovbd_dm_update {
	struct ovbd_blob *blob; /* owned */
	struct dm_update_super s;
	struct ovbd_dm_update_info info;
	struct dm_update_place *places; /* info.nblocks */
	struct dm_update_chunk *chunks; /* info.nchunks and one more, for its src */
};

/* ---- the codecs: contexts, used by one thread at a time ---- */

struct dm_update_codec;

/* level < 0: to decompress. */
int dm_update_codec_create(enum ovbd_dm_update_codec c, int level, struct dm_update_codec **ret,
                           struct ovbd_error *err);
void dm_update_codec_free(struct dm_update_codec *take_c); /* NULL is fine */

static inline void dm_update_codec_freep(struct dm_update_codec **c)
{
	dm_update_codec_free(*c);
}

/* How many bytes in decompresses to, at most out_size; -EBADMSG. */
int64_t dm_update_decompress(struct dm_update_codec *c, const void *in, size_t in_len, void *out,
                             size_t out_size);

/* Bytes that len may become, and the bytes it became. */
size_t dm_update_bound(enum ovbd_dm_update_codec c, size_t len);
int64_t dm_update_compress(struct dm_update_codec *c, const void *in, size_t in_len, void *out,
                           size_t out_size);

/* ---- a chunk ---- */

static inline size_t dm_update_chunk_size(const struct ovbd_dm_update *u)
{
	return (size_t)u->s.chunk_blocks << u->s.block_bits;
}

/* Chunk number i, compressed, into out; in is working memory of *in_size bytes, which grows. */
int dm_update_chunk_read(const struct ovbd_dm_update *u, struct dm_update_codec *codec, uint64_t i,
                         uint8_t **in, size_t *in_size, uint8_t *out, struct ovbd_error *err);

#endif
