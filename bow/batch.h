/* SPDX-License-Identifier: Apache-2.0 */
/* Private to bow/: backups that are read, compared with their checksums, and perhaps copied, many
 * at once: what lies side by side is one read or write, in whatever order the log has it. */
#ifndef OVBD_BOW_BATCH_H
#define OVBD_BOW_BATCH_H

#include "base/device.h"
#include "bow/format.h"

struct bow_batch_piece;
struct bow_batch {
	struct ovbd_blob *b;
	struct ovbd_device *d; /* NULL: nothing is copied */
	uint8_t *buf, *side;   /* two of the same size */
	size_t size, used;
	struct bow_batch_piece *pieces;
	size_t npieces, room;
	uint32_t crc; /* of the entry so far that the last piece is of */
};

/* Of an entry, whose pieces are added in order, from the first to the last. */
struct bow_batch_part {
	const struct bow_entry *entry; /* for this call */
	uint32_t sequence, index;      /* of its log block, and in it: for messages */
	uint32_t block_size;
	uint64_t off;      /* in the entry */
	uint64_t from, to; /* bytes on the device */
	uint64_t len;
};

/* b, or d with its blob, stay the caller's. total: bytes of all that is to come. All zeros may be
 * freed, too. */
int ovbd_bow_batch_init(struct bow_batch *t, struct ovbd_blob *b, struct ovbd_device *d,
                        uint64_t total, struct ovbd_error *err);
void ovbd_bow_batch_free(struct bow_batch *t);
#define AUTO_BOW_BATCH OVBD_AUTO(ovbd_bow_batch_free) struct bow_batch

/* Adds as much of the part as there is room for, which may be 0: then it is to be run. *ret_len: so
 * much. */
int ovbd_bow_batch_add(struct bow_batch *t, const struct bow_batch_part *part, uint64_t *ret_len,
                       struct ovbd_error *err);

/* Reads all, then writes all: what is copied from must not be what is copied to in the same batch,
 * but by the one piece alone. -EBADMSG: a checksum is wrong, and nothing was written. */
int ovbd_bow_batch_run(struct bow_batch *t, struct ovbd_error *err);

#endif
