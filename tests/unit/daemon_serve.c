// SPDX-License-Identifier: Apache-2.0
/*
 * The worker loop over a transport that lives in memory: it hands out a list of requests, checks
 * that the workers keep the contract, and fails where it is told to. Built for ThreadSanitizer too.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "daemon/serve.h"

#define NWORKERS  8
#define NREQUESTS 2000
#define BLOCK     512

struct fake {
	struct ovbd_transport transport;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake;
	bool stopped, endless;
	bool serial;                    /* no request before the last is answered */
	unsigned nbusy, nseen;          /* workers with a request; that have ever had one */
	unsigned next_number;           /* of the request handed out next */
	unsigned fail_next, fail_reply; /* the number at which to fail; 0: never */
	bool busy[NWORKERS];            /* holds a request */
	unsigned nanswered, nerrors, nbroken;
	uint8_t bufs[NWORKERS][BLOCK];
	struct iovec pieces[NWORKERS];
};

static struct fake *fake_of(struct ovbd_transport *t)
{
	return OVBD_CONTAINER_OF(t, struct fake, transport);
}

static int take(struct fake *f, unsigned worker, struct ovbd_request *ret, struct ovbd_error *err)
{
	if (worker >= NWORKERS || f->busy[worker]) {
		f->nbroken++;
		return -EINVAL;
	}
	f->nbusy++;
	if (worker >= f->nseen)
		f->nseen = worker + 1;
	if (f->next_number == f->fail_next && f->fail_next > 0)
		return ovbd_fail(err, -ENODEV, "the device has burnt down");
	f->pieces[worker] = (struct iovec){.iov_base = f->bufs[worker], .iov_len = BLOCK};
	*ret = (struct ovbd_request){
		.op = OVBD_REQUEST_READ,
		.iov = &f->pieces[worker],
		.niov = 1,
		.off = (uint64_t)f->next_number++ * BLOCK,
		.len = BLOCK,
	};
	f->busy[worker] = true;
	return 0;
}

static int fake_next(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
                     struct ovbd_error *err)
{
	struct fake *f = fake_of(t);
	int r = -ESHUTDOWN;

	pthread_mutex_lock(&f->lock);
	while (!f->stopped &&
	       ((f->next_number == NREQUESTS && f->endless) || (f->nbusy > 0 && f->serial)))
		pthread_cond_wait(&f->wake, &f->lock);
	if (!f->stopped && f->next_number < NREQUESTS)
		r = take(f, worker, ret, err);
	pthread_mutex_unlock(&f->lock);
	return r;
}

static int fake_complete(struct ovbd_transport *t, unsigned worker, const struct ovbd_request *rq,
                         int status)
{
	struct fake *f = fake_of(t);
	const uint8_t want = (uint8_t)(rq->off / BLOCK);
	bool ok = rq->iov == &f->pieces[worker];
	int r = 0;

	for (size_t i = 0; status == 0 && i < BLOCK; i++)
		ok = ok && f->bufs[worker][i] == want;
	pthread_mutex_lock(&f->lock);
	if (!f->busy[worker] || !ok)
		f->nbroken++;
	f->busy[worker] = false;
	f->nbusy--;
	if (f->serial)
		pthread_cond_broadcast(&f->wake);
	f->nanswered++;
	f->nerrors += status < 0;
	if (f->fail_reply > 0 && f->nanswered >= f->fail_reply)
		r = -EBADF;
	pthread_mutex_unlock(&f->lock);
	return r;
}

static void fake_stop(struct ovbd_transport *t)
{
	struct fake *f = fake_of(t);

	pthread_mutex_lock(&f->lock);
	f->stopped = true;
	pthread_cond_broadcast(&f->wake);
	pthread_mutex_unlock(&f->lock);
}

static void fake_close(struct ovbd_transport *t)
{
	free(fake_of(t));
}

static const struct ovbd_transport_ops fake_ops = {
	.name = "fake",
	.next = fake_next,
	.complete = fake_complete,
	.stop = fake_stop,
	.close = fake_close,
};

