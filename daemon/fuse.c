// SPDX-License-Identifier: Apache-2.0
/*
 * A file system whose root is a regular file, so that it can be mounted over a file. The kernel
 * asks on one descriptor, which all workers share: libfuse decodes a request and calls one of the
 * callbacks below, in the same thread. All but a read are answered there and then. A read is left
 * in the worker that is being served (this_worker), for next() to return; complete() answers it
 * straight from the worker's buffer.
 *
 * To wait for a request and for stop() at once, each worker has an epoll set of two descriptors: the
 * kernel's (exclusively: one request wakes one worker), and an event that stop() raises and nobody
 * lowers.
 *
 * The content never changes, so the kernel may keep what it has read (keep_cache) and what it knows
 * of the file (timeouts) for good: the page cache is the cache of what the blob has inflated.
 */
#define FUSE_USE_VERSION 312
#include "daemon/fuse.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/auto.h"
#include "daemon/fuse_mount.h"
#include "daemon/fuse_place.h"

#define IN_SIZE        (OVBD_FUSE_MAX_READ + 4096) /* the kernel wants room for a write as large */
#define FOREVER        (365.0 * 24 * 3600)         /* seconds */
#define BUFFER_ALIGN   4096
#define MIN_BACKGROUND 64  /* readaheads in flight; the kernel's own figure is 12 */
#define WIRE_ERRNO_MAX 511 /* the kernel takes no larger one in an answer */

struct fuse_worker {
	int epoll_fd;
	void *in;           /* IN_SIZE bytes: a request, as it came */
	void *out;          /* OVBD_FUSE_MAX_READ bytes: an answer */
	fuse_req_t read;    /* the read being served, or NULL */
	struct iovec piece; /* of out, what is read */
	struct ovbd_request rq;
};

struct fuse_transport {
	struct ovbd_transport transport;
	struct fuse_session *session;
	struct ovbd_fuse_place place;
	uint64_t mount_id;
	bool attached; /* mounted at place */
	int stop_fd;
	char *name; /* for messages */
	struct stat attr;
	unsigned nworkers;
	struct fuse_worker workers[];
};

static _Thread_local struct fuse_worker *this_worker; /* while libfuse decodes its request */

static struct fuse_transport *fuse_of(struct ovbd_transport *t)
{
	return OVBD_CONTAINER_OF(t, struct fuse_transport, transport);
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
	const struct fuse_transport *f = userdata;

	conn->max_write = OVBD_FUSE_MAX_READ; /* from which libfuse derives the pages of a read */
	conn->max_readahead = OVBD_FUSE_MAX_READ;
	conn->max_background = f->nworkers > MIN_BACKGROUND ? f->nworkers : MIN_BACKGROUND;
	conn->congestion_threshold = conn->max_background;
	conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct fuse_transport *f = fuse_req_userdata(req);

	(void)ino;
	(void)fi;
	fuse_reply_attr(req, &f->attr, FOREVER);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

/* The kernel asks for whole pages, also where the last one is not full. */
static void on_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off,
                    struct fuse_file_info *fi)
{
	const struct fuse_transport *f = fuse_req_userdata(req);
	const uint64_t size = (uint64_t)f->attr.st_size, at = (uint64_t)off;
	struct fuse_worker *w = this_worker;

	(void)ino;
	(void)fi;
	if (off < 0 || len > OVBD_FUSE_MAX_READ) {
		fuse_reply_err(req, EINVAL);
	} else if (at >= size || len == 0) {
		fuse_reply_buf(req, NULL, 0);
	} else {
		w->piece = (struct iovec){
			.iov_base = w->out,
			.iov_len = len < size - at ? len : (size_t)(size - at),
		};
		w->rq = (struct ovbd_request){
			.op = OVBD_REQUEST_READ,
			.iov = &w->piece,
			.niov = 1,
			.off = at,
			.len = w->piece.iov_len,
		};
		w->read = req;
	}
}

static const struct fuse_lowlevel_ops lowlevel_ops = {
	.init = on_init,
	.getattr = on_getattr,
	.open = on_open,
	.read = on_read,
};

