/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server of a dm-user target: of Android's kernels, which hand a block device's requests to a
 * process. The table "0 SECTORS user 0 SECTORS NAME" makes /dev/dm-user/NAME, whose every open is a
 * channel: a request is given to one of them and must be answered there, in any order.
 */
#ifndef OVBD_DAEMON_DMUSER_H
#define OVBD_DAEMON_DMUSER_H

#include <stdbool.h>

#include "base/device.h"
#include "daemon/transport.h"

struct ovbd_dmuser_params {
	/* /dev/dm-user/NAME: a channel for each worker. A unix socket there is one that somebody
	 * else than a kernel listens on, and gives one channel. */
	const char *path;
	int take_fd;                      /* if path is NULL: the only channel, of all workers */
	const struct ovbd_device *device; /* outlives the transport */
	unsigned nworkers;                /* as for ovbd_serve() */
	bool old;                         /* the first protocol, with headers of 48 bytes */
};

/* A worker that waits for a request, or for the other side to take an answer, is woken with SIGURG,
 * for which a handler that does nothing is set. A single request of more than 16 MiB is refused. */
int ovbd_dmuser_open(const struct ovbd_dmuser_params *p, struct ovbd_transport **ret,
                     struct ovbd_error *err);

/* Where the daemon looks for channels, of at most 63 bytes; "": in /dev/dm-user. Before there are
 * threads. */
void ovbd_dmuser_set_dir(const char *path);

#endif