/* A block is filled with its number; every 10th cannot be read. */
static int numbers_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                         struct ovbd_error *err)
{
	(void)b;
	if (off / BLOCK % 10 == 9)
		return ovbd_fail(err, -EBADMSG, "block %u is bad", (unsigned)(off / BLOCK));
	memset(buf, (int)(off / BLOCK & 0xff), len);
	return 0;
}

static void numbers_close(struct ovbd_blob *b)
{
	(void)b;
}

static const struct ovbd_blob_ops numbers_ops = {
	.name = "numbers",
	.pread = numbers_pread,
	.close = numbers_close,
};

static struct ovbd_blob numbers = {.ops = &numbers_ops, .size = (uint64_t)NREQUESTS * BLOCK};
static struct ovbd_device numbers_device = {.blob = &numbers};

static int setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->transport.ops = &fake_ops;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->wake, NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fake *f = *state;

	assert_int_equal(f->nbroken, 0);
	f->transport.ops->close(&f->transport);
	return 0;
}

static void count_failed(void *arg, const struct ovbd_request *rq, int code,
                         const struct ovbd_error *why)
{
	struct ovbd_error want;

	snprintf(want.msg, sizeof(want.msg), "block %u is bad", (unsigned)(rq->off / BLOCK));
	if (code == -EBADMSG && strcmp(why->msg, want.msg) == 0)
		atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

static void test_all_answered(void **state)
{
	struct fake *f = *state;
	struct ovbd_serve_stats stats = {0};
	_Atomic unsigned nfailed = 0;
	const struct ovbd_serve_params p = {.nworkers = NWORKERS,
	                                    .failed = count_failed,
	                                    .arg = &nfailed,
	                                    .stats = &stats};

	assert_int_equal(ovbd_serve(&f->transport, &numbers_device, &p, NULL), 0);
	assert_int_equal(f->nanswered, NREQUESTS);
	assert_int_equal(f->nerrors, NREQUESTS / 10);
	assert_int_equal(nfailed, NREQUESTS / 10);
	assert_int_equal(stats.reads, NREQUESTS);
	assert_int_equal(stats.failed, NREQUESTS / 10);
	assert_int_equal(stats.bytes, (NREQUESTS - NREQUESTS / 10) * BLOCK);
}

static void test_one_worker(void **state)
{
	struct fake *f = *state;
	const struct ovbd_serve_params p = {.nworkers = 1};

	assert_int_equal(ovbd_serve(&f->transport, &numbers_device, &p, NULL), 0);
	assert_int_equal(f->nanswered, NREQUESTS);
}

static void test_no_worker(void **state)
{
	struct fake *f = *state;
	const struct ovbd_serve_params p = {0};
	struct ovbd_error err;

	assert_int_equal(ovbd_serve(&f->transport, &numbers_device, &p, &err), -EINVAL);
}

/* As many workers as there are requests at a time, and one that waits. */
static void test_workers_as_needed(void **state)
{
	struct fake *f = *state;
	const struct ovbd_serve_params p = {.nworkers = NWORKERS};

	f->serial = true;
	assert_int_equal(ovbd_serve(&f->transport, &numbers_device, &p, NULL), 0);
	assert_int_equal(f->nanswered, NREQUESTS);
	assert_in_range(f->nseen, 1, 2);
}

/* Nobody is answered before all workers have a request; 20 seconds, and the test has failed. */
static int crowd_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static pthread_cond_t all_here = PTHREAD_COND_INITIALIZER;
	static unsigned nhere;
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	pthread_mutex_lock(&lock);
	if (++nhere == NWORKERS)
		pthread_cond_broadcast(&all_here);
	while (nhere < NWORKERS && r == 0)
		r = pthread_cond_timedwait(&all_here, &lock, &until);
	pthread_mutex_unlock(&lock);
	return r ? -r : numbers_pread(b, buf, len, off, err);
}

