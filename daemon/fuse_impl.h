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

enum { FUSE_SEATS = 2 };

struct fuse_seat {
	int epoll_fd;
	atomic_bool taken;
};

struct fuse_worker {
	unsigned nskip;     /* requests that are waited for before one is looked for at once */
	void *in;           /* a request, as it came */
	void *out;          /* OVBD_FUSE_MAX_READ bytes: an answer */
	fuse_req_t req;     /* what is being served, or NULL */
	struct iovec piece; /* of out what is read, of in what is written */
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
	int stop_fd;
	struct fuse_seat seats[FUSE_SEATS]; /* where workers wait for requests */
	int rest_fd, rest_epoll_fd;         /* where those rest for whom there is none */
	_Atomic unsigned nwaiting, nresting;
	char *name; /* for messages */
	struct stat attr;
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
