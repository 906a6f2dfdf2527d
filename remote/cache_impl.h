/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to remote/cache*.c.
 *
 *     cache.c         the blob: which chunks a read needs, and where each comes from
 *     cache_fill.c    chunks on their way from disk or source, one flight for all who want them
 *     cache_store.c   the thread that writes them down, data before map
 *     cache_evict.c   the thread that makes room
 *     cache_file.c    one blob's two files, and what is known of its chunks
 *     cache_open.c    a cache's begin and end
 *     cache_list.c    what is in the directory, and what of it is nobody's
 *     cache_verify.c  whether it is right
 *     cache_dir.c     the directory: names, locks, how much it takes
 *     cache_doubt.c   chunks that are wrong although their checksums say otherwise
 *     cache_whole.c   whether a blob that is all there has its digest, and the mark that it has
 *     cache_check.c   the thread that looks
 *     cache_format.c  the bytes of a map                                              (pure)
 *
 * Who reads a chunk and who evicts one need no lock between them, also across processes: an entry
 * that was seen present may be believed for CACHE_TRUST_MS, and whoever takes it out of the map
 * waits for CACHE_GRACE_MS before the data go. Only what was read in time counts.
 *
 * Who writes a chunk, or its entry, holds its lock: one byte of the map file at CACHE_LOCK_AT,
 * locked with F_OFD_SETLK, which also ends with the process. Threads of one process that write the
 * same file are kept apart by its list of fills, and the evictor locks through a descriptor of its
 * own.
 *
 * Locks: cache.lock is taken within file.lock, never the other way round.
 */
#ifndef OVBD_REMOTE_CACHE_IMPL_H
#define OVBD_REMOTE_CACHE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "remote/cache_admin.h"
#include "remote/cache_format.h"
#include "remote/cache_key.h"
#include "remote/metrics.h"

#define CACHE_TRUST_MS    1000u /* a read may begin so long after the entry was seen */
#define CACHE_READ_MS     2000u /* and must have ended after this */
#define CACHE_GRACE_MS    3000u
#define CACHE_FILL_CHUNKS 64u        /* of one fill, at most: bits of a word */
#define CACHE_FILL_SIZE   (4u << 20) /* bytes of one, at most */
#define CACHE_DOUBT_MS    10000u
#define CACHE_LOCK_AT     (INT64_C(1) << 61)
#define CACHE_NAME_SIZE   65 /* of a blob: SHA-256 of its key, in hexadecimal */

/* --- cache_file.c --- */

/* One blob in the directory, shared by all who have it open in this process. */
struct cache_file {
	struct ovbd_cache *cache;
	struct cache_file *next; /* in cache.files, which cache.lock guards, with users */
	unsigned users;
	char name[CACHE_NAME_SIZE];
	struct cache_header header;
	uint64_t nchunks;
	uint32_t seed;
	int map_fd, data_fd; /* < 0: nothing is kept */
	/* What this process knows of a chunk: 0, or generation << 48 | (ms when its entry was last
	 * seen) << 1 | 1, once its data were held against its checksum. */
	_Atomic uint64_t *notes;
	pthread_mutex_t lock;
	pthread_cond_t changed;     /* a fill is done, or has left the list */
	struct cache_fill *fills;   /* guarded by lock; no two have a chunk in common */
	struct cache_doubt *doubts; /* guarded by lock; of each chunk, or NULL: none yet */
	uint64_t nstored;           /* of the storing thread: chunks before this one are there */
	/* guarded by cache.lock: */
	bool wanted; /* it may have become whole; to be looked at: */
	uint64_t due_ms;
	unsigned nwrong; /* times it was whole and wrong */
};

/* The file called after key; c's own if it is open already. What cannot be kept on disk is one
 * with nothing behind it; so this fails only for lack of memory. */
int cache_file_open(struct ovbd_cache *c, const char *key, uint64_t size, uint32_t chunk_size,
                    struct cache_file **ret, struct ovbd_error *err);
void cache_file_close(struct cache_file *take_f);

uint64_t cache_chunk_off(const struct cache_file *f, uint64_t chunk);
uint32_t cache_chunk_len(const struct cache_file *f, uint64_t chunk);

/* As the map says it now; what cannot be read is absent. */
struct cache_entry cache_entry_load(const struct cache_file *f, uint64_t chunk);
/* Under the chunk's lock. 0 or -errno. */
int cache_entry_store(const struct cache_file *f, uint64_t chunk, const struct cache_entry *e);

/* Whether the data file may be read at once for the chunk: it was verified, and its entry has been
 * seen lately, or is seen now. *ret_seen is when, in ms. */
