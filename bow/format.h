/* SPDX-License-Identifier: Apache-2.0 */
/* Private to bow/: the bytes of a log block. docs/format-bow.md has the tables. */
#ifndef OVBD_BOW_FORMAT_H
#define OVBD_BOW_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
	BOW_SECTOR = 512,
	BOW_BLOCK_MAX = 4096,
	/* version 1.0 */
	BOW_OFF_MAGIC = 0,
	BOW_OFF_VERSION = 4,
	BOW_OFF_HEADER_SIZE = 6,
	BOW_OFF_BLOCK_SIZE = 8,
	BOW_OFF_COUNT = 12,
	BOW_OFF_SEQUENCE = 16,
	BOW_OFF_SECTOR0 = 20,
	BOW_HEADER_SIZE = 28,
	/* the prototype; entries follow, or, of the later ones, first where block 0 is */
	BOW_OFF_PROTOTYPE_COUNT = 4,
	BOW_OFF_PROTOTYPE_SEQUENCE = 8,
	BOW_OFF_PROTOTYPE_SECTOR0 = 12,
	BOW_PROTOTYPE_HEADER_SIZE = 12,
	BOW_PROTOTYPE_SECTOR0_HEADER_SIZE = 20,
	BOW_PROTOTYPE_BLOCK_SIZE = 4096,
	/* of an entry */
	BOW_OFF_SOURCE = 0,
	BOW_OFF_DEST = 8,
	BOW_OFF_SIZE = 16,
	BOW_OFF_CHECKSUM = 20,
	BOW_ENTRY_SIZE = 24,
	/* of a free map (bow/free_map.h) */
	BOW_OFF_MAP_MAGIC = 0,
	BOW_OFF_MAP_CHECKSUM = 4,
	BOW_OFF_MAP_BLOCK_SIZE = 8,
	BOW_OFF_MAP_RUNS_SIZE = 16,
	BOW_OFF_MAP_SOURCE = 24,
	BOW_OFF_MAP_DEST = 32,
	BOW_MAP_HEADER_SIZE = 40,
};

#define BOW_MAGIC         0x00574f42u
#define BOW_MAGIC_PARTIAL 0x00424f57u
#define BOW_VERSION       0x0100

struct bow_header {
	bool partial;   /* a restore has begun */
	bool prototype; /* of 2018 */
	uint32_t header_size;
	uint32_t block_size;
	uint32_t count; /* entries; of a partial restore those that are left */
	uint32_t sequence;
	uint64_t
		sector0; /* bytes: where block 0 is; 0: an early prototype, which does not say it */
};

struct bow_entry {
	uint64_t source, dest; /* bytes */
	uint32_t size;         /* bytes */
	uint32_t checksum;     /* ovbd_bow_checksum(), or 0 */
};

/* Whether a device that begins with these bytes has a log, or a part of one to be restored. */
bool ovbd_bow_magic(const uint8_t buf[BOW_SECTOR]);

/* A commit was begun: block 0 has to go to its place, nothing can be undone. */
static inline bool ovbd_bow_is_committing(const struct bow_header *h)
{
	return h->count == 0;
}

/* buf: the first sector; device_size in bytes. -EBADMSG, -ENOTSUP (another version). All entries
 * lie within block_size; sector0 is a block within the device, and not the first; there are not
 * more log blocks than blocks. */
int ovbd_bow_header_decode(const uint8_t buf[BOW_SECTOR], uint64_t device_size,
                           struct bow_header *ret, struct ovbd_error *err);
/* The header_size bytes of it that are known: of version 1.0, or of a prototype. */
void ovbd_bow_header_encode(const struct bow_header *h, uint8_t *buf);

/* Entry i of the log block at buf, which is there as a whole. Entry 0 is the backup of block 0, the
 * others of other blocks. -EBADMSG if it is none on a device of device_size bytes. */
int ovbd_bow_entry_decode(const uint8_t *buf, const struct bow_header *h, uint32_t i,
                          uint64_t device_size, struct bow_entry *ret, struct ovbd_error *err);
void ovbd_bow_entry_encode(const struct bow_entry *e, uint8_t buf[BOW_ENTRY_SIZE]);

/* Where entry i begins in its block, and how many fit. */
static inline size_t ovbd_bow_entry_off(uint32_t header_size, uint32_t i)
{
	return header_size + (size_t)i * BOW_ENTRY_SIZE;
}
static inline uint32_t ovbd_bow_entries_max(uint32_t header_size, uint32_t block_size)
{
	return (block_size - header_size) / BOW_ENTRY_SIZE;
}

/* CRC-32 (IEEE, reflected), not inverted at either end. The first call of an entry has
 * crc = ovbd_bow_checksum_seed(). */
uint32_t ovbd_bow_checksum(uint32_t crc, const void *buf, size_t len);
static inline uint32_t ovbd_bow_checksum_seed(uint64_t source, uint32_t block_size)
{
	return (uint32_t)(source / block_size);
}

#endif
