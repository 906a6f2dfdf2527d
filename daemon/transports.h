/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of transports that this build has, and how the device manager opens one by its name. */
#ifndef OVBD_DAEMON_TRANSPORTS_H
#define OVBD_DAEMON_TRANSPORTS_H

#include <stdbool.h>

#include "base/device.h"
#include "daemon/transport.h"

struct ovbd_transport_open {
	const char *id; /* of the device */
	/* The manager's directory: with the id it tells the device from all others of the host. */
	const char *manager;
	/* Where it shall appear, absolute. Of a device that the kernel names: where it has been, by
	 * what an earlier open() returned, or NULL. */
	const char *path;
	struct ovbd_device *device; /* outlives the transport */
	const _Atomic bool *quick;  /* the same: no answer of the device waits for a network, now */
	unsigned nworkers;          /* as for ovbd_serve() */
	bool changed;               /* it has another size than when its users saw it last */
	void (*ready)(void *arg);   /* see late */
	/* If it is known only then where a late device is, and *ret_path is NULL: before
	 * ready(). */
	void (*named)(void *arg, const char *path);
	void *arg;
	struct ovbd_transport *take_early; /* of open_early(); NULL: there is none */
};

struct ovbd_transport_kind {
	const char *name; /* as users write it */
	/* A file's suffix, if the device appears at a path that the manager chooses and the state
	 * keeps; NULL: the kernel names the device. */
	const char *suffix;
	bool writable; /* can take writes */
	bool discards; /* and tells what is not needed any more from what shall be zeros */
	/* The device's size must be a multiple of it; 0: any size will do. */
	unsigned block_size;
	/* Why "auto" never means it; NULL: it may. */
	const char *only_by_name;
	/* The device is not there before ovbd_serve() runs; then ready() is called, in any
	 * thread. */
	bool late;
	/* The kernel keeps the device and the requests of its users while there is no server, and
	 * open() of the same id finds it again. Such a device is left as it is when the daemon
	 * ends. */
	bool survives;
	/* Of confine.h: what open(), serving and what it takes to look at the host need, beyond
	 * what every device needs. */
	uint64_t caps;
	unsigned calls;
	/* Optional, of what survives: how many bytes the device has that the kernel kept. -ENOENT:
	 * it kept none. */
	int (*size)(const struct ovbd_transport_open *p, uint64_t *ret, struct ovbd_error *err);
	/* Optional: what has to be done before privileges are given up, and other threads begin. */
	int (*prepare)(struct ovbd_error *err);
	/* 0, or -errno and what the host lacks. */
	int (*available)(struct ovbd_error *err);
	/* Optional, of a device that has no users yet: the part of open() that needs no p->device,
	 * done before that is opened, which may take long. The result is for open(), with the same
	 * nworkers, or to be closed. That it fails does no harm: then open() does it all. */
	int (*open_early)(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
	                  struct ovbd_error *err);
	/* Also over what a dead server of the same id has left. *ret_path, to be freed: where the
	 * device is. -ENODEV: an adopted device is not there any more. */
	int (*open)(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
	            char **ret_path, struct ovbd_error *err);
	/* Optional: the device has become larger, of size bytes, and its users are to see it. t is
	 * open, and its workers go on: it may wait for what they answer. Any thread, one at a time;
	 * again after a failure. size 0: only whether that could be done, before anything is. NULL:
	 * the size stays what it was when it was opened. */
	int (*resize)(const struct ovbd_transport_open *p, struct ovbd_transport *t, uint64_t size,
	              struct ovbd_error *err);
	/* Optional, of what others have made: which block device there is of each of the host, by
	 * its id. */
	void (*places)(void (*found)(void *arg, const char *id, const char *path), void *arg);
	/* Optional, for what survives: takes away what a dead server of this id has left and nobody
	 * is to open again; its users get errors. p is without a device. 0 also if there is
	 * nothing. */
	int (*abandon)(const struct ovbd_transport_open *p, struct ovbd_error *err);
	/* Optional, with abandon(): what the kernel has of this manager, each with its id and where
	 * it is. */
	void (*left)(const char *manager,
	             void (*found)(void *arg, const char *id, const char *path), void *arg);
};

