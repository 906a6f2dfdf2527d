/* SPDX-License-Identifier: Apache-2.0 */
/* Private to devices*.c. */
#ifndef OVBD_DAEMON_DEVICES_IMPL_H
#define OVBD_DAEMON_DEVICES_IMPL_H

#include <pthread.h>
#include <time.h>

#include "daemon/devices.h"
#include "daemon/transports.h"
#include "image/image.h"
#include "image/shared.h"

struct served {
	struct ovbd_devices *all;
	struct ovbd_spec *spec; /* constant while it is listed, but for its transport and path */
	const struct ovbd_transport_kind *kind; /* NULL until chosen */
	struct ovbd_serve_stats stats;

	/* Guarded by all->lock. */
	struct served *next; /* in the list, by id */
	unsigned nrefs;      /* its thread, and who waits for it */
	enum ovbd_device_state state;
	bool kept;                /* a failure to open it does not end it */
	bool leave;               /* detached: its end is the end */
	bool inherited;           /* a dead server's, which this daemon has not opened yet */
	bool entered;             /* its image is open: it is soon served, or has failed */
	bool orphan;              /* detached before that; its thread is on its own */
	bool retry;               /* now, not later */
	unsigned npins;           /* callers within t */
	struct ovbd_transport *t; /* while it is served */
	struct ovbd_image *img;   /* the same; NULL of a writable file */
	char *path;               /* the same */
	uint64_t size;
	time_t told;                               /* when a failed request was, last */
	struct ovbd_transport_verdict *considered; /* NULL: the transport was not chosen */
	int code;                                  /* of the last failure to serve it */
	struct ovbd_error why;                     /* the last failure; "": none */
};

struct ovbd_devices {
	char *files_dir;            /* where devices that are files appear */
	char *state_dir;            /* of the state files */
	int lock_fd;                /* of the directory: one process */
	struct ovbd_shared *shared; /* the devices' layers */
	unsigned nworkers;
	struct ovbd_http_params http;
	char *user_agent; /* http's */
	ovbd_devices_told_fn told;
	void *arg;
	_Atomic unsigned told_ignored; /* keys of image configurations: each is told once */

	pthread_mutex_t lock; /* guards what follows, and of each device what its struct says */
	pthread_cond_t changed;
	struct served *list;
	size_t nthreads; /* that are not over yet */
	size_t norphans; /* of them: of devices that are not listed any more */
	bool stopping;
	struct ovbd_serve_stats retired; /* of devices that are gone */
};

void devices_tell(const struct ovbd_devices *ds, bool error, const char *id, const char *sentence);

/* Waits for a change; false after the deadline (CLOCK_MONOTONIC, NULL: none). Lock held. */
bool devices_wait(struct ovbd_devices *ds, const struct timespec *deadline);

/* Lock held. */
void devices_unref(struct served *take_s);
void devices_unlist(struct served *s);

/* devices_kind.c. The path as it is without symbolic links; it may take long. */
int devices_resolve_path(struct ovbd_spec *s, struct ovbd_error *err);

/* What a user has left open, as far as it can be known before the image is: the
 * kind, or NULL, and where the device appears. Lock held. */
int devices_complete(const struct ovbd_devices *ds, struct ovbd_spec *s,
                     const struct ovbd_transport_kind **ret_kind, struct ovbd_error *err);

/* The rest: s has its kind and its path afterwards. Its own thread, without the lock. */
int devices_choose_kind(struct served *s, uint64_t size, struct ovbd_error *err);

/* Keeps what s has counted. Lock held; once, before it is unlisted. */
void devices_retire(struct served *s);

/* The thread of a device: from its opening to its end. Lock held; s is listed and opening. */
int devices_start(struct served *s);

/* Detaches a device that is opening, without waiting for its image, which may take long: its id is
 * free at the return. False if that is too late. The lock is held, and given up meanwhile. */
bool devices_leave_opening(struct served *s);

/* What a dead server of this device may have left on the host, and this daemon did not get to open,
 * is not for the next one either. */
void devices_abandon(struct served *s);

struct timespec devices_deadline(unsigned ms);

#endif
