/* SPDX-License-Identifier: Apache-2.0 */
/* Private to devices*.c. */
#ifndef OVBD_DAEMON_DEVICES_IMPL_H
#define OVBD_DAEMON_DEVICES_IMPL_H

#include <pthread.h>
#include <time.h>

#include "daemon/devices.h"
#include "daemon/transports.h"
#include "image/image.h"

struct served {
	struct ovbd_devices *all;
	struct ovbd_spec *spec; /* constant while it is listed, but for its path */
	const struct ovbd_transport_kind *kind;
	struct ovbd_serve_stats stats;

	/* Guarded by all->lock. */
	struct served *next; /* in the list, by id */
	unsigned nrefs;      /* its thread, and who waits for it */
	enum ovbd_device_state state;
	bool kept;                /* a failure to open it does not end it */
	bool leave;               /* detached: its end is the end */
	bool retry;               /* now, not later */
	unsigned npins;           /* callers within t */
	struct ovbd_transport *t; /* while it is served */
	struct ovbd_image *img;   /* the same; NULL of a writable file */
	char *path;               /* the same */
	uint64_t size;
	time_t told;           /* when a failed request was, last */
	int code;              /* of the last failure to serve it */
	struct ovbd_error why; /* the last failure; "": none */
};

struct ovbd_devices {
	char *files_dir; /* where devices that are files appear */
	char *state_dir; /* of the state files */
	int lock_fd;     /* of the directory: one process */
	unsigned nworkers;
	ovbd_devices_told_fn told;
	void *arg;

	pthread_mutex_t lock; /* guards what follows, and of each device what its struct says */
	pthread_cond_t changed;
	struct served *list;
	size_t nthreads; /* that are not over yet */
	bool stopping;
};

void devices_tell(const struct ovbd_devices *ds, bool error, const char *id, const char *sentence);

/* Waits for a change; false after the deadline (CLOCK_MONOTONIC, NULL: none). Lock held. */
bool devices_wait(struct ovbd_devices *ds, const struct timespec *deadline);

/* Lock held. */
void devices_unref(struct served *take_s);
void devices_unlist(struct served *s);

/* The thread of a device: from its opening to its end. Lock held; s is listed and opening. */
int devices_start(struct served *s);

struct timespec devices_deadline(unsigned ms);

#endif
