// SPDX-License-Identifier: Apache-2.0
/*
 * All workers wait in one epoll set for all there is: clients that connect (nbd_accept.c), clients
 * that send (nbd_conn.c), a timer, and an event that stop() raises and nobody lowers. There are no
 * threads but the workers, and no queue: the worker that has read a request answers it, from the
 * buffer that goes to the client. What waits for a slow client is its connection, never a worker.
 *
 * Requests that are refused, and those that ask for what the device is made of (BLOCK_STATUS), are
 * answered here; the others are requests for the device. CACHE is a read whose bytes nobody wants:
 * they are in a cache then, of layers or of the kernel.
 */
#include "daemon/nbd.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/bytes.h"
#include "daemon/nbd_impl.h"

#define IDLE_MS 1000 /* then buffers are given back */

static struct nbd_transport *nbd_of(struct ovbd_transport *t)
{
	return OVBD_CONTAINER_OF(t, struct nbd_transport, transport);
}

static void fail_request(struct nbd_request *rq, int code)
{
	const char *why = strerrordesc_np(-code);

	rq->error = nbd_error_of(code);
	rq->why = why ? why : "error";
}

/* True: the job is answered. */
static bool answer_here(struct nbd_transport *n, struct nbd_worker *w)
{
	struct nbd_request *rq = &w->job.rq;
	int len = 0;

	if (rq->error == 0 && rq->type == NBD_CMD_BLOCK_STATUS) {
		len = nbd_extents_encode(w->job.data.mem, n->device->blob, rq);
		if (len < 0)
			fail_request(rq, len);
	} else if (rq->error == 0) {
		return false;
	}
	nbd_conn_reply(n, w, len > 0 ? (size_t)len : 0);
	return true;
}

static enum ovbd_request_op op_of(uint16_t type)
{
	switch (type) {
	case NBD_CMD_READ:
	case NBD_CMD_CACHE:
		return OVBD_REQUEST_READ;
	case NBD_CMD_WRITE:
		return OVBD_REQUEST_WRITE;
	case NBD_CMD_WRITE_ZEROES:
		return OVBD_REQUEST_WRITE_ZEROES;
	case NBD_CMD_TRIM:
		return OVBD_REQUEST_DISCARD;
	default:
		assert(type == NBD_CMD_FLUSH);
		return OVBD_REQUEST_FLUSH;
	}
}

static void fill_request(struct nbd_transport *n, struct nbd_worker *w, struct ovbd_request *ret)
{
	const struct nbd_request *rq = &w->job.rq;
	const enum ovbd_request_op op = op_of(rq->type);

	*ret = (struct ovbd_request){.op = op};
	if (op == OVBD_REQUEST_FLUSH)
		return;
	ret->off = rq->off;
	ret->len = rq->type == NBD_CMD_CACHE ? ovbd_min(rq->len, NBD_CACHE_MAX) : rq->len;
	if (op == OVBD_REQUEST_WRITE || op == OVBD_REQUEST_WRITE_ZEROES) {
		ret->flags |= rq->flags & NBD_CMD_FLAG_FUA ? OVBD_WRITE_FUA : 0u;
		ret->flags |= rq->flags & NBD_CMD_FLAG_NO_HOLE ? OVBD_WRITE_ALLOC : 0u;
		ret->flags |= rq->flags & NBD_CMD_FLAG_FAST_ZERO ? OVBD_WRITE_FAST : 0u;
	}
	if (rq->type == NBD_CMD_READ && w->conn->session.structured)
		w->nchunks = nbd_chunks_find(n->device->blob, &w->conn->session, rq, w->chunks);
	if (w->nchunks == 1 && w->chunks[0].hole)
		return;
	if (op == OVBD_REQUEST_READ || op == OVBD_REQUEST_WRITE) {
		w->piece = (struct iovec){.iov_base = w->job.data.mem, .iov_len = ret->len};
		ret->iov = &w->piece;
		ret->niov = 1;
	}
}

static int wait_for_event(struct nbd_transport *n, uint64_t *ret)
{
	struct epoll_event ev;
	int r;

	atomic_fetch_add(&n->nwaiting, 1);
	do {
		r = epoll_wait(n->epoll_fd, &ev, 1, n->spare_size > 0 ? IDLE_MS : -1);
		if (r == 0)
			nbd_buffers_free(n);
	} while (r == 0 || (r < 0 && errno == EINTR));
	atomic_fetch_sub(&n->nwaiting, 1);
	if (r < 0)
		return -errno;
	*ret = ev.data.u64;
	return 0;
}

