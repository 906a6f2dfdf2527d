// SPDX-License-Identifier: Apache-2.0
/*
 * Handing the next request of a client to another worker costs more than it takes to read a few
 * blocks from the page cache. So where requests are done quickly, the worker that has one keeps the
 * connection to itself: it comes back for the next one when it is done, nobody is woken for it, and
 * replies go out several at a time, as long as there are more requests at hand.
 *
 * Nobody knows beforehand that a request will be slow, so a worker keeps a connection only while
 * another one waits for events, and a tick every few milliseconds wakes that one: it ends the
 * keeping where a worker is still at the request that it was at a tick ago, sends what was held
 * back, and lets others read. After a slow request nobody keeps its connection for a while; so a
 * client of slow layers has its requests worked on side by side. A new connection counts as slow.
 *
 * The tick is set by who begins to keep, and rests when nobody has for one tick.
 */
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/nbd_impl.h"

#define TICK_NS       4000000
#define SLOW_NS       100000
#define SLOW_REQUESTS 64 /* that are not kept, after a slow one */
#define KEPT_MAX      32 /* requests; then other clients have their turn */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void set_tick(const struct nbd_transport *n)
{
	const struct itimerspec t = {.it_value.tv_nsec = TICK_NS};

	timerfd_settime(n->tick_fd, 0, &t, NULL);
}

/* Either this sees that it ticks, or the tick that was the last sees kept_lately. */
static void make_tick(struct nbd_transport *n)
{
	if (!atomic_load_explicit(&n->kept_lately, memory_order_relaxed))
		atomic_store(&n->kept_lately, true);
	if (!atomic_load(&n->ticking) && !atomic_exchange(&n->ticking, true))
		set_tick(n);
}

void nbd_keep_begin(struct nbd_transport *n, struct nbd_conn *c, struct nbd_worker *w)
{
	w->began_ns = now_ns();
	if (c->slow > 0) {
		c->slow--;
		return;
	}
	if (n->nwaiting == 0)
		return;
	c->keeper = w;
	c->keeper_seen = false;
	w->kept = c;
	make_tick(n);
}

bool nbd_keep_done(struct nbd_conn *c, struct nbd_worker *w)
{
	if (now_ns() - w->began_ns > SLOW_NS)
		c->slow = SLOW_REQUESTS;
	return c->keeper == w;
}

/* Gives c back. c is locked, and unlocked then. */
static void end_keeping(struct nbd_transport *n, struct nbd_conn *c)
{
	c->keeper = NULL;
	nbd_send_pending(n, c);
	nbd_conn_settle(n, c);
	pthread_mutex_unlock(&c->lock);
	nbd_feed_starved(n);
}

int nbd_keep_next(struct nbd_transport *n, struct nbd_worker *w)
{
	struct nbd_conn *c = w->kept;

	if (!c)
		return 0;
	pthread_mutex_lock(&c->lock);
	if (c->keeper != w)
		pthread_mutex_unlock(&c->lock);
	else if (w->nkept++ == KEPT_MAX || c->slow > 0)
		end_keeping(n, c);
	else if (nbd_conn_take(n, c, w) == 1)
		return 1;
	w->nkept = 0;
	w->kept = NULL;
	return 0;
}

/* One tick of w's: whether it keeps a connection. */
static bool look_at(struct nbd_transport *n, struct nbd_worker *w)
{
	struct nbd_conn *c = w->kept;
	bool keeps;

	if (!c)
		return false;
	pthread_mutex_lock(&c->lock);
	keeps = c->keeper == w;
	if (keeps && c->keeper_seen) {
		c->slow = SLOW_REQUESTS;
		end_keeping(n, c);
		return false;
	}
	c->keeper_seen = keeps;
	pthread_mutex_unlock(&c->lock);
	return keeps;
}

void nbd_keep_tick(struct nbd_transport *n)
{
	uint64_t ticks;
	bool go_on;

	if (read(n->tick_fd, &ticks, sizeof(ticks)) < 0)
		return; /* another worker has it */
	go_on = atomic_exchange(&n->kept_lately, false);
	for (unsigned i = 0; i < n->nworkers; i++)
		go_on = look_at(n, &n->workers[i]) || go_on;
	if (!go_on) {
		atomic_store(&n->ticking, false);
		go_on = atomic_load(&n->kept_lately) && !atomic_exchange(&n->ticking, true);
	}
	if (go_on)
		set_tick(n);
}
