// SPDX-License-Identifier: Apache-2.0
/*
 * What a client sends. Who sends ahead has several requests in the socket: as many of their heads
 * as fit into the connection's buffer are taken from it at once. What follows a head, a WRITE's
 * data, goes to its place straight from the socket, but for what has come into the buffer with it.
 *
 * In a handshake nothing is received ahead: what a client says before TLS is no part of what it
 * says then.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "daemon/nbd_impl.h"

#define DISCARD_PIECE 16384

static ssize_t receive_piece(const struct nbd_conn *c, uint8_t *to, size_t len)
{
	ssize_t r;

	if (c->tls)
		return nbd_tls_recv(c->tls, to, len);
	r = recv(c->fd, to, len, MSG_DONTWAIT);
	return r < 0 ? -errno : r;
}

/* At least one byte, which adds to *done. */
static int receive_some(struct nbd_conn *c, uint8_t *to, size_t len, size_t *done)
{
	ssize_t r;

	do
		r = receive_piece(c, to, len);
	while (r == -EINTR);
	if (r <= 0)
		return r == 0 ? -ECONNRESET : (int)r;
	*done += (size_t)r;
	c->nreceived += (size_t)r;
	return 0;
}

int nbd_receive_exactly(struct nbd_conn *c, uint8_t *to, size_t len, size_t *done)
{
	int r = 0;

	while (r == 0 && *done < len)
		r = receive_some(c, to + *done, len - *done, done);
	return r;
}

bool nbd_has_head(const struct nbd_conn *c)
{
	return c->nin - c->in_at >= NBD_REQUEST_SIZE;
}

/* Until nbd_has_head(). */
static int receive_head(struct nbd_conn *c)
{
	int r = 0;

	if (nbd_has_head(c))
		return 0;
	if (c->in_at > 0)
		memmove(c->in, c->in + c->in_at, c->nin - c->in_at);
	c->nin -= c->in_at;
	c->in_at = 0;
	while (r == 0 && !nbd_has_head(c))
		r = receive_some(c, c->in + c->nin, NBD_IN_SIZE - c->nin, &c->nin);
	return r;
}

/* As nbd_receive_exactly(), but what is in the buffer comes first. */
static int receive_data(struct nbd_conn *c, uint8_t *to, size_t len, size_t *done)
{
	const size_t n = ovbd_min(len - *done, c->nin - c->in_at);

	memcpy(to + *done, c->in + c->in_at, n);
	*done += n;
	c->in_at += n;
	return nbd_receive_exactly(c, to, len, done);
}

/* Throws c->nskip bytes away. */
static int receive_nothing(struct nbd_conn *c)
{
	uint8_t piece[DISCARD_PIECE];
	int r = 0;

	while (r == 0 && c->nskip > 0) {
		size_t done = 0;

		r = receive_data(c, piece, ovbd_min(c->nskip, sizeof(piece)), &done);
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
	if (rq->type == NBD_CMD_CACHE)
		return ovbd_min(rq->len, NBD_CACHE_MAX);
	if (rq->type == NBD_CMD_BLOCK_STATUS)
		return NBD_EXTENTS_HEAD + NBD_EXTENTS_MAX * NBD_EXTENT_SIZE;
	return 0;
}

static int get_memory(struct nbd_transport *n, struct nbd_conn *c)
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
		c->job.data = nbd_buffer_take(n, len);
	if (len > 0 && !c->job.data.mem) {
		rq->error = NBD_ENOMEM;
		rq->why = "out of memory";
	}
	c->ndata = 0;
	c->nskip = rq->type == NBD_CMD_WRITE && rq->error != 0 ? rq->len : 0;
	c->phase = NBD_PHASE_DATA;
	return 0;
}

int nbd_receive_request(struct nbd_transport *n, struct nbd_conn *c)
{
	int r;

	if (c->phase == NBD_PHASE_HEAD) {
		r = receive_head(c);
		if (r == 0)
			r = nbd_request_decode(c->in + c->in_at, &n->export, &c->session,
			                       &c->job.rq);
		if (r < 0)
			return r;
		if (c->job.rq.type == NBD_CMD_DISC)
			return -ESHUTDOWN;
		c->in_at += NBD_REQUEST_SIZE;
		c->phase = NBD_PHASE_MEMORY;
	}
	if (c->phase == NBD_PHASE_MEMORY) {
		r = get_memory(n, c);
		if (r < 0)
			return r;
	}
	r = c->nskip > 0 ? receive_nothing(c) : 0;
	if (r == 0 && c->job.rq.type == NBD_CMD_WRITE && c->job.rq.error == 0)
		r = receive_data(c, c->job.data.mem, c->job.rq.len, &c->ndata);
	return r;
}
