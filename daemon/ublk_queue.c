// SPDX-License-Identifier: Apache-2.0
/*
 * A worker has a ring, on which it tells the kernel for each tag of its queues that it is ready for a
 * request (fetch), and for each request what became of it (commit, which is a fetch again). What
 * arrives while it serves one request waits in the ring; the ring runs its own affairs only when it
 * is entered (DEFER_TASKRUN), so that they do not interrupt what the device does meanwhile.
 *
 * An answer is sent when the next request is asked for: one system call does both, and one more moves
 * the data from or to the kernel's pages.
 *
 * A worker that cannot go on closes its ring at once. The kernel then takes the requests back that
 * the worker has not answered; without that, the end of the disk would wait for them.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ublk_impl.h"

#define QUIT       UINT64_MAX /* the poll of quit_fd */
#define CMD_OFFSET 48         /* of a command's argument in a submission entry */

static void put_io(struct ublk_worker *w, unsigned long op, uint16_t queue, uint16_t tag,
                   int32_t result)
{
	const struct ublk_io_cmd cmd = {.q_id = queue, .tag = tag, .result = result};
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);

	assert(sqe); /* the ring has an entry for every tag */
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = w->disk->fd;
	sqe->cmd_op = (uint32_t)op;
	sqe->user_data = (uint64_t)queue << 16 | tag;
	memcpy((char *)sqe + CMD_OFFSET, &cmd, sizeof(cmd));
}

static void put_quit_poll(struct ublk_worker *w)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);

	assert(sqe);
	io_uring_prep_poll_add(sqe, w->disk->quit_fd, POLLIN);
	sqe->user_data = QUIT;
}

static unsigned count_queues(const struct ublk_worker *w)
{
	const unsigned n = w->disk->info.nr_hw_queues;

	return w->first < n ? (n - w->first + w->step - 1) / w->step : 0;
}

/* The first words of a worker, in its own thread: to the kernel, a queue is that thread's. */
static int start(struct ublk_worker *w)
{
	const struct ublk_dev_info *info = &w->disk->info;
	const unsigned ntags = count_queues(w) * info->queue_depth;
	int r;

	r = io_uring_queue_init(ntags + 1, &w->ring,
	                        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	if (r < 0)
		return r;
	w->state = UBLK_WORKER_RUNS;
	put_quit_poll(w);
	for (unsigned q = w->first; q < info->nr_hw_queues; q += w->step)
		for (unsigned tag = 0; tag < info->queue_depth; tag++)
			put_io(w, UBLK_FETCH_REQ, (uint16_t)q, (uint16_t)tag, -1);
	w->nlive = ntags;
	return 0;
}

/* Moves len bytes between buf and the pages of the request being served. */
static int copy_data(const struct ublk_worker *w, bool to_kernel, size_t len)
{
	const uint64_t base = ublk_data_offset(w->queue, w->tag);
	char *buf = w->buf;

	for (size_t done = 0; done < len;) {
		const off_t at = (off_t)(base + done);
		const ssize_t n = to_kernel ? pwrite(w->disk->fd, buf + done, len - done, at)
		                            : pread(w->disk->fd, buf + done, len - done, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* 1: *ret is a request; 0: it was answered here. */
static int take(struct ublk_worker *w, uint64_t user_data, struct ovbd_request *ret)
{
	struct ublk_io_desc d;
	int r;

	w->queue = (uint16_t)(user_data >> 16);
	w->tag = (uint16_t)user_data;
	d = w->disk->queues[w->queue].table[w->tag];
	r = ublk_request_decode(&d, w->disk->size, ret);
	if (r == 0 && ret->op == OVBD_REQUEST_WRITE)
		r = copy_data(w, false, ret->len);
	if (r < 0) {
		put_io(w, UBLK_COMMIT_AND_FETCH_REQ, w->queue, w->tag, r);
		return 0;
	}
	if (ret->op == OVBD_REQUEST_READ || ret->op == OVBD_REQUEST_WRITE) {
		w->piece = (struct iovec){.iov_base = w->buf, .iov_len = ret->len};
		ret->iov = &w->piece;
		ret->niov = 1;
	}
	return 1;
}

/* Sends the answers, and waits for an event if none is there. 1: *ret is a request; 0: it was
 * something else. */
static int step(struct ublk_worker *w, struct ovbd_request *ret, struct ovbd_error *err)
{
	struct io_uring_cqe *cqe;
	uint64_t user_data;
	int r = io_uring_submit_and_wait(&w->ring, io_uring_cq_ready(&w->ring) > 0 ? 0 : 1);

	if (r < 0 && r != -EINTR && r != -EBUSY && r != -EAGAIN)
		return ovbd_fail_errno(err, r, "/dev/ublkc%" PRIu32 ": waiting for requests",
		                       w->disk->info.dev_id);
	if (io_uring_peek_cqe(&w->ring, &cqe) != 0)
		return 0;
	user_data = cqe->user_data;
	r = cqe->res;
	io_uring_cqe_seen(&w->ring, cqe);
	if (user_data == QUIT)
		return -ESHUTDOWN;
	if (r == 0)
		return take(w, user_data, ret);
	if (r != -ENODEV)
		return ovbd_fail_errno(err, r,
		                       "/dev/ublkc%" PRIu32 ": fetching request %u of queue %u",
		                       w->disk->info.dev_id, (unsigned)(user_data & 0xffff),
		                       (unsigned)(user_data >> 16));
	return --w->nlive > 0 ? 0 : -ESHUTDOWN;
}

int ublk_worker_next(struct ublk_worker *w, struct ovbd_request *ret, struct ovbd_error *err)
{
	int r = 0;

	if (w->state == UBLK_WORKER_LEFT)
		return -ESHUTDOWN;
	if (w->state == UBLK_WORKER_NEW)
		r = start(w);
	if (r < 0)
		ovbd_fail_errno(err, r, "/dev/ublkc%" PRIu32 ": making a ring",
		                w->disk->info.dev_id);
	while (r == 0)
		r = step(w, ret, err);
	if (r < 0)
		ublk_worker_release(w);
	return r < 0 ? r : 0;
}

int ublk_worker_complete(struct ublk_worker *w, const struct ovbd_request *rq, int status)
{
	if (status == 0 && rq->op == OVBD_REQUEST_READ)
		status = copy_data(w, true, rq->len);
	put_io(w, UBLK_COMMIT_AND_FETCH_REQ, w->queue, w->tag, ublk_result(rq, status));
	return 0;
}

void ublk_worker_release(struct ublk_worker *w)
{
	if (w->state == UBLK_WORKER_RUNS)
		io_uring_queue_exit(&w->ring);
	w->state = UBLK_WORKER_LEFT;
}
