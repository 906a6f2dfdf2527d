// SPDX-License-Identifier: Apache-2.0
/*
 * A command has a ring of its own: commands are few, some take for ever (START_DEV waits for the
 * workers), and so no lock is needed.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/auto.h"
#include "daemon/ublk_impl.h"

#define CONTROL_PATH "/dev/ublk-control"
#define CMD_OFFSET   48 /* of a command's argument in a submission entry */
#define SQE_SIZE     128
#define DELETE_MS    500

enum { COMMAND = 1, CANCEL, CANCELLED };

static struct io_uring_sqe *new_entry(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	assert(sqe); /* three at most */
	memset(sqe, 0, SQE_SIZE);
	return sqe;
}

static void put_command(struct io_uring *ring, int control_fd, unsigned long op,
                        const struct ublk_ctrl_cmd *cmd)
{
	struct io_uring_sqe *sqe = new_entry(ring);

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = control_fd;
	sqe->cmd_op = (uint32_t)op;
	sqe->user_data = COMMAND;
	memcpy((char *)sqe + CMD_OFFSET, cmd, sizeof(*cmd));
}

static void put_cancel_poll(struct io_uring *ring, int cancel_fd)
{
	struct io_uring_sqe *sqe = new_entry(ring);

	io_uring_prep_poll_add(sqe, cancel_fd, POLLIN);
	sqe->user_data = CANCEL;
}

static void put_cancel(struct io_uring *ring)
{
	struct io_uring_sqe *sqe = new_entry(ring);

	io_uring_prep_cancel64(sqe, COMMAND, 0);
	sqe->user_data = CANCELLED;
}

/* Until the command has completed: its buffer is in use till then, whatever fails. */
static int run_command(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int r = io_uring_submit(ring);

	if (r < 0)
		return r;
	for (;;) {
		io_uring_submit_and_wait(ring, 1);
		while (io_uring_peek_cqe(ring, &cqe) == 0) {
			const uint64_t what = cqe->user_data;

			r = cqe->res;
			io_uring_cqe_seen(ring, cqe);
			if (what == COMMAND)
				return r;
			if (what == CANCEL)
				put_cancel(ring);
		}
	}
}

int ublk_command_cancelable(int control_fd, unsigned long op, struct ublk_ctrl_cmd cmd,
                            int cancel_fd)
{
	struct io_uring ring;
	int r = io_uring_queue_init(4, &ring, IORING_SETUP_SQE128);

	if (r < 0)
		return r;
	put_command(&ring, control_fd, op, &cmd);
	if (cancel_fd >= 0)
		put_cancel_poll(&ring, cancel_fd);
	r = run_command(&ring);
	io_uring_queue_exit(&ring);
	return r;
}

int ublk_command(int control_fd, unsigned long op, struct ublk_ctrl_cmd cmd)
{
	return ublk_command_cancelable(control_fd, op, cmd, -1);
}

int ublk_delete(int control_fd, uint32_t id)
{
	const struct itimerspec patience = {.it_value.tv_nsec = DELETE_MS * 1000000L};
	AUTO_FD timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	int r;

	if (timer < 0 || timerfd_settime(timer, 0, &patience, NULL) < 0)
		return -errno;
	r = ublk_command_cancelable(control_fd, UBLK_DEL_DEV, ublk_about(id), timer);
	return r == -EINTR || r == -ECANCELED ? 0 : r;
}

/* Why there is no ring to be had; 0 if there is. */
static int check_io_uring(struct ovbd_error *err)
{
	struct io_uring ring;
	int r = io_uring_queue_init(4, &ring, IORING_SETUP_SQE128);

	if (r == -ENOSYS || r == -EPERM)
		return ovbd_fail_errno(
			err, r,
			"io_uring, which ublk needs, is not allowed here (see sysctl "
			"kernel.io_uring_disabled, or the container's seccomp profile)");
	if (r < 0)
		return ovbd_fail_errno(err, r, "io_uring, which ublk needs");
	io_uring_queue_exit(&ring);
	return 0;
}

int ublk_control_open(int *ret_fd, struct ovbd_error *err)
{
	AUTO_FD fd = open(CONTROL_PATH, O_RDWR | O_CLOEXEC);
	uint64_t features = 0;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return ovbd_fail_errno(err, -errno,
		                       CONTROL_PATH ": ublk is not there; it needs Linux 6.5 or "
		                                    "later with the module ublk_drv (as root: "
		                                    "modprobe ublk_drv)");
	if (fd < 0)
		return ovbd_fail_errno(err, -errno, CONTROL_PATH ": ublk is for root");
	r = check_io_uring(err);
	if (r < 0)
		return r;
	r = ublk_command(fd, UBLK_GET_FEATURES,
	                 ublk_about_buf(UBLK_NO_ID, &features, sizeof(features)));
	if (r < 0)
		return ovbd_fail_errno(err, r,
		                       CONTROL_PATH
		                       ": asking ublk_drv for its features (it must be "
		                       "that of Linux 6.5 or later)");
	if ((features & UBLK_WANTED) != UBLK_WANTED)
		return ovbd_fail(err, -ENOTSUP,
		                 CONTROL_PATH ": ublk_drv has the features 0x%" PRIx64
		                              ", but 0x%" PRIx64 " are needed: Linux 6.5 or later",
		                 features, (uint64_t)UBLK_WANTED);
	*ret_fd = fd;
	fd = -1;
	return 0;
}
