/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grace periods: who takes something away from readers that take no lock learns when the last of
 * them that may still see it has gone. Readers never wait. They enter, look, and leave; what they
 * found stays good in between.
 *
 *     reader:  t = ovbd_epoch_enter(e); p = atomic_load(&shared); use(p); ovbd_epoch_leave(e, t);
 *     writer:  atomic_store(&shared, fresh); since = ovbd_epoch_now(e);
 *              ... some time later, any number of times ...
 *              ovbd_epoch_advance(e);
 *              if (ovbd_epoch_is_over(e, since)) free(old);
 */
#ifndef OVBD_BASE_EPOCH_H
#define OVBD_BASE_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct ovbd_epoch;

int ovbd_epoch_create(struct ovbd_epoch **ret, struct ovbd_error *err);
/* No reader is inside. NULL is fine. */
void ovbd_epoch_free(struct ovbd_epoch *take_e);

/* What enter returns, leave is given, by any thread. May be nested. Never waits. */
unsigned ovbd_epoch_enter(struct ovbd_epoch *e);
void ovbd_epoch_leave(struct ovbd_epoch *e, unsigned ticket);

uint64_t ovbd_epoch_now(const struct ovbd_epoch *e);

/* The next epoch begins, unless readers of the last but this are still inside. Any thread. */
void ovbd_epoch_advance(struct ovbd_epoch *e);

/* Whether all have left who entered before since was asked for. */
static inline bool ovbd_epoch_is_over(const struct ovbd_epoch *e, uint64_t since)
{
	return ovbd_epoch_now(e) >= since + 2;
}

#endif
