// SPDX-License-Identifier: Apache-2.0
/*
 * How the workers of a ublk disk share the requests, without ublk: the test is worker 0 and the
 * kernel, and /dev/ublkcN is a file in memory, in which each request has its place. What a request
 * reads or writes is told by its offset. Built for ThreadSanitizer too, which no guest runs.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "daemon/ublk_impl.h"

#define NQUEUES   2
#define DEPTH     16
#define NWORKERS  5
#define NREQUESTS 4000
#define SIZE      (UINT64_C(1) << 30)

struct fixture {
	struct ublk_disk disk;
	struct ublk_io_desc requests[NQUEUES][DEPTH];
	struct ublk_io_desc *tables[NQUEUES];
	bool busy[NQUEUES][DEPTH];
	unsigned nbusy, ngiven, nanswered;
	_Atomic bool quick;
	atomic_uint nserved, nwrong; /* by the workers */
};

struct argument {
	struct fixture *f;
	struct ublk_worker worker;
};

static void fill(uint8_t *buf, size_t len, uint64_t off)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)((off + i) * 31 >> 3);
}

static bool is_filled(const uint8_t *buf, size_t len, uint64_t off)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != (uint8_t)((off + i) * 31 >> 3))
			return false;
	return true;
}

/* The status of a request: every seventh block of 4 KiB is broken. */
static int serve_one(struct fixture *f, const struct ovbd_request *rq)
{
	if (rq->op == OVBD_REQUEST_READ)
		fill(rq->iov[0].iov_base, rq->len, rq->off);
	if (rq->op == OVBD_REQUEST_WRITE && !is_filled(rq->iov[0].iov_base, rq->len, rq->off))
		atomic_fetch_add(&f->nwrong, 1);
	atomic_fetch_add(&f->nserved, 1);
	return rq->op != OVBD_REQUEST_FLUSH && rq->off / 4096 % 7 == 3 ? -EBADMSG : 0;
}

static void *worker_main(void *arg)
{
	struct argument *a = arg;
	struct ovbd_request rq;

	while (ublk_work_next(&a->f->disk, &a->worker, &rq) == 0)
		ublk_work_complete(&a->f->disk, &a->worker, &rq, serve_one(a->f, &rq));
	return NULL;
}

/* What the kernel does to ask. */
static void ask(struct fixture *f, struct ublk_tag tag)
{
	static const uint32_t ops[] = {UBLK_OP_READ, UBLK_OP_WRITE, UBLK_OP_FLUSH, UBLK_OP_DISCARD,
	                               99};
	struct ublk_io_desc *d = &f->requests[tag.queue][tag.tag];
	uint8_t data[8 * 512];

	*d = (struct ublk_io_desc){
		.op_flags = ops[rand() % 8 > 2 ? rand() % 2 : rand() % 5],
		.nr_sectors = 1 + (uint32_t)rand() % 8,
		.start_sector = (uint64_t)rand() % (SIZE / 512 - 8),
	};
	fill(data, d->nr_sectors * 512, d->start_sector * 512);
	if (d->op_flags == UBLK_OP_WRITE)
		assert_true(pwrite(f->disk.fd, data, d->nr_sectors * 512,
		                   (off_t)ublk_data_offset(tag.queue, tag.tag)) > 0);
	f->busy[tag.queue][tag.tag] = true;
	f->nbusy++;
	f->ngiven++;
}

static void check_answer(struct fixture *f, struct ublk_answer a)
{
	const struct ublk_io_desc *d = &f->requests[a.tag.queue][a.tag.tag];
	const size_t len = d->nr_sectors * 512;
	const uint64_t off = d->start_sector * 512;
	const bool has_data = d->op_flags == UBLK_OP_READ || d->op_flags == UBLK_OP_WRITE;
	uint8_t data[8 * 512];

	assert_true(f->busy[a.tag.queue][a.tag.tag]);
	f->busy[a.tag.queue][a.tag.tag] = false;
	f->nbusy--;
	f->nanswered++;
	if (d->op_flags == 99)
		assert_int_equal(a.result, -EOPNOTSUPP);
	else if (d->op_flags != UBLK_OP_FLUSH && off / 4096 % 7 == 3)
		assert_int_equal(a.result, -EBADMSG);
	else
		assert_int_equal(a.result, has_data ? (int)len : 0);
	if (a.result <= 0 || d->op_flags != UBLK_OP_READ)
		return;
	assert_int_equal(pread(f->disk.fd, data, len,
	                       (off_t)ublk_data_offset(a.tag.queue, a.tag.tag)),
	                 (ssize_t)len);
	assert_true(is_filled(data, len, off));
}

