/* SPDX-License-Identifier: Apache-2.0 */
/* Private to lsmt/rw_log*.c: an open layer in ovbd-rw. */
#ifndef OVBD_LSMT_RW_LOG_H
#define OVBD_LSMT_RW_LOG_H

#include "lsmt/rw_core.h"
#include "lsmt/rw_log_format.h"

struct rw_waiting {
	struct rw_record *p;
	size_t n, capacity;
};

struct rw_log {
	struct rw_core core; /* its head */

	/* The core's lock. Whoever is writing has next_* and taken for itself. */
	bool writing;                       /* somebody writes blocks */
	uint64_t kept;                      /* changes that are in blocks, of the core's done */
	uint64_t tail;                      /* where the next thing goes */
	struct rw_waiting waiting;          /* records that are in no block yet */
	struct rw_waiting taken;            /* those that are in no block that is done with */
	uint64_t next_place, next_sequence; /* of the next block, or the one not done with */
	uint64_t place_after;               /* of the one after that; 0: none was taken yet */
	uint64_t safe;                      /* the last block that is durable */
	struct rw_dead_list blocks;         /* where the blocks are since the checkpoint */
	struct rw_dead_list checkpoint;     /* and those of it */
	uint64_t session;                   /* since it was opened */
	struct rw_super super;              /* the last that was written; of who holds supers */

	unsigned blocks_min; /* of a log that is worth a checkpoint */

	pthread_mutex_t supers; /* who writes a superblock, or makes a checkpoint; outermost */
};

static inline struct rw_log *ovbd_rw_log_of(struct rw_core *c)
{
	return OVBD_CONTAINER_OF(c, struct rw_log, core);
}

/* With the lock: len bytes at the end of the file, which nobody else has. */
uint64_t ovbd_rw_log_place(struct rw_log *l, uint64_t len);

bool ovbd_rw_list_add(struct rw_dead_list *l, uint64_t src, uint64_t len);

/* With supers. l->super as it is now, with another generation; durable. */
int ovbd_rw_log_write_super(struct rw_log *l, struct rw_super *s, struct ovbd_error *err);

/* kind->seal. */
int ovbd_rw_log_seal(struct rw_core *c, uint64_t *ret_end, struct ovbd_error *err);

/* Whether the log is so long that a checkpoint is due (with the lock); and one (without). */
bool ovbd_rw_log_wants_checkpoint(struct rw_core *c);
int ovbd_rw_log_checkpoint(struct rw_core *c, struct ovbd_error *err);

/* Reads what is there into l, which is fresh. Then all of it is durable, and a session has begun.
 * */
int ovbd_rw_log_recover(struct rw_log *l, uint64_t end, struct ovbd_error *err);

#endif
