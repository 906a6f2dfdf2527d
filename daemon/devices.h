/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device manager: devices by their ids, each served by threads of its own, so that what one
 * waits for (a slow registry) delays no other. Every function may be called from any thread.
 *
 * A device is written to a state file before it is announced, and stays there until it is detached:
 * the manager of the next process attaches it again, at the same path. A device that cannot be
 * opened then, or whose transport has failed, is tried again until it can: it is `failed`
 * meanwhile.
 */
#ifndef OVBD_DAEMON_DEVICES_H
#define OVBD_DAEMON_DEVICES_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/serve.h"
#include "daemon/spec.h"
#include "daemon/transports.h"
#include "image/snapshot.h"

enum ovbd_device_state {
	OVBD_DEVICE_OPENING,
	OVBD_DEVICE_SERVING,
	OVBD_DEVICE_FAILED,  /* to be tried again */
	OVBD_DEVICE_LEAVING, /* its name is gone; who has it open is served to the end */
	OVBD_DEVICE_GONE,    /* no longer in the list */
};

/* "opening", "serving", ... */
const char *ovbd_device_state_name(enum ovbd_device_state s);

struct ovbd_transport_verdict;

/* Of backup on write. */
struct ovbd_device_bow {
	bool on;
	struct ovbd_bow_status status; /* while it is not served, its state alone */
	struct ovbd_error said;        /* that its policy was followed, and why; "": it was not */
};

/* What there is to say of a device. */
struct ovbd_device_view {
	const struct ovbd_spec *spec; /* the transport is its name; "auto" until it is chosen */
	const struct ovbd_transport_verdict *considered; /* NULL: it was not chosen by "auto" */
	enum ovbd_device_state state;
	bool adopted;
	const char *path;  /* NULL until it is served */
	const char *error; /* the sentence of what went wrong last, or NULL */
	uint64_t size;     /* bytes, while it is served */
	size_t nlayers;    /* while it is served */
	uint64_t requests; /* over the network, for its layers since they were opened */
	uint64_t retries;
	uint64_t fetched;                     /* bytes */
	const struct ovbd_serve_stats *stats; /* since the manager has it */
	struct ovbd_device_bow bow;
};

/* What a person may want to know that happened by itself. Any thread. */
typedef void (*ovbd_devices_told_fn)(void *arg, bool error, const char *id, const char *sentence);

struct ovbd_devices_params {
	const char *state_dir; /* created if it is not there; DIR/devices has the state files */
	unsigned nworkers;     /* of a device; 0: 16 */
	/* How long the users of a device that has outlived its daemon wait for an image that cannot
	 * be opened, from the start on, before they get errors; 0: 30 seconds. */
	unsigned wait_ms;
	enum ovbd_prefetch_mode prefetch; /* of devices that do not say it */
	struct ovbd_prefetch_params prefetch_params;
	const char *user_agent;                      /* to servers of layers; NULL: default */
	ovbd_devices_told_fn told;                   /* may be NULL */
	const struct ovbd_registry_params *registry; /* NULL: nobody, no mirrors */
	unsigned deadline_ms;                        /* of a read over the network; 0: default */
	void *arg;
};

enum ovbd_detach {
	OVBD_DETACH_UNUSED, /* -EBUSY if anybody uses it */
	OVBD_DETACH_LAZY,   /* its users are served to the end */
	OVBD_DETACH_FORCE,  /* they get errors */
};

struct ovbd_devices;
struct ovbd_cache;
struct ovbd_image_params;

/* -EBUSY: another process has state_dir. */
int ovbd_devices_open(const struct ovbd_devices_params *p, struct ovbd_devices **ret,
                      struct ovbd_error *err);

/* As params.nworkers, for devices that are opened from now on. */
void ovbd_devices_set_workers(struct ovbd_devices *ds, unsigned n);

/* What is fetched for devices that are opened from now on is kept in c, which outlives ds. Before
 * ovbd_devices_recover(). */
