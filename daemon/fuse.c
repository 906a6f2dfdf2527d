// SPDX-License-Identifier: Apache-2.0
/*
 * A file system whose root is a regular file, so that it can be mounted over a file. The kernel
 * asks on one descriptor, which all workers share: a request is decoded in the thread that has read
 * it (fuse_requests.c), and what needs the device is left in the worker, for next() to return.
 *
 * To wait for a request and for stop() at once there are epoll sets of two descriptors: the
 * kernel's (exclusively: one request wakes one worker), and an event that stop() raises and nobody
 * lowers. Who asks has the kernel look at each set that its descriptor is in, wherever the workers
 * are; so there are two such seats and no more, and who finds both taken rests elsewhere. Whoever
 * leaves the last seat wakes one who rests.
 *
 * Who sends ahead has more requests there: a worker looks before it waits, but not each time where
 * it was in vain.
 */
#define FUSE_USE_VERSION 312
#include "daemon/fuse_impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/auto.h"

#define IN_SIZE         (OVBD_FUSE_MAX_READ + 4096) /* the kernel wants room for a write as large */
#define BUFFER_ALIGN    4096
#define SKIP_AFTER_NONE 16 /* requests */

static struct fuse_transport *fuse_of(struct ovbd_transport *t)
{
	return OVBD_CONTAINER_OF(t, struct fuse_transport, transport);
}

/* Either who rests sees that nobody waits, or the last who waited sees that somebody rests. */
static int rest(struct fuse_transport *f)
{
	struct epoll_event events[2];
	uint64_t one;
	int n = 0;

	atomic_fetch_add(&f->nresting, 1);
	if (atomic_load(&f->nwaiting) > 0)
		n = epoll_wait(f->rest_epoll_fd, events, 2, -1);
	atomic_fetch_sub(&f->nresting, 1);
	if (n > 0 && read(f->rest_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		return -errno;
	return n < 0 && errno != EINTR ? -errno : 0;
}

static void wake_one(struct fuse_transport *f)
{
	const uint64_t one = 1;

	/* Fails only when the counter is full, and then many are woken. */
	if (atomic_load(&f->nresting) > 0 && write(f->rest_fd, &one, sizeof(one)) < 0)
		return;
}

/* There is one, as no more wait than there are. */
static struct fuse_seat *take_seat(struct fuse_transport *f)
{
	unsigned i = 0;

	while (atomic_exchange(&f->seats[i].taken, true))
		i = (i + 1) % FUSE_SEATS;
	return &f->seats[i];
}

/* Until there may be a request. -ESHUTDOWN: stop() was called. */
static int wait_for_request(struct fuse_transport *f)
{
	struct epoll_event events[2];
	struct fuse_seat *seat;
	int n;

	while (atomic_fetch_add(&f->nwaiting, 1) >= FUSE_SEATS) {
		int r;

		atomic_fetch_sub(&f->nwaiting, 1);
		r = rest(f);
		if (r < 0 || f->stopped)
			return r < 0 ? r : -ESHUTDOWN;
	}
	seat = take_seat(f);
	do
		n = epoll_wait(seat->epoll_fd, events, 2, -1);
	while (n < 0 && errno == EINTR);
	seat->taken = false;
	if (atomic_fetch_sub(&f->nwaiting, 1) == 1)
		wake_one(f);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++)
		if (events[i].data.fd == f->stop_fd)
			return -ESHUTDOWN;
	return 0;
}

/* Has libfuse decode a request. 0 also if the asker has given up. -EAGAIN: there is none now. */
static int receive(struct fuse_transport *f, struct fuse_worker *w)
{
	const ssize_t n = read(fuse_session_fd(f->session), w->in, IN_SIZE);

	if (n < 0 && (errno == ENODEV || errno == ECONNABORTED))
		return -ESHUTDOWN; /* unmounted, and nobody uses it any more */
	if (n < 0)
		return errno == EINTR || errno == ENOENT ? 0 : -errno;
	fuse_decode(f, w, (size_t)n);
	return fuse_session_exited(f->session) ? -ESHUTDOWN : 0;
}

static int fuse_next(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
                     struct ovbd_error *err)
{
	struct fuse_transport *f = fuse_of(t);
	struct fuse_worker *w = &f->workers[worker];
	int r;

	assert(worker < f->nworkers && !w->req);
	while (!w->req) {
		if (f->stopped)
			return -ESHUTDOWN;
		r = w->nskip > 0 ? -EAGAIN : receive(f, w);
		if (r == -EAGAIN) {
			w->nskip = w->nskip > 0 ? w->nskip - 1 : SKIP_AFTER_NONE;
			r = wait_for_request(f);
			if (r == 0)
				r = receive(f, w);
		}
		if (r == -ESHUTDOWN)
			return r;
		if (r < 0 && r != -EAGAIN)
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

static void fuse_stop(struct ovbd_transport *t)
{
	const uint64_t one = 1;
	const int saved = errno; /* may be called by a signal handler */
	struct fuse_transport *f = fuse_of(t);

	f->stopped = true;
	/* Fails only when the counter is full, and then the event is raised. */
	if (write(f->stop_fd, &one, sizeof(one)) < 0)
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
	for (unsigned i = 0; i < FUSE_SEATS; i++)
		if (f->seats[i].epoll_fd >= 0)
			close(f->seats[i].epoll_fd);
	if (f->rest_epoll_fd >= 0)
		close(f->rest_epoll_fd);
	if (f->rest_fd >= 0)
		close(f->rest_fd);
	if (f->stop_fd >= 0)
		close(f->stop_fd);
	if (f->attached) /* it could not be unmounted, so the place stays as it is */
		f->place.created = false;
	ovbd_fuse_place_release(&f->place);
	free(f->name);
	free(f);
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
	for (unsigned i = 0; i < FUSE_SEATS; i++)
		f->seats[i].epoll_fd = -1;
	f->name = strdup(p->path);
	f->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->rest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	f->rest_epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!f->name || f->stop_fd < 0 || f->rest_fd < 0 || f->rest_epoll_fd < 0)
		return -errno;
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
		.st_size = (off_t)p->size,
		.st_blocks = (blkcnt_t)(p->size / 512 + (p->size % 512 != 0)),
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

static int start_workers(struct fuse_transport *f)
{
	const int fd = fuse_session_fd(f->session);
	struct epoll_event request = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = fd};
	struct epoll_event stop = {.events = EPOLLIN, .data.fd = f->stop_fd};
	struct epoll_event woken = {.events = EPOLLIN, .data.fd = f->rest_fd};

	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0 ||
	    epoll_ctl(f->rest_epoll_fd, EPOLL_CTL_ADD, f->rest_fd, &woken) < 0 ||
	    epoll_ctl(f->rest_epoll_fd, EPOLL_CTL_ADD, f->stop_fd, &stop) < 0)
		return -errno;
	for (unsigned i = 0; i < FUSE_SEATS; i++) {
		const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

		f->seats[i].epoll_fd = epoll_fd;
		if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &request) < 0 ||
		    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, f->stop_fd, &stop) < 0)
			return -errno;
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
	if (r == 0)
		r = start_workers(f);
	if (r < 0)
		return ovbd_fail_errno(err, r, "%s: starting the FUSE session", p->path);
	*ret = &OVBD_MOVE(f)->transport;
	return 0;
}
