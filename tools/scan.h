/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks over a device from its beginning to its end, reading ahead on several threads and handing
 * out what was read in order. What is known to be zeros is not read.
 */
#ifndef OVBD_TOOLS_SCAN_H
#define OVBD_TOOLS_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/progress.h"

#define OVBD_SCAN_WINDOW (1u << 20) /* bytes read at a time, and aligned to that */

struct ovbd_scan_params {
	unsigned nthreads;         /* that read, the calling one included */
	ovbd_progress_fn progress; /* may be NULL; in bytes of the device's data */
	void *arg;
	bool part; /* of a stack: what it shows of below at its own place is a hole */
	/* Called for what it shows of below from elsewhere, at src there; it is not read then.
	 * NULL: it is data. */
	int (*below)(void *ctx, uint64_t off, uint64_t len, uint64_t src, struct ovbd_error *err);
};

/* A run of the device. DATA: buf has its bytes, len <= OVBD_SCAN_WINDOW; ZERO and HOLE: buf is
 * NULL. Runs tile the device; they begin and end at multiples of 512, but for the device's end.
 * Returns 0, or what ends the scan. */
typedef int (*ovbd_scan_fn)(void *ctx, uint64_t off, uint64_t len, enum ovbd_run_kind kind,
                            const uint8_t *buf, struct ovbd_error *err);

/* Calls run, in the calling thread, for all of b. */
int ovbd_scan(struct ovbd_blob *b, const struct ovbd_scan_params *p, ovbd_scan_fn run, void *ctx,
              struct ovbd_error *err);

/* The same range of two devices; beyond its end a device reads as zeros. Where both are known to be
 * zeros nothing is handed out. off is a multiple of 4096, and so is len but at the end. */
typedef int (*ovbd_scan_pair_fn)(void *ctx, uint64_t off, size_t len, const uint8_t *a,
                                 const uint8_t *b, struct ovbd_error *err);

/* Calls pair, in the calling thread, for [0, size). */
int ovbd_scan_pair(struct ovbd_blob *a, struct ovbd_blob *b, uint64_t size,
                   const struct ovbd_scan_params *p, ovbd_scan_pair_fn pair, void *ctx,
                   struct ovbd_error *err);

/* The bytes of b within [0, size) that would have to be read, and those among them that are what
 * lies below it has at another place. */
int ovbd_scan_data_size(struct ovbd_blob *b, uint64_t size, uint64_t *ret, uint64_t *ret_below,
                        struct ovbd_error *err);

/* Processors this process may run on. */
unsigned ovbd_cpus(void);

#endif
