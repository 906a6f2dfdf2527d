/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blob over a remote one, of which ranges can be brought before they are read. Where the source
 * keeps what is read of it (a cache), bringing is reading it; otherwise the bytes are held in
 * memory: at most OVBD_AHEAD_HELD_MAX in a process, and what has been read goes first when there
 * is no room.
 *
 * Ranges are planned first. From then on each of their bytes is asked for once: a read waits for
 * what is on its way, and what is planned and not on its way yet it brings itself. What cannot be
 * brought is read as if it had never been planned, so bringing fails no read.
 *
 * Any thread.
 */
#ifndef OVBD_REMOTE_AHEAD_H
#define OVBD_REMOTE_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"

#define OVBD_AHEAD_HELD_MAX (UINT64_C(128) << 20)
#define OVBD_AHEAD_WAIT_MS  5000u /* a read waits so long for what is coming, then asks itself */

struct ovbd_range {
	uint64_t off, len; /* bytes, len > 0 */
};

struct ovbd_ahead_stats {
	uint64_t planned; /* bytes */
	uint64_t brought; /* of them; also by reads that were first */
	uint64_t used;    /* of the bytes brought: read since, each counted once at most */
	uint64_t nfailed; /* ranges that could not be brought */
};

/* kept: take_source keeps what is read of it. */
int ovbd_ahead_open(struct ovbd_blob *take_source, bool kept, struct ovbd_blob **ret,
                    struct ovbd_error *err);

/* Plans n ranges, in ascending order and without overlap; what is planned already, and what lies
 * beyond the end, is left out. */
int ovbd_ahead_plan(struct ovbd_blob *b, const struct ovbd_range *ranges, size_t n,
                    struct ovbd_error *err);

/* Brings what is planned in [off, off + len) and not on its way. 0 also if there is nothing. */
int ovbd_ahead_bring(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_error *err);

/* Plans n ranges and brings them, all at once, and returns when they are there. That is no
 * prefetching, as the metrics have it. */
int ovbd_ahead_bring_now(struct ovbd_blob *b, const struct ovbd_range *ranges, size_t n,
                         struct ovbd_error *err);

/* Bytes that are known: reads find them here. Not where something is planned. */
int ovbd_ahead_put(struct ovbd_blob *b, const void *buf, size_t len, uint64_t off,
                   struct ovbd_error *err);

/* Whether a read waits for the source, for something that was not planned. */
bool ovbd_ahead_is_busy(struct ovbd_blob *b);

struct ovbd_ahead_stats ovbd_ahead_stats(struct ovbd_blob *b);

#endif
