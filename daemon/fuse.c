// SPDX-License-Identifier: Apache-2.0
/*
 * A file system whose root is a regular file, so that it can be mounted over a file. The kernel
 * asks on one descriptor, from which all workers read: each request wakes one of them. It is
 * decoded in the thread that has read it (fuse_requests.c), and what needs the device is left in
 * the worker, for next() to return.
 *
 * There is no poll() before the read, which would cost a single reader a tenth of its speed. So
 * stop() has to get workers out of it: it raises a flag, makes the descriptor one that does not
 * wait, and then rouses those who said that they might be waiting. Whoever says so too late for
 * that sees the flag, or does not wait.
 */
#define FUSE_USE_VERSION 312
#include "daemon/fuse_impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "base/auto.h"
#include "daemon/rouse.h"

#define IN_SIZE      (OVBD_FUSE_MAX_READ + 4096) /* the kernel wants room for a write as large */
#define BUFFER_ALIGN 4096
#define PAGE         4096

static struct fuse_transport *fuse_of(struct ovbd_transport *t)
{
	return OVBD_CONTAINER_OF(t, struct fuse_transport, transport);
}

/* Waits for a request and has libfuse decode it. 0 also if there is none after all. -ESHUTDOWN:
 * stop() was called, or nobody uses the file any more. */
static int receive(struct fuse_transport *f, struct fuse_worker *w)
{
	ssize_t n;
	int e;

	atomic_store(&w->within, w->thread);
	n = atomic_load(&f->stopped) ? 0 : read(fuse_session_fd(f->session), w->in, IN_SIZE);
	e = errno;
	atomic_store(&w->within, 0);
	if (n > 0) {
		fuse_decode(f, w, (size_t)n);
		return fuse_session_exited(f->session) ? -ESHUTDOWN : 0;
	}
	if (atomic_load(&f->stopped) || n == 0 || e == ENODEV || e == ECONNABORTED)
		return -ESHUTDOWN;
	return e == EINTR || e == ENOENT ? 0 : -e; /* ENOENT: the asker has given up */
}

static int fuse_next(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
                     struct ovbd_error *err)
{
	struct fuse_transport *f = fuse_of(t);
	struct fuse_worker *w = &f->workers[worker];
	int r;

	assert(worker < f->nworkers && !w->req);
	if (!w->thread)
		w->thread = ovbd_rouse_prepare();
	while (!w->req) {
		r = receive(f, w);
		if (r == -ESHUTDOWN)
			return r;
		if (r < 0)
			return ovbd_fail_errno(err, r, "%s: waiting for requests", f->name);
	}
	*ret = w->rq;
	return 0;
}

static int fuse_complete(struct ovbd_transport *t, unsigned worker, const struct ovbd_request *rq,
                         int status)
{
	struct fuse_worker *w = &fuse_of(t)->workers[worker];
	int r;

	assert(w->req && (rq->niov == 0 || rq->iov == &w->piece));
	r = fuse_answer(w, status);
	return r == -ENOENT || r == -ENODEV ? 0 : r; /* the asker, or the mount, is gone */
}

/* The kernel ends a connection when the last user of an unmounted file system has gone. */
static bool is_in_use(const struct fuse_transport *f)
{
	struct pollfd p = {.fd = fuse_session_fd(f->session)};

	return poll(&p, 1, 0) == 0 || (p.revents & POLLERR) == 0;
}

static int give_up_place(struct fuse_transport *f, struct ovbd_error *err)
{
	int r = f->attached ? ovbd_fuse_unmount(f->place.path, f->mount_id, err) : 0;

	if (r < 0)
		return r;
	f->attached = false;
	ovbd_fuse_place_release(&f->place);
	return 0;
}

static int fuse_detach(struct ovbd_transport *t, struct ovbd_error *err)
{
	struct fuse_transport *f = fuse_of(t);
	int r = give_up_place(f, err);

	return r < 0 ? r : is_in_use(f);
}

/* The order of its steps is what receive() relies on. */
static void fuse_stop(struct ovbd_transport *t)
{
	struct fuse_transport *f = fuse_of(t);
	const int saved = errno; /* may be called by a signal handler */

	atomic_store(&f->stopped, true);
	fcntl(fuse_session_fd(f->session), F_SETFL, O_RDWR | O_NONBLOCK);
	for (unsigned i = 0; i < f->nworkers; i++) {
		const pid_t thread = atomic_load(&f->workers[i].within);

		if (thread)
			ovbd_rouse(thread);
	}
	errno = saved;
}

static void fuse_close(struct ovbd_transport *t)
{
	struct fuse_transport *f = fuse_of(t);

	give_up_place(f, NULL);
	for (unsigned i = 0; i < f->nworkers; i++) {
		struct fuse_worker *w = &f->workers[i];

		free(w->in);
		free(w->out);
	}
	if (f->session)
		fuse_session_destroy(f->session);
	if (f->attached) /* it could not be unmounted, so the place stays as it is */
		f->place.created = false;
	ovbd_fuse_place_release(&f->place);
	free(f->name);
	free(f);
}

