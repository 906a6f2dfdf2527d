/* SPDX-License-Identifier: Apache-2.0 */
/* Private to lsmt/: the two formats of the original, which share their files' form. */
#ifndef OVBD_LSMT_RW_PAIR_H
#define OVBD_LSMT_RW_PAIR_H

#include "lsmt/rw_core.h"

/* A file of records, 16 bytes each, that is only appended to; what waits to be written to it. */
struct rw_records {
	struct ovbd_device *device; /* owned; NULL: there is none */
	uint64_t end;               /* where the next is written */
	uint8_t *waiting, *taken;   /* taken: what a sync writes now, or could not write */
	size_t nwaiting, ntaken, capacity;
};

/* Something of both: the core's data and header are set, the rest is theirs. All taken. */
int ovbd_rw_append_open(struct lsmt_header *header, const struct ovbd_rw_pair *take_files,
                        struct ovbd_blob *take_lower, struct ovbd_device **ret,
                        struct ovbd_error *err);
int ovbd_rw_sparse_open(struct lsmt_header *header, const struct ovbd_rw_pair *take_files,
                        struct ovbd_blob *take_lower, struct ovbd_device **ret,
                        struct ovbd_error *err);

/* With the lock. 0 or -ENOMEM. */
int ovbd_rw_records_add(struct rw_records *rs, const struct lsmt_entry *e, struct ovbd_error *err);

/* Takes what waits, with the lock; writes it, without. Not flushed. */
int ovbd_rw_records_take(struct rw_records *rs, struct ovbd_error *err);
int ovbd_rw_records_write(struct rw_records *rs, struct ovbd_error *err);

/* Calls fn for each whole record of the file, in pieces of bounded memory. What is no record, a
 * torn one at the end or padding, is left out. Sets where the next goes. */
int ovbd_rw_records_load(struct rw_records *rs, uint64_t data_end,
                         int (*fn)(void *arg, const struct lsmt_entry *e, struct ovbd_error *err),
                         void *arg, struct ovbd_error *err);

/* What was loaded, once more, the same bytes, and flushed: it may have come from the page cache of
 * a kernel that failed to write it. */
int ovbd_rw_records_rewrite(struct rw_records *rs, struct ovbd_error *err);

void ovbd_rw_records_close(struct rw_records *rs);

/* Both headers with another UUID of the layer below; flushed. */
int ovbd_rw_pair_set_parent(struct rw_core *c, struct ovbd_device *index, const char *uuid,
                            struct ovbd_error *err);

/* Both headers with another size; flushed. */
int ovbd_rw_pair_set_size(struct rw_core *c, struct ovbd_device *index, uint64_t size,
                          struct ovbd_error *err);

#endif