/* Until there may be a request. -ESHUTDOWN: stop() was called. */
static int wait_for_request(const struct fuse_transport *f, const struct fuse_worker *w)
{
	struct epoll_event events[2];
	int n;

	do
		n = epoll_wait(w->epoll_fd, events, 2, -1);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++)
		if (events[i].data.fd == f->stop_fd)
			return -ESHUTDOWN;
	return 0;
}

/* Has libfuse decode a request. 0 also if there is none for this worker after all. */
static int receive(const struct fuse_transport *f, struct fuse_worker *w)
{
	const ssize_t n = read(fuse_session_fd(f->session), w->in, IN_SIZE);
	const struct fuse_buf buf = {.mem = w->in, .size = (size_t)n};

	if (n < 0 && (errno == ENODEV || errno == ECONNABORTED))
		return -ESHUTDOWN; /* unmounted, and nobody uses it any more */
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOENT))
		return 0; /* another worker was faster, or the asker has given up */
	if (n < 0)
		return -errno;
	this_worker = w;
	fuse_session_process_buf(f->session, &buf);
	this_worker = NULL;
	return fuse_session_exited(f->session) ? -ESHUTDOWN : 0;
}

static int fuse_next(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
                     struct ovbd_error *err)
{
	struct fuse_transport *f = fuse_of(t);
	struct fuse_worker *w = &f->workers[worker];
	int r;

	assert(worker < f->nworkers && !w->read);
	while (!w->read) {
		r = wait_for_request(f, w);
		if (r == 0)
			r = receive(f, w);
		if (r == -ESHUTDOWN)
			return r;
		if (r < 0)
			return ovbd_fail_errno(err, r, "%s: waiting for requests", f->name);
	}
	*ret = w->rq;
	return 0;
}

/* What the kernel takes as an error's number, and what a reader takes as an error: EAGAIN and EINTR
 * of a file mean "ask again at once" to many. */
static int wire_errno(int status)
{
	const int e = -status;

	return e > WIRE_ERRNO_MAX || e == EAGAIN || e == EINTR ? EIO : e;
}

static int fuse_complete(struct ovbd_transport *t, unsigned worker, const struct ovbd_request *rq,
                         int status)
{
	struct fuse_worker *w = &fuse_of(t)->workers[worker];
	const fuse_req_t req = w->read;
	int r;

	assert(req && rq->iov == &w->piece);
	w->read = NULL;
	if (status == 0)
		r = fuse_reply_buf(req, w->out, rq->len);
	else
		r = fuse_reply_err(req, wire_errno(status));
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

	/* Fails only when the counter is full, and then the event is raised. */
	if (write(fuse_of(t)->stop_fd, &one, sizeof(one)) < 0)
		errno = saved;
}

static void fuse_close(struct ovbd_transport *t)
{
	struct fuse_transport *f = fuse_of(t);

	give_up_place(f, NULL);
	for (unsigned i = 0; i < f->nworkers; i++) {
		struct fuse_worker *w = &f->workers[i];

		if (w->epoll_fd >= 0)
			close(w->epoll_fd);
		free(w->in);
		free(w->out);
	}
	if (f->session)
		fuse_session_destroy(f->session);
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
	for (unsigned i = 0; i < p->nworkers; i++)
		f->workers[i].epoll_fd = -1;
	f->name = strdup(p->path);
	f->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!f->name || f->stop_fd < 0)
		return -errno;
	for (unsigned i = 0; i < p->nworkers; i++) {
		f->workers[i].in = aligned_alloc(BUFFER_ALIGN, IN_SIZE);
		f->workers[i].out = aligned_alloc(BUFFER_ALIGN, OVBD_FUSE_MAX_READ);
		if (!f->workers[i].in || !f->workers[i].out)
			return -ENOMEM;
	}
	f->attr = (struct stat){
		.st_ino = FUSE_ROOT_ID,
		.st_mode = S_IFREG | (p->allow_other ? 0444 : 0400),
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
	f->session = fuse_session_new(&args, &lowlevel_ops, sizeof(lowlevel_ops), f);
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

	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return -errno;
	for (unsigned i = 0; i < f->nworkers; i++) {
		const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

		f->workers[i].epoll_fd = epoll_fd;
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
		r = ovbd_fuse_mount(f->place.path, p->allow_other, &m, err);
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
