/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to bow/: what each range of a device is. All begins as UNCHANGED. Neighbours of one kind
 * are one range; memory is by the number of ranges, and so by fragmentation. One thread at a time
 * (the caller's lock); everything is O(log n) for each range that is met.
 */
#ifndef OVBD_BOW_RANGES_H
#define OVBD_BOW_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum bow_kind {
	BOW_UNCHANGED, /* its content is what it was at the checkpoint; takes no memory */
	BOW_FREE,      /* nobody needs its content */
	BOW_CHANGED,   /* what it was is backed up, or was not needed */
	BOW_TAKEN,     /* was FREE; a copy is on its way there, that no log names yet */
	BOW_BACKUP,    /* what the log needs */
	BOW_LIVE,      /* where block 0 is */
	BOW_KINDS,
};

struct bow_range {
	uint64_t off, len;
	enum bow_kind kind;
};

struct bow_ranges;

int ovbd_bow_ranges_create(struct bow_ranges **ret, struct ovbd_error *err);
/* NULL is fine. */
void ovbd_bow_ranges_free(struct bow_ranges *take_r);

/* So many puts cannot fail that are given this budget, which is added to. 0 or -ENOMEM. */
int ovbd_bow_ranges_reserve(struct bow_ranges *r, size_t nputs, size_t *budget,
                            struct ovbd_error *err);
/* What is left of it. */
void ovbd_bow_ranges_release(struct bow_ranges *r, size_t *budget);

/* From now on [off, off + len) is of this kind, whatever it was. */
void ovbd_bow_ranges_put(struct bow_ranges *r, uint64_t off, uint64_t len, enum bow_kind kind,
                         size_t *budget);

/* The range at off, from there on, cut to len. */
struct bow_range ovbd_bow_ranges_at(const struct bow_ranges *r, uint64_t off, uint64_t len);

/* The first range of all from off on that is not UNCHANGED, or the part of it from there on.
 * False: there is none. */
bool ovbd_bow_ranges_next(const struct bow_ranges *r, uint64_t off, struct bow_range *ret);

/* Of those that are FREE; of several the one that comes last. False: there is none. */
bool ovbd_bow_ranges_largest(const struct bow_ranges *r, struct bow_range *ret);

uint64_t ovbd_bow_ranges_bytes(const struct bow_ranges *r, enum bow_kind kind);
uint64_t ovbd_bow_ranges_count(const struct bow_ranges *r, enum bow_kind kind);
/* Bytes. */
uint64_t ovbd_bow_ranges_memory(const struct bow_ranges *r);

#endif