void ovbd_devices_set_cache(struct ovbd_devices *ds, struct ovbd_cache *c);

/* Whenever an image is opened tune may set more of its parameters, in the device's thread. Before
 * ovbd_devices_recover(). */
void ovbd_devices_set_tune(struct ovbd_devices *ds,
                           void (*tune)(void *arg, struct ovbd_image_params *p), void *arg);

/* Begins to attach what the state files name; a bad one is told and left alone. */
int ovbd_devices_recover(struct ovbd_devices *ds, struct ovbd_error *err);

/* Until no device is opening, or timeout_ms have passed. */
void ovbd_devices_settle(struct ovbd_devices *ds, unsigned timeout_ms);

/* Attaches, and returns when the device is served: its id in ret_id. Again with the same id and
 * images: the same device. -EEXIST: the id is another's. A failure leaves nothing behind, but for a
 * device that was there before, which stays failed. Without an id (NULL) the first free number is
 * the id. */
int ovbd_devices_attach(struct ovbd_devices *ds, struct ovbd_spec *take_s,
                        char ret_id[OVBD_SPEC_ID_MAX + 1], struct ovbd_error *err);

/* The same for a caller that may lose interest: still_wanted(arg) is asked now and then while the
 * device is opened. If it says no, and nobody else waits for the device, which is a new one, it is
 * detached. -ECANCELED. */
int ovbd_devices_attach_while(struct ovbd_devices *ds, struct ovbd_spec *take_s,
                              bool (*still_wanted)(void *arg), void *arg,
                              char ret_id[OVBD_SPEC_ID_MAX + 1], struct ovbd_error *err);

/* 0: it is gone. 1: it will be when its last user has closed it. -ENOENT, -EBUSY: by whom,
 * -ESHUTDOWN: it may be the next daemon's. */
int ovbd_devices_detach(struct ovbd_devices *ds, const char *id, enum ovbd_detach how,
                        struct ovbd_error *err);

struct ovbd_drain_params {
	enum ovbd_detach how;
	unsigned timeout_ms;
	/* Optional: called for each that is still there, with the reason. Not to call back. */
	void (*left)(void *arg, const char *id, const char *why);
	void *arg;
};

/* Detaches all, several at a time. The count of those that are still there, or -errno; err says of
 * as many as it holds why. After the deadline what has been begun goes on by itself. */
int ovbd_devices_drain(struct ovbd_devices *ds, const struct ovbd_drain_params *p,
                       struct ovbd_error *err);

/*
 * A device that somebody else has made in the kernel and takes away there, so nothing of it is kept
 * in a file, and detach() refuses. Both calls return at once; what they report comes from another
 * thread, once, also before they return.
 */
struct ovbd_adoption {
	struct ovbd_spec *take_spec; /* with an id, and a path that leads kind->open() to it */
	const struct ovbd_transport_kind *kind;
	bool kept;         /* it has been served before: a failure to open it is tried again */
	bool expected;     /* see ovbd_devices_announce(); opened is NULL */
	const char *alias; /* another name for it; NULL: none */
	/* What became of the first try: 0, it is served; or -errno and why. */
	void (*opened)(void *arg, int status, const char *why);
	void *arg;
};

/* Another that was adopted by the same id has been taken away, if there is one; -EEXIST if one is
 * only expected. After a failure opened() is not called. */
int ovbd_devices_adopt(struct ovbd_devices *ds, const struct ovbd_adoption *a,
                       struct ovbd_error *err);

/* Of a device that was adopted as expected, whose image is being opened since: now it has come, and
 * may be served. -ENOENT: none of this id and path is expected; opened() is not called. */
int ovbd_devices_announce(struct ovbd_devices *ds, const char *id, const char *path,
                          void (*opened)(void *arg, int status, const char *why), void *arg);

/* The device at path, if it is still expected, will not come. NULL: none of those will. */
void ovbd_devices_expect_no_more(struct ovbd_devices *ds, const char *path);

