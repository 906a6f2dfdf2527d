// SPDX-License-Identifier: Apache-2.0
/*
 * The life of a disk. The driver's commands to start and to stop it wait until the workers have
 * done their part, so they are given by a thread of the transport's own, the keeper:
 *
 *   open       adds the disk, or claims one whose server is dead; starts the keeper
 *   keeper     START_DEV (or END_USER_RECOVERY), which waits for the first next() of worker 0;
 *              ready(); waits for stop() or the last user; STOP_DEV; raises quit_fd
 *   workers    serve from their first next() until quit_fd, also while the disk is stopped: what
 *              was written, and is still in the kernel's cache, comes to them then
 *   close      waits for the keeper, lets go of /dev/ublkcN, DEL_DEV
 *
 * A process that is killed does none of this, and the disk stays, with its requests waiting. So
 * that it can end, none of its threads opens, flushes or closes the disk, which would wait for the
 * next server, who cannot have /dev/ublkcN while this one has it: the helper does that.
 * DEL_DEV waits for whoever holds /dev/ublkcN: the tables are unmapped and rings closed before it.
 * It also waits for who has the stopped disk open; that, this transport does not (ublk_delete).
 *
 * Deliberately absent: zero copy (of 6.15 and later), devices of users who are not root.
 */
#include "daemon/ublk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/auto.h"
#include "daemon/helper.h"
#include "daemon/ublk_impl.h"

#define CLAIM_MS 200 /* between looks whether the last user has gone */

struct ublk_transport {
	struct ovbd_transport transport;
	struct ublk_disk disk;
	char path[OVBD_UBLK_PATH_SIZE]; /* /dev/ublkbN */
	bool read_only, recovered;
	bool added;     /* by us, so close() deletes it; of the keeper while it runs */
	int control_fd; /* /dev/ublk-control */
	int wake_fd;    /* wakes the keeper to look at the two flags */
	atomic_bool stopping, leaving;
	atomic_bool started; /* wake_fd may be raised for leaving: before, it cancels the start */
	void (*ready)(void *arg);
	void *arg;
	pthread_t keeper;
	bool has_keeper;
	/* The keeper's: why the disk could not be started. For others once dead is true. */
	struct ovbd_error why;
	int code;
	atomic_bool dead;
	unsigned nworkers;
	struct ublk_worker workers[];
};

static struct ublk_transport *ublk_of(struct ovbd_transport *t)
{
	return OVBD_CONTAINER_OF(t, struct ublk_transport, transport);
}

static void raise_event(int fd)
{
	const uint64_t one = 1;
	const int saved = errno; /* may be called by a signal handler */

	/* Fails only when the counter is full, and then the event is raised. */
	if (write(fd, &one, sizeof(one)) < 0)
		errno = saved;
}

