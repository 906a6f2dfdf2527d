/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backup on write: a device made of a device, whose changes can be taken back. No spare space is
 * needed: what is overwritten is copied first to what the file system on it has discarded, with a
 * log in block 0, compatible with Android's dm-bow (docs/format-bow.md). It is always in its final
 * state; going back is the work: bow/restore.h.
 *
 * What was discarded reads as anything in CHECKPOINT, as backups go there.
 *
 * Its three states are entered in order only. A device whose log is there opens in CHECKPOINT; what
 * its users had been told is durable is there. Any thread may call anything, concurrently.
 */
#ifndef OVBD_BOW_BOW_H
#define OVBD_BOW_BOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/device.h"

enum ovbd_bow_state {
	OVBD_BOW_TRIM,       /* discards mark space as free, writes take it back */
	OVBD_BOW_CHECKPOINT, /* what is overwritten is backed up first */
	OVBD_BOW_COMMITTED,  /* nothing can be taken back; the device below as it is */
	OVBD_BOW_ABORTED,    /* all was taken back: every request fails with -EIO */
};

/* "trim", "checkpoint", "committed", "aborted". */
const char *ovbd_bow_state_name(enum ovbd_bow_state s);

/* What happens to a write in CHECKPOINT that needs more free space for backups than there is, or
 * whose backups would leave less than min_free. Nothing of it is done before. */
enum ovbd_bow_on_full {
	OVBD_BOW_FULL_ERROR,  /* it fails with -ENOSPC; nothing else does */
	OVBD_BOW_FULL_COMMIT, /* the device is committed, and the write goes on */
	OVBD_BOW_FULL_ABORT,  /* everything is taken back: ABORTED */
};

/* "error", "commit", "abort"; and back: -EINVAL. */
const char *ovbd_bow_on_full_name(enum ovbd_bow_on_full f);
int ovbd_bow_on_full_parse(const char *name, enum ovbd_bow_on_full *ret);

struct ovbd_bow_params {
	uint32_t block_size; /* bytes, a power of two from 512 to 4096 that divides the device's
	                      * size; 0: the largest. A log that is there says its own: -EINVAL
	                      * for another */
	enum ovbd_bow_on_full on_full;
	uint64_t min_free; /* bytes */
	/* That the policy was followed, and why: a sentence, from a thread that writes. Or NULL. */
	void (*told)(void *arg, const char *sentence);
	void *arg;
};

/* Over take_below, writable, which is taken also on failure. A commit that was interrupted is
 * finished, and the device in TRIM as any without a log. -EBADMSG: a log that is none; -ENOTSUP:
 * one of the first version, which can only be restored; -EUCLEAN: a restore was interrupted, and
 * must be finished first (ovbd_bow_restore()). p may be NULL. */
int ovbd_bow_open(struct ovbd_device *take_below, const struct ovbd_bow_params *p,
                  struct ovbd_device **ret, struct ovbd_error *err);

/* For d from ovbd_bow_open(). TRIM to CHECKPOINT: what d reads as now is what a restore leads back
 * to. Requests wait meanwhile. -ENOSPC: nothing, or not enough, is free; -EINVAL: not in TRIM. */
int ovbd_bow_checkpoint(struct ovbd_device *d, struct ovbd_error *err);

/* To COMMITTED, also from TRIM. -EINVAL: it is there already, or aborted. If it fails on the way,
 * the device is as it was, or the next try (or ovbd_bow_open()) finishes it. */
int ovbd_bow_commit(struct ovbd_device *d, struct ovbd_error *err);

/* Takes back everything since the checkpoint: to ABORTED. -EINVAL: not in CHECKPOINT, or a commit
 * failed on the way. Backups that cannot be read, or are wrong, leave it as it is; if it fails
 * later it is ABORTED, and ovbd_bow_restore() goes on. */
int ovbd_bow_abort(struct ovbd_device *d, struct ovbd_error *err);

struct ovbd_bow_status {
	enum ovbd_bow_state state;
	uint32_t block_size;
	uint64_t free_bytes; /* that backups may still take */
	uint64_t free_extents;
	uint64_t backed_up;   /* bytes copied since the checkpoint, or that the log of it names */
	uint64_t log_blocks;  /* 0 but in CHECKPOINT */
	uint64_t log_entries; /* in all of them */
	uint64_t log_writes;  /* since it is open */
	uint64_t memory;      /* bytes that the map of ranges takes */
};

void ovbd_bow_get_status(struct ovbd_device *d, struct ovbd_bow_status *ret);

#endif
