// SPDX-License-Identifier: Apache-2.0
/*
 * How much memory clients can make the server hold: PRIVATE for each, so that none can be kept from
 * its work by others, and SHARED for all together, of which one has at most CONN. A request that
 * does not fit waits, unread, and its connection with it ("starved"), until memory comes free: at
 * the latest when those that hold it and do not move are given up.
 */
#include "daemon/nbd_impl.h"

#include <sys/epoll.h>

#include "base/bytes.h"

#define CHARGE_PRIVATE (256u << 10)
#define CHARGE_CONN    (64u << 20)
#define CHARGE_SHARED  (256u << 20)

#define SPARE_MAX (1u << 20) /* a larger buffer is not kept */

static uint64_t shared_of(uint64_t charged)
{
	return charged > CHARGE_PRIVATE ? charged - CHARGE_PRIVATE : 0;
}

bool nbd_charge(struct nbd_transport *n, struct nbd_conn *c, uint64_t len)
{
	const uint64_t more = shared_of(c->charged + len) - shared_of(c->charged);
	bool fits;

	pthread_mutex_lock(&n->lock);
	fits = c->charged + len <= CHARGE_CONN && n->shared + more <= CHARGE_SHARED;
	if (fits) {
		n->shared += more;
		c->charged += len;
	} else if (!c->starved) {
		n->nstarved++;
		c->starved = true;
	}
	pthread_mutex_unlock(&n->lock);
	return fits;
}

void nbd_discharge(struct nbd_transport *n, struct nbd_conn *c, uint64_t len)
{
	if (len == 0)
		return;
	pthread_mutex_lock(&n->lock);
	n->shared -= shared_of(c->charged) - shared_of(c->charged - len);
	c->charged -= len;
	pthread_mutex_unlock(&n->lock);
}

void nbd_feed_starved(struct nbd_transport *n)
{
	for (unsigned i = 0; n->nstarved > 0 && i < OVBD_NBD_MAX_CONNS; i++) {
		struct nbd_conn *c = &n->conns[i];

		pthread_mutex_lock(&c->lock);
		if (c->starved) {
			n->nstarved--;
			c->starved = false;
			nbd_conn_arm(n, c, EPOLLIN | EPOLLOUT); /* fires at once */
		}
		pthread_mutex_unlock(&c->lock);
	}
}

struct nbd_buffer nbd_buffer_take(struct nbd_worker *w, size_t len)
{
	struct nbd_buffer b = w->spare;

	if (b.mem && b.size >= len) {
		w->spare = (struct nbd_buffer){0};
		return b;
	}
	b.size = ovbd_align_up(len, 4096);
	b.mem = aligned_alloc(4096, b.size);
	return b;
}

void nbd_buffer_release(struct nbd_worker *w, struct nbd_buffer *b)
{
	if (w && b->size <= SPARE_MAX && b->size > w->spare.size) {
		free(w->spare.mem);
		w->spare = *b;
	} else {
		free(b->mem);
	}
	*b = (struct nbd_buffer){0};
}
