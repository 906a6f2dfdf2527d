// SPDX-License-Identifier: Apache-2.0
/*
 * The bytes of a channel, and how its workers are got out of read(), as there is no poll(): the
 * keeper, a thread, signals all that are within a call, again and again, as a signal may come just
 * before the call. What the other side does not take is given up a second later.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "daemon/dmuser_impl.h"
#include "daemon/rouse.h"

#define SIGNAL_MS   5
#define PATIENCE_MS 1000

/* ---- stopping ---- */

void dmuser_enter(struct dmuser_worker *w)
{
	pthread_mutex_lock(&w->lock);
	if (!w->thread)
		w->thread = ovbd_rouse_prepare();
	w->within = true;
	pthread_mutex_unlock(&w->lock);
}

void dmuser_leave(struct dmuser_worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->within = false;
	pthread_mutex_unlock(&w->lock);
}

static void interrupt_all(struct dmuser *d)
{
	for (unsigned i = 0; i < d->nworkers; i++) {
		struct dmuser_worker *w = &d->workers[i];

		pthread_mutex_lock(&w->lock);
		if (w->within)
			ovbd_rouse(w->thread);
		pthread_mutex_unlock(&w->lock);
	}
}

static void *keeper_main(void *arg)
{
	struct dmuser *d = arg;
	struct pollfd p = {.fd = d->wake_fd, .events = POLLIN};
	unsigned ms = 0;

	while (!atomic_load(&d->stopping) && !atomic_load(&d->closing))
		poll(&p, 1, -1);
	for (; !atomic_load(&d->closing); ms += SIGNAL_MS) {
		if (ms >= PATIENCE_MS)
			atomic_store(&d->impatient, true);
		interrupt_all(d);
		poll(NULL, 0, SIGNAL_MS);
	}
	return NULL;
}

void dmuser_keeper_wake(struct dmuser *d)
{
	const uint64_t one = 1;
	const int saved = errno; /* may be called by a signal handler */

	if (write(d->wake_fd, &one, sizeof(one)) < 0) /* the counter is full: it is raised */
		errno = saved;
}

int dmuser_keeper_start(struct dmuser *d)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&d->keeper, NULL, keeper_main, d);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	d->has_keeper = r == 0;
	return r;
}

void dmuser_keeper_end(struct dmuser *d)
{
	if (!d->has_keeper)
		return;
	atomic_store(&d->closing, true);
	dmuser_keeper_wake(d);
	pthread_join(d->keeper, NULL);
}

/* ---- bytes of a channel ---- */

/* What a call has returned that was to move bytes: whether to try again, or 0 and *ret. */
static bool again(const struct dmuser *d, bool begun, ssize_t n, int *ret)
{
	const int code = n < 0 ? -errno : 0;

	if (n > 0)
		return true;
	if (code == -EINTR) {
		if (atomic_load(&d->impatient) || (!begun && atomic_load(&d->stopping))) {
			*ret = -ESHUTDOWN;
			return false;
		}
		return true;
	}
	/* the target is gone; of a socket: the other side has closed it */
	if (code == -ENOTBLK || code == -EPIPE || code == -ECONNRESET || (n == 0 && !begun))
		*ret = -ESHUTDOWN;
	else
		*ret = n == 0 ? -EIO : code;
	return false;
}

int dmuser_get(struct dmuser *d, struct dmuser_worker *w, void *buf, size_t len, bool begun)
{
	uint8_t *p = buf;
	int r = 0;

	while (len > 0) {
		const ssize_t n = read(w->channel->fd, p, len);

		if (!again(d, begun, n, &r))
			return r;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
			begun = true;
		}
	}
	return 0;
}

int dmuser_put(struct dmuser *d, struct dmuser_worker *w, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	int r = 0;

	while (len > 0) {
		const ssize_t n = write(w->channel->fd, p, len);

		if (!again(d, true, n, &r))
			return r;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}