/* Until stop(), or detach() and no user: what is to be released, or -1. */
static int wait_for_end(struct ublk_transport *u)
{
	struct pollfd p = {.fd = u->wake_fd, .events = POLLIN};
	uint64_t n;

	while (!atomic_load(&u->stopping)) {
		const bool leaving = atomic_load(&u->leaving);
		int claim = -1;
		const int r = leaving ? ovbd_helper_claim(u->path, &claim, NULL) : -EAGAIN;

		if (r == 0 || r == -ENOENT)
			return claim;
		if (poll(&p, 1, leaving ? CLAIM_MS : -1) > 0 &&
		    read(u->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
			return -1;
	}
	return -1;
}

static void *keeper_main(void *arg)
{
	struct ublk_transport *u = arg;
	const uint32_t id = u->disk.info.dev_id;
	int claim = -1, r;

	r = ublk_command_cancelable(u->control_fd,
	                            u->recovered ? UBLK_END_USER_RECOVERY : UBLK_START_DEV,
	                            ublk_about_data(id, (uint64_t)getpid()), u->wake_fd);
	atomic_store(&u->started, true);
	if (r == 0) {
		if (u->ready)
			u->ready(u->arg);
		claim = wait_for_end(u);
		if (!u->read_only) /* what STOP_DEV would lose */
			ovbd_helper_write_back(u->path, NULL);
	} else if (!atomic_load(&u->stopping)) {
		u->code = ovbd_fail_errno(&u->why, r, "%s: starting the disk", u->path);
	}
	u->added = r == 0 || !u->recovered; /* or it stays, for the next to take it over */
	if (u->added)
		ublk_command(u->control_fd, UBLK_STOP_DEV, ublk_about(id));
	ovbd_helper_release(claim);
	atomic_store(&u->dead, true);
	raise_event(u->disk.quit_fd);
	return NULL;
}

static int ublk_next(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
                     struct ovbd_error *err)
{
	struct ublk_transport *u = ublk_of(t);
	int r;

	assert(worker < u->nworkers);
	r = worker == 0 ? ublk_queue_next(&u->disk, &u->workers[0], ret, err)
	                : ublk_work_next(&u->disk, &u->workers[worker], ret);
	if (r == -ESHUTDOWN && atomic_load(&u->dead) && u->code < 0) {
		if (err)
			*err = u->why;
		return u->code;
	}
	return r;
}

static int ublk_complete(struct ovbd_transport *t, unsigned worker, const struct ovbd_request *rq,
                         int status)
{
	struct ublk_transport *u = ublk_of(t);

	if (worker == 0)
		ublk_queue_complete(&u->disk, &u->workers[0], rq, status);
	else
		ublk_work_complete(&u->disk, &u->workers[worker], rq, status);
	return 0;
}

static int ublk_detach(struct ovbd_transport *t, struct ovbd_error *err)
{
	struct ublk_transport *u = ublk_of(t);
	int claim = -1;
	const int r = ovbd_helper_claim(u->path, &claim, err);

	ovbd_helper_release(claim);
	if (r == -EPIPE)
		return r;
	atomic_store(&u->leaving, true);
	if (atomic_load(&u->started))
		raise_event(u->wake_fd);
	return r == -EBUSY;
}

static void ublk_stop(struct ovbd_transport *t)
{
	struct ublk_transport *u = ublk_of(t);

	atomic_store(&u->stopping, true);
	raise_event(u->wake_fd);
}

static void ublk_close(struct ovbd_transport *t)
{
	struct ublk_transport *u = ublk_of(t);

	if (u->has_keeper) {
		ublk_stop(t);
		pthread_join(u->keeper, NULL);
	}
	ublk_queue_leave(&u->disk);
	ublk_queue_release(&u->disk);
	ublk_work_release(&u->disk);
	if (u->disk.fd >= 0)
		close(u->disk.fd);
	if (u->added)
		ublk_delete(u->control_fd, u->disk.info.dev_id);
	if (u->control_fd >= 0)
		close(u->control_fd);
	if (u->wake_fd >= 0)
		close(u->wake_fd);
	if (u->disk.quit_fd >= 0)
		close(u->disk.quit_fd);
	free(u);
}

int ovbd_ublk_resize(struct ovbd_transport *t, uint64_t size, struct ovbd_error *err)
{
	struct ublk_transport *u = ublk_of(t);
	const uint32_t id = u->disk.info.dev_id;
	uint64_t features = 0;
	int r = ublk_command(u->control_fd, UBLK_GET_FEATURES,
	                     ublk_about_buf(UBLK_NO_ID, &features, sizeof(features)));

	if (r < 0)
		return ovbd_fail_errno(err, r, "%s: asking ublk_drv for its features", u->path);
	if (!(features & UBLK_F_UPDATE_SIZE))
		return ovbd_fail(err, -ENOTSUP,
		                 "%s: keeps its size with this kernel (Linux 6.16 or later can "
		                 "change it): detach it, resize its layer, and attach it again",
		                 u->path);
	if (size == 0)
		return 0;
	u->disk.size = size;
	r = ublk_command(u->control_fd, UBLK_UPDATE_SIZE,
	                 ublk_about_data(id, size >> UBLK_SECTOR_SHIFT));
	return r < 0 ? ovbd_fail_errno(err, r, "%s: telling the kernel its size", u->path) : 0;
}

static const struct ovbd_transport_ops ublk_ops = {
	.name = "ublk",
	.next = ublk_next,
	.complete = ublk_complete,
	.detach = ublk_detach,
	.stop = ublk_stop,
	.close = ublk_close,
};

static void close_half_built(struct ublk_transport **u)
{
	if (*u)
		ublk_close(&(*u)->transport);
}

/* All that needs no driver. */
static int allocate(const struct ovbd_ublk_params *p, struct ublk_transport **ret)
{
	OVBD_AUTO(close_half_built) struct ublk_transport *u = NULL;

	u = calloc(1, sizeof(*u) + p->nworkers * sizeof(u->workers[0]));
	if (!u)
		return -ENOMEM;
	u->transport.ops = &ublk_ops;
	u->disk = (struct ublk_disk){
		.fd = -1,
		.quit_fd = -1,
		.answer_fd = -1,
		.size = p->size,
		.quick = p->quick,
		.nworkers = p->nworkers,
		.transport = &u->transport,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	u->control_fd = -1;
	u->read_only = p->read_only;
	u->ready = p->ready;
	u->arg = p->arg;
	u->nworkers = p->nworkers;
	u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	u->disk.quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->wake_fd < 0 || u->disk.quit_fd < 0)
		return -errno;
	*ret = OVBD_MOVE(u);
	return 0;
}

/* What needs the disk. */
static int open_disk(struct ublk_transport *u)
{
	char path[OVBD_UBLK_PATH_SIZE];

	snprintf(path, sizeof(path), "/dev/ublkc%" PRIu32, u->disk.info.dev_id);
	u->disk.fd = open(path, O_RDWR | O_CLOEXEC);
	return u->disk.fd < 0 ? -errno : ublk_work_init(&u->disk);
}

/* The keeper takes no signals: they are for the threads of whoever serves. */
static int start_keeper(struct ublk_transport *u)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&u->keeper, NULL, keeper_main, u);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	u->has_keeper = r == 0;
	return r;
}

