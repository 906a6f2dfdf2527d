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

#define SPARES_MAX (4u << 20) /* bytes of buffers for the requests to come */

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

static void swap(struct nbd_buffer *a, struct nbd_buffer *b)
{
	const struct nbd_buffer kept = *a;

	*a = *b;
	*b = kept;
}

struct nbd_buffer nbd_buffer_take(struct nbd_transport *n, size_t len)
{
	struct nbd_buffer *best = NULL, b = {0};

	pthread_mutex_lock(&n->lock);
	for (unsigned i = 0; i < NBD_SPARES; i++) {
		struct nbd_buffer *s = &n->spares[i];

		if (s->size >= len && (!best || s->size < best->size))
			best = s;
	}
	if (best) {
		swap(best, &b);
		n->spare_size -= b.size;
	}
	pthread_mutex_unlock(&n->lock);
	if (!b.mem) {
		b.size = ovbd_align_up(len, 4096);
		b.mem = aligned_alloc(4096, b.size);
	}
	return b;
}

/* In place of the smallest one, which may be none; what is in b then is to be freed. */
void nbd_buffer_release(struct nbd_transport *n, struct nbd_buffer *b)
{
	struct nbd_buffer *least = &n->spares[0];

	if (!b->mem)
		return;
	pthread_mutex_lock(&n->lock);
	for (unsigned i = 1; i < NBD_SPARES; i++)
		if (n->spares[i].size < least->size)
			least = &n->spares[i];
	if (least->size < b->size && n->spare_size - least->size + b->size <= SPARES_MAX) {
		n->spare_size += b->size - least->size;
		swap(least, b);
	}
	pthread_mutex_unlock(&n->lock);
	free(b->mem);
	*b = (struct nbd_buffer){0};
}

void nbd_buffers_free(struct nbd_transport *n)
{
	pthread_mutex_lock(&n->lock);
	for (unsigned i = 0; i < NBD_SPARES; i++) {
		free(n->spares[i].mem);
		n->spares[i] = (struct nbd_buffer){0};
	}
	n->spare_size = 0;
	pthread_mutex_unlock(&n->lock);
}
