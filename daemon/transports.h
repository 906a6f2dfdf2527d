/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of transports that this build has, and how the device manager opens one by its name. */
#ifndef OVBD_DAEMON_TRANSPORTS_H
#define OVBD_DAEMON_TRANSPORTS_H

#include <stdbool.h>

#include "base/device.h"
#include "daemon/transport.h"

struct ovbd_transport_open {
	const char *id; /* of the device */
	/* Where it shall appear, absolute. Of a device that the kernel names: where it has been, by
	 * what an earlier open() returned, or NULL. */
	const char *path;
	struct ovbd_device *device; /* outlives the transport */
	unsigned nworkers;          /* as for ovbd_serve() */
	void (*ready)(void *arg);   /* see late */
	void *arg;
};

struct ovbd_transport_kind {
	const char *name; /* as users write it */
	/* A file's suffix, if the device appears at a path that the manager chooses and the state
	 * keeps; NULL: the kernel names the device. */
	const char *suffix;
	bool writable; /* can take writes */
	/* The device is not there before ovbd_serve() runs; then ready() is called, in any thread. */
	bool late;
	/* The kernel keeps the device and the requests of its users while there is no server, and
	 * open() of the same id finds it again. Such a device is left as it is when the daemon ends. */
	bool survives;
	/* 0, or -errno and what the host lacks. */
	int (*available)(struct ovbd_error *err);
	/* Also over what a dead server of the same id has left. *ret_path, to be freed: where the
	 * device is. */
	int (*open)(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
	            char **ret_path, struct ovbd_error *err);
};

/* By name; "auto" is the first one that is available and takes writes if writable. */
int ovbd_transport_kind_find(const char *name, bool writable,
                             const struct ovbd_transport_kind **ret, struct ovbd_error *err);

/* The one at place i, best first; NULL after the last. */
const struct ovbd_transport_kind *ovbd_transport_kind_at(unsigned i);

/* Each in its kind_NAME.c. */
extern const struct ovbd_transport_kind ovbd_transport_kind_fuse;
extern const struct ovbd_transport_kind ovbd_transport_kind_nbd;

#endif
