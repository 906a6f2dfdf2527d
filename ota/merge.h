/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging a COW into its base, in place: step by step the base becomes what base and COW read as
 * together, and at every moment, also after the power fails, the two still read so. How far it is
 * stands in the COW itself, so that a merge goes on where it was left, here or in Android.
 *
 *     r = ovbd_merge_open(cow, base, NULL, &m, err);   // refuses what could not be finished
 *     ovbd_merge_view(m, &view, err);                  // to be served meanwhile, from any thread
 *     while ((r = ovbd_merge_step(m, err)) > 0)        // to pause is not to call it
 *             ...
 *     ovbd_blob_close(view);
 *     ovbd_merge_close(m);
 *
 * One thread at a time calls step(); view, its reads, and progress() may be called from any. Nobody
 * else may write to the two devices, nor read what is served from the base by itself.
 */
#ifndef OVBD_OTA_MERGE_H
#define OVBD_OTA_MERGE_H

#include "base/device.h"
#include "ota/cow.h"

struct ovbd_merge_params {
	unsigned nthreads; /* that read and decompress, the one that calls step() too; 0: 1 */
	/* A COW without a scratch area is refused if anything that it copies is overwritten by it
	 * too, as it would have to be merged in small groups, with flushes after each: do so. */
	bool small_groups;
	/* Data in memory, twice: blocks, 64 to 2048; a scratch area's must fit. 0: 2048. */
	unsigned group_blocks;
};

/* What is left to do. */
struct ovbd_merge_plan {
	uint64_t nops;     /* operations to be merged yet */
	uint64_t ngroups;  /* steps that takes; each ends in a flush of base and COW */
	uint64_t nscratch; /* of these, those by way of the scratch area */
	uint64_t nwritten; /* bytes to be written to the base */
};

/* Whether, and how, c can be merged. base_size as of the base, or UINT64_MAX: not known yet.
 *   -ENOTSUP  no: in its order an operation would read what an earlier one has overwritten; or it
 *             has no scratch area and would need one; or, of the versions that count no progress,
 *             it overwrites what it reads; or several operations write the same block
 *   -EBADMSG  it is not for a base of this size
 * The sentence says which block. p may be NULL. */
int ovbd_merge_plan(const struct ovbd_cow *c, uint64_t base_size, const struct ovbd_merge_params *p,
                    struct ovbd_merge_plan *ret, struct ovbd_error *err);

struct ovbd_merge;

/* Both writable; in what state an earlier merge has left them does not matter. Fails as
 * ovbd_cow_open() does (only what is finished is merged), and as ovbd_merge_plan(). Writes nothing.
 * That nobody else merges one of them is the caller's care: ovbd_device_open_file_alone(). */
int ovbd_merge_open(struct ovbd_device *take_cow, struct ovbd_device *take_base,
                    const struct ovbd_merge_params *p, struct ovbd_merge **ret,
                    struct ovbd_error *err);

/* The COW that is merged. */
const struct ovbd_cow *ovbd_merge_cow(const struct ovbd_merge *m);

/* What base and COW read as, whatever step() does meanwhile: the blob is immutable, though the
 * base beneath changes. To be closed before m. A step may wait for a read that has begun; a read
 * waits for no step. */
int ovbd_merge_view(struct ovbd_merge *m, struct ovbd_blob **ret, struct ovbd_error *err);

/* Merges the next group of operations, some MiB at most, and makes it durable. 1: there is more to
 * do; 0: all is done; or -errno. After a failure all reads as before; the next call tries again, or
 * another process later. */
int ovbd_merge_step(struct ovbd_merge *m, struct ovbd_error *err);

struct ovbd_merge_progress {
	uint64_t nmerged, nops; /* of all operations; the same when it is complete */
	uint64_t written;       /* bytes to the base, since it was opened */
};

struct ovbd_merge_progress ovbd_merge_progress(struct ovbd_merge *m);

/* Between two steps, at any time. NULL is fine. */
void ovbd_merge_close(struct ovbd_merge *take_m);

static inline void ovbd_merge_closep(struct ovbd_merge **m)
{
	ovbd_merge_close(*m);
}

#endif
