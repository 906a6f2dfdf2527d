// SPDX-License-Identifier: Apache-2.0
/*
 * A connection is waited for in the workers' epoll set, for one event at a time (EPOLLONESHOT); the
 * worker that gets the event reads one request, as far as it has come, and lets the next worker
 * wait for the next one before it works on it, unless it keeps the connection (nbd_keep.c). So the
 * requests of one client are worked on side by side, and answered in any order. Nothing here
 * blocks: what has not come yet of a request, and what the client does not take of a reply, stays
 * with the connection and no worker.
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

#define PENDING_MAX 16
#define OPTIONS_MAX 64        /* that are answered before others have their turn */
#define HELD_MAX    8         /* replies that wait for the next ones */
#define SEND_BUFFER (1 << 20) /* of a Unix socket */

void nbd_conn_arm(const struct nbd_transport *n, struct nbd_conn *c, uint32_t events)
{
	struct epoll_event ev = {.events = events | EPOLLONESHOT};

	ev.data.u64 = nbd_event_of(n, c);
	c->armed = events;
	epoll_ctl(n->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
}

static bool can_read(const struct nbd_conn *c)
{
	return !c->reading && !c->keeper && !c->finished && !c->broken && !c->starved &&
	       c->npending < (c->handshake ? 1 : PENDING_MAX);
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

/* For what a reader waits. What has been received, or decrypted, ahead is there at once. */
static uint32_t wanted_of(const struct nbd_conn *c)
{
	if (c->handshake && c->tls_writes)
		return EPOLLOUT;
	if (nbd_has_head(c) || (c->tls && nbd_tls_has_more(c->tls)))
		return EPOLLIN | EPOLLOUT;
	return EPOLLIN;
}

void nbd_conn_settle(struct nbd_transport *n, struct nbd_conn *c)
{
	uint32_t events;

	if (c->broken)
		nbd_drop_pending(n, c);
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
	p.data = p.body.mem;
	nbd_send_later(n, c, &p);
	nbd_send_pending(n, c);
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

/* As nbd_receive_request(), but never 0. */
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
		r = nbd_receive_exactly(c, to, want, &done);
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
static void hand_over(struct nbd_transport *n, struct nbd_conn *c, struct nbd_worker *w)
{
	w->conn = c;
	w->job = c->job;
	c->job = (struct nbd_job){0};
	c->phase = NBD_PHASE_HEAD;
	c->nserved++;
	nbd_keep_begin(n, c, w);
}

/* Something of a request has come that is not all of it. */
static bool is_partial(const struct nbd_conn *c)
{
	return c->phase != NBD_PHASE_HEAD || (c->nin > c->in_at && !nbd_has_head(c));
}

int nbd_conn_take(struct nbd_transport *n, struct nbd_conn *c, struct nbd_worker *w)
{
	int r = -EAGAIN;

	if (c->keeper == w)
		c->keeper = NULL;
	if (can_read(c)) {
		const uint64_t before = c->nreceived;

		c->reading = true;
		pthread_mutex_unlock(&c->lock);
		r = c->handshake ? shake_hands(n, c) : nbd_receive_request(n, c);
		pthread_mutex_lock(&c->lock);
		c->reading = false;
		c->progressed = c->progressed || before != c->nreceived;
		if (r == 0)
			hand_over(n, c, w);
		else if (r != -EAGAIN)
			c->finished = true;
		c->partial = is_partial(c);
	}
	if (!c->keeper) {
		nbd_send_pending(n, c);
		nbd_conn_settle(n, c);
	}
	pthread_mutex_unlock(&c->lock);
	nbd_feed_starved(n);
	return r == 0;
}

int nbd_conn_event(struct nbd_transport *n, struct nbd_conn *c, uint32_t generation,
                   struct nbd_worker *w)
{
	pthread_mutex_lock(&c->lock);
	if (c->fd < 0 || c->generation != generation) { /* it is another connection by now */
		pthread_mutex_unlock(&c->lock);
		return 0;
	}
	c->armed = 0;
	nbd_send_pending(n, c);
	return nbd_conn_take(n, c, w);
}

/* Several replies for one request; the last owns what they are made of. c is locked. */
static void send_chunks(struct nbd_transport *n, struct nbd_conn *c, const struct nbd_worker *w,
                        const struct nbd_request *rq, const struct nbd_pending *all)
{
	for (unsigned i = 0; i < w->nchunks; i++) {
		const struct nbd_chunk *k = &w->chunks[i];
		const bool last = i + 1 == w->nchunks;
		struct nbd_pending p = {.nbody = k->hole ? 0 : k->len,
		                        .data = all->body.mem + (k->off - rq->off)};

		p.nhead = nbd_chunk_encode(p.head, rq, k, last);
		if (last) {
			p.body = all->body;
			p.charge = all->charge;
		}
		nbd_send_later(n, c, &p);
	}
}

/* What remains of w's job is its reply, of which nothing is owned that is not sent. c is locked. */
static void send_reply(struct nbd_transport *n, struct nbd_conn *c, struct nbd_worker *w,
                       size_t nbody)
{
	const struct nbd_request *rq = &w->job.rq;
	struct nbd_pending p = {.nbody = nbody,
	                        .data = w->job.data.mem,
	                        .body = w->job.data,
	                        .charge = w->job.charge};

	if (rq->error == 0 && w->nchunks > 0) {
		send_chunks(n, c, w, rq, &p);
	} else {
		p.nhead = nbd_reply_encode(p.head, &c->session, rq, nbody);
		if (nbody == 0) {
			nbd_buffer_release(n, &p.body);
			nbd_discharge(n, c, p.charge);
			p.charge = 0;
		}
		nbd_send_later(n, c, &p);
	}
	w->job = (struct nbd_job){0};
	w->nchunks = 0;
	w->conn = NULL;
}

void nbd_conn_reply(struct nbd_transport *n, struct nbd_worker *w, size_t nbody)
{
	struct nbd_conn *c = w->conn;
	bool held;

	pthread_mutex_lock(&c->lock);
	send_reply(n, c, w, nbody);
	c->nserved--;
	held = nbd_keep_done(c, w) && nbd_has_head(c) && c->npending < HELD_MAX && !c->broken;
	if (!held) {
		nbd_send_pending(n, c);
		nbd_conn_settle(n, c);
	}
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
	c->slow = NBD_SLOW_AT_FIRST;
	c->in = malloc(NBD_IN_SIZE);
	c->handshake = shaken ? NULL : malloc(sizeof(*c->handshake));
	if (!c->in || (!shaken && !c->handshake) || watch(n, c) < 0) {
		nbd_conn_break(c);
	} else if (!shaken) {
		nbd_set_deadline(n, c, nbd_now_ms() + NBD_HANDSHAKE_MS);
		nbd_handshake_init(c->handshake, &n->export);
		transmit_answer(n, c);
	}
	nbd_conn_settle(n, c);
	pthread_mutex_unlock(&c->lock);
}