static int check_params(const struct ovbd_ublk_params *p, struct ovbd_error *err)
{
	const uint32_t bs = p->block_size;

	if (p->nworkers == 0)
		return ovbd_fail(err, -EINVAL, "ublk: a server without workers");
	if (bs < 512 || bs > 4096 || (bs & (bs - 1)) != 0)
		return ovbd_fail(err, -EINVAL, "ublk: blocks of %" PRIu32 " bytes", bs);
	if (p->size == 0 || p->size % bs != 0 || p->size > INT64_MAX)
		return ovbd_fail(err, -EINVAL,
		                 "ublk: %" PRIu64 " bytes are no disk of blocks of %" PRIu32,
		                 p->size, bs);
	return 0;
}

int ovbd_ublk_open(const struct ovbd_ublk_params *p, char *ret_path, struct ovbd_transport **ret,
                   struct ovbd_error *err)
{
	OVBD_AUTO(close_half_built) struct ublk_transport *u = NULL;
	int r = check_params(p, err);

	if (r < 0)
		return r;
	r = allocate(p, &u);
	if (r < 0)
		return ovbd_fail_errno(err, r, "ublk: preparing %u workers", p->nworkers);
	r = ublk_control_open(&u->control_fd, err);
	if (r == 0)
		r = ovbd_helper_start(err);
	if (r == 0)
		r = ublk_device_take(u->control_fd, p, &u->disk.info, &u->recovered, err);
	if (r < 0)
		return r;
	u->added = !u->recovered;
	snprintf(u->path, sizeof(u->path), "/dev/ublkb%" PRIu32, u->disk.info.dev_id);
	r = open_disk(u);
	if (r < 0)
		return ovbd_fail_errno(err, r, "/dev/ublkc%" PRIu32, u->disk.info.dev_id);
	r = start_keeper(u);
	if (r < 0)
		return ovbd_fail_errno(err, r, "%s: starting a thread", u->path);
	memcpy(ret_path, u->path, sizeof(u->path));
	*ret = &OVBD_MOVE(u)->transport;
	return 0;
}
