/* SPDX-License-Identifier: Apache-2.0 */
/* Private to ota/: dm-update files on disk. Only dm_update_format.c knows offsets; pure. */
#ifndef OVBD_OTA_DM_UPDATE_FORMAT_H
#define OVBD_OTA_DM_UPDATE_FORMAT_H

#include <stdint.h>

#include "base/error.h"
#include "ota/dm_update.h"

#define DM_UPDATE_MAGIC_SIZE     8u
#define DM_UPDATE_SUPER_SIZE     64u
#define DM_UPDATE_ENTRY_SIZE     16u
#define DM_UPDATE_BLOCK_BITS_MIN 9u
#define DM_UPDATE_BLOCK_BITS_MAX 31u
#define DM_UPDATE_NUMBER_MAX     ((UINT64_C(1) << 48) - 1) /* of dest and src */

/* Offsets, as docs/format-dm-update.md has them in its tables. */
enum {
	DM_UPDATE_OFF_MAGIC = 0,
	DM_UPDATE_OFF_VERSION = 8,
	DM_UPDATE_OFF_BLOCK_BITS = 9,
	DM_UPDATE_OFF_CHUNK_BLOCKS = 12,
	DM_UPDATE_OFF_COMPRESSION = 16,
	DM_UPDATE_OFF_DIR_OFFSET = 32,
	DM_UPDATE_OFF_DIR_COMPRESSED_SIZE = 40,
	DM_UPDATE_OFF_DIR_N = 48,
	/* of an entry of the directory */
	DM_UPDATE_OFF_DEST_LO = 0,
	DM_UPDATE_OFF_DEST_HI = 4,
	DM_UPDATE_OFF_SRC_HI = 6,
	DM_UPDATE_OFF_SRC_LO = 8,
	DM_UPDATE_OFF_OFFSET = 12,
};

struct dm_update_super {
	unsigned block_bits;
	uint32_t chunk_blocks;
	enum ovbd_dm_update_codec codec;
	uint64_t dir_off, dir_stored, dir_n;
};

/* Block number dest of the system device is block number index of the chunk at byte src. */
struct dm_update_entry {
	uint64_t dest, src;
	uint32_t index;
};

bool dm_update_has_magic(const uint8_t raw[DM_UPDATE_MAGIC_SIZE]);

/* Checks all of it against the size of the file. */
int dm_update_super_decode(const uint8_t raw[DM_UPDATE_SUPER_SIZE], uint64_t file_size,
                           struct dm_update_super *ret, struct ovbd_error *err);
void dm_update_super_encode(const struct dm_update_super *s, uint8_t ret[DM_UPDATE_SUPER_SIZE]);

struct dm_update_entry dm_update_entry_decode(const uint8_t raw[DM_UPDATE_ENTRY_SIZE]);
void dm_update_entry_encode(const struct dm_update_entry *e, uint8_t ret[DM_UPDATE_ENTRY_SIZE]);

#endif
