/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process may still do once it is set up, before it opens the first image: images, and
 * the registries they come from, may be hostile. Three steps, none of which can be taken back:
 *
 *   capabilities   all are given up, in every set, but those that are asked for
 *   privileges     no_new_privs: no program that is run could gain any
 *   system calls   a filter (libseccomp) lets pass what a server of devices needs; any other call
 *                  fails with ENOSYS, and is told; a new process with EPERM
 *
 * Of a process that is no root's only what it has is lost, and neither of the other two is done: it
 * mounts by fusermount3, which is setuid.
 */
#ifndef OVBD_DAEMON_CONFINE_H
#define OVBD_DAEMON_CONFINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define OVBD_CAP(name) (UINT64_C(1) << CAP_##name)

/* System calls beyond what every server needs. */
enum {
	OVBD_CALLS_MOUNT = 1, /* mount, umount */
	OVBD_CALLS_RING = 2,  /* io_uring: what it does is beyond the filter */
	OVBD_CALLS_NODES = 4, /* inotify: who watches names come and go */
};

struct ovbd_confine_params {
	uint64_t caps;  /* OVBD_CAP(...) of those kept */
	unsigned calls; /* OVBD_CALLS_* */
	bool no_filter; /* leaves out the third step */
	/* The first time that a call is refused: its name. In a signal handler of the thread that
	 * called, so it may write(), and little else. */
	void (*refused)(const char *call);
};

/* For refused(): the three as one line to stderr. At most 255 bytes. */
void ovbd_confine_tell(const char *before, const char *call, const char *after);

/* Where there is one thread only: others keep their capabilities. *ret_filtered: whether there is a
 * filter now. */
int ovbd_confine(const struct ovbd_confine_params *p, bool *ret_filtered, struct ovbd_error *err);

/* What the calling thread may do, as the kernel has it. */
struct ovbd_confinement {
	uint64_t caps;
	bool no_new_privs;
	bool filtered;
};

int ovbd_confinement_read(struct ovbd_confinement *ret, struct ovbd_error *err);

/* "sys_admin", ...; NULL: there is none of this number. */
const char *ovbd_confine_cap_name(unsigned cap);

/* How many calls were refused, and what the first was ("ptrace"); NULL: none. */
uint64_t ovbd_confine_refused(const char **ret_first);

/* confine_filter.c, or confine_filter_none.c. 1: this build has no filter. */
int confine_filter(unsigned calls, void (*refused)(const char *call), struct ovbd_error *err);

#endif
