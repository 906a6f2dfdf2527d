/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of a persistent dm-snapshot that is being merged, as drivers/md/dm-snap*.c does
 * it: loads the exceptions, takes the last and those before it that go down with it by one in both
 * numbers, copies them to the origin, flushes it, writes the area's metadata back.
 */
#ifndef OVBD_TESTS_LIB_DM_SNAPSHOT_H
#define OVBD_TESTS_LIB_DM_SNAPSHOT_H

#include "base/device.h"

#define SNAPSHOT_CHUNK 4096u
#define SNAPSHOT_AREA  256u

struct snapshot {
	struct ovbd_device *store;
	uint8_t *origin; /* its bytes */
	uint64_t nchunks;
	uint64_t *where; /* of each chunk of the origin: that of the store, or 0 */
	uint64_t area, committed;
	uint64_t old[SNAPSHOT_AREA], new[SNAPSHOT_AREA]; /* of the area */
	uint64_t ncommits, batch_max;
	uint64_t batch_old, batch_new, batch; /* what is being merged: the lowest, and how many */
	uint8_t raw[SNAPSHOT_CHUNK];
	void (*flush_origin)(void *arg);
	void *arg;
};

/* A new snapshot of origin, from what the store has. -errno, or -EINVAL: it is no store. */
int snapshot_load(struct snapshot *s, struct ovbd_device *store, uint8_t *origin, uint64_t nchunks);
void snapshot_free(struct snapshot *s);

/* What chunk of the snapshot reads as. */
int snapshot_read(struct snapshot *s, uint64_t chunk, uint8_t *buf);

/* Chooses what is merged next: how many chunks, at most max, or 0: all is done; -errno. */
int snapshot_choose(struct snapshot *s, uint64_t max);

/* Copies the i-th chunk of them; all of them are to be, in any order. */
int snapshot_copy(struct snapshot *s, uint64_t i);

/* Writes back; the write may be repeated, to another store too, until it is acknowledged. */
int snapshot_commit(struct snapshot *s);
void snapshot_committed(struct snapshot *s);

#endif