/* Of pages only one that was the last and is not full can be wrong: it ends in zeros. */
int ovbd_fuse_resize(struct ovbd_transport *t, uint64_t size, struct ovbd_error *err)
{
	struct fuse_transport *f = fuse_of(t);
	const uint64_t rest = f->size % PAGE;
	const off_t from = rest ? (off_t)(f->size - rest) : -1; /* -1: of no page */
	int r;

	if (size > INT64_MAX)
		return ovbd_fail(err, -E2BIG, "%s: %" PRIu64 " bytes are more than a file can have",
		                 f->name, size);
	f->size = size;
	r = fuse_lowlevel_notify_inval_inode(f->session, FUSE_ROOT_ID, from, 0);
	return r == 0 || r == -ENOENT /* nobody has looked at it yet */
	               ? 0
	               : ovbd_fail_errno(err, r, "%s: telling the kernel its size", f->name);
}

static const struct ovbd_transport_ops fuse_ops = {
	.name = "fuse",
	.next = fuse_next,
	.complete = fuse_complete,
	.detach = fuse_detach,
	.stop = fuse_stop,
	.close = fuse_close,
};

static void close_half_built(struct fuse_transport **f)
{
	if (*f)
		fuse_close(&(*f)->transport);
}

/* libfuse's messages: what matters, its functions return. */
static void say_nothing(enum fuse_log_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
}

/* All that needs no mount. */
static int allocate(const struct ovbd_fuse_params *p, struct fuse_transport **ret)
{
	OVBD_AUTO(close_half_built) struct fuse_transport *f = NULL;

	f = calloc(1, sizeof(*f) + p->nworkers * sizeof(f->workers[0]));
	if (!f)
		return -ENOMEM;
	f->transport.ops = &fuse_ops;
	f->place.fd = -1;
	f->nworkers = p->nworkers;
	f->writable = p->writable;
	f->size = p->size;
	f->name = strdup(p->path);
	if (!f->name)
		return -ENOMEM;
	for (unsigned i = 0; i < p->nworkers; i++) {
		f->workers[i].in = aligned_alloc(BUFFER_ALIGN, IN_SIZE);
		f->workers[i].out = aligned_alloc(BUFFER_ALIGN, OVBD_FUSE_MAX_READ);
		if (!f->workers[i].in || !f->workers[i].out)
			return -ENOMEM;
	}
	f->attr = (struct stat){
		.st_ino = FUSE_ROOT_ID,
		.st_mode = S_IFREG | (p->allow_other ? 0444 : 0400) |
	                   (p->writable ? p->allow_other ? 0222 : 0200 : 0),
		.st_nlink = 1,
		.st_uid = getuid(),
		.st_gid = getgid(),
		.st_blksize = BUFFER_ALIGN,
	};
	clock_gettime(CLOCK_REALTIME, &f->attr.st_mtim);
	f->attr.st_atim = f->attr.st_ctim = f->attr.st_mtim;
	*ret = OVBD_MOVE(f);
	return 0;
}

/* libfuse over a descriptor that is mounted already. */
static int start_session(struct fuse_transport *f, int take_fd)
{
	static char program[] = "ovbd";
	char *argv[] = {program, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	char by_fd[32];

	fuse_set_log_func(say_nothing);
	snprintf(by_fd, sizeof(by_fd), "/dev/fd/%d", take_fd);
	f->session = fuse_session_new(&args, &fuse_lowlevel, sizeof(fuse_lowlevel), f);
	fuse_opt_free_args(&args);
	if (!f->session || fuse_session_mount(f->session, by_fd) != 0) {
		close(take_fd);
		return -ENOMEM;
	}
	return 0;
}

int ovbd_fuse_open(const struct ovbd_fuse_params *p, struct ovbd_transport **ret,
                   struct ovbd_error *err)
{
	OVBD_AUTO(close_half_built) struct fuse_transport *f = NULL;
	struct ovbd_fuse_mount m;
	int r;

	if (p->size > INT64_MAX)
		return ovbd_fail(err, -E2BIG, "%s: %" PRIu64 " bytes are more than a file can have",
		                 p->path, p->size);
	if (p->nworkers == 0)
		return ovbd_fail(err, -EINVAL, "%s: a server without workers", p->path);
	r = allocate(p, &f);
	if (r < 0)
		return ovbd_fail_errno(err, r, "%s: preparing %u workers", p->path, p->nworkers);
	r = ovbd_fuse_place_take(p->path, &f->place, err);
	if (r == 0)
		r = ovbd_fuse_mount(f->place.path, p->writable, p->allow_other, &m, err);
	if (r < 0)
		return r;
	f->attached = true;
	f->mount_id = m.id;
	r = start_session(f, m.fd);
	if (r < 0)
		return ovbd_fail_errno(err, r, "%s: starting the FUSE session", p->path);
	*ret = &OVBD_MOVE(f)->transport;
	return 0;
}
