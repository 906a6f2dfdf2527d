/* SPDX-License-Identifier: Apache-2.0 */
/* Private to devices*.c. */
#ifndef OVBD_DAEMON_DEVICES_IMPL_H
#define OVBD_DAEMON_DEVICES_IMPL_H

#include <pthread.h>
#include <time.h>

#include "daemon/devices.h"
#include "daemon/merger.h"
#include "daemon/stand_in.h"
#include "daemon/tracer.h"
#include "image/image.h"
#include "image/shared.h"

struct served {
	struct ovbd_devices *all;
	struct ovbd_spec *spec; /* constant while it is listed, but for its transport and path */
	const struct ovbd_transport_kind *kind; /* NULL until chosen */
	struct ovbd_serve_stats stats;
	_Atomic bool quick; /* what is open needs no network */
	bool adopted;       /* constant: the kernel keeps its state, and no file */
	bool made;          /* its thread's: its transport was open once */
	char *alias;        /* constant while it is listed; NULL: none */

	/* Guarded by all->lock. */
	struct served *next; /* in the list, by id */
	unsigned nrefs;      /* its thread, and who waits for it */
	enum ovbd_device_state state;
	bool kept;                      /* a failure to open it does not end it */
	bool leave;                     /* detached: its end is the end */
	bool inherited;                 /* a dead server's, which this daemon has not opened yet */
	bool entered;                   /* its image is open: it is soon served, or has failed */
	bool orphan;                    /* unlisted before its end; its thread is on its own */
	bool settled;                   /* its end has begun, and what becomes of it is: */
	bool forget;                    /* nothing is left of it */
	bool retry;                     /* now, not later */
	unsigned npins;                 /* callers within t */
	bool there;                     /* a late device that was kept: its users can reach it */
	struct ovbd_transport *t;       /* while it is served */
	struct ovbd_stand_in *stand_in; /* the same; NULL if it needs none */
	struct ovbd_image *img;         /* the same; NULL of a writable file */
	struct ovbd_device *writable;   /* the same, of a writable file; else NULL */
	struct ovbd_merger *merger;     /* the same; NULL: it cannot be merged */
	char *path;                     /* the same */
	uint64_t size;
	time_t told;                               /* when a failed request was, last */
	struct ovbd_transport_verdict *considered; /* NULL: the transport was not chosen */
	bool ended;                                /* its service, before its image was open */
	int code;                                  /* of the last failure to serve it */
	struct ovbd_error why;                     /* the last failure; "": none */
	/* NULL once called, or if nobody wants to know. */
	void (*opened)(void *arg, int status, const char *why);
	void *opened_arg;
	void (*gone)(void *arg);
	void *gone_arg;
	bool growing; /* somebody has it become larger, while it is served */
	/* The kernel has yet to tell of it; until it does the image may be opened, and no more.
	 * Then what could be opened meanwhile, for so many workers, is its thread's. */
	bool expected;
	pthread_cond_t came;
	struct ovbd_transport *early;
	unsigned early_nworkers;
	/* While it is being resized: from, to, and who wants to know, or NULL. */
	bool resizing;
	uint64_t size_before, size_wanted;
	void (*resized)(void *arg, int status, const char *why);
	void *resized_arg;

	/* Of backup on write. NULL: it is not served, or was aborted before this daemon began. */
	struct ovbd_device *bow;
	bool bow_moves; /* from one state to another, for somebody */

	pthread_mutex_t bow_lock; /* the innermost of all; guards: */
	struct ovbd_error bow_said;

	bool changed; /* its size, since its users were told; its thread's */
};

struct device_thread;

struct ovbd_devices {
	char *files_dir;            /* where devices that are files appear */
	char *state_dir;            /* of the state files */
	int lock_fd;                /* of the directory: one process */
	struct ovbd_shared *shared; /* the devices' layers */
	struct ovbd_cache *cache;   /* NULL: nothing is kept; not ours */
	void (*tune)(void *arg, struct ovbd_image_params *p); /* or NULL */
	void *tune_arg;
	_Atomic unsigned nworkers; /* of what is opened next */
	struct ovbd_http_params http;
	char *user_agent; /* http's */
	enum ovbd_prefetch_mode prefetch;
	struct ovbd_prefetch_params prefetch_params;
	struct ovbd_registry *registry;
	unsigned wait_ms;
	ovbd_devices_told_fn told;
	void *arg;
	_Atomic unsigned told_ignored; /* keys of image configurations: each is told once */

