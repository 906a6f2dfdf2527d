/* SPDX-License-Identifier: Apache-2.0 */
/* A transport for tests of the device manager, in the place of one that the kernel keeps: one read
 * at a time, which the test asks for. For one source file of a program. */
#ifndef OVBD_TESTS_UNIT_FAKE_TRANSPORT_H
#define OVBD_TESTS_UNIT_FAKE_TRANSPORT_H

#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/auto.h"
#include "daemon/transports.h"

struct fake {
	struct ovbd_transport transport;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stopped, asked;
	int status; /* 1: not answered yet */
	uint8_t byte;
	struct iovec v;
};

static struct fake *_Atomic opened_fake; /* the last one opened */
static atomic_int nopen;
static uint64_t kept_size;

static struct fake *fake_of(struct ovbd_transport *t)
{
	return OVBD_CONTAINER_OF(t, struct fake, transport);
}

static int fake_next(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
                     struct ovbd_error *err)
{
	struct fake *f = fake_of(t);
	bool stopped;

	(void)worker;
	(void)err;
	pthread_mutex_lock(&f->lock);
	while (!f->stopped && !f->asked)
		pthread_cond_wait(&f->changed, &f->lock);
	stopped = f->stopped;
	f->asked = false;
	pthread_mutex_unlock(&f->lock);
	*ret = (struct ovbd_request){.op = OVBD_REQUEST_READ, .iov = &f->v, .niov = 1, .len = 1};
	return stopped ? -ESHUTDOWN : 0;
}

static int fake_complete(struct ovbd_transport *t, unsigned worker, const struct ovbd_request *rq,
                         int status)
{
	struct fake *f = fake_of(t);

	(void)worker;
	(void)rq;
	pthread_mutex_lock(&f->lock);
	f->status = status;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static void fake_stop(struct ovbd_transport *t)
{
	struct fake *f = fake_of(t);

	pthread_mutex_lock(&f->lock);
	f->stopped = true;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static void fake_close(struct ovbd_transport *t)
{
	atomic_fetch_sub(&nopen, 1);
	free(fake_of(t));
}

static const struct ovbd_transport_ops fake_ops = {
	.name = "fake",
	.next = fake_next,
	.complete = fake_complete,
	.stop = fake_stop,
	.close = fake_close,
};

static struct fake *make_fake(void)
{
	struct fake *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->transport.ops = &fake_ops;
	f->v = (struct iovec){&f->byte, 1};
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	atomic_fetch_add(&nopen, 1);
	return f;
}

static atomic_int nearly, nlate; /* calls of open_early(); of open() without what that returns */
static bool no_early;

static int fake_open_early(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
                           struct ovbd_error *err)
{
	assert_null(p->device);
	atomic_fetch_add(&nearly, 1);
	if (no_early)
		return ovbd_fail(err, -EIO, "none");
	*ret = &make_fake()->transport;
	return 0;
}

static int fake_open(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
                     char **ret_path, struct ovbd_error *err)
{
	struct fake *f = p->take_early ? fake_of(p->take_early) : make_fake();

	(void)err;
	atomic_fetch_add(&nlate, p->take_early == NULL);
	atomic_store(&opened_fake, f);
	*ret = &f->transport;
	*ret_path = strdup(p->path);
	return 0;
}

static int fake_size(const struct ovbd_transport_open *p, uint64_t *ret, struct ovbd_error *err)
{
	(void)p;
	if (kept_size == 0)
		return ovbd_fail(err, -ENOENT, "none");
	*ret = kept_size;
	return 0;
}

static int fake_available(struct ovbd_error *err)
{
	(void)err;
	return 0;
}

static const struct ovbd_transport_kind fake_kind = {
	.name = "fake",
	.writable = true,
	.survives = true,
	.available = fake_available,
	.size = fake_size,
	.open = fake_open,
};

static const struct ovbd_transport_kind early_kind = {
	.name = "fake",
	.writable = true,
	.survives = true,
	.available = fake_available,
	.size = fake_size,
	.open_early = fake_open_early,
	.open = fake_open,
};

static const struct ovbd_transport_kind *kind = &fake_kind;

/* Asks for a byte; the status of the answer. */
static int read_byte(struct fake *f)
{
	int r;

	pthread_mutex_lock(&f->lock);
	f->status = 1;
	f->asked = true;
	pthread_cond_broadcast(&f->changed);
	while (f->status > 0)
		pthread_cond_wait(&f->changed, &f->lock);
	r = f->status;
	pthread_mutex_unlock(&f->lock);
	return r;
}

#endif