bool cache_chunk_ready(struct cache_file *f, uint64_t chunk, uint64_t *ret_seen);
void cache_chunk_verified(struct cache_file *f, uint64_t chunk, uint16_t gen, uint64_t seen);
/* 0, or < 0 if the data file does not have it all. */
int cache_data_read(const struct cache_file *f, void *buf, size_t len, uint64_t off);
/* -ESTALE: somebody has cut the data file; nothing can be stored in it while it is in use. */
int cache_data_write(const struct cache_file *f, const void *buf, size_t len, uint64_t off);

/* --- cache_fill.c --- */

/* Chunks [first, first + n) in memory. */
struct cache_fill {
	struct cache_fill *next; /* in file.fills */
	struct cache_fill *then; /* in cache.queue */
	struct cache_file *file;
	unsigned refs; /* guarded by file.lock: readers, and the list */
	uint64_t first;
	unsigned n;
	bool done; /* guarded by file.lock; what follows is settled then */
	int code;
	struct ovbd_error err;
	uint8_t *buf;
	size_t len;
	bool fetched;   /* some of it was asked of the source */
	uint64_t fresh; /* bit i: chunk first + i came from the source, and is to be stored */
	bool locked;    /* the locks of all its chunks are ours */
};

static inline uint8_t *cache_fill_bytes(const struct cache_fill *fill, unsigned i)
{
	return fill->buf + (size_t)i * fill->file->header.chunk_size;
}

/* The fill that has chunk, with one more reference; or NULL. Under f->lock. */
struct cache_fill *cache_fill_find(struct cache_file *f, uint64_t chunk);
/* A new one with one reference for the caller; NULL: no memory. Under f->lock. */
struct cache_fill *cache_fill_add(struct cache_file *f, uint64_t first, unsigned n);
/* Reads it from disk or source; readers wait for that. Not under f->lock. */
void cache_fill_run(struct cache_fill *fill, struct ovbd_blob *source);
void cache_fill_wait(struct cache_fill *fill);
void cache_fill_release(struct cache_fill *take_fill);
/* Out of the list: what it has is stored, or never will be. */
void cache_fill_retire(struct cache_fill *take_fill);

/* --- cache_doubt.c --- */

/* Has the chunk asked of the source anew before it is next read, but not twice within
 * CACHE_DOUBT_MS. May wait until it is stored. */
void cache_doubt(struct cache_file *f, uint64_t chunk);
/* Whether that is about the chunk as e has it. */
bool cache_doubted(struct cache_file *f, uint64_t chunk, const struct cache_entry *e);

/* --- cache_store.c --- */

/* Has take_fill written when there is time, and retired. */
void cache_store(struct ovbd_cache *c, struct cache_fill *take_fill);
void *cache_store_thread(void *arg);

/* --- cache_evict.c --- */

void *cache_evict_thread(void *arg);

/* --- cache_whole.c --- */

enum cache_whole {
	CACHE_WHOLE_UNKNOWN, /* it is not all there, has no digest, or was changed meanwhile */
	CACHE_WHOLE_RIGHT,
	CACHE_WHOLE_WRONG,
};

/* Asked before each chunk, of len bytes: whether to go on. */
typedef bool (*cache_whole_fn)(void *arg, size_t len);

/* Reads all of f, from cache_file_peek(), and marks it if it has its digest. go_on may be NULL.
 * *ret_is is what it has, unless it is unknown. */
enum cache_whole cache_whole_look(const struct cache_file *f, cache_whole_fn go_on, void *arg,
                                  char ret_is[OVBD_CACHE_SHA256_SIZE]);
/* Whether somebody has found f as it is now to be right. */
bool cache_whole_is_marked(const struct cache_file *f);
void cache_whole_forget(struct ovbd_cache *c, const char *name);
/* Takes all chunks of f, from cache_file_peek(), out of its map. False: not all. */
bool cache_whole_drop(struct cache_file *f);

/* --- cache_check.c --- */

/* f may be whole. */
void cache_check_want(struct cache_file *f);
/* Something was stored in f: the same, if it is. Of the storing thread. */
void cache_check_stored(struct cache_file *f);
void *cache_check_thread(void *arg);

/* --- cache_dir.c --- */

