/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A COW from two images: what has to be done to the blocks of old so that they become those of new.
 */
#ifndef OVBD_OTA_COW_CREATE_H
#define OVBD_OTA_COW_CREATE_H

#include "base/progress.h"
#include "ota/cow_write.h"

struct ovbd_cow_create_params {
	struct ovbd_cow_write_params write; /* op_count_max and sequence are set here */
	int level;                          /* of compression; 0: the usual one */
	bool sequence; /* operations by block, with an order of merging beside them; otherwise
	                       * they are in this order themselves */
	bool no_xor;   /* none of them */
	uint64_t label_every;      /* operations between two labels; 0: no labels */
	unsigned nthreads;         /* > 0 */
	ovbd_progress_fn progress; /* may be NULL */
	void *progress_arg;
};

struct ovbd_cow_created {
	uint64_t nops[7]; /* by type */
	uint64_t nblocks; /* that they write */
	/* blocks stored, though old has them: they read what others write, in a circle, or without
	 * a scratch area */
	uint64_t nbroken;
	uint64_t data_size; /* bytes of data */
	uint64_t size;      /* bytes of the file */
};

/* Writes to take_out what makes new of old (NULL: of anything, so it is all of new), and finishes
 * it. Both are read twice, stay the caller's, and must not change meanwhile. The bytes are the same
 * for any number of threads. What is compressed is decompressed again and compared.
 *
 * Merged in its own order, the COW never overwrites what it still has to read; without a scratch
 * area it never reads what it overwrites at all, as nothing else survives a power cut.
 *
 * Memory: 20 bytes a block of new, 16 a block of old while it is read first, 3 MiB a thread.
 * -EINVAL: new is not in whole blocks of 4096 bytes, or empty. */
int ovbd_cow_create(struct ovbd_sink *take_out, struct ovbd_blob *new_image, struct ovbd_blob *old,
                    const struct ovbd_cow_create_params *p, struct ovbd_cow_created *ret,
                    struct ovbd_error *err);

#endif