	pthread_mutex_t lock; /* guards what follows, and of each device what its struct says */
	pthread_cond_t changed;
	struct served *list;
	size_t nthreads;            /* that have a device */
	struct device_thread *idle; /* that have none: so many */
	unsigned nidle;
	pthread_t over; /* the last that has ended, to be joined, where there is one: */
	bool is_over;
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

/* Whether there is another kind, for a device whose user did not name one and whose kind could not
 * be opened, because of why; then it is the device's. */
bool devices_choose_again(struct served *s, uint64_t size, const struct ovbd_error *why);

/* Keeps what s has counted. Lock held; once, before it is unlisted. */
void devices_retire(struct served *s);

/* Lock held. */
struct served *devices_find(struct ovbd_devices *ds, const char *id);

/* By its id, or by the name that who made it has given it besides. Lock held. */
struct served *devices_find_any(struct ovbd_devices *ds, const char *id);

/* Lists a new device; its thread is to be started. The caller has a reference. Lock held. */
int devices_enlist(struct ovbd_devices *ds, struct ovbd_spec *take_spec,
                   const struct ovbd_transport_kind *kind, struct served **ret);

/* Tells the one who had it adopted how it went, once. */
void devices_report(struct served *s, int status, const char *why);

/* --- the thread of a device --- */

/* What is open. */
struct line {
	struct ovbd_image *img;
	struct ovbd_device *writable;  /* or an update; NULL: img */
	struct ovbd_device *upper;     /* of img, which keeps it; NULL: it takes no writes */
	struct ovbd_device *bow;       /* of writable: what bow/bow.h speaks of; or NULL */
	struct ovbd_stand_in *aborted; /* in its place, if all was taken back before this daemon */
	struct ovbd_merger *merger;    /* of an update; NULL: img */
	struct ovbd_tracer *tracer;    /* of img, while it is recorded; or NULL */
	struct ovbd_device read_only;  /* its blob is the image's */
	struct ovbd_stand_in *stand_in;
	struct ovbd_transport *t, *early; /* the latter is to become the former */
	unsigned nworkers;                /* as it was opened for */
	char *path;
};

/* Its bytes: an image or a file. */
int devices_open_blob(struct served *s, struct line *l, struct ovbd_error *err);
struct ovbd_device *devices_line_device(struct line *l);
bool devices_is_quick(const struct line *l); /* it needs no network */

/* devices_bow.c. Whether its image is a configuration that names one; then spec says it. */
int devices_settle_bow(struct served *s, struct ovbd_error *err);
int devices_open_bow(struct served *s, struct line *l, struct ovbd_error *err);
void devices_view_bow(struct served *s, struct ovbd_device_view *v); /* lock held */

/* From here on what this thread does is seen by others, and who detaches waits for it; false if
 * that has been done already. */
bool devices_enter(struct served *s);

/* What can be opened before the image, which may take long; if it has come. */
void devices_open_early(struct served *s, struct line *l);

/* Until an expected device has come, or is not wanted any more. */
void devices_wait_for_coming(struct served *s, struct line *l);

/* d for the kernel; with ready() as in struct ovbd_transport_open. */
int devices_open_transport(struct served *s, struct line *l, struct ovbd_device *d,
                           void (*ready)(void *arg), struct ovbd_error *err);
void devices_close_line(struct line *l);

/* Lets others call what is open; false if it is not wanted any more. */
bool devices_publish(struct served *s, struct line *l);
void devices_withdraw(struct served *s, struct line *l);

/* Serves to the end what is published. */
int devices_serve(struct served *s, struct line *l, struct ovbd_device *d, struct ovbd_error *err);

/* Whether what was opened is for the next daemon, as this one ends: closed it would be gone. */
bool devices_is_left(struct served *s);

/* It is there for its users. */
void devices_became_ready(void *arg);

/* Whether to try again after a failure, when the time has come: it is failed meanwhile. */
bool devices_try_again(struct served *s, int code, const struct ovbd_error *why, unsigned *wait_ms);

/* One turn of a device that the kernel has kept, with this size: as serve_once() in
 * devices_life.c. */
int devices_serve_kept(struct served *s, uint64_t size, struct ovbd_error *err);

/* devices_resize.c. Of an adopted device whose raw file has grown meanwhile: its next turn has that
 * size. False if it has not. Its own thread, while it is served. */
bool devices_grow(struct served *s, uint64_t size);

/* Whether the turn that has ended did so because of a new size: another is to follow. */
bool devices_is_resized(struct served *s);

/* The size for that turn; who asked for it is told. */
uint64_t devices_new_size(struct served *s);
void devices_report_resized(struct served *s, int status, const char *why);

/* devices_grow.c. Whether it is served, and takes writes so that its bytes can become more while it
 * is. Lock held. */
bool devices_may_grow(const struct served *s);

/* As ovbd_devices_grow(), but returns at once; done() is called once if that is 0, in a thread of
 * its own. Lock held. */
int devices_grow_aside(struct served *s, uint64_t size,
                       void (*done)(void *arg, int status, const char *why), void *arg,
                       struct ovbd_error *err);

/* Of bytes that are more than the kernel's disk shows, which it has kept: whether it can be told;
 * and tells it, when they are in place. Its own thread. */
bool devices_can_follow(struct served *s, struct line *l, const struct line *bytes);
void devices_follow(struct served *s, struct line *l);

/* devices_left.c. Disks of devices that are not listed go, if nobody uses them. */
void devices_take_left(struct ovbd_devices *ds);

/* From its opening to its end. */
void devices_live(struct served *s);

/* devices_threads.c. A thread for it. Lock held; s is listed and opening. */
int devices_start(struct served *s);

/* Some threads are there before their devices are. */
void devices_keep_threads(struct ovbd_devices *ds);

/* At the end, when no thread has a device. */
void devices_end_threads(struct ovbd_devices *ds);

/* Detaches a device that is opening, without waiting for its image, which may take long: its id is
 * free at the return. False if that is too late. The lock is held, and given up meanwhile. */
bool devices_leave_opening(struct served *s);

/* The same of a device that nobody wants any more; if it is too late for that, it is on its way to
 * its end at the return. Lock held, and given up meanwhile. */
void devices_give_up(struct served *s);

/* As ovbd_devices_detach(). -ETIMEDOUT: it is ending, but is not gone by the deadline (NULL:
 * none). */
int devices_detach_by(struct ovbd_devices *ds, const char *id, enum ovbd_detach how,
                      const struct timespec *deadline, struct ovbd_error *err);

/* What a dead server of this device may have left on the host, and this daemon did not get to open,
 * is not for the next one either. */
void devices_abandon(struct served *s);

struct timespec devices_deadline(unsigned ms);

#endif
