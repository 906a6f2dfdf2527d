/* SPDX-License-Identifier: Apache-2.0 */
/* Private to bow/: the device, and what its files do for each other. */
#ifndef OVBD_BOW_CORE_H
#define OVBD_BOW_CORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bow/bow.h"
#include "bow/format.h"
#include "bow/log.h"
#include "bow/ranges.h"

/* ---- ranges in flight (flight.c) ---- */

/* What one request is at, in whole blocks. What touches waits for what came before it. */
struct bow_flight {
	struct bow_flight *next; /* in the order of arrival */
	uint64_t off, end;
	bool shared; /* it only reads: so may others that do */
	bool zero;   /* it has block 0, too */
	bool active; /* it waits no more */
};

#define BOW_END_OF_ALL UINT64_MAX

/* ---- the log (journal.c) ---- */

/* What one write of the first sector makes true. */
struct bow_step {
	struct bow_header header;
	struct bow_entry *entries; /* as many as fit in a block */
	size_t n;
	/* where the full block goes of which this one is the next; 0: there is none */
	uint64_t full;
};

/* Backups that are to be logged together. */
struct bow_job {
	struct bow_job *next;
	struct bow_entry *entries;
	size_t n;
	uint64_t live;  /* where block 0 will be; 0: where it is */
	size_t *budget; /* for 3 puts an entry, and 3 if block 0 moves */
	/* of the log: */
	size_t nsettled, nlogged; /* entries that may be on the device, and that are */
	bool live_settled, live_logged;
	int r;
	bool done, full; /* full: r is -ENOSPC because nothing is free */
	struct ovbd_error err;
};

struct bow_journal {
	uint8_t *image, *next; /* the log block as it is on the device; and with the step */
	struct bow_header header;
	struct bow_step step;
	bool unsure; /* the step may be on the device, or not; writing it again is harmless */
	bool busy;   /* somebody writes to it, without the lock */
	struct bow_job *first, **last;
	size_t npending; /* entries planned, but not logged */
	size_t budget;   /* of those that are being logged, or unsure */
};

/* ---- the device ---- */

/* Writes in order (ahead.c). */
struct bow_stream {
	uint64_t next;   /* where the next one would begin that needs a backup */
	uint64_t window; /* so much is backed up ahead then */
	uint64_t used;   /* larger: later; 0: never */
};

#define BOW_STREAMS 8u

struct bow_device {
	struct ovbd_device device;
	struct ovbd_blob blob; /* what device.blob is */
	struct ovbd_device *below;
	struct ovbd_bow_params params;
	uint32_t block_size;
	uint64_t size;
	atomic_int state; /* changes with everything in flight; to ABORTED and COMMITTED for good */
	atomic_int lost;  /* -errno of a flush of the log's that failed: users are told by theirs */

	pthread_mutex_t lock;  /* all below; never held across I/O */
	pthread_cond_t landed; /* a flight ended, or what was TAKEN is not any more */
	pthread_cond_t logged; /* jobs are done */
	struct bow_flight *flights;
	struct bow_ranges *ranges;
	struct bow_journal journal;
	uint64_t live;      /* where block 0 is; changes only with block 0 in flight */
	uint64_t next_dest; /* where the last backup ended: the next is to follow it */
	struct bow_stream streams[BOW_STREAMS];
	uint64_t nstreams; /* how often any was used */
	bool committing;   /* a commit has begun, and must be finished before anything else */
	uint64_t backed_up, log_blocks, log_entries, log_writes;
};

static inline struct bow_device *ovbd_bow_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct bow_device, device);
}

static inline enum ovbd_bow_state ovbd_bow_state_of(struct bow_device *d)
{
	return (enum ovbd_bow_state)atomic_load(&d->state);
}

extern const struct ovbd_device_ops ovbd_bow_ops; /* write.c */

/* Of requests to a device that is ABORTED: -EIO. */
int ovbd_bow_fail_aborted(struct ovbd_error *err);

