/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process has read of layers, from where, how long that took, and what went wrong. One
 * set of counters for all blobs and caches; they only grow, but for what is in flight. Any thread.
 */
#ifndef OVBD_REMOTE_METRICS_H
#define OVBD_REMOTE_METRICS_H

#include <stddef.h>
#include <stdint.h>

/* A read of a cached blob counts as of the cache if nothing of it had to be fetched; what is
 * fetched for the others counts as remote. Local are files, where they are asked to be counted. */
enum ovbd_source { OVBD_SOURCE_CACHE, OVBD_SOURCE_LOCAL, OVBD_SOURCE_REMOTE, OVBD_NSOURCES };

/* "cache", "local", "remote" */
const char *ovbd_source_name(enum ovbd_source s);

#define OVBD_READ_NBOUNDS 22
extern const uint32_t ovbd_read_bounds_us[OVBD_READ_NBOUNDS];

struct ovbd_source_metrics {
	uint64_t reads, bytes; /* that succeeded */
	uint64_t failed;
	uint64_t in_flight;
	uint64_t sum_ns;                        /* of all, and how many of them took */
	uint64_t counts[OVBD_READ_NBOUNDS + 1]; /* at most ovbd_read_bounds_us[i], or longer */
};

enum ovbd_counter {
	OVBD_COUNT_RETRIES,      /* HTTP requests that were sent again */
	OVBD_COUNT_BAD_CHUNKS,   /* fetched again: wrong in the cache */
	OVBD_COUNT_DISTRUSTED,   /* a checksum above contradicted them */
	OVBD_COUNT_UNVERIFIED,   /* a Merkle tree did */
	OVBD_COUNT_STORED_BYTES, /* into caches */
	OVBD_COUNT_UNSTORED,     /* chunks that were not kept */
	OVBD_COUNT_EVICTED,      /* chunks */
	OVBD_COUNT_WHOLE,        /* blobs in caches that had their digests; or had not: */
	OVBD_COUNT_WRONG,
	OVBD_COUNT_PREFETCHED_BYTES, /* fetched before somebody read them; of these: */
	OVBD_COUNT_PREFETCH_HIT,     /* were read */
	OVBD_COUNT_PREFETCH_WASTE,   /* went, or were left, without having been */
	OVBD_COUNT_DOWNLOADED,       /* layers that became files; or had another digest; */
	OVBD_COUNT_DOWNLOAD_WRONG,
	OVBD_COUNT_DOWNLOAD_FAILED, /* or were given up */
	OVBD_COUNT_DOWNLOAD_BYTES,  /* fetched for that, and in how many pieces */
	OVBD_COUNT_DOWNLOAD_READS,
	OVBD_NCOUNTERS,
};

#define OVBD_HTTP_STATUSES 600

struct ovbd_remote_metrics {
	struct ovbd_source_metrics from[OVBD_NSOURCES];
	uint64_t counters[OVBD_NCOUNTERS];
	uint64_t statuses[OVBD_HTTP_STATUSES]; /* HTTP answers; 0: there was none, or nonsense */
};

void ovbd_remote_metrics(struct ovbd_remote_metrics *ret);

/* --- for who counts --- */

void ovbd_remote_count(enum ovbd_counter c, uint64_t n);
void ovbd_remote_count_status(long status);

/* A read begins; what it returns is for its end. */
uint64_t ovbd_remote_read_begin(enum ovbd_source s);
/* code: 0 or -errno. */
void ovbd_remote_read_end(enum ovbd_source s, uint64_t begin, size_t len, int code);

/* For who learns of which source it was only afterwards. */
uint64_t ovbd_remote_now_ns(void);
void ovbd_remote_count_read(enum ovbd_source s, uint64_t ns, size_t len, int code);

#endif
