/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the calling thread is prepared to wait in its reads of remote blobs, beside what the
 * blobs' own parameters say. Each thread has its own; it begins as zeros.
 */
#ifndef OVBD_REMOTE_PATIENCE_H
#define OVBD_REMOTE_PATIENCE_H

#include <stdatomic.h>
#include <stdint.h>

struct ovbd_patience {
	/* Milliseconds that a read has waited already for what others were to bring; its deadline
	 * is so much nearer, but never nearer than a second. */
	uint64_t spent_ms;
	/* Once it is true reads are given up: -ECANCELED, within a tenth of a second. NULL: never.
	 * For reads that somebody else may join, and would have to repeat. */
	const atomic_bool *stop;
};

struct ovbd_patience ovbd_patience(void);

/* Returns what there was before. */
struct ovbd_patience ovbd_patience_set(struct ovbd_patience p);

#endif
