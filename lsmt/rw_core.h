/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to lsmt/: what writable layers of all formats have in common. Reading; batches of
 * flushes; what is dead, and giving it back.
 */
#ifndef OVBD_LSMT_RW_CORE_H
#define OVBD_LSMT_RW_CORE_H

#include <pthread.h>

#include "lsmt/format.h"
#include "lsmt/rw.h"
#include "lsmt/rw_index.h"

struct rw_core;

/* What differs between the formats. */
struct rw_kind {
	const char *name;
	bool bare_zeros; /* a ZERO of the index may be no more than a hole of the file */
	/* Makes durable what has been done so far. Called by one thread at a time, with the lock,
	 * which it gives up meanwhile. Files are flushed by ovbd_rw_flush_file(); if that fails
	 * nothing is written any more. With other errors (-ENOSPC) nothing is lost, and it may be
	 * tried again. */
	int (*sync)(struct rw_core *c, struct ovbd_error *err);
	/* The lock is not held, and nobody else is there. */
	int (*resize)(struct rw_core *c, uint64_t size, struct ovbd_error *err);
	/* The same; uuid is OVBD_UUID_SIZE bytes, as in a header. Durable. */
	int (*set_parent)(struct rw_core *c, const char *uuid, struct ovbd_error *err);
	/* All is flushed, and nothing happens in the background. *ret_end: where the data end. */
	int (*seal)(struct rw_core *c, uint64_t *ret_end, struct ovbd_error *err);
	/* Optional: what is to be done now and then (rw_reclaim.c's thread does it, or who
	 * flushes); whether it is due is asked with the lock. */
	bool (*wants_tending)(struct rw_core *c);
	int (*tend)(struct rw_core *c, struct ovbd_error *err);
	/* Optional, both or none: data may be moved to the end of the file. With the lock: where
	 * len bytes more go, which nobody else has; and that s is there now, whose bytes buf has.
	 * That counts as a change, and is durable when it is flushed, as any. */
	uint64_t (*place)(struct rw_core *c, uint64_t len);
	int (*moved)(struct rw_core *c, const struct ovbd_segment *s, const void *buf,
	             struct ovbd_error *err);
	/* Closes what the format has more; frees the struct. */
	void (*free)(struct rw_core *c);
};

struct rw_dead {
	uint64_t src, len;
};

struct rw_dead_list {
	struct rw_dead *p;
	size_t n, capacity;
};

/* Dead data pass from one list to the next with each flush; what comes out is given back, once no
 * reader has it any more (rw_reclaim.c). */
#define RW_DEAD_LISTS 3u

struct rw_reclaim {
	unsigned nlists; /* flushes that it takes until nothing on disk can lead there */
	struct rw_dead_list lists[RW_DEAD_LISTS]; /* lock */
	struct rw_dead_list out;                  /* lock */
	struct ovbd_rw_index *dead; /* of the data file: ZERO is dead; of who gives back */
	uint64_t pinned;            /* bytes: dead, in blocks that are not dead as a whole; lock */
	uint64_t pinned_min;        /* so many are not worth to be moved for */
	uint64_t pinned_left;       /* what was left when that was done last; lock */
	uint64_t waiting;           /* bytes in lists and out; lock */
	uint64_t unflushed;         /* bytes written since the last flush began; lock */
	uint64_t given_back;        /* bytes, so far; lock */
	bool no_thread;             /* it is done at the end of each flush */
	pthread_t thread;
	pthread_cond_t wake;
	pthread_cond_t room; /* something was given back */
	unsigned nheld;      /* who waits for that; lock */
	bool started, stop;  /* stop: lock */
	bool quiet, busy;    /* nobody is to flush or tend by himself; somebody does; lock */
};

struct rw_core {
	struct ovbd_device device; /* its head */
	struct ovbd_blob blob;     /* what device.blob is */
	const struct rw_kind *kind;
	struct ovbd_blob *lower;  /* owned; NULL: nothing beneath */
	bool lower_leaves;        /* another will be there: its holes are no zeros to rely on */
	struct ovbd_device *data; /* owned; that segments' sources lie in */
	uint64_t file_end;        /* of data, which may be longer than what is in use; lock */
	struct ovbd_epoch *epoch;
	struct ovbd_rw_index *index; /* changed with the lock */
	struct lsmt_header header;   /* UUIDs and message */

	pthread_mutex_t lock; /* all below, and where it says so */
	pthread_cond_t synced;
	bool syncing;        /* somebody is in kind->sync */
	bool lost;           /* of who is: the flush of a file has failed */
	uint64_t done;       /* changes so far */
	uint64_t durable;    /* of them, those that are flushed */
	int broken;          /* -errno of a flush that failed; 0: none */
	uint64_t data_bytes; /* in DATA segments */
	struct rw_reclaim reclaim;
};

static inline struct rw_core *ovbd_rw_core_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct rw_core, device);
}

/* Where all that was written ends, at the latest. A layer that was made without a size has that of
 * what is beneath; without that there is no end. */
static inline uint64_t ovbd_rw_end(const struct rw_core *c)
{
	return c->header.virtual_size ? c->header.virtual_size : LSMT_DEVICE_MAX;
}