/* The device below is flushed; if that fails, who flushes next is told. */
int ovbd_bow_flush_below(struct bow_device *d, struct ovbd_error *err);

/* All of flight.c with the lock, which is given up by who waits. */
void ovbd_bow_flight_begin(struct bow_device *d, struct bow_flight *f);
/* f has block 0, too, from now on. One who has another range already and waits for it blocks
 * nobody that came before. */
void ovbd_bow_flight_zero(struct bow_device *d, struct bow_flight *f);
void ovbd_bow_flight_end(struct bow_device *d, struct bow_flight *f);

/* ---- free space (space.c); with the lock ---- */

/* The next range for a backup, of at most want bytes; false: nothing is free. */
bool ovbd_bow_space_find(struct bow_device *d, uint64_t want, struct bow_range *ret);

/* One block for what is not copied back in its order: the end of the largest range. It is TAKEN. */
int ovbd_bow_space_block(struct bow_device *d, uint64_t *ret, size_t *budget,
                         struct ovbd_error *err);

/* What is wanted is not there: -ENOSPC. */
int ovbd_bow_space_full(struct bow_device *d, const char *what, uint64_t want,
                        struct ovbd_error *err);

/* ---- journal.c; with the lock, which is given up meanwhile ---- */

int ovbd_bow_journal_open(struct bow_device *d, struct ovbd_error *err);
void ovbd_bow_journal_close(struct bow_device *d);

/* Logs the job's entries, whose copies are done but not flushed: j->r. Then their sources are
 * CHANGED, and their destinations BACKUP; what is not logged becomes FREE again. */
void ovbd_bow_journal_add(struct bow_device *d, struct bow_job *job);

/* Ends doubt: 0, or the device below still fails. */
int ovbd_bow_journal_settle(struct bow_device *d, struct ovbd_error *err);

/* How many blocks more are needed for n entries more than there are, or are planned. */
uint64_t ovbd_bow_journal_blocks(const struct bow_device *d, size_t n);

/* What an entry that is logged means for the map. */
void ovbd_bow_journal_apply(struct bow_device *d, const struct bow_entry *e, size_t *budget);

/* ---- backup.c ---- */

/* With the lock, which is given up meanwhile; f is in flight, and will be written to. 0: now it may
 * be. ret_full: it fails because too little is free; nothing has been done then. */
int ovbd_bow_backup(struct bow_device *d, struct bow_flight *f, bool *ret_full,
                    struct ovbd_error *err);

/* Without the lock: copies len bytes, and continues the checksum (which may be NULL). */
int ovbd_bow_copy(struct bow_device *d, uint64_t from, uint64_t to, uint64_t len, uint32_t *crc,
                  struct ovbd_error *err);

/* ---- ahead.c; with the lock ---- */

/* f, which needs so much free space, may become longer: what else is to be backed up with it. And
 * has its end again. */
void ovbd_bow_ahead_begin(struct bow_device *d, struct bow_flight *f, uint64_t needed);
void ovbd_bow_ahead_end(struct bow_device *d, struct bow_flight *f, uint64_t end);

/* ---- replay.c ---- */

/* Block 0 below has the magic of a log. To CHECKPOINT; or a commit is finished. */
int ovbd_bow_replay(struct bow_device *d, struct ovbd_error *err);

/* ---- states.c; without the lock ---- */

/* Block 0 goes back to its place. With nothing else in flight. */
int ovbd_bow_finish_commit(struct bow_device *d, struct ovbd_error *err);

/* As ovbd_bow_commit() and ovbd_bow_abort(), but 1: it was done; 0: it was there already, or, for
 * the second, has been committed meanwhile. */
int ovbd_bow_commit_now(struct bow_device *d, struct ovbd_error *err);
int ovbd_bow_abort_now(struct bow_device *d, struct ovbd_error *err);

#endif
