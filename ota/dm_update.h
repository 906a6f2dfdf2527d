/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dm-update files: new blocks of a system device, compressed in chunks, and a directory of them.
 * docs/format-dm-update.md has the layout.
 *
 * An open one is immutable and may be read from any thread. Everything in it was validated when it
 * was opened, but for the compressed blocks.
 */
#ifndef OVBD_OTA_DM_UPDATE_H
#define OVBD_OTA_DM_UPDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/progress.h"
#include "base/sink.h"

/* A chunk that is compressed is at most so large, decompressed. */
#define OVBD_DM_UPDATE_CHUNK_MAX (64u << 20)

enum ovbd_dm_update_codec {
	OVBD_DM_UPDATE_NONE,
	OVBD_DM_UPDATE_LZ4,     /* a block */
	OVBD_DM_UPDATE_ZSTD,    /* a frame */
	OVBD_DM_UPDATE_DEFLATE, /* raw */
};

struct ovbd_dm_update_info {
	enum ovbd_dm_update_codec codec;
	uint32_t block_size; /* bytes */
	uint32_t chunk_blocks;
	uint64_t nblocks;   /* that it writes */
	uint64_t nchunks;   /* in which they are */
	uint64_t end;       /* behind the last of them, bytes of the device */
	uint64_t data_size; /* bytes of the chunks in the file */
	uint64_t dir_size;  /* and of the directory */
};

struct ovbd_dm_update;

/* 1 if b begins like one, 0 if not, -errno if that cannot be read. */
int ovbd_dm_update_probe(struct ovbd_blob *b, struct ovbd_error *err);

/* -EBADMSG, -ENOTSUP, -E2BIG. Memory: 24 bytes a block. */
int ovbd_dm_update_open(struct ovbd_blob *take_b, struct ovbd_dm_update **ret,
                        struct ovbd_error *err);
const struct ovbd_dm_update_info *ovbd_dm_update_info(const struct ovbd_dm_update *u);

/* "none", "lz4", "zstd", "deflate" */
const char *ovbd_dm_update_codec_name(enum ovbd_dm_update_codec c);

/* Verifies that all chunks decompress to what the directory has of them. progress may be NULL. */
int ovbd_dm_update_check(struct ovbd_dm_update *u, ovbd_progress_fn progress, void *arg,
                         struct ovbd_error *err);

/* NULL is fine. */
void ovbd_dm_update_close(struct ovbd_dm_update *take_u);

static inline void ovbd_dm_update_closep(struct ovbd_dm_update **u)
{
	ovbd_dm_update_close(*u);
}

/* The base as the update makes it, a blob of the base's size. -EBADMSG if it writes beyond that.
 * Without a base (NULL) it is as long as its last block reaches, and the others are holes. Takes
 * both, also on failure. */
int ovbd_dm_update_view_open(struct ovbd_dm_update *take_u, struct ovbd_blob *take_base,
                             struct ovbd_blob **ret, struct ovbd_error *err);

/* ---- writing ---- */

struct ovbd_dm_update_params {
	enum ovbd_dm_update_codec codec;
	int level;           /* of zstd (0: its default); else 0 */
	uint32_t block_size; /* a power of two, 512 to 2^31 */
	uint32_t chunk_blocks;
};

struct ovbd_dm_update_writer;

/* take_out can patch, and nothing has been written to it. */
int ovbd_dm_update_create(struct ovbd_sink *take_out, const struct ovbd_dm_update_params *p,
                          struct ovbd_dm_update_writer **ret, struct ovbd_error *err);

/* Whole blocks of the device from off on, in ascending order. */
int ovbd_dm_update_put(struct ovbd_dm_update_writer *w, uint64_t off, const void *buf, size_t len,
                       struct ovbd_error *err);

/* Writes the directory and finishes the sink. Once. */
int ovbd_dm_update_finish(struct ovbd_dm_update_writer *w, struct ovbd_error *err);

uint64_t ovbd_dm_update_nblocks(const struct ovbd_dm_update_writer *w);

/* Frees; what was not finished is discarded with its sink. NULL is fine. */
void ovbd_dm_update_writer_close(struct ovbd_dm_update_writer *take_w);

static inline void ovbd_dm_update_writer_closep(struct ovbd_dm_update_writer **w)
{
	ovbd_dm_update_writer_close(*w);
}

#endif
