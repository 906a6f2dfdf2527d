/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to image/: a writable layer that can become a read-only one while it is used, when
 * another takes its place above it. In this order, by one thread at a time:
 *
 *     ovbd_upper_live_prepare()   the next layer is open; nothing has changed for anybody
 *     ovbd_upper_live_calm()      what can be flushed before is
 *     ovbd_upper_live_switch()    writes go to the next from now on; they waited for a flush
 *     ovbd_upper_live_settle()    the last is sealed, and part of one stack with those before it
 *
 * or ovbd_upper_live_forget() in place of the last two. Reads never wait. The device grows between
 * two snapshots, or waits for one.
 */
#ifndef OVBD_IMAGE_UPPER_LIVE_H
#define OVBD_IMAGE_UPPER_LIVE_H

#include "lsmt/rw.h"

/* take_top comes from ovbd_upper_open() of data, and lies over lower, which stays the caller's and
 * outlives it (NULL: nothing). */
int ovbd_upper_live_open(struct ovbd_device *take_top, const char *data, struct ovbd_blob *lower,
                         struct ovbd_device **ret, struct ovbd_error *err);

/* Who makes a snapshot of d holds this: others wait. */
void ovbd_upper_live_lock(struct ovbd_device *d);
void ovbd_upper_live_unlock(struct ovbd_device *d);

/* Of the present top, and of what is prepared; the data file of the former. */
void ovbd_upper_live_info(struct ovbd_device *d, struct ovbd_rw_info *ret);
void ovbd_upper_live_next_info(struct ovbd_device *d, struct ovbd_rw_info *ret);
const char *ovbd_upper_live_data(struct ovbd_device *d);

/* The size of what lies beneath the present top. */
uint64_t ovbd_upper_live_beneath(struct ovbd_device *d);

int ovbd_upper_live_prepare(struct ovbd_device *d, const char *data, const char *index,
                            struct ovbd_error *err);
int ovbd_upper_live_calm(struct ovbd_device *d, struct ovbd_error *err);

/* *ret_pause_ns: how long writes had to wait for it. On failure all is as before it. */
int ovbd_upper_live_switch(struct ovbd_device *d, uint64_t *ret_pause_ns, struct ovbd_error *err);
void ovbd_upper_live_forget(struct ovbd_device *d);

/* Nothing, if there is nothing to be settled. On failure there still is. */
int ovbd_upper_live_settle(struct ovbd_device *d, struct ovbd_error *err);

#endif
