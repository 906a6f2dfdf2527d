/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the ublk transport: what is said, how a command is given, and a worker's requests. */
#ifndef OVBD_DAEMON_UBLK_IMPL_H
#define OVBD_DAEMON_UBLK_IMPL_H

#include <liburing.h>

#include "daemon/ublk.h"
#include "daemon/ublk_abi.h"

#define UBLK_MAX_IO (1u << 20) /* bytes of a read or a write */
#define UBLK_DEPTH  64         /* requests of a queue that the kernel gives at a time */

/* ublk_format.c: pure. */

/* p was checked. */
void ublk_params_fill(const struct ovbd_ublk_params *p, struct ublk_params *ret);

/* Whether a disk of the parameters have is the one that p asks for. */
bool ublk_params_match(const struct ovbd_ublk_params *p, const struct ublk_params *have);

/* *ret but for iov. -errno: to be answered with that; no request for a device of size bytes. */
int ublk_request_decode(const struct ublk_io_desc *d, uint64_t size, struct ovbd_request *ret);

/* What is committed for a request. */
int32_t ublk_result(const struct ovbd_request *rq, int status);

/* ublk_control.c: commands to the driver, each of which waits for its answer. Any thread. */

/* /dev/ublk-control, of a driver that can all that is needed here. */
int ublk_control_open(int *ret_fd, struct ovbd_error *err);

int ublk_command(int control_fd, unsigned long op, struct ublk_ctrl_cmd cmd);

/* The same, given up with -ECANCELED or -EINTR when there is something to read from cancel_fd. */
int ublk_command_cancelable(int control_fd, unsigned long op, struct ublk_ctrl_cmd cmd,
                            int cancel_fd);

/* Waits a moment for the id to be free again. That takes as long as somebody has the disk open,
 * stopped as it is, and is no failure. */
int ublk_delete(int control_fd, uint32_t id);

/* A command about a disk, with a number or a buffer or neither. */
static inline struct ublk_ctrl_cmd ublk_about(uint32_t id)
{
	return (struct ublk_ctrl_cmd){.dev_id = id, .queue_id = UBLK_NO_QUEUE};
}

static inline struct ublk_ctrl_cmd ublk_about_data(uint32_t id, uint64_t data)
{
	return (struct ublk_ctrl_cmd){.dev_id = id, .queue_id = UBLK_NO_QUEUE, .data = {data}};
}

static inline struct ublk_ctrl_cmd ublk_about_buf(uint32_t id, void *buf, size_t len)
{
	return (struct ublk_ctrl_cmd){
		.dev_id = id,
		.queue_id = UBLK_NO_QUEUE,
		.addr = (uintptr_t)buf,
		.len = (uint16_t)len,
	};
}

/* ublk_device.c: a disk that is not started yet. */

/* What every disk of ours is asked to be. */
#define UBLK_WANTED                                                                                \
	(UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE | UBLK_F_CMD_IOCTL_ENCODE |           \
	 UBLK_F_USER_COPY)

/* Adds the disk that p asks for, or takes one over. *ret_recovered: to be started by
 * UBLK_END_USER_RECOVERY. p was checked. */
int ublk_device_take(int control_fd, const struct ovbd_ublk_params *p, struct ublk_dev_info *ret,
                     bool *ret_recovered, struct ovbd_error *err);

/* ublk_queue.c: requests. */

struct ublk_queue {
	struct ublk_io_desc *table; /* of all requests, by tag; the kernel writes it */
};

/* What a worker needs to know of its device; constant. */
struct ublk_disk {
	struct ublk_dev_info info;
	uint64_t size;
	int fd;                    /* /dev/ublkcN */
	int quit_fd;               /* readable: it is over */
	struct ublk_queue *queues; /* info.nr_hw_queues */
};

/* Serves the queues first, first + step and so on. Its own thread only, but for release. */
struct ublk_worker {
	const struct ublk_disk *disk;
	unsigned first, step;
	enum { UBLK_WORKER_NEW, UBLK_WORKER_RUNS, UBLK_WORKER_LEFT } state;
	struct io_uring ring;
	unsigned nlive;      /* tags that are fetched or being served */
	uint16_t queue, tag; /* of the request being served */
	void *buf;           /* UBLK_MAX_IO bytes */
	struct iovec piece;
};

/* As the transport's. -ESHUTDOWN also if quit_fd became readable. */
int ublk_worker_next(struct ublk_worker *w, struct ovbd_request *ret, struct ovbd_error *err);
int ublk_worker_complete(struct ublk_worker *w, const struct ovbd_request *rq, int status);

/* Gives the requests that it has not answered back to the kernel. */
void ublk_worker_release(struct ublk_worker *w);

#endif
