/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of a persistent dm-snapshot, as the kernel (and LVM) keeps it beside an origin: chunks
 * of the snapshot that differ from the origin. docs/format-dm-snapshot.md has the layout.
 *
 * An open one is immutable and may be read from any thread; everything in it was validated when it
 * was opened. What exceptions.h makes up for the kernel is such a store too.
 */
#ifndef OVBD_OTA_DM_SNAPSHOT_H
#define OVBD_OTA_DM_SNAPSHOT_H

#include <stdint.h>

#include "base/blob.h"

struct ovbd_dm_snapshot_info {
	uint32_t chunk_size; /* bytes */
	uint64_t nchunks;    /* that differ */
	uint64_t nareas;     /* metadata areas with an entry */
	uint64_t end;        /* behind the last of them, bytes of the device */
};

struct ovbd_dm_snapshot;

/* 1 if b begins like one, 0 if not, -errno if that cannot be read. */
int ovbd_dm_snapshot_probe(struct ovbd_blob *b, struct ovbd_error *err);

/* -EBADMSG (also if the kernel has marked it as no longer valid), -ENOTSUP. Memory: 16 bytes for
 * each chunk that differs. */
int ovbd_dm_snapshot_open(struct ovbd_blob *take_b, struct ovbd_dm_snapshot **ret,
                          struct ovbd_error *err);
const struct ovbd_dm_snapshot_info *ovbd_dm_snapshot_info(const struct ovbd_dm_snapshot *s);

/* NULL is fine. */
void ovbd_dm_snapshot_close(struct ovbd_dm_snapshot *take_s);

static inline void ovbd_dm_snapshot_closep(struct ovbd_dm_snapshot **s)
{
	ovbd_dm_snapshot_close(*s);
}

/* The origin as the snapshot has it, a blob of the origin's size. -EBADMSG if the store has a chunk
 * beyond that. Without an origin (NULL) it is as long as its last chunk
 * reaches, and the others are holes. Takes both, also on failure. */
int ovbd_dm_snapshot_view_open(struct ovbd_dm_snapshot *take_s, struct ovbd_blob *take_origin,
                               struct ovbd_blob **ret, struct ovbd_error *err);

#endif