static void test_all_workers(void **state)
{
	static const struct ovbd_blob_ops ops = {.name = "crowd",
	                                         .pread = crowd_pread,
	                                         .close = numbers_close};
	struct ovbd_blob crowd = {.ops = &ops, .size = numbers.size};
	struct ovbd_device device = {.blob = &crowd};
	struct fake *f = *state;
	const struct ovbd_serve_params p = {.nworkers = NWORKERS};

	assert_int_equal(ovbd_serve(&f->transport, &device, &p, NULL), 0);
	assert_int_equal(f->nerrors, NREQUESTS / 10);
	assert_int_equal(f->nseen, NWORKERS);
}

/* Worker 0 only says that others are needed. */
static int starving_next(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
                         struct ovbd_error *err)
{
	struct fake *f = fake_of(t);

	if (worker > 0)
		return fake_next(t, worker, ret, err);
	for (unsigned i = 0; i < NWORKERS + 2; i++)
		t->starved(t->starved_arg);
	pthread_mutex_lock(&f->lock);
	while (!f->stopped)
		pthread_cond_wait(&f->wake, &f->lock);
	pthread_mutex_unlock(&f->lock);
	return -ESHUTDOWN;
}

static void test_starved(void **state)
{
	struct ovbd_transport_ops ops = fake_ops;
	struct fake *f = *state;
	struct ovbd_serve_stats stats = {0};
	const struct ovbd_serve_params p = {.nworkers = NWORKERS, .stats = &stats};

	ops.next = starving_next;
	f->transport.ops = &ops;
	assert_int_equal(ovbd_serve(&f->transport, &numbers_device, &p, NULL), 0);
	assert_int_equal(stats.reads, NREQUESTS);
	assert_true(f->nseen <= NWORKERS);
	f->transport.ops = &fake_ops;
}

static void *stop_main(void *arg)
{
	struct fake *f = arg;
	bool done = false;

	while (!done) {
		pthread_mutex_lock(&f->lock);
		done = f->nanswered == NREQUESTS;
		pthread_mutex_unlock(&f->lock);
		sched_yield();
	}
	f->transport.ops->stop(&f->transport);
	f->transport.ops->stop(&f->transport);
	return NULL;
}

static void test_stop_from_outside(void **state)
{
	struct fake *f = *state;
	const struct ovbd_serve_params p = {.nworkers = NWORKERS};
	pthread_t thread;

	f->endless = true; /* all workers wait in next() at the end */
	assert_int_equal(pthread_create(&thread, NULL, stop_main, f), 0);
	assert_int_equal(ovbd_serve(&f->transport, &numbers_device, &p, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(f->nanswered, NREQUESTS);
}

static void test_next_fails(void **state)
{
	struct fake *f = *state;
	const struct ovbd_serve_params p = {.nworkers = NWORKERS};
	struct ovbd_error err = {0};

	f->fail_next = 100;
	assert_int_equal(ovbd_serve(&f->transport, &numbers_device, &p, &err), -ENODEV);
	assert_string_equal(err.msg, "the device has burnt down");
	assert_int_equal(f->nanswered, 100); /* what was handed out was answered */
}

static void test_complete_fails(void **state)
{
	struct fake *f = *state;
	const struct ovbd_serve_params p = {.nworkers = NWORKERS};
	struct ovbd_error err = {0};

	f->endless = true;
	f->fail_reply = 50;
	assert_int_equal(ovbd_serve(&f->transport, &numbers_device, &p, &err), -EBADF);
	assert_non_null(strstr(err.msg, "fake: answering a request failed"));
	assert_true(f->nanswered < 50 + NWORKERS);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_all_answered),      SERVED(test_one_worker),
		SERVED(test_no_worker),         SERVED(test_stop_from_outside),
		SERVED(test_next_fails),        SERVED(test_complete_fails),
		SERVED(test_workers_as_needed), SERVED(test_all_workers),
		SERVED(test_starved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
