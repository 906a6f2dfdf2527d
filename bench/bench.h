/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ratios to a stated limit. A row times two functions that do the same amount of work, ours and
 * the limit's, in turn (A B A B ...) in one process run, so that a noisy machine disturbs both;
 * the ratio is the median of the pairs' ratios. 1.00 is the limit itself.
 */
#ifndef OVBD_BENCH_BENCH_H
#define OVBD_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_row {
	const char *group; /* "zfile" */
	const char *name;  /* "zstd 4K, 1 MiB requests" */
	const char *limit; /* what the limit is, in a few words: "pread + CRC + codec" */
	const char *unit;  /* of work per second: "MB/s", "M lookups/s" */
	double work;       /* units of work that one call of either function does */
	double target;     /* the ratio wanted; 0: none */
	unsigned rounds;   /* pairs to time; 0: 7 */
	bool wall;         /* time the wall clock (for several threads), not this process's CPU */
	void (*ours)(void *arg);
	void (*theirs)(void *arg); /* the limit */
	void *arg;
};

struct bench;

/* Times one row and prints it. One round that is not counted goes first. Returns the ratio. */
double bench_run(struct bench *b, const struct bench_row *row);

/* Whether the user asked for this group (no names on the command line: all). */
bool bench_wants(const struct bench *b, const char *group);

/* A checksum or count that must not be optimised away. */
void bench_keep(uint64_t value);

/* size bytes of ordinary file content (programs, libraries, text of this system), the same for
 * every call on one machine; lives until exit. Ends the program if the system has too little. */
const uint8_t *bench_data(size_t size);

/* The groups: each file of this folder adds its rows. */
void bench_zfile(struct bench *b);
void bench_lookup(struct bench *b);
void bench_merge(struct bench *b);
void bench_rw_index(struct bench *b);
void bench_rw_space(struct bench *b);
void bench_convert(struct bench *b);
void bench_convert_process(struct bench *b);
void bench_cow(struct bench *b);
void bench_cow_create(struct bench *b);
void bench_cow_merge(struct bench *b);
void bench_verity(struct bench *b);
void bench_cache(struct bench *b);
void bench_bow(struct bench *b);

#endif