/* It is being taken away: its service is ended; gone() is called when nothing of it is in use any
 * more. -ENOENT: there is none of this id and path; gone() is not called. */
int ovbd_devices_disown(struct ovbd_devices *ds, const char *id, const char *path,
                        void (*gone)(void *arg), void *arg);

/* Makes a device larger that takes writes and is served, to its writable layer or its raw file, and
 * has its users see it; they go on meanwhile. *ret_before: what it had. id may also be an alias.
 * -ENOTSUP: it, or this transport, cannot, or it would be smaller; -EAGAIN: not now; -ENOENT: there
 * is none. After another failure it may have grown: asked for the same size again it goes on. */
int ovbd_devices_grow(struct ovbd_devices *ds, const char *id, uint64_t size, uint64_t *ret_before,
                      struct ovbd_error *err);

/* The kernel says that a device that was adopted has this size now. One that takes writes becomes
 * as large; a raw file that has grown is served with it, and its users wait meanwhile. resized() is
 * called once, from whatever thread. -ENOTSUP: it cannot, or not to this size; -EAGAIN: not now;
 * -ENOENT: there is none; then resized() is not called. */
int ovbd_devices_resize(struct ovbd_devices *ds, const char *id, uint64_t size,
                        void (*resized)(void *arg, int status, const char *why), void *arg,
                        struct ovbd_error *err);

/* Tries the failed ones now. */
void ovbd_devices_retry(struct ovbd_devices *ds);

/* Shows the device id, or each if id is NULL, in the order of their ids. Not to call back. The
 * count of those shown. */
size_t ovbd_devices_show(struct ovbd_devices *ds, const char *id,
                         void (*show)(void *arg, const struct ovbd_device_view *v), void *arg);

/* Adds to *ret (0 before) what all devices have counted since the manager is there. anew: the
 * slowest read is looked for anew from now on. */
void ovbd_devices_totals(struct ovbd_devices *ds, bool anew, struct ovbd_serve_stats *ret);

struct ovbd_merger;
typedef int (*ovbd_with_merger_fn)(void *arg, struct ovbd_merger *m, struct ovbd_error *err);

/* What with() returns of the merger (daemon/merger.h) of a device whose update is to be merged; the
 * device stays open until it returns. -ENOENT: no such device, -EINVAL: it is no such update,
 * -EAGAIN: it is not served now. */
int ovbd_devices_with_merger(struct ovbd_devices *ds, const char *id, ovbd_with_merger_fn with,
                             void *arg, struct ovbd_error *err);

/* A snapshot of a device that takes writes to an image's writable layer: image/snapshot.h. id may
 * also be the alias of one that was adopted. -ENOENT: no such device (or file), -EINVAL: it is no
 * such device, -EAGAIN: it is not served now. p->at means nothing. */
int ovbd_devices_snapshot(struct ovbd_devices *ds, const char *id,
                          const struct ovbd_snapshot_params *p, struct ovbd_snapshot *ret,
                          struct ovbd_error *err);

/* Brings a device with backup on write to CHECKPOINT, COMMITTED or ABORTED: bow/bow.h. -ENOENT: no
 * such device, -EINVAL: it is no such device, or not in a state from which this can be reached,
 * -EAGAIN: it is not served now. */
int ovbd_devices_bow(struct ovbd_devices *ds, const char *id, enum ovbd_bow_state to,
                     struct ovbd_error *err);

/* Whether there is a device of this id, or alias. */
bool ovbd_devices_has(struct ovbd_devices *ds, const char *id);

/* Ends service in order: attach() returns -ESHUTDOWN, the devices are closed but not forgotten;
 * those the kernel keeps for the next server are left as they are. Returns how many are still at
 * it after timeout_ms: if any, the process must end without ovbd_devices_close(). */
size_t ovbd_devices_stop(struct ovbd_devices *ds, unsigned timeout_ms);

/* After ovbd_devices_stop() has returned 0. NULL is fine. */
void ovbd_devices_close(struct ovbd_devices *take_ds);

#endif
