/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the ublk transport: what is said, how a command is given, and requests. */
#ifndef OVBD_DAEMON_UBLK_IMPL_H
#define OVBD_DAEMON_UBLK_IMPL_H

#include <liburing.h>
#include <pthread.h>

#include "daemon/ublk.h"
#include "daemon/ublk_abi.h"

#define UBLK_MAX_IO (1u << 20) /* bytes of a read or a write */
#define UBLK_DEPTH  64         /* requests of a queue that the kernel gives at a time */
/* At most, and no more than there are processors. One thread serves all; more than one means that
 * the kernel chooses no I/O scheduler. */
#define UBLK_QUEUES 4

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

/* Deletes a disk whose server is dead, if it was started or not. -EBUSY: its server lives, or the
 * disk hangs in the driver. */
int ublk_device_delete(int control_fd, uint32_t id);

/* ublk_queue.c, ublk_work.c: requests. */

/* A request of the kernel's, by its place. */
struct ublk_tag {
	uint16_t queue, tag;
};

struct ublk_answer {
	struct ublk_tag tag;
	int32_t result;
};

struct ublk_disk {
	_Atomic uint64_t size; /* may become more */

	/* Constant. */
	struct ublk_dev_info info;
	int fd;                    /* /dev/ublkcN */
	int quit_fd;               /* readable: it is over */
	int answer_fd;             /* readable: there are answers, and worker 0 may sleep */
	const _Atomic bool *quick; /* as in the parameters */
	unsigned nworkers;
	struct ovbd_transport *transport; /* to say that workers are lacking */
	char *buffers;                    /* nworkers of UBLK_MAX_IO bytes */

	/* Of worker 0, who alone talks to the driver. */
	enum { UBLK_RING_NONE, UBLK_RING_RUNS, UBLK_RING_LEFT } state;
	struct io_uring ring;
	struct ublk_io_desc *
		*tables; /* of each queue its requests, by tag; the kernel writes them */
	unsigned nlive;  /* tags that are fetched or being served */
	struct ublk_answer *sending; /* room for an answer to each tag */
	bool clean;                  /* there is no memory to be given back */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	struct ublk_tag *waiting; /* for a worker: a ring with room for each tag */
	unsigned first, nwaiting;
	struct ublk_answer *answers; /* to be sent; the same room */
	unsigned nanswers;
	unsigned nserved; /* requests that workers have */
	unsigned nidle;   /* workers that wait for one; not worker 0 */
	unsigned *unused; /* buffers: a stack, so that few are touched */
	unsigned nunused;
	bool touched; /* buffers were, since their memory was given back */
	bool asleep;  /* worker 0, until answer_fd is raised */
	bool over;    /* nobody will get a request any more */
};

/* What a worker has of the request that it serves. */
struct ublk_worker {
	struct ublk_tag tag;
	unsigned buffer;
	struct iovec piece;
};

static inline unsigned ublk_ntags(const struct ublk_disk *d)
{
	return (unsigned)d->info.nr_hw_queues * d->info.queue_depth;
}

/* d was zeroed but for what is constant and the lock; to be released, also after a failure. */
int ublk_work_init(struct ublk_disk *d);
void ublk_work_release(struct ublk_disk *d);

/* As the transport's, for any worker but 0. */
int ublk_work_next(struct ublk_disk *d, struct ublk_worker *w, struct ovbd_request *ret);
void ublk_work_complete(struct ublk_disk *d, const struct ublk_worker *w,
                        const struct ovbd_request *rq, int status);

/* Worker 0 gives requests to all; true if it shall serve one itself, which w then has until took().
 * *ret_nlacking: how many more are there than workers for them. */
bool ublk_work_give(struct ublk_disk *d, const struct ublk_tag *tags, unsigned n,
                    struct ublk_worker *w, unsigned *ret_nlacking);
void ublk_work_took(struct ublk_disk *d, const struct ublk_worker *w);

/* Whether there is a request that only worker 0 could serve: it must not sleep. */
bool ublk_work_left(struct ublk_disk *d);

/* It takes the answers: how many are in d->sending. If it sleeps then, answer_fd is raised for the
 * next. */
unsigned ublk_work_answers(struct ublk_disk *d, bool sleeps);

void ublk_work_over(struct ublk_disk *d);

/* Gives back the memory that idle workers do not need. True: there is nothing to give back, now. */
bool ublk_work_trim(struct ublk_disk *d);

/* What w has, as a request; what is to be answered to it. Both move data. -errno: it is no request,
 * and is to be answered so. */
int ublk_work_take(struct ublk_disk *d, struct ublk_worker *w, struct ovbd_request *ret);
int32_t ublk_work_result(struct ublk_disk *d, const struct ublk_worker *w,
                         const struct ovbd_request *rq, int status);

/* As the transport's, for worker 0. -ESHUTDOWN also if quit_fd became readable. */
int ublk_queue_next(struct ublk_disk *d, struct ublk_worker *w, struct ovbd_request *ret,
                    struct ovbd_error *err);
void ublk_queue_complete(struct ublk_disk *d, const struct ublk_worker *w,
                         const struct ovbd_request *rq, int status);

/* Gives the requests that were not answered back to the kernel; nobody gets a request any more. */
void ublk_queue_leave(struct ublk_disk *d);

/* After the last worker has returned. */
void ublk_queue_release(struct ublk_disk *d);

/* ublk_caps.c: what CAP_SYS_ADMIN the calling thread makes use of. Both return 0 or -errno. */

/* *ret_had: whether it was in use. */
int ublk_admin_lower(bool *ret_had);
int ublk_admin_raise(void);

#endif
