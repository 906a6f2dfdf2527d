/* SPDX-License-Identifier: Apache-2.0 */
/* Private to fuse*.c. FUSE_USE_VERSION is defined before it is included. */
#ifndef OVBD_DAEMON_FUSE_IMPL_H
#define OVBD_DAEMON_FUSE_IMPL_H

#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "daemon/fuse.h"
#include "daemon/fuse_mount.h"
#include "daemon/fuse_place.h"

struct fuse_worker {
	pid_t thread;         /* for ovbd_rouse(); 0 before its first request */
	_Atomic pid_t within; /* the same while it may be waiting for a request; else 0 */
	void *in;             /* a request, as it came */
	void *out;            /* OVBD_FUSE_MAX_READ bytes: an answer */
	fuse_req_t req;       /* what is being served, or NULL */
	struct iovec piece;   /* of out what is read, of in what is written */
	struct ovbd_request rq;
};

struct fuse_transport {
	struct ovbd_transport transport;
	struct fuse_session *session;
	struct ovbd_fuse_place place;
	uint64_t mount_id;
	bool attached; /* mounted at place */
	bool writable;
	atomic_bool stopped;
	char *name;       /* for messages */
	struct stat attr; /* but for its size: */
	_Atomic uint64_t size;
	unsigned nworkers;
	struct fuse_worker workers[];
};

/* fuse_requests.c: what libfuse calls; f is its user data. */
extern const struct fuse_lowlevel_ops fuse_lowlevel;

/* Has libfuse decode what was read into w->in: w->req is set if it is to be served. */
void fuse_decode(struct fuse_transport *f, struct fuse_worker *w, size_t len);

/* Answers w->req. 0 or -errno. */
int fuse_answer(struct fuse_worker *w, int status);

#endif