/* The one at place i, best first; NULL after the last. */
const struct ovbd_transport_kind *ovbd_transport_kind_at(unsigned i);

/* What all kinds of this build need of caps and calls. */
void ovbd_transport_kinds_needs(uint64_t *ret_caps, unsigned *ret_calls);

/* Only these from now on ("fuse, nbd"), and what they need; "": all. Before any of the other calls.
 * -EINVAL: a name that there is not, or none at all. */
int ovbd_transport_kinds_select(const char *names, struct ovbd_error *err);

/* Calls prepare() of all kinds of this build. */
int ovbd_transport_kinds_prepare(struct ovbd_error *err);

/* By name; "auto": NULL, it is to be chosen. -EINVAL: there is none of that name. */
int ovbd_transport_kind_find(const char *name, const struct ovbd_transport_kind **ret,
                             struct ovbd_error *err);

/* What a device wants of a transport. */
struct ovbd_transport_need {
	uint64_t size; /* OVBD_TRANSPORT_ANY_SIZE: not known yet */
	bool writable;
	bool discards;
	const char *path; /* where the user wants it; NULL: anywhere */
};
#define OVBD_TRANSPORT_ANY_SIZE UINT64_MAX

/* 0, or why the kind cannot take such a device, on any host. */
int ovbd_transport_kind_suits(const struct ovbd_transport_kind *k,
                              const struct ovbd_transport_need *need, struct ovbd_error *err);

/* What became of a kind that "auto" looked at. */
struct ovbd_transport_verdict {
	const struct ovbd_transport_kind *kind; /* NULL: the list ends here */
	char *reason;                           /* why not; NULL: taken */
};

/* The first of kinds (ending with NULL; those of this build: ovbd_transport_kinds) that may be
 * chosen, suits and is available. *ret: those looked at, the last one is taken; to be freed. A
 * failure says of each why not. */
int ovbd_transport_kind_choose(const struct ovbd_transport_kind *const *kinds,
                               const struct ovbd_transport_need *need,
                               struct ovbd_transport_verdict **ret, struct ovbd_error *err);

/* The next one, after the one that was taken could not be opened, because of why. -ENOTSUP: there
 * is none. before is copied. */
int ovbd_transport_kind_choose_again(const struct ovbd_transport_kind *const *kinds,
                                     const struct ovbd_transport_need *need,
                                     const struct ovbd_transport_verdict *before, const char *why,
                                     struct ovbd_transport_verdict **ret, struct ovbd_error *err);
extern const struct ovbd_transport_kind *ovbd_transport_kinds[];

/* NULL is fine. */
void ovbd_transport_verdicts_free(struct ovbd_transport_verdict *take_list);

static inline void ovbd_transport_verdicts_freep(struct ovbd_transport_verdict **list)
{
	ovbd_transport_verdicts_free(*list);
}

/* "ublk: not there; fuse: taken" */
void ovbd_transport_verdicts_text(const struct ovbd_transport_verdict *list, char *ret,
                                  size_t size);

/* Each in its kind_NAME.c. */
extern const struct ovbd_transport_kind ovbd_transport_kind_dmuser;
extern const struct ovbd_transport_kind ovbd_transport_kind_dmuser_old;
extern const struct ovbd_transport_kind ovbd_transport_kind_fuse;
extern const struct ovbd_transport_kind ovbd_transport_kind_nbd;
extern const struct ovbd_transport_kind ovbd_transport_kind_nbd_socket;
extern const struct ovbd_transport_kind ovbd_transport_kind_tcmu;

/* A TCMU disk that others have made: for ovbd_devices_adopt() only; the path is "/dev/uioN". */
extern const struct ovbd_transport_kind ovbd_transport_kind_tcmu_adopted;
extern const struct ovbd_transport_kind ovbd_transport_kind_ublk;

#endif
