// SPDX-License-Identifier: Apache-2.0
/*
 * How connections come, and how those that do not move go. When there is no room for one more,
 * whoever has been longest in its handshake makes room; if nobody is, new ones wait in the kernel's
 * queue until a connection ends. Silence alone ends no connection whose handshake is over.
 *
 * A timer ticks once a second while any connection has a deadline, and rests otherwise.
 */
#include "daemon/nbd_impl.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/auto.h"

uint64_t nbd_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Sets the timer going, or to rest. n is locked. */
static void set_timer(const struct nbd_transport *n, bool ticking)
{
	const struct itimerspec t = {.it_interval.tv_sec = ticking, .it_value.tv_sec = ticking};

	timerfd_settime(n->timer_fd, 0, &t, NULL);
}

void nbd_set_deadline(struct nbd_transport *n, struct nbd_conn *c, uint64_t ms)
{
	if ((c->deadline_ms == 0) != (ms == 0)) {
		pthread_mutex_lock(&n->lock);
		n->ndeadlines += ms != 0 ? 1u : -1u;
		if (n->ndeadlines == 1 && ms != 0)
			set_timer(n, true);
		pthread_mutex_unlock(&n->lock);
	}
	c->deadline_ms = ms;
}

/* n is locked. */
static void wait_for_more(struct nbd_transport *n)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLONESHOT};

	ev.data.u64 = NBD_EVENT_LISTEN;
	n->accept_paused = false;
	epoll_ctl(n->epoll_fd, EPOLL_CTL_MOD, n->listener.fd, &ev);
}

struct nbd_conn *nbd_slot_take(struct nbd_transport *n)
{
	if (n->nfree == 0)
		return NULL;
	n->nconns++;
	return &n->conns[n->free_slots[--n->nfree]];
}

void nbd_slot_release(struct nbd_transport *n, struct nbd_conn *c)
{
	bool last;

	nbd_set_deadline(n, c, 0);
	nbd_discharge(n, c, c->charged);
	if (c->starved)
		n->nstarved--;
	free(c->job.data.mem);
	free(c->handshake);
	free(OVBD_MOVE(c->in));
	nbd_tls_end(OVBD_MOVE(c->tls));
	epoll_ctl(n->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
	close(c->fd);
	c->fd = -1;
	c->generation++;
	c->finished = c->broken = c->starved = c->progressed = c->partial = false;
	c->armed = 0;
	c->handshake = NULL;
	c->tls_writes = false;
	c->phase = NBD_PHASE_HEAD;
	c->in_at = c->nin = c->ndata = c->nskip = 0;
	c->keeper = NULL;
	c->job = (struct nbd_job){0};

	pthread_mutex_lock(&n->lock);
	n->free_slots[n->nfree++] = (unsigned)(c - n->conns);
	n->nconns--;
	if (n->accept_paused && n->listener.fd >= 0)
		wait_for_more(n);
	last = n->detached && n->nconns == 0;
	pthread_mutex_unlock(&n->lock);
	if (last)
		n->transport.ops->stop(&n->transport);
}

/* Gives up the connections whose time has come or, if there is none such, and one has to go, the
 * one that has been in its handshake for longest, but not keep. */
static void give_up(struct nbd_transport *n, bool one_has_to, const struct nbd_conn *keep)
{
	const uint64_t now = nbd_now_ms();
	struct nbd_conn *oldest = NULL;
	uint64_t least = UINT64_MAX;
	bool found = false;

	for (unsigned i = 0; i < OVBD_NBD_MAX_CONNS; i++) {
		struct nbd_conn *c = &n->conns[i];

		pthread_mutex_lock(&c->lock);
		if (c->fd >= 0 && c->deadline_ms != 0 && c->deadline_ms <= now) {
			found = true;
			nbd_conn_break(c);
			nbd_conn_settle(n, c);
		} else if (c->fd >= 0 && c->handshake && c != keep && c->deadline_ms < least) {
			oldest = c;
			least = c->deadline_ms;
		}
		pthread_mutex_unlock(&c->lock);
	}
	if (one_has_to && !found && oldest) {
		pthread_mutex_lock(&oldest->lock);
		if (oldest->fd >= 0 && oldest->handshake) {
			nbd_conn_break(oldest);
			nbd_conn_settle(n, oldest);
		}
		pthread_mutex_unlock(&oldest->lock);
	}
	nbd_feed_starved(n);
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

void nbd_accept(struct nbd_transport *n)
{
	struct nbd_conn *c = NULL;
	bool full = false;
	AUTO_FD fd = -1;

	pthread_mutex_lock(&n->lock);
	if (n->listener.fd >= 0 && n->nfree > 0) {
		fd = accept4(n->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		full = fd < 0 && is_shortage(errno);
		if (fd >= 0) {
			c = nbd_slot_take(n);
			full = n->nfree == 0;
		}
		if (!full) {
			wait_for_more(n);
		} else {
			n->accept_paused = true;
			if (n->nfree > 0) /* nobody may tell when there are descriptors again */
				set_timer(n, true);
		}
	}
	pthread_mutex_unlock(&n->lock);
	if (c) {
		nbd_conn_start(n, c, fd, false);
		fd = -1;
	}
	if (full)
		give_up(n, true, c);
}

void nbd_tick(struct nbd_transport *n)
{
	uint64_t ticks;

	if (read(n->timer_fd, &ticks, sizeof(ticks)) < 0)
		return; /* another worker has it */
	give_up(n, false, NULL);
	pthread_mutex_lock(&n->lock);
	if (n->accept_paused && n->listener.fd >= 0 && n->nfree > 0)
		wait_for_more(n);
	if (n->ndeadlines == 0)
		set_timer(n, false);
	pthread_mutex_unlock(&n->lock);
}