/* c is zero but for kind, lower, data and header; on failure it must be closed too. */
int ovbd_rw_core_init(struct rw_core *c, const struct ovbd_device_ops *ops, struct ovbd_error *err);

/* The index is as it was found: from now on it counts what changes, and what dies. nlists flushes
 * (at most RW_DEAD_LISTS; 0: nothing is given back) are between a death and its burial. */
int ovbd_rw_core_start(struct rw_core *c, unsigned nlists, bool no_thread, struct ovbd_error *err);

/* What was found may be nowhere but in the kernel's memory, as whoever wrote it was killed: also a
 * flush before which nothing is written makes it durable. Before anything else happens. */
static inline void ovbd_rw_core_found_unflushed(struct rw_core *c)
{
	c->done++;
}

/* NULL is fine; nothing is flushed. */
void ovbd_rw_core_close(struct rw_core *c);

static inline void ovbd_rw_core_closep(struct rw_core **c)
{
	ovbd_rw_core_close(*c);
}

/* Of who is about to write. -EINVAL for what is not made of sectors; -EIO if a flush has failed.
 * Waits, for a second at most, if much more is dead than is shown. */
int ovbd_rw_check(struct rw_core *c, uint64_t off, uint64_t len, struct ovbd_error *err);

/* With the lock: s is put into the index, and counts as a change; what dies is told to reclaim. */
int ovbd_rw_put(struct rw_core *c, const struct ovbd_segment *s, struct ovbd_error *err);

/* ops->flush. All changes so far are durable. Those who come while another flushes are served
 * together by the next. */
int ovbd_rw_flush(struct ovbd_device *d, struct ovbd_error *err);

/* ops->grow. Reading, writing and what is done in the background go on: in the files only the
 * header or superblock says the size, and only who seals, commits or resizes looks at it. */
int ovbd_rw_grow(struct ovbd_device *d, uint64_t size, struct ovbd_error *err);

/* The same as ovbd_rw_flush(), and no more than that: for who tends. */
int ovbd_rw_sync(struct rw_core *c, struct ovbd_error *err);

/* As ovbd_device_pwrite(); -ENOSPC beyond the end of a file that is not to grow. */
int ovbd_rw_write_file(struct ovbd_device *file, const void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err);

/* Of kind->sync, without the lock. */
int ovbd_rw_flush_file(struct rw_core *c, struct ovbd_device *file, struct ovbd_error *err);

/* As reading the device, beyond its end too. */
int ovbd_rw_read(struct rw_core *c, void *buf, size_t len, uint64_t off, struct ovbd_error *err);

/* What is shown at a range of the layer below: DATA, ZERO or HOLE, as ovbd_blob_run_at(). */
int ovbd_rw_lower_run(struct rw_core *c, uint64_t off, uint64_t len, struct ovbd_run *ret,
                      struct ovbd_error *err);

/* ---- rw_reclaim.c ---- */

/* With the lock. Bytes of the data file that are not shown any more; without memory for that they
 * stay until the layer is opened again. */
void ovbd_rw_reclaim_dead(struct rw_core *c, uint64_t src, uint64_t len);

/* With the lock. So many bytes were written: if that is much, and nobody flushes, the thread does,
 * as whoever opens the layer after a crash reads all that was not flushed. */
void ovbd_rw_reclaim_written(struct rw_core *c, uint64_t len);

/* With the lock. How many dead there are when a flush begins; and when it has succeeded. */
size_t ovbd_rw_reclaim_mark(struct rw_core *c);
void ovbd_rw_reclaim_flushed(struct rw_core *c, size_t ndead);

/* After a flush, without the lock: for who has no thread. */
void ovbd_rw_reclaim_now(struct rw_core *c);

/* Whether nothing is flushed or tended in the background: nothing is any more at the return. What
 * is out is still given back. */
void ovbd_rw_reclaim_quiet(struct rw_core *c, bool quiet);

/* All of [from, end) of the data file to which the index does not lead becomes holes, as far as
 * there is memory for that. Nothing changes the index any more. */
void ovbd_rw_reclaim_rest(struct rw_core *c, uint64_t from, uint64_t end);

/* All of [from, end) of the data file to which the index does not lead, but for the n ranges that
 * are kept. Before anything else happens. */
int ovbd_rw_reclaim_scan(struct rw_core *c, uint64_t from, uint64_t end, const struct rw_dead *keep,
                         size_t n, struct ovbd_error *err);

/* For who works in the background, without the lock: he waits for ms, or not at all if who flushes
 * does that work. False: he shall come to an end. */
bool ovbd_rw_reclaim_pause(struct rw_core *c, unsigned ms);

/* The same: what is out is given back. */
void ovbd_rw_reclaim_out(struct rw_core *c);

/* ---- rw_compact.c ---- */

/* With the lock: whether much of the file is dead, but cannot be given back, as it shares blocks
 * with what is not. */
bool ovbd_rw_wants_compaction(const struct rw_core *c);

/* Of who gives back, without the lock: moves that. Errors end it, and it is tried again later. */
int ovbd_rw_compact(struct rw_core *c, struct ovbd_error *err);

void ovbd_rw_reclaim_init(struct rw_core *c);
int ovbd_rw_reclaim_start(struct rw_core *c, struct ovbd_error *err);
void ovbd_rw_reclaim_close(struct rw_core *c);

#endif
