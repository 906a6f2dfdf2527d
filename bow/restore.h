/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that have been left in their checkpoint state, by us or by the kernel's dm-bow: what
 * their log says, and back to what they were (or on, to what they are now) for good. Nobody else
 * may use the device meanwhile.
 */
#ifndef OVBD_BOW_RESTORE_H
#define OVBD_BOW_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/device.h"
#include "base/progress.h"

struct ovbd_bow_info {
	bool prototype;  /* of 2018; otherwise version 1.0 */
	bool partial;    /* a restore was interrupted */
	bool committing; /* a commit was: a restore can only finish it */
	uint32_t block_size;
	uint32_t sequence;  /* of the newest log block */
	uint64_t sector0;   /* bytes: where block 0 is; 0: an early prototype, it does not say */
	uint64_t nblocks;   /* log blocks */
	uint64_t nentries;  /* in all of them; of a partial restore those that are left */
	uint64_t backed_up; /* bytes that a restore would copy */
};

/* -ENOMSG: there is no log. */
int ovbd_bow_inspect(struct ovbd_blob *b, struct ovbd_bow_info *ret, struct ovbd_error *err);

/* The same, and every backup is read, as a restore would, and compared with its checksum. */
int ovbd_bow_check(struct ovbd_blob *b, ovbd_progress_fn progress, void *arg,
                   struct ovbd_bow_info *ret, struct ovbd_error *err);

struct ovbd_bow_restore_params {
	uint64_t limit;            /* entries to undo before it stops with -EAGAIN; 0: all */
	ovbd_progress_fn progress; /* or NULL */
	void *arg;
};

/* After a check of everything, in which nothing is written, undoes all entries. A power cut at any
 * write leaves a device of which another call restores the rest, and so does a progress function
 * that says to stop. A device whose commit was begun is committed. *ret as of before. */
int ovbd_bow_restore(struct ovbd_device *d, const struct ovbd_bow_restore_params *p,
                     struct ovbd_bow_info *ret, struct ovbd_error *err);

/* Block 0 goes back to its place, and the log is gone: what the device reads as now, for good. Of
 * the log only the newest block is needed: it is also the way out where a restore is refused.
 * -EUCLEAN: a restore has begun, and must be finished; -ENOTSUP: an early prototype. Safe at any
 * write, as above; another call goes on. *ret as of before. */
int ovbd_bow_settle(struct ovbd_device *d, struct ovbd_bow_info *ret, struct ovbd_error *err);

#endif