struct ovbd_cache {
	struct ovbd_cache_params params;
	char *path;  /* for messages */
	int dir_fd;  /* < 0: cannot be used, see trouble */
	int lock_fd; /* the file "lock": the number of bytes that all may store, and locks */
	pthread_t storer, evictor, checker;
	pthread_mutex_t open_lock;  /* while files are opened or removed; before all other locks */
	pthread_mutex_t count_lock; /* with LOCK_COUNT; before lock */
	pthread_mutex_t lock;       /* guards all that follows, but for the counters */
	pthread_cond_t work;        /* for the threads */
	pthread_cond_t room;        /* for those who fill */
	pthread_cond_t checks;      /* for the checker */
	struct cache_file *files;
	struct cache_fill *queue, **queue_end;
	uint64_t held;  /* bytes in queue */
	uint64_t quota; /* bytes that may be stored without asking again */
	bool threads;   /* it has the three */
	bool stop, crowded;
	uint64_t trouble_ms; /* when it was last seen; 0: there is none */
	struct ovbd_error trouble;
	atomic_uint_fast64_t hit_bytes, source_reads, source_bytes, stored_bytes, nbad, nrefetched,
		nevicted, nunstored, nwhole, nwrong, used;
};

void cache_name(const char *key, char ret[CACHE_NAME_SIZE]);

/* Opens the directory, and makes it if it is to be made. */
int cache_dir_open(struct ovbd_cache *c, const char *dir, bool make, struct ovbd_error *err);

/* Who makes or removes files holds the directory; so do those who open them. False: not in time.
 * Not two threads of a process at once: under file_lock. */
bool cache_dir_hold(struct ovbd_cache *c);
void cache_dir_let_go(struct ovbd_cache *c);

/* Locks n bytes at off of a file's open description, others than this one's; false: somebody has
 * one of them. */
bool cache_lock_try(int fd, int64_t off, int64_t n);
void cache_unlock(int fd, int64_t off, int64_t n);

/* Says to all processes that the file of map_fd is in use, which ends with the descriptor. */
void cache_in_use(int map_fd);
bool cache_is_in_use(int map_fd);
/* Whether nobody uses it; then nobody can from now on, until map_fd is closed. */
bool cache_in_use_by_none(int map_fd);

/* Whether len more bytes may be stored; if not, the evictor is woken. */
bool cache_quota_take(struct ovbd_cache *c, uint64_t len);
/* Counts again what the directory takes, by all processes. */
uint64_t cache_recount(struct ovbd_cache *c);

/* Only one process evicts at a time. False: another does. */
bool cache_evict_begin(struct ovbd_cache *c);
void cache_evict_end(struct ovbd_cache *c);

/* Calls one for each blob in the directory that can be read, with a file of its own that is only
 * good for its entries, its data and its locks. Returns 0, or what one returned. */
typedef int (*cache_file_fn)(void *ctx, struct cache_file *f);
int cache_each_file(struct ovbd_cache *c, cache_file_fn one, void *ctx);

/* The file of a map that lies in the directory under name; false if it cannot be read. */
bool cache_file_peek(struct ovbd_cache *c, const char *name, struct cache_file *ret);
void cache_file_unpeek(struct cache_file *f);

/* Removes both files, if nobody uses them. f comes from cache_file_peek(). */
void cache_file_remove(struct cache_file *f);

/* Whether nobody has cut its data. */
bool cache_file_is_whole(const struct cache_file *f);
/* Makes files that were cut as long as they should be, if nobody uses them; what was cut off is
 * wrong then, or absent. */
bool cache_file_mend(const struct cache_file *f);

/* --- cache_list.c --- */

/* Calls one for each name that has a map, or is pinned. */
int cache_each_name(struct ovbd_cache *c, int (*one)(void *ctx, const char *name), void *ctx,
                    struct ovbd_error *err);
bool cache_has_map(const struct ovbd_cache *c, const char *name);
bool cache_is_pinned(const struct ovbd_cache *c, const char *name);

/* Fills *ret, whose strings lie in *f. True: *f is from cache_file_peek(). */
bool cache_item_fill(struct ovbd_cache *c, const char *name, struct cache_file *f,
                     struct ovbd_cache_item *ret);

/* Why cache_file_peek() fails for a name that has a map. */
void cache_map_diagnose(const struct ovbd_cache *c, const char *name, struct ovbd_error *ret);

/* cache_file_mend() of what is called so. */
void cache_mend(struct ovbd_cache *c, const char *name);

/* Removes what cannot be read under name, if nobody uses it. */
bool cache_remove_unreadable(struct ovbd_cache *c, const char *name);

/* Removes what processes that were killed have left: parts of pairs of files. */
void cache_sweep(struct ovbd_cache *c);
/* Something keeps us from storing. */
void cache_trouble(struct ovbd_cache *c, int code, const char *what);

/* Milliseconds, cheap, and coarse by a few. */
uint64_t cache_now_ms(void);
uint32_t cache_now_s(void);

#endif
