/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to lsmt/: what was put into a layer, in the order of putting, and what of it can be seen
 * in the end.
 */
#ifndef OVBD_LSMT_PUTS_H
#define OVBD_LSMT_PUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A range of the device that was written, or told to be zero. All bytes, multiples of 512. */
struct lsmt_put {
	uint64_t off, len; /* in the device */
	uint64_t stamp;    /* see lsmt_stamp() */
};

enum lsmt_put_kind { LSMT_PUT_ZERO, LSMT_PUT_DATA, LSMT_PUT_REFERENCE };

/* Data are appended to the file as they come, so where the file ended when a put was made also
 * tells when that was. A zero takes no place: it is older than the data that begin where the
 * file ended. Two zeros of one age are the same thing. A reference, which comes from src of the
 * device below, has no age: it counts as the newest of all. */
#define LSMT_STAMP_DATA      UINT64_C(1)
#define LSMT_STAMP_REFERENCE (UINT64_C(1) << 63)

static inline uint64_t lsmt_stamp(uint64_t src, enum lsmt_put_kind kind)
{
	return kind == LSMT_PUT_DATA        ? src | LSMT_STAMP_DATA
	       : kind == LSMT_PUT_REFERENCE ? src | LSMT_STAMP_REFERENCE
	                                    : src;
}

static inline enum lsmt_put_kind lsmt_put_kind(const struct lsmt_put *p)
{
	return p->stamp & LSMT_STAMP_REFERENCE ? LSMT_PUT_REFERENCE
	       : p->stamp & LSMT_STAMP_DATA    ? LSMT_PUT_DATA
	                                       : LSMT_PUT_ZERO;
}

/* Where the data lie in the file; for a zero, where the file ended; for a reference, src. */
static inline uint64_t lsmt_put_src(const struct lsmt_put *p)
{
	return p->stamp & ~(LSMT_STAMP_DATA | LSMT_STAMP_REFERENCE);
}

struct lsmt_puts {
	struct lsmt_put *v;
	size_t n, cap;
	uint64_t end;   /* of the one that ends last in the device */
	bool unordered; /* one began before the end of another */
};

/* Adds a put that is newer than all others. -E2BIG, -ENOMEM. */
int ovbd_lsmt_puts_add(struct lsmt_puts *p, const struct lsmt_put *put, struct ovbd_error *err);

/* Called with what can be seen, in ascending order. */
typedef int (*lsmt_puts_fn)(void *ctx, const struct lsmt_put *visible, struct ovbd_error *err);

/* Overlays the puts, the newer hiding the older. Changes their order, so this is the end of adding.
 * O(n log n); O(n) if they came in ascending order. -EINVAL if two references overlap. */
int ovbd_lsmt_puts_overlay(struct lsmt_puts *p, lsmt_puts_fn fn, void *ctx, struct ovbd_error *err);

void ovbd_lsmt_puts_free(struct lsmt_puts *p);

#endif
