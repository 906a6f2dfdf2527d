/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of Android's snapuserd, for its clients (libsnapshot): they have this daemon
 * serve the updates of partitions by dm-user, and merge them. docs/serving.md has the messages.
 * What is started is a device like any other.
 */
#ifndef OVBD_DAEMON_SNAPUSERD_H
#define OVBD_DAEMON_SNAPUSERD_H

#include "daemon/devices.h"

struct ovbd_snapuserd_params {
	struct ovbd_devices *devices; /* outlive it */
	int take_fd;                  /* listens */
	ovbd_devices_told_fn told;    /* of what was refused, and why; may be NULL */
	void *arg;
};

struct ovbd_snapuserd;

int ovbd_snapuserd_start(const struct ovbd_snapuserd_params *p, struct ovbd_snapuserd **ret,
                         struct ovbd_error *err);

/* After ovbd_devices_stop(), so that nobody waits for a device. NULL is fine. */
void ovbd_snapuserd_stop(struct ovbd_snapuserd *take_s);

#endif