/* Whatever the event is for. True: w has a job. */
static bool handle(struct nbd_transport *n, struct nbd_worker *w, uint64_t ev)
{
	if (ev == NBD_EVENT_LISTEN)
		nbd_accept(n);
	else if (ev == NBD_EVENT_TIMER)
		nbd_tick(n);
	else if (ev == NBD_EVENT_TICK)
		nbd_keep_tick(n);
	else
		return nbd_conn_event(n, &n->conns[(uint32_t)ev], (uint32_t)(ev >> 32), w) == 1;
	return false;
}

static int nbd_next(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
                    struct ovbd_error *err)
{
	struct nbd_transport *n = nbd_of(t);
	struct nbd_worker *w = &n->workers[worker];
	bool found;

	assert(worker < n->nworkers && !w->conn);
	do {
		uint64_t ev = 0;
		int r;

		if (n->stopped)
			return -ESHUTDOWN;
		found = nbd_keep_next(n, w) == 1;
		if (found)
			continue;
		r = wait_for_event(n, &ev);
		if (r < 0)
			return ovbd_fail_errno(err, r, "%s: waiting for clients", n->name);
		if (n->stopped || ev == NBD_EVENT_STOP)
			return -ESHUTDOWN;
		found = handle(n, w, ev);
	} while (!found || answer_here(n, w));
	fill_request(n, w, ret);
	return 0;
}

static int nbd_complete(struct ovbd_transport *t, unsigned worker, const struct ovbd_request *rq,
                        int status)
{
	struct nbd_transport *n = nbd_of(t);
	struct nbd_worker *w = &n->workers[worker];
	const bool data = status == 0 && w->job.rq.type == NBD_CMD_READ;

	assert(w->conn);
	if (status < 0)
		fail_request(&w->job.rq, status);
	nbd_conn_reply(n, w, data ? rq->len : 0);
	return 0; /* a client that is gone is no failure */
}

static void nbd_stop(struct ovbd_transport *t)
{
	struct nbd_transport *n = nbd_of(t);
	const uint64_t one = 1;
	const int saved = errno; /* may be called by a signal handler */

	n->stopped = true;
	/* Fails only when the counter is full, and then the event is raised. */
	if (write(n->stop_fd, &one, sizeof(one)) < 0)
		errno = saved;
}

/* Clients in the midst of their handshake do not use the device yet. */
static int nbd_detach(struct ovbd_transport *t, struct ovbd_error *err)
{
	struct nbd_transport *n = nbd_of(t);
	bool in_use;

	(void)err;
	pthread_mutex_lock(&n->lock);
	nbd_listen_end(&n->listener);
	n->detached = true;
	pthread_mutex_unlock(&n->lock);
	for (unsigned i = 0; i < OVBD_NBD_MAX_CONNS; i++) {
		struct nbd_conn *c = &n->conns[i];

		pthread_mutex_lock(&c->lock);
		if (c->fd >= 0 && c->handshake) {
			nbd_conn_break(c);
			nbd_conn_settle(n, c);
		}
		pthread_mutex_unlock(&c->lock);
	}
	pthread_mutex_lock(&n->lock);
	in_use = n->nconns > 0;
	pthread_mutex_unlock(&n->lock);
	if (!in_use)
		nbd_stop(t);
	return in_use;
}

static void nbd_close(struct ovbd_transport *t)
{
	struct nbd_transport *n = nbd_of(t);
	const int fds[] = {n->tick_fd, n->timer_fd, n->stop_fd, n->epoll_fd};

	for (unsigned i = 0; i < OVBD_NBD_MAX_CONNS; i++) {
		struct nbd_conn *c = &n->conns[i];

		pthread_mutex_lock(&c->lock);
		if (c->fd >= 0) {
			nbd_conn_break(c);
			nbd_conn_settle(n, c);
		}
		assert(c->fd < 0);
		pthread_mutex_unlock(&c->lock);
		pthread_mutex_destroy(&c->lock);
	}
	nbd_listen_free(&n->listener);
	nbd_buffers_free(n);
	for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	pthread_mutex_destroy(&n->lock);
	free(n->name);
	free(n);
}

static const struct ovbd_transport_ops nbd_ops = {
	.name = "nbd",
	.next = nbd_next,
	.complete = nbd_complete,
	.detach = nbd_detach,
	.stop = nbd_stop,
	.close = nbd_close,
};

void ovbd_nbd_resize(struct ovbd_transport *t, uint64_t size)
{
	nbd_of(t)->export.size = size;
}

static void close_half_built(struct nbd_transport **n)
{
	if (*n)
		nbd_close(&(*n)->transport);
}

