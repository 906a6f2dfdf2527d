// SPDX-License-Identifier: Apache-2.0
/*
 * What is sent to a client: a list of replies, which are sent in its order, several by one system
 * call. What the client does not take stays in the list, and no worker waits for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "daemon/nbd_impl.h"

#define PIECES_MAX 32 /* of one system call */

static void drop_first(struct nbd_transport *n, struct nbd_conn *c)
{
	struct nbd_pending *p = c->pending;

	c->pending = p->next;
	if (!c->pending)
		c->pending_end = &c->pending;
	c->npending--;
	nbd_buffer_release(n, &p->body);
	nbd_discharge(n, c, p->charge);
	free(p);
}

void nbd_drop_pending(struct nbd_transport *n, struct nbd_conn *c)
{
	while (c->pending)
		drop_first(n, c);
}

void nbd_send_later(struct nbd_transport *n, struct nbd_conn *c, struct nbd_pending *p)
{
	struct nbd_pending *kept = c->broken ? NULL : malloc(sizeof(*kept));

	if (!kept) {
		if (!c->broken)
			nbd_conn_break(c);
		nbd_buffer_release(n, &p->body);
		nbd_discharge(n, c, p->charge);
		return;
	}
	*kept = *p;
	kept->next = NULL;
	*c->pending_end = kept;
	c->pending_end = &kept->next;
	c->npending++;
}

static unsigned add_piece(struct iovec *iov, unsigned n, const uint8_t *of, size_t size,
                          size_t nsent)
{
	if (nsent < size)
		iov[n++] = (struct iovec){.iov_base = (void *)(uintptr_t)(of + nsent),
		                          .iov_len = size - nsent};
	return n;
}

/* The bytes to send next. */
static unsigned pieces_of(const struct nbd_conn *c, struct iovec *iov)
{
	unsigned n = 0;

	for (struct nbd_pending *p = c->pending; p && n + 2 <= PIECES_MAX; p = p->next) {
		const size_t head = ovbd_min(p->nsent, p->nhead);

		n = add_piece(iov, n, p->head, p->nhead, head);
		n = add_piece(iov, n, p->data, p->nbody, p->nsent - head);
	}
	return n;
}

/* How many bytes, or -errno. */
static ssize_t send_some(const struct nbd_conn *c)
{
	struct iovec iov[PIECES_MAX];
	const struct msghdr m = {.msg_iov = iov, .msg_iovlen = pieces_of(c, iov)};
	ssize_t r;

	if (c->tls)
		return nbd_tls_send(c->tls, iov[0].iov_base, iov[0].iov_len);
	r = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	return r < 0 ? -errno : r;
}

/* So many bytes have gone. */
static void note_sent(struct nbd_transport *n, struct nbd_conn *c, size_t nsent)
{
	c->progressed = true;
	while (c->pending) {
		struct nbd_pending *p = c->pending;
		const size_t of_it = ovbd_min(nsent, p->nhead + p->nbody - p->nsent);

		p->nsent += of_it;
		nsent -= of_it;
		if (p->nsent < p->nhead + p->nbody)
			return;
		drop_first(n, c);
	}
}

void nbd_send_pending(struct nbd_transport *n, struct nbd_conn *c)
{
	ssize_t r = 0;

	while (c->pending && !c->broken && r != -EAGAIN) {
		r = send_some(c);
		if (r >= 0)
			note_sent(n, c, (size_t)r);
		else if (r != -EAGAIN && r != -EINTR)
			nbd_conn_break(c);
	}
}
