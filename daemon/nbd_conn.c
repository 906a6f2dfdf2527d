// SPDX-License-Identifier: Apache-2.0
/*
 * A connection is waited for in the workers' epoll set, for one event at a time (EPOLLONESHOT); the
 * worker that gets the event reads one request, as far as it has come, and lets the next worker
 * wait for the next one before it works on it. So the requests of one client are worked on side by
 * side, and answered in any order. Nothing here blocks: what has not come yet of a request, and
 * what the client does not take of a reply, stays with the connection and no worker.
 *
 * While a client has not taken PENDING_MAX replies, no more of its requests are read. A request or
 * reply that has begun and does not move for NBD_STALL_MS ends the connection.
 *
 * A connection ends in three steps: nothing more is read (finished) or sent either (broken), the
 * workers come back with what they have, and the last of them frees the slot.
 */
#include "daemon/nbd_impl.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/bytes.h"

#define PENDING_MAX   16
#define OPTIONS_MAX   64 /* that are answered before others have their turn */
#define DISCARD_PIECE 16384
#define SEND_BUFFER   (1 << 20) /* of a Unix socket */

void nbd_conn_arm(const struct nbd_transport *n, struct nbd_conn *c, uint32_t events)
{
	struct epoll_event ev = {.events = events | EPOLLONESHOT};

	ev.data.u64 = nbd_event_of(n, c);
	c->armed = events;
	epoll_ctl(n->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
}

static bool can_read(const struct nbd_conn *c)
{
	return !c->reading && !c->finished && !c->broken && !c->starved &&
	       c->npending < (c->handshake ? 1 : PENDING_MAX);
}

static void drop_first_pending(struct nbd_transport *n, struct nbd_conn *c, struct nbd_worker *w)
{
	struct nbd_pending *p = c->pending;

	c->pending = p->next;
	if (!c->pending)
		c->pending_end = &c->pending;
	c->npending--;
	nbd_buffer_release(w, &p->body);
	nbd_discharge(n, c, p->charge);
	free(p);
}

static void watch_for_stall(struct nbd_transport *n, struct nbd_conn *c)
{
	if (c->handshake)
		return; /* it has a deadline as a whole */
	if (c->npending == 0 && (!c->partial || c->starved))
		nbd_set_deadline(n, c, 0);
	else if (c->deadline_ms == 0 || c->progressed)
		nbd_set_deadline(n, c, nbd_now_ms() + NBD_STALL_MS);
	c->progressed = false;
}

/* For what a reader waits. What TLS has decrypted ahead is there at once. */
static uint32_t wanted_of(const struct nbd_conn *c)
{
	if (!c->tls)
		return EPOLLIN;
	if (c->handshake && c->tls_writes)
		return EPOLLOUT;
	return EPOLLIN | (nbd_tls_has_more(c->tls) ? EPOLLOUT : 0u);
}

void nbd_conn_settle(struct nbd_transport *n, struct nbd_conn *c)
{
	uint32_t events;

	while (c->broken && c->pending)
		drop_first_pending(n, c, NULL);
	if ((c->finished || c->broken) && !c->reading && c->nserved == 0 && !c->pending) {
		nbd_slot_release(n, c);
		return;
	}
	watch_for_stall(n, c);
	events = (can_read(c) ? wanted_of(c) : 0u) | (c->pending && !c->broken ? EPOLLOUT : 0u);
	if ((events & ~c->armed) != 0)
		nbd_conn_arm(n, c, events);
}

void nbd_conn_break(struct nbd_conn *c)
{
	c->broken = true;
	shutdown(c->fd, SHUT_RDWR); /* a worker that reads finds the end */
}

/* Some of what is left of p: how many bytes, or -errno. */
static ssize_t send_piece(const struct nbd_conn *c, struct nbd_pending *p)
{
	const size_t head = ovbd_min(p->nsent, p->nhead), body = p->nsent - head;
	struct iovec iov[2] = {
		{.iov_base = p->head + head, .iov_len = p->nhead - head},
		{.iov_base = p->body.mem ? p->body.mem + body : NULL, .iov_len = p->nbody - body},
	};
	const struct msghdr m = {.msg_iov = iov, .msg_iovlen = p->nbody > 0 ? 2 : 1};
	const struct iovec *first = &iov[head < p->nhead ? 0 : 1];
	ssize_t r;

	if (c->tls)
		return nbd_tls_send(c->tls, first->iov_base, first->iov_len);
	r = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	return r < 0 ? -errno : r;
}

/* 0: all of it. -EAGAIN: the client has to take some first. Any other: it will not. */
static int send_some(struct nbd_conn *c, struct nbd_pending *p)
{
	while (p->nsent < p->nhead + p->nbody) {
		const ssize_t r = send_piece(c, p);

		if (r == -EINTR)
			continue;
		if (r < 0)
			return (int)r;
		p->nsent += (size_t)r;
		c->progressed = true;
	}
	return 0;
}

/* Sends p, or keeps a copy of it for later; its body is taken. c is locked. */
static void transmit(struct nbd_transport *n, struct nbd_conn *c, struct nbd_worker *w,
                     struct nbd_pending *p)
{
	int r = c->broken ? -EPIPE : c->pending ? -EAGAIN : send_some(c, p);

	if (r == -EAGAIN) {
		struct nbd_pending *kept = malloc(sizeof(*kept));

		if (kept) {
			*kept = *p;
			kept->next = NULL;
			*c->pending_end = kept;
			c->pending_end = &kept->next;
			c->npending++;
			return;
		}
		r = -ENOMEM;
	}
	if (r < 0)
		nbd_conn_break(c);
	nbd_buffer_release(w, &p->body);
	nbd_discharge(n, c, p->charge);
}

static void transmit_pending(struct nbd_transport *n, struct nbd_conn *c, struct nbd_worker *w)
{
	int r = 0;

	while (r == 0 && c->pending && !c->broken) {
		r = send_some(c, c->pending);
		if (r == 0)
			drop_first_pending(n, c, w);
		else if (r != -EAGAIN)
			nbd_conn_break(c);
	}
}

static ssize_t receive_piece(const struct nbd_conn *c, uint8_t *to, size_t len)
{
	ssize_t r;

	if (c->tls)
		return nbd_tls_recv(c->tls, to, len);
	r = recv(c->fd, to, len, MSG_DONTWAIT);
	return r < 0 ? -errno : r;
}

/* All of len bytes, *done of which have come before. 0, -EAGAIN, or -errno: the client has gone. */
static int receive(struct nbd_conn *c, uint8_t *to, size_t len, size_t *done)
{
	while (*done < len) {
		const ssize_t r = receive_piece(c, to + *done, len - *done);

		if (r == -EINTR)
			continue;
		if (r <= 0)
			return r == 0 ? -ECONNRESET : (int)r;
		*done += (size_t)r;
	}
	return 0;
}

/* Throws c->nskip bytes away. */
static int receive_nothing(struct nbd_conn *c)
{
	uint8_t piece[DISCARD_PIECE];
	int r = 0;

	while (r == 0 && c->nskip > 0) {
		size_t done = 0;

		r = receive(c, piece, ovbd_min(c->nskip, sizeof(piece)), &done);
		c->nskip -= done;
	}
	return r;
}

/* The bytes that a request needs until it is answered. */
static size_t memory_of(const struct nbd_request *rq)
{
	if (rq->error != 0)
		return 0;
	if (rq->type == NBD_CMD_READ || rq->type == NBD_CMD_WRITE)
		return rq->len;
	if (rq->type == NBD_CMD_BLOCK_STATUS)
		return NBD_EXTENTS_HEAD + NBD_EXTENTS_MAX * NBD_EXTENT_SIZE;
	return 0;
}

static int get_memory(struct nbd_transport *n, struct nbd_conn *c, struct nbd_worker *w)
{
	struct nbd_request *rq = &c->job.rq;
	const size_t len = memory_of(rq);
	bool charged = true;

	if (len > 0) {
		pthread_mutex_lock(&c->lock);
		charged = nbd_charge(n, c, len);
		pthread_mutex_unlock(&c->lock);
	}
	if (!charged)
		return -EAGAIN;
	c->job.charge = len;
	if (len > 0)
		c->job.data = nbd_buffer_take(w, len);
	if (len > 0 && !c->job.data.mem) {
		rq->error = NBD_ENOMEM;
		rq->why = "out of memory";
	}
	c->ndata = 0;
	c->nskip = rq->type == NBD_CMD_WRITE && rq->error != 0 ? rq->len : 0;
	c->phase = NBD_PHASE_DATA;
	return 0;
}

/* 0: c->job is a request with all that belongs to it. -EAGAIN: not yet. Any other: there will be no
 * more. */
static int read_request(struct nbd_transport *n, struct nbd_conn *c, struct nbd_worker *w)
{
	int r;

	if (c->phase == NBD_PHASE_HEAD) {
		r = receive(c, c->head, NBD_REQUEST_SIZE, &c->nhead);
		if (r == 0)
			r = nbd_request_decode(c->head, &n->export, &c->session, &c->job.rq);
		if (r < 0)
			return r;
		if (c->job.rq.type == NBD_CMD_DISC)
			return -ESHUTDOWN;
		c->phase = NBD_PHASE_MEMORY;
	}
	if (c->phase == NBD_PHASE_MEMORY) {
		r = get_memory(n, c, w);
		if (r < 0)
			return r;
	}
	r = receive_nothing(c);
	if (r == 0 && c->job.rq.type == NBD_CMD_WRITE && c->job.rq.error == 0)
		r = receive(c, c->job.data.mem, c->job.rq.len, &c->ndata);
	return r;
}

/* What the handshake has to say. c is locked. */
static void transmit_answer(struct nbd_transport *n, struct nbd_conn *c)
{
	const struct nbd_handshake *h = c->handshake;
	struct nbd_pending p = {.nbody = h->nout};

	if (h->nout == 0)
		return;
	p.body.size = h->nout;
	p.body.mem = malloc(h->nout);
	if (!p.body.mem) {
		nbd_conn_break(c);
		return;
	}
	memcpy(p.body.mem, h->out, h->nout);
	transmit(n, c, NULL, &p);
}

/* TLS's own handshake: 0 when it is over. */
static int secure(const struct nbd_transport *n, struct nbd_conn *c)
{
	int r;

	if (!c->tls) {
		pthread_mutex_lock(&c->lock);
		c->tls = nbd_tls_start(n->tls, c->fd);
		pthread_mutex_unlock(&c->lock);
		if (!c->tls)
			return -ENOMEM;
	}
	r = nbd_tls_handshake(c->tls, &c->tls_writes);
	if (r == 0)
		nbd_handshake_secured(c->handshake);
	return r;
}

/* As read_request(), but never 0. */
static int shake_hands(struct nbd_transport *n, struct nbd_conn *c)
{
	struct nbd_handshake *h = c->handshake;
	bool go_on = true;

	for (unsigned i = 0; go_on && i < OPTIONS_MAX; i++) {
		uint8_t *to;
		size_t want, done = 0;
		int r = h->state == NBD_SHAKE_TLS ? secure(n, c) : 0;

		if (r < 0)
			return r;
		want = nbd_handshake_want(h, &to);
		r = receive(c, to, want, &done);
		if (r < 0 && r != -EAGAIN)
			return r;
		nbd_handshake_step(h, done);
		pthread_mutex_lock(&c->lock);
		transmit_answer(n, c);
		if (h->state == NBD_SHAKE_DONE) {
			c->session = h->session;
			free(OVBD_MOVE(c->handshake));
			nbd_set_deadline(n, c, 0);
			go_on = false;
		} else {
			go_on = r == 0 && c->npending == 0 && h->state != NBD_SHAKE_OVER;
		}
		pthread_mutex_unlock(&c->lock);
	}
	return c->handshake && h->state == NBD_SHAKE_OVER ? -ESHUTDOWN : -EAGAIN;
}

/* The request is read: w has it, and the next one may be read. c is locked. */
static void hand_over(struct nbd_conn *c, struct nbd_worker *w)
{
	w->conn = w->last = c;
	w->last_generation = c->generation;
	w->job = c->job;
	c->job = (struct nbd_job){0};
	c->phase = NBD_PHASE_HEAD;
	c->nhead = 0;
	c->nserved++;
}

/* Reads what has come. c is locked, and unlocked then. */
static int take(struct nbd_transport *n, struct nbd_conn *c, struct nbd_worker *w)
{
	int r = -EAGAIN;

	if (can_read(c)) {
		const size_t before = c->nhead + c->ndata + c->nskip;

		c->reading = true;
		pthread_mutex_unlock(&c->lock);
		r = c->handshake ? shake_hands(n, c) : read_request(n, c, w);
		pthread_mutex_lock(&c->lock);
		c->reading = false;
		c->progressed = c->progressed || before != c->nhead + c->ndata + c->nskip;
		if (r == 0)
			hand_over(c, w);
		else if (r != -EAGAIN)
			c->finished = true;
		c->partial = c->nhead > 0;
	}
	nbd_conn_settle(n, c);
	pthread_mutex_unlock(&c->lock);
	nbd_feed_starved(n);
	return r == 0;
}

/* Locks c, if it is still the connection that it was. */
static bool lock_same(struct nbd_conn *c, uint32_t generation)
{
	pthread_mutex_lock(&c->lock);
	if (c->fd >= 0 && c->generation == generation)
		return true;
	pthread_mutex_unlock(&c->lock);
	return false;
}

int nbd_conn_event(struct nbd_transport *n, struct nbd_conn *c, uint32_t generation,
                   struct nbd_worker *w)
{
	if (!lock_same(c, generation))
		return 0;
	c->armed = 0;
	transmit_pending(n, c, w);
	return take(n, c, w);
}

int nbd_conn_more(struct nbd_transport *n, struct nbd_conn *c, uint32_t generation,
                  struct nbd_worker *w)
{
	if (!lock_same(c, generation))
		return 0;
	return take(n, c, w);
}

void nbd_conn_reply(struct nbd_transport *n, struct nbd_worker *w, size_t nbody)
{
	struct nbd_conn *c = w->conn;
	struct nbd_pending p = {.nbody = nbody, .body = w->job.data, .charge = w->job.charge};

	p.nhead = nbd_reply_encode(p.head, &c->session, &w->job.rq, nbody);
	w->job = (struct nbd_job){0};
	w->conn = NULL;
	if (nbody == 0)
		nbd_buffer_release(w, &p.body);
	pthread_mutex_lock(&c->lock);
	if (nbody == 0) {
		nbd_discharge(n, c, p.charge);
		p.charge = 0;
	}
	c->nserved--;
	transmit(n, c, w, &p);
	nbd_conn_settle(n, c);
	pthread_mutex_unlock(&c->lock);
	nbd_feed_starved(n);
}

/* c is locked. */
static int watch(const struct nbd_transport *n, const struct nbd_conn *c)
{
	struct epoll_event ev = {.events = EPOLLONESHOT};

	ev.data.u64 = nbd_event_of(n, c);
	return epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, c->fd, &ev);
}

void nbd_conn_start(struct nbd_transport *n, struct nbd_conn *c, int take_fd, bool shaken)
{
	const int on = 1, size = SEND_BUFFER;
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);

	/* TCP finds the size itself. A whole reply in it is one wake-up of the client. */
	if (getsockname(take_fd, (struct sockaddr *)&own, &len) == 0 && own.ss_family == AF_UNIX)
		setsockopt(take_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	/* For TCP; what a Unix socket makes of them is of no account. */
	setsockopt(take_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(take_fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	pthread_mutex_lock(&c->lock);
	c->fd = take_fd;
	c->pending_end = &c->pending;
	c->session = (struct nbd_session){0};
	c->handshake = shaken ? NULL : malloc(sizeof(*c->handshake));
	if ((!shaken && !c->handshake) || watch(n, c) < 0) {
		nbd_conn_break(c);
	} else if (!shaken) {
		nbd_set_deadline(n, c, nbd_now_ms() + NBD_HANDSHAKE_MS);
		nbd_handshake_init(c->handshake, &n->export);
		transmit_answer(n, c);
	}
	nbd_conn_settle(n, c);
	pthread_mutex_unlock(&c->lock);
}