static int watch(const struct nbd_transport *n, int fd, uint32_t events, uint64_t what)
{
	struct epoll_event ev = {.events = events};

	ev.data.u64 = what;
	return epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* All that can be seen by nobody. */
static int prepare(const struct ovbd_nbd_params *p, struct nbd_transport **ret)
{
	OVBD_AUTO(close_half_built) struct nbd_transport *n = NULL;
	const char *address = p->address ? p->address : "nbd";
	const size_t name_size = strlen(p->export) + 1;
	char *name;
	int r;

	n = calloc(1, sizeof(*n) + p->nworkers * sizeof(n->workers[0]));
	if (!n)
		return -ENOMEM;
	n->transport.ops = &nbd_ops;
	n->device = p->device;
	n->tls = p->tls;
	n->nworkers = p->nworkers;
	n->listener.fd = -1;
	pthread_mutex_init(&n->lock, NULL);
	for (unsigned i = 0; i < OVBD_NBD_MAX_CONNS; i++) {
		pthread_mutex_init(&n->conns[i].lock, NULL);
		n->conns[i].fd = -1;
		n->free_slots[n->nfree++] = OVBD_NBD_MAX_CONNS - 1 - i;
	}
	n->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	n->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	n->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	n->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (n->epoll_fd < 0 || n->stop_fd < 0 || n->timer_fd < 0 || n->tick_fd < 0)
		return -errno;
	n->name = malloc(strlen(address) + 1 + name_size); /* and the export's */
	if (!n->name)
		return -ENOMEM;
	strcpy(n->name, address);
	name = n->name + strlen(address) + 1;
	memcpy(name, p->export, name_size);
	n->export = (struct nbd_export){
		.name = name,
		.size = p->device->blob->size,
		.writable = ovbd_device_is_writable(p->device),
		.tls = !p->tls           ? NBD_TLS_NONE
	               : p->tls_required ? NBD_TLS_REQUIRED
	                                 : NBD_TLS_OFFERED,
	};
	r = watch(n, n->stop_fd, EPOLLIN, NBD_EVENT_STOP);
	if (r == 0)
		r = watch(n, n->timer_fd, EPOLLIN | EPOLLET, NBD_EVENT_TIMER);
	if (r == 0)
		r = watch(n, n->tick_fd, EPOLLIN | EPOLLET, NBD_EVENT_TICK);
	if (r == 0)
		*ret = OVBD_MOVE(n);
	return r;
}

static int start_listening(struct nbd_transport *n, const struct ovbd_nbd_params *p,
                           struct ovbd_error *err)
{
	int r = nbd_listen(p->address, p->export, p->tls && p->tls_required, &n->listener, err);

	if (r < 0)
		return r;
	r = watch(n, n->listener.fd, EPOLLIN | EPOLLONESHOT, NBD_EVENT_LISTEN);
	return r < 0 ? ovbd_fail_errno(err, r, "%s: waiting for clients", p->address) : 0;
}

int ovbd_nbd_open(const struct ovbd_nbd_params *p, struct ovbd_transport **ret,
                  struct ovbd_error *err)
{
	OVBD_AUTO(close_half_built) struct nbd_transport *n = NULL;
	const char *name = p->address ? p->address : "nbd";
	int r;

	if (p->nworkers == 0)
		return ovbd_fail(err, -EINVAL, "%s: a server without workers", name);
	if (strlen(p->export) > NBD_STRING_MAX)
		return ovbd_fail(err, -ENAMETOOLONG,
		                 "%s: the export's name has %zu bytes, more than %d", name,
		                 strlen(p->export), NBD_STRING_MAX);
	r = prepare(p, &n);
	if (r < 0)
		return ovbd_fail_errno(err, r, "%s: preparing %u workers", name, p->nworkers);
	if (p->address)
		r = start_listening(n, p, err);
	else
		n->detached = true;
	if (r < 0)
		return r;
	*ret = &OVBD_MOVE(n)->transport;
	return 0;
}

void ovbd_nbd_adopt(struct ovbd_transport *t, int take_fd)
{
	struct nbd_transport *n = nbd_of(t);
	struct nbd_conn *c;

	pthread_mutex_lock(&n->lock);
	c = nbd_slot_take(n);
	pthread_mutex_unlock(&n->lock);
	if (c)
		nbd_conn_start(n, c, take_fd, true);
	else
		close(take_fd);
}

const char *ovbd_nbd_uri(struct ovbd_transport *t)
{
	return nbd_of(t)->listener.uri;
}
