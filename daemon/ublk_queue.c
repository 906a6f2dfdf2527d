// SPDX-License-Identifier: Apache-2.0
/*
 * Worker 0 has a ring, on which it tells the kernel for each tag of all queues that it is ready for
 * a request (fetch), and for each request what became of it (commit, which is a fetch again). What
 * arrives while it does something else waits in the ring; the ring runs its own affairs only when
 * it is entered (DEFER_TASKRUN). Answers are sent when the next requests are asked for: one system
 * call does both, for as many as there are.
 *
 * The first fetches are the moment that decides what a death of the server can spoil (6.12):
 *
 *   - The driver has the kernel read the partition table of a new disk while it holds the disk's
 *     lock, and were the server to die then, nobody could ever take the disk over, or delete it. It
 *     does not do so if a queue's first fetches came from a thread without CAP_SYS_ADMIN; so they
 *     are sent without.
 *   - Who takes a disk over and dies when some of its queues were fetched and others not leaves one
 *     that makes the kernel stumble over the next taking over. So all are fetched by one thread, in
 *     one system call.
 *   - Who maps a table before anything was fetched, and dies, leaves a disk whose tables nobody
 *     else can map. So they are mapped after.
 *
 * Worker 0 closes the ring as soon as it cannot go on. The kernel then takes the requests back that
 * were not answered; without that, the end of the disk would wait for them.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/ublk_impl.h"

#define QUIT       UINT64_MAX       /* the poll of quit_fd */
#define ANSWERS    (UINT64_MAX - 1) /* of answer_fd */
#define CMD_OFFSET 48               /* of a command's argument in a submission entry */
#define PAGE_SIZE  ((uint64_t)sysconf(_SC_PAGESIZE))
#define QUIET_S    1   /* after this the workers' memory is given back */
#define BATCH      64u /* requests that are taken from the ring at a time */

static struct io_uring_sqe *new_entry(struct ublk_disk *d)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&d->ring);

	assert(sqe); /* the ring has an entry for every tag and both polls */
	memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

static void put_io(struct ublk_disk *d, unsigned long op, struct ublk_tag tag, int32_t result)
{
	const struct ublk_io_cmd cmd = {.q_id = tag.queue, .tag = tag.tag, .result = result};
	struct io_uring_sqe *sqe = new_entry(d);

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = d->fd;
	sqe->cmd_op = (uint32_t)op;
	sqe->user_data = (uint64_t)tag.queue << 16 | tag.tag;
	memcpy((char *)sqe + CMD_OFFSET, &cmd, sizeof(cmd));
}

static void put_poll(struct ublk_disk *d, int fd, uint64_t user_data)
{
	struct io_uring_sqe *sqe = new_entry(d);

	io_uring_prep_poll_add(sqe, fd, POLLIN);
	sqe->user_data = user_data;
}

static int map_tables(struct ublk_disk *d)
{
	const size_t size = ublk_table_size(d->info.queue_depth, PAGE_SIZE);

	d->tables = calloc(d->info.nr_hw_queues, sizeof(*d->tables));
	if (!d->tables)
		return -ENOMEM;
	for (uint16_t q = 0; q < d->info.nr_hw_queues; q++) {
		void *table = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, d->fd,
		                   (off_t)ublk_table_offset(q, PAGE_SIZE));

		if (table == MAP_FAILED)
			return -errno;
		d->tables[q] = table;
	}
	return 0;
}

static int submit_unprivileged(struct ublk_disk *d)
{
	bool had;
	int r = ublk_admin_lower(&had), raised;

	if (r < 0)
		return r;
	r = io_uring_submit(&d->ring);
	raised = had ? ublk_admin_raise() : 0;
	return r < 0 ? r : raised;
}

/* The first words, in the thread of worker 0: to the kernel, the queues are that thread's. */
static int start(struct ublk_disk *d)
{
	const unsigned ntags = ublk_ntags(d);
	int r = io_uring_queue_init(ntags + 2, &d->ring,
	                            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);

	if (r < 0)
		return r;
	d->state = UBLK_RING_RUNS;
	put_poll(d, d->quit_fd, QUIT);
	put_poll(d, d->answer_fd, ANSWERS);
	for (uint16_t q = 0; q < d->info.nr_hw_queues; q++)
		for (uint16_t tag = 0; tag < d->info.queue_depth; tag++)
			put_io(d, UBLK_FETCH_REQ, (struct ublk_tag){q, tag}, -1);
	d->nlive = ntags;
	r = submit_unprivileged(d);
	return r < 0 ? r : map_tables(d);
}

