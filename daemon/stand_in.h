/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device in place of one that cannot be opened yet, but whose users are there: what they ask
 * waits until it is, for so long; then it fails, at once, until it is.
 */
#ifndef OVBD_DAEMON_STAND_IN_H
#define OVBD_DAEMON_STAND_IN_H

#include "base/device.h"

struct ovbd_stand_in;

/* wait_ms is from now on, for all requests together. */
int ovbd_stand_in_open(uint64_t size, bool writable, unsigned wait_ms, struct ovbd_stand_in **ret,
                       struct ovbd_error *err);

/* The device that there is meanwhile; owned by the stand-in. */
struct ovbd_device *ovbd_stand_in_device(struct ovbd_stand_in *s);

/* From now on d answers, and its size counts, which is not less; it outlives the last request.
 * Once. */
void ovbd_stand_in_fill(struct ovbd_stand_in *s, struct ovbd_device *d);

/* d, which answers, has become larger. */
void ovbd_stand_in_grow(struct ovbd_stand_in *s);

/* Why it is not open: what requests fail with from now on, once the time is over. */
void ovbd_stand_in_explain(struct ovbd_stand_in *s, int code, const char *why);

/* The time is over now. */
void ovbd_stand_in_give_up(struct ovbd_stand_in *s);

/* After the last request. NULL is fine. */
void ovbd_stand_in_close(struct ovbd_stand_in *take_s);

#endif
