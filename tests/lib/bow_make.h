/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices with logs of backup on write as others leave them, made in memory from the layouts that
 * docs/format-bow.md describes and by none of bow/'s code; and what undoing them leads to, by the
 * simplest way there is.
 */
#ifndef OVBD_TESTS_LIB_BOW_MAKE_H
#define OVBD_TESTS_LIB_BOW_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bow_make_layout {
	BOW_MAKE_1_0,
	BOW_MAKE_EARLY,    /* the prototype's: magic, count, sequence */
	BOW_MAKE_PROTOTYPE /* and where block 0 is */
};

struct bow_make_entry {
	uint64_t source, dest; /* bytes */
	uint32_t size, checksum;
};

struct bow_make {
	uint8_t *disk;
	size_t size;
	enum bow_make_layout layout;
	uint32_t block, header; /* bytes */
	uint64_t sector0;       /* bytes: what the log says */
	uint64_t live;          /* bytes: where block 0 is */
	uint64_t spare;         /* the next free block, for log blocks; then those after it */
	uint32_t count, sequence;

	struct bow_make_entry *entries; /* all, oldest first; owned */
	size_t nentries;
};

/* disk is the caller's and is as of the checkpoint. Block 0 goes to sector0 and to spare. header 0:
 * the layout's. */
void bow_make_begin(struct bow_make *m, uint8_t *disk, size_t size, enum bow_make_layout layout,
                    uint32_t block, uint32_t header, uint64_t sector0, uint64_t spare);
void bow_make_end(struct bow_make *m);

/* Copies what is at source to dest, and logs it. */
void bow_make_backup(struct bow_make *m, uint64_t source, uint64_t dest, uint32_t size);

/* The same for where block 0 lives, as the kernel's target does it: without a checksum, and the
 * header says it with the next entry. */
void bow_make_move(struct bow_make *m, uint64_t dest);

/* The same as we do it: nothing is logged, and the header says it at once. Copies nothing. */
void bow_make_relocate(struct bow_make *m, uint64_t dest);

/* Logs it, and copies nothing. A full log block goes to spare before. */
void bow_make_log(struct bow_make *m, const struct bow_make_entry *e);

/* Of what is at dest, as the backup of source. */
uint32_t bow_make_checksum(const struct bow_make *m, uint64_t source, uint64_t dest, uint32_t size);

/* disk, of m->size bytes and equal to m->disk: all that was logged is undone. */
void bow_make_undo(const struct bow_make *m, uint8_t *disk);

/* Entries of version 1.0 that a block has room for. */
static inline uint32_t bow_make_room(uint32_t block)
{
	return (block - 28) / 24;
}

/* n bytes that depend on seed alone. */
void bow_make_fill(uint8_t *buf, size_t n, uint64_t seed);

#endif
