/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCMU disks that others make by configfs, the container snapshotter above all: found, adopted by
 * the device manager, and answered for. Of the subtypes
 *
 *     overlaybd/PATH[;ID]    PATH is an image configuration; its resultFile is written
 *     ovbd/PATH              PATH is an image of any format
 *
 * and nothing is said of others. The disks of our own HBA (tcmu_disk.h) are no concern of this.
 */
#ifndef OVBD_DAEMON_TCMU_WATCH_H
#define OVBD_DAEMON_TCMU_WATCH_H

#include "daemon/devices.h"

struct ovbd_tcmu_watch;

struct ovbd_tcmu_watch_params {
	struct ovbd_devices *devices;
	ovbd_devices_told_fn told;
	void *arg;
};

/* Adopts the disks that are there, and begins to listen. -ENOENT: the kernel has no TCMU; -EBUSY:
 * another process listens. */
int ovbd_tcmu_watch_start(const struct ovbd_tcmu_watch_params *p, struct ovbd_tcmu_watch **ret,
                          struct ovbd_error *err);

/* Whether it takes what the kernel says, and has not been at one thing for long: then the kernel,
 * and who attaches a disk, would wait for ever. NULL: yes. */
bool ovbd_tcmu_watch_answers(struct ovbd_tcmu_watch *w);

/* Ends listening: whoever waits for an answer gets one, EAGAIN for a disk that is not open yet.
 * NULL is fine. */
void ovbd_tcmu_watch_stop(struct ovbd_tcmu_watch *w);

/* After ovbd_devices_stop() has returned 0. NULL is fine. */
void ovbd_tcmu_watch_close(struct ovbd_tcmu_watch *take_w);

#endif