/* Requests of free tags, as many as the ring would bring. */
static unsigned bring(struct fixture *f, struct ublk_tag *ret)
{
	const unsigned want = (unsigned)rand() % 12;
	unsigned n = 0;

	for (uint16_t q = 0; q < NQUEUES; q++)
		for (uint16_t t = 0; t < DEPTH && n < want && f->ngiven < NREQUESTS; t++)
			if (!f->busy[q][t]) {
				ret[n++] = (struct ublk_tag){q, t};
				ask(f, ret[n - 1]);
			}
	return n;
}

/* One turn of worker 0, as ublk_queue.c has it. */
static void turn(struct fixture *f, struct ublk_worker *w)
{
	struct ublk_tag tags[NQUEUES * DEPTH];
	const unsigned n = bring(f, tags);
	struct pollfd p = {.fd = f->disk.answer_fd, .events = POLLIN};
	struct ovbd_request rq;
	unsigned nlacking, nanswers;
	uint64_t raised;
	bool sleeps;
	int r;

	if (ublk_work_give(&f->disk, tags, n, w, &nlacking)) {
		r = ublk_work_take(&f->disk, w, &rq);
		if (r == 0)
			r = ublk_work_result(&f->disk, w, &rq, serve_one(f, &rq));
		check_answer(f, (struct ublk_answer){w->tag, r});
		ublk_work_took(&f->disk, w);
	}
	sleeps = n == 0 && f->nbusy > 0 && !ublk_work_left(&f->disk);
	nanswers = ublk_work_answers(&f->disk, sleeps);
	for (unsigned i = 0; i < nanswers; i++)
		check_answer(f, f->disk.sending[i]);
	if (nanswers == 0 && sleeps) {
		assert_int_equal(poll(&p, 1, 20000), 1);
		assert_int_equal(read(f->disk.answer_fd, &raised, sizeof(raised)), 8);
	}
	if (f->nbusy == 0)
		assert_true(ublk_work_trim(&f->disk));
}

static void run(unsigned nworkers, bool quick)
{
	struct fixture f = {.quick = quick};
	struct argument args[NWORKERS] = {{0}};
	struct ublk_worker mine = {{0}};
	pthread_t threads[NWORKERS];

	f.disk = (struct ublk_disk){
		.info = {.nr_hw_queues = NQUEUES, .queue_depth = DEPTH},
		.size = SIZE,
		.fd = memfd_create("ublkc", MFD_CLOEXEC),
		.answer_fd = -1,
		.quick = &f.quick,
		.nworkers = nworkers,
		.tables = f.tables,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	assert_true(f.disk.fd >= 0);
	for (unsigned q = 0; q < NQUEUES; q++)
		f.tables[q] = f.requests[q];
	assert_int_equal(ublk_work_init(&f.disk), 0);
	for (unsigned i = 1; i < nworkers; i++) {
		args[i].f = &f;
		assert_int_equal(pthread_create(&threads[i], NULL, worker_main, &args[i]), 0);
	}
	while (f.nanswered < NREQUESTS)
		turn(&f, &mine);
	ublk_work_over(&f.disk);
	for (unsigned i = 1; i < nworkers; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&f.nwrong), 0);
	assert_in_range(atomic_load(&f.nserved), NREQUESTS / 2, NREQUESTS);
	ublk_work_release(&f.disk);
	close(f.disk.fd);
}

static void test_one(void **state)
{
	(void)state;
	run(1, false);
}

static void test_several(void **state)
{
	(void)state;
	run(NWORKERS, false);
}

static void test_quick(void **state)
{
	(void)state;
	run(NWORKERS, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
