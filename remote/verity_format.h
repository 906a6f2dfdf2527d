/* SPDX-License-Identifier: Apache-2.0 */
/* Private to remote/: the bytes of fs-verity (docs/format-verity.md): where the blocks of a Merkle
 * tree lie, and the descriptor whose digest is the root. Pure. */
#ifndef OVBD_REMOTE_VERITY_FORMAT_H
#define OVBD_REMOTE_VERITY_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remote/verity.h"

enum { /* of the descriptor */
       VERITY_OFF_VERSION = 0,
       VERITY_OFF_HASH_ALGORITHM = 1,
       VERITY_OFF_LOG_BLOCK_SIZE = 2,
       VERITY_OFF_SALT_SIZE = 3,
       VERITY_OFF_SIGNATURE_SIZE = 4,
       VERITY_OFF_DATA_SIZE = 8,
       VERITY_OFF_TREE_HASH = 16,
       VERITY_OFF_SALT = 80,
       VERITY_OFF_RESERVED = 112,
};

#define VERITY_DESCRIPTOR_SIZE 256u
#define VERITY_HASH_SIZE       OVBD_VERITY_ROOT_SIZE
#define VERITY_FANOUT          (OVBD_VERITY_BLOCK / VERITY_HASH_SIZE) /* hashes of a block */
#define VERITY_LEVELS_MAX      8u                                     /* of 2^64 bytes of data */

/* What a tree over data_size bytes looks like. Level 0 has the hashes of the data's blocks, each
 * one above it those of the blocks of the one below; the last level is one block. */
struct verity_geometry {
	uint64_t data_size, nblocks; /* of the data, the last block perhaps a part of one */
	unsigned nlevels;            /* 0: at most one block of data, and no tree */
	struct {
		uint64_t first; /* block of the tree; the last level is at 0 */
		uint64_t n;
	} levels[VERITY_LEVELS_MAX];
	uint64_t tree_size; /* bytes */
};

struct verity_geometry verity_geometry(uint64_t data_size);

/* tree_hash is the hash of the last level's block; without levels that of the data's block. */
void verity_descriptor_encode(uint64_t data_size, const uint8_t tree_hash[VERITY_HASH_SIZE],
                              uint8_t ret[VERITY_DESCRIPTOR_SIZE]);

#endif
