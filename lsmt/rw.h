/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writable layers: a device over the layers beneath it that keeps what is written in files of its
 * own. docs/format-rw.md has the formats and what each of them promises.
 *
 * All are devices (base/device.h): offsets and lengths of writes are multiples of 512, -EINVAL
 * otherwise. What was written by calls that had returned before a flush is there, once the flush
 * has returned 0, after any crash. After a flush that failed in the file system, nothing is
 * written or flushed any more (-EIO) until the layer is opened again: what the kernel lost then it
 * may take for written. Disk full is -ENOSPC to who writes, and goes away with its cause.
 *
 * Files are devices too, of fixed size or growing (ovbd_device_open_growing(), which also sees to
 * it that a layer is open once). end is how much of one is there: the append format needs to know.
 */
#ifndef OVBD_LSMT_RW_H
#define OVBD_LSMT_RW_H

#include "base/device.h"
#include "lsmt/lsmt.h"

struct ovbd_rw_file {
	struct ovbd_device *device; /* owned by who takes it */
	uint64_t end;
};

struct ovbd_rw_params {
	uint64_t virtual_size; /* a multiple of 512; of a pair 0, too: that of what is beneath */
	const char *uuid;      /* NULL: the null UUID */
	const char *parent_uuid;
	const char *tag;
	bool sparse; /* of the original's formats */
};

struct ovbd_rw_info {
	const char *format; /* "append", "sparse", "ovbd-rw" */
	char uuid[OVBD_UUID_SIZE], parent_uuid[OVBD_UUID_SIZE];
	char tag[OVBD_TAG_SIZE];
	bool over_base; /* something is beneath */
	uint64_t nsegments;
	uint64_t data_size; /* bytes in the file that are shown */
	uint64_t dead_size; /* bytes that are not, and were not given back yet */
};

/* ---- the original's: a data file and an index file ---- */

/* Makes both files, which are empty. They are durable afterwards. */
int ovbd_rw_create_pair(struct ovbd_device *data, struct ovbd_device *index,
                        const struct ovbd_rw_params *p, struct ovbd_error *err);

/* Whether the data file of such a layer is a sparse one. -EBADMSG: it is none. */
int ovbd_rw_is_sparse(struct ovbd_blob *data, bool *ret, struct ovbd_error *err);

struct ovbd_rw_pair {
	struct ovbd_rw_file data, index;
	/* Sparse only: where discards are kept that the format cannot tell of; may be empty, and be
	 * lost: then discarded ranges show what is beneath, as they do for the original. device
	 * NULL: zeros are written instead. */
	struct ovbd_rw_file map;
	/* Sparse only: the unit in which the data file's system tells data from holes; at least
	 * 4096, and a power of two. */
	uint64_t unit;
	bool no_thread;      /* dead data are given back by who flushes */
	uint64_t pinned_min; /* for tests, as below; append: also dead bytes that are looked for */
};

/* Takes the files and take_lower (NULL: nothing beneath), also on failure. */
int ovbd_rw_open_pair(const struct ovbd_rw_pair *take_files, struct ovbd_blob *take_lower,
                      struct ovbd_device **ret, struct ovbd_error *err);

/* ---- ovbd-rw: one file ---- */

/* Whether b begins like one: 1, 0 or -errno. */
int ovbd_rw_probe(struct ovbd_blob *b, struct ovbd_error *err);

/* An empty one; durable afterwards. p->sparse means nothing. */
int ovbd_rw_create(struct ovbd_device *file, const struct ovbd_rw_params *p,
                   struct ovbd_error *err);

/* For tests. */
struct ovbd_rw_open_params {
	bool no_thread;             /* what is done in the background is done by who flushes */
	unsigned checkpoint_blocks; /* a log of so many is made shorter; 0: 64 */
	uint64_t pinned_min; /* dead bytes that share blocks with others, for which those are moved;
	                      * 0: 16 MiB */
};

/* Takes the file and take_lower (NULL: nothing beneath), also on failure. What a crash has left
 * unfinished is finished or dropped, durably. p may be NULL. */
int ovbd_rw_open(const struct ovbd_rw_file *take_file, const struct ovbd_rw_open_params *p,
                 struct ovbd_blob *take_lower, struct ovbd_device **ret, struct ovbd_error *err);

/* ---- of all ---- */

/* d is from one of the functions here. */
void ovbd_rw_info(struct ovbd_device *d, struct ovbd_rw_info *ret);

/* Nobody else uses d meanwhile. What is cut off is gone: it reads as zeros if the device grows
 * again. Durable when it returns. */
int ovbd_rw_resize(struct ovbd_device *d, uint64_t virtual_size, struct ovbd_error *err);

/* What d shows it shows over `to` (NULL: nothing) as well, from now on: what shows through it,
 * and is another there, is written to it, and is *ret_written bytes. d stays over what it is
 * over, and reads as it did at any moment. Nobody else uses d meanwhile; it has a size of its
 * own afterwards. Durable when it returns. progress may be NULL. */
int ovbd_rw_rebase(struct ovbd_device *d, struct ovbd_blob *to, ovbd_progress_fn progress,
                   void *arg, uint64_t *ret_written, struct ovbd_error *err);

/* The UUID of the layer below, as it is told; NULL: the null UUID. Durable. */
int ovbd_rw_set_parent(struct ovbd_device *d, const char *uuid, struct ovbd_error *err);

/* The data file becomes a read-only layer by itself, as overlaybd's --seal has it: the index goes
 * to its end. Nobody writes to d any more; it may be read beside, and afterwards. If it fails the
 * layer is as it was. */
int ovbd_rw_seal(struct ovbd_device *d, struct ovbd_error *err);

/* Whether that has been done to a data file, of any format, that ends there: 1, 0 or -errno. */
int ovbd_rw_is_sealed(struct ovbd_blob *data, uint64_t end, struct ovbd_error *err);

/* Until it is said again with false d does nothing in the background that may take long, but is
 * flushed by others: for who wants a flush to be quick. Waits for what it does now. */
void ovbd_rw_quiet(struct ovbd_device *d, bool quiet);

/* Puts all that was written into w, whose virtual size is that of d. over_base, as w was made:
 * zeroed ranges too, and all beyond the end of what is beneath d, as far as that is known. To
 * finish w is the caller's. Nobody writes to d meanwhile. The bytes depend on the content alone. */
int ovbd_rw_commit(struct ovbd_device *d, struct ovbd_layer_writer *w, bool over_base,
                   struct ovbd_error *err);

#endif