/* Sends the answers, and waits for an event if none is there. */
static int submit_and_wait(struct ublk_disk *d)
{
	const bool sleeps = io_uring_cq_ready(&d->ring) == 0 && !ublk_work_left(d);
	const unsigned n = ublk_work_answers(d, sleeps);
	struct __kernel_timespec quiet = {.tv_sec = QUIET_S};
	struct io_uring_cqe *cqe;
	int r;

	for (unsigned i = 0; i < n; i++)
		put_io(d, UBLK_COMMIT_AND_FETCH_REQ, d->sending[i].tag, d->sending[i].result);
	if (!sleeps || d->clean)
		return io_uring_submit_and_wait(&d->ring, sleeps ? 1 : 0);
	r = io_uring_submit_and_wait_timeout(&d->ring, &cqe, 1, &quiet, NULL);
	if (r == -ETIME)
		d->clean = ublk_work_trim(d);
	return r;
}

static int event(struct ublk_disk *d, uint64_t what, int r, struct ublk_tag *ret,
                 struct ovbd_error *err)
{
	uint64_t n;

	if (what == QUIT)
		return -ESHUTDOWN;
	if (what == ANSWERS) {
		if (read(d->answer_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
			return ovbd_fail_errno(err, -errno, "/dev/ublkc%" PRIu32 ": waiting",
			                       d->info.dev_id);
		put_poll(d, d->answer_fd, ANSWERS);
		return 0;
	}
	*ret = (struct ublk_tag){(uint16_t)(what >> 16), (uint16_t)what};
	if (r == 0)
		return 1;
	if (r != -ENODEV)
		return ovbd_fail_errno(err, r,
		                       "/dev/ublkc%" PRIu32 ": fetching request %u of queue %u",
		                       d->info.dev_id, (unsigned)ret->tag, (unsigned)ret->queue);
	return --d->nlive > 0 ? 0 : -ESHUTDOWN;
}

/* One turn. 1: w has a request to serve; 0: others have what there was. */
static int turn(struct ublk_disk *d, struct ublk_worker *w, struct ovbd_error *err)
{
	struct ublk_tag tags[BATCH];
	struct io_uring_cqe *cqe;
	unsigned n = 0, nlacking;
	int r = submit_and_wait(d);

	if (r < 0 && r != -EINTR && r != -EBUSY && r != -EAGAIN && r != -ETIME)
		return ovbd_fail_errno(err, r, "/dev/ublkc%" PRIu32 ": waiting for requests",
		                       d->info.dev_id);
	while (n < BATCH && io_uring_peek_cqe(&d->ring, &cqe) == 0) {
		r = event(d, cqe->user_data, cqe->res, &tags[n], err);
		io_uring_cqe_seen(&d->ring, cqe);
		if (r < 0)
			return r;
		n += (unsigned)r;
	}
	if (n > 0)
		d->clean = false;
	r = ublk_work_give(d, tags, n, w, &nlacking);
	for (; nlacking > 0; nlacking--)
		d->transport->starved(d->transport->starved_arg);
	return r;
}

int ublk_queue_next(struct ublk_disk *d, struct ublk_worker *w, struct ovbd_request *ret,
                    struct ovbd_error *err)
{
	int r = 0;

	if (d->state == UBLK_RING_LEFT)
		return -ESHUTDOWN;
	if (d->state == UBLK_RING_NONE)
		r = start(d);
	if (r < 0)
		ovbd_fail_errno(err, r, "/dev/ublkc%" PRIu32 ": preparing its queues",
		                d->info.dev_id);
	while (r >= 0) {
		r = turn(d, w, err);
		if (r != 1)
			continue;
		r = ublk_work_take(d, w, ret);
		if (r == 0)
			return 0;
		put_io(d, UBLK_COMMIT_AND_FETCH_REQ, w->tag, r);
		ublk_work_took(d, w);
		r = 0;
	}
	ublk_queue_leave(d);
	return r;
}

void ublk_queue_complete(struct ublk_disk *d, const struct ublk_worker *w,
                         const struct ovbd_request *rq, int status)
{
	put_io(d, UBLK_COMMIT_AND_FETCH_REQ, w->tag, ublk_work_result(d, w, rq, status));
	ublk_work_took(d, w);
}

void ublk_queue_leave(struct ublk_disk *d)
{
	if (d->state == UBLK_RING_RUNS)
		io_uring_queue_exit(&d->ring);
	d->state = UBLK_RING_LEFT;
	ublk_work_over(d);
}

void ublk_queue_release(struct ublk_disk *d)
{
	const size_t size = ublk_table_size(d->info.queue_depth, PAGE_SIZE);

	for (unsigned q = 0; d->tables && q < d->info.nr_hw_queues; q++)
		if (d->tables[q])
			munmap(d->tables[q], size);
	free(d->tables);
}
