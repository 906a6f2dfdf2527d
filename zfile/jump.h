/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to zfile/: the jump table in memory, which says where each block lies in the file. It
 * costs 4 1/8 bytes per block, about as much as in the file.
 */
#ifndef OVBD_ZFILE_JUMP_H
#define OVBD_ZFILE_JUMP_H

#include <stdint.h>

#include "base/blob.h"
#include "base/error.h"
#include "zfile/format.h"

#define ZFILE_GROUP_SHIFT 6

struct zfile_jump {
	uint64_t *bases;  /* by group of 64 blocks: where its first block starts */
	uint32_t *deltas; /* by block, and one for the end: bytes from there to the block */
};

/* Blocks that overlaybd's reader cannot read: those longer than its buffer, and those too far from
 * the beginning of their group (of 64 KiB when decompressed) for its table of 16-bit distances. */
struct zfile_large {
	uint64_t nlarge;
	uint64_t nblocks; /* counted so far */
	uint64_t delta;   /* bytes of the current group so far */
};

void ovbd_zfile_large_count(struct zfile_large *l, uint32_t block_size, uint32_t stored);

/* Reads the table that h describes; h has passed ovbd_zfile_header_check() for the size of b.
 * Checks its checksum, each length, and that the blocks end where the table begins or before. */
int ovbd_zfile_jump_load(struct ovbd_blob *b, const struct zfile_header *h, struct zfile_jump *ret,
                         uint64_t *ret_nlarge, struct ovbd_error *err);

void ovbd_zfile_jump_free(struct zfile_jump *j);

/* Where block starts; for block = nblocks, where the last one ends. */
static inline uint64_t zfile_jump_at(const struct zfile_jump *j, uint64_t block)
{
	return j->bases[block >> ZFILE_GROUP_SHIFT] + j->deltas[block];
}

#endif
