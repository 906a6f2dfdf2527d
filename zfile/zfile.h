/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZFile: a sequence of bytes cut into blocks of one size, each compressed on its own, with a jump
 * table of their compressed lengths. docs/format-zfile.md has the layout.
 *
 * The reader is a blob over a blob, the writer a sink over a sink.
 */
#ifndef OVBD_ZFILE_ZFILE_H
#define OVBD_ZFILE_ZFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/progress.h"
#include "base/sink.h"

enum ovbd_codec_id { OVBD_CODEC_LZ4 = 1, OVBD_CODEC_ZSTD = 2 }; /* as on disk */

#define OVBD_ZFILE_BLOCK_MIN 4096u
#define OVBD_ZFILE_BLOCK_MAX 65536u

/* "lz4", "zstd"; NULL if unknown. */
const char *ovbd_codec_name(enum ovbd_codec_id id);

/* 1 if b begins like a ZFile, 0 if not, -errno if that cannot be read. */
int ovbd_zfile_probe(struct ovbd_blob *b, struct ovbd_error *err);

struct ovbd_zfile_info {
	uint64_t raw_size;    /* bytes, uncompressed: the size of the blob */
	uint64_t stored_size; /* bytes, of the whole ZFile */
	uint64_t nblocks;
	uint32_t block_size; /* bytes */
	enum ovbd_codec_id codec;
	bool checksum;         /* a CRC-32C after each block */
	bool digests;          /* the header and the jump table have checksums */
	bool header_overwrite; /* the header says all; otherwise the trailer is needed */
	uint64_t
		nlarge; /* blocks longer than 64 KiB when compressed, which overlaybd cannot read */
};

/* Opens the ZFile in take_inner. Reads that fail name the block. */
int ovbd_zfile_open(struct ovbd_blob *take_inner, struct ovbd_blob **ret, struct ovbd_error *err);

/* b must come from ovbd_zfile_open(). */
struct ovbd_zfile_info ovbd_zfile_info(const struct ovbd_blob *b);

/* Where the blocks that hold [off, off + len) of b, which comes from ovbd_zfile_open(), lie in what
 * that was opened on. What lies beyond the end is left out; *ret_len is 0 if nothing is left. */
void ovbd_zfile_stored_range(const struct ovbd_blob *b, uint64_t off, uint64_t len,
                             uint64_t *ret_off, uint64_t *ret_len);

struct ovbd_zfile_layout {
	uint64_t data_off;  /* where the first block begins */
	uint64_t index_off; /* where the jump table begins; what counts of the rest follows it */
	uint32_t block_size;
};

/* What the header of the ZFile that b begins with tells before it is opened. 1; 0: the header does
 * not tell, but the trailer. Reads the header only. */
int ovbd_zfile_layout_read(struct ovbd_blob *b, struct ovbd_zfile_layout *ret,
                           struct ovbd_error *err);

/* Verifies all there is to verify in an open ZFile: header and trailer against each other and their
 * digests, the jump table's checksum, that blocks lie back to back and fill the file, and every
 * block's checksum and decompressed length. 0, or the first error. progress may be NULL. */
int ovbd_zfile_check(struct ovbd_blob *b, ovbd_progress_fn progress, void *arg,
                     struct ovbd_error *err);

struct ovbd_zfile_params {
	enum ovbd_codec_id codec;
	int level;           /* 0: the codec's default (zstd 3, as overlaybd writes) */
	uint32_t block_size; /* bytes, a power of two, OVBD_ZFILE_BLOCK_MIN..MAX */
	bool checksum;       /* as overlaybd's layers always have */
	bool trailer_only;   /* do not overwrite the header; so it is too where take_inner cannot */
	unsigned nthreads;   /* in all, >= 1; the bytes written do not depend on it */
};

/* A sink that writes what it takes, compressed, into take_inner, to which nothing was appended yet.
 * finish() finishes take_inner too. */
int ovbd_zfile_create(struct ovbd_sink *take_inner, const struct ovbd_zfile_params *p,
                      struct ovbd_sink **ret, struct ovbd_error *err);

/* How many blocks overlaybd could not read (see nlarge), of a sink from ovbd_zfile_create(). Final
 * after finish(). */
uint64_t ovbd_zfile_sink_nlarge(const struct ovbd_sink *s);

#endif
