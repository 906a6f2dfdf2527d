// SPDX-License-Identifier: Apache-2.0
/*
 * The workers share the ring under one lock, held for the microsecond that taking or answering a
 * command needs. Where there is no command, one of the waiting workers reads the kernel's file and
 * the others wait for it; it wakes the next one when it leaves with a request, so that somebody
 * reads as long as anybody waits. What needs no medium is answered by who has taken it, and the
 * others sleep on.
 *
 * There is no poll() before the read, which would be one call more for each command. How stop()
 * gets the reader out of it is told in fuse.c: a flag, a descriptor that does not wait any more,
 * and a signal.
 *
 * Requests point into the shared memory; nothing is copied. A command's entry may be overwritten
 * before it is answered (see tcmu_ring.c), so each worker keeps a copy of its own.
 *
 * A ring in which a dead server left commands is of no use, as the answers of that server may lie
 * in their place. The kernel is told to start over: it ends those commands as "busy", upon which
 * the initiator sends them again. They may have been executed already; that does no harm, as nobody
 * was told so.
 */
#include "daemon/tcmu.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/auto.h"
#include "base/bytes.h"
#include "daemon/fault_point.h"
#include "daemon/rouse.h"
#include "daemon/scsi.h"
#include "daemon/tcmu_impl.h"
#include "daemon/tcmu_ring.h"

#define IOV_MAX_PIECES (OVBD_TCMU_MAX_TRANSFER / 4096 + 2)

struct tcmu_worker {
	pid_t thread; /* its number, once it has called next() */
	struct tcmu_command command;
	struct ovbd_scsi_command decoded;
	struct iovec pieces[IOV_MAX_PIECES];
	uint8_t parameters[OVBD_SCSI_PARAMETERS_SIZE_MAX];
};

struct tcmu_transport {
	struct ovbd_transport transport;
	struct ovbd_scsi_disk disk;
	char *serial;
	unsigned minor;
	int uio_fd;
	_Atomic pid_t within;   /* the thread that reads the file, or is about to; 0: none */
	_Atomic bool stopped;   /* stop() was called */
	_Atomic bool attention; /* who has the disk is to be told of its new size */
	pthread_mutex_t lock;   /* guards the four below */
	pthread_cond_t wake;
	struct tcmu_ring ring;
	bool reading; /* somebody waits for the kernel */
	bool over;    /* stopped, or the disk is gone */
	unsigned nworkers;
	struct tcmu_worker
		workers[]; /* most are never started: nothing is written to them before */
};

static struct tcmu_transport *tcmu_of(struct ovbd_transport *t)
{
	return OVBD_CONTAINER_OF(t, struct tcmu_transport, transport);
}

/* Tells the kernel that there are answers. -ENODEV: the disk is gone. */
static int kick(const struct tcmu_transport *t)
{
	const uint32_t any = 0;
	ssize_t n;

	do
		n = write(t->uio_fd, &any, sizeof(any));
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	return errno == EIO ? -ENODEV : -errno;
}

/* With the lock held, which is let go of meanwhile: until there may be something new. */
static int wait_for_kernel(struct tcmu_transport *t, pid_t thread, struct ovbd_error *err)
{
	uint32_t nevents;
	ssize_t n = 0;
	int e;

	t->reading = true;
	pthread_mutex_unlock(&t->lock);
	atomic_store(&t->within, thread);
	if (!atomic_load(&t->stopped))
		n = read(t->uio_fd, &nevents, sizeof(nevents));
	e = n < 0 ? errno : 0;
	atomic_store(&t->within, 0);
	pthread_mutex_lock(&t->lock);
	t->reading = false;
	/* EIO: the kernel has taken the disk away */
	t->over |= atomic_load(&t->stopped) || e == EIO;
	if (e == 0 || e == EIO || e == EINTR || e == EAGAIN)
		return 0;
	return ovbd_fail_errno(err, -e, "waiting for commands");
}

static uint64_t pieces_size(const struct tcmu_command *c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->niov; i++)
		sum += c->iov[i].iov_len;
	return sum;
}

/* The first len bytes of what came with the command; fewer if there are fewer. */
static size_t gather(const struct tcmu_command *c, uint8_t *to, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < c->niov && done < len; i++) {
		const size_t n = (size_t)ovbd_min(c->iov[i].iov_len, len - done);

		memcpy(to + done, c->iov[i].iov_base, n);
		done += n;
	}
	return done;
}

/* And zeros for the rest: the memory was another command's before. */
static void scatter(const struct tcmu_command *c, const uint8_t *from, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < c->niov; i++) {
		const size_t n = (size_t)ovbd_min(c->iov[i].iov_len, len - done);
		uint8_t *to = c->iov[i].iov_base;

		memcpy(to, from + done, n);
		memset(to + n, 0, c->iov[i].iov_len - n);
		done += n;
	}
}

/* Makes the command's pieces add up to len; false if they are less. */
static bool trim(struct tcmu_command *c, uint64_t len)
{
	unsigned n = 0;

	if (pieces_size(c) < len)
		return false;
	for (; len > 0; n++) {
		c->iov[n].iov_len = (size_t)ovbd_min(c->iov[n].iov_len, len);
		len -= c->iov[n].iov_len;
	}
	c->niov = n;
	return true;
}

/* Whether there is a request for the device; if not, the answer is in w->decoded, and what is to
 * be read of it in its place. */
static bool decode(struct tcmu_transport *t, struct tcmu_worker *w)
{
	struct tcmu_command *c = &w->command;
	struct ovbd_scsi_command *d = &w->decoded;
	size_t n = ovbd_scsi_parameters_size(&t->disk, c->cdb, c->cdb_len);

	if (!ovbd_scsi_ignores_attention(c->cdb) && atomic_exchange(&t->attention, false)) {
		d->kind = OVBD_SCSI_REFUSAL;
		d->sense = (struct ovbd_scsi_sense){0x06, 0x2a, 0x09}; /* capacity has changed */
		return false;
	}
	n = gather(c, w->parameters, n);
	ovbd_scsi_decode(&t->disk, c->cdb, c->cdb_len, w->parameters, n, d);
	if (d->kind == OVBD_SCSI_ANSWER)
		scatter(c, d->answer, d->nanswer);
	if (d->kind != OVBD_SCSI_REQUEST)
		return false;
	if (d->request.op != OVBD_REQUEST_READ && d->request.op != OVBD_REQUEST_WRITE)
		return true;
	if (!trim(c, d->request.len)) {
		d->kind = OVBD_SCSI_REFUSAL;
		d->sense = (struct ovbd_scsi_sense){0x0b, 0x4b, 0x00}; /* data phase error */
		return false;
	}
	d->request.iov = c->iov;
	d->request.niov = c->niov;
	return true;
}

/* Answers the worker's command; sense NULL is success. */
static int answer(struct tcmu_transport *t, const struct tcmu_worker *w,
                  const struct ovbd_scsi_sense *sense)
{
	pthread_mutex_lock(&t->lock);
	ovbd_tcmu_ring_complete(&t->ring, w->command.id,
	                        sense ? OVBD_SCSI_CHECK_CONDITION : OVBD_SCSI_GOOD, sense);
	pthread_mutex_unlock(&t->lock);
	return kick(t);
}

/* 1: the worker has a command. -E2BIG: one that cannot be served. */
static int take(struct tcmu_transport *t, struct tcmu_worker *w, struct ovbd_error *err)
{
	int r = 0;

	pthread_mutex_lock(&t->lock);
	while (r == 0 && !t->over) {
		r = ovbd_tcmu_ring_take(&t->ring, &w->command, err);
		if (r == 0 && t->reading)
			pthread_cond_wait(&t->wake, &t->lock);
		else if (r == 0)
			r = wait_for_kernel(t, w->thread, err);
	}
	if (t->over)
		pthread_cond_broadcast(&t->wake);
	if (t->over && r == 0)
		r = -ESHUTDOWN;
	pthread_mutex_unlock(&t->lock);
	return r;
}

/* This worker leaves: another one is to wait for the kernel. */
static void hand_over(struct tcmu_transport *t)
{
	pthread_mutex_lock(&t->lock);
	if (!t->reading)
		pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}

/* Until there is a request; as next(). */
static int next_request(struct tcmu_transport *t, struct tcmu_worker *w, struct ovbd_error *err)
{
	static const struct ovbd_scsi_sense too_big = {0x0b, 0x55, 0x00};
	int r;

	for (;;) {
		r = take(t, w, err);
		if (r == -ESHUTDOWN)
			return r;
		if (r < 0 && r != -E2BIG)
			return ovbd_fail_within(err, r, "/dev/uio%u", t->minor);
		if (r == 1 && decode(t, w))
			return 0;
		if (r == 1)
			r = answer(t, w,
			           w->decoded.kind == OVBD_SCSI_REFUSAL ? &w->decoded.sense : NULL);
		else
			r = answer(t, w, &too_big);
		if (r == -ENODEV)
			return -ESHUTDOWN;
		if (r < 0)
			return ovbd_fail_errno(err, r, "/dev/uio%u: answering a command", t->minor);
	}
}

static int tcmu_next(struct ovbd_transport *transport, unsigned worker, struct ovbd_request *ret,
                     struct ovbd_error *err)
{
	struct tcmu_transport *t = tcmu_of(transport);
	struct tcmu_worker *w = &t->workers[worker];
	int r;

	assert(worker < t->nworkers);
	if (!w->thread)
		w->thread = ovbd_rouse_prepare();
	w->command.iov = w->pieces;
	w->command.iov_max = IOV_MAX_PIECES;
	r = next_request(t, w, err);
	hand_over(t);
	if (r == 0)
		*ret = w->decoded.request;
	return r;
}

static int tcmu_complete(struct ovbd_transport *transport, unsigned worker,
                         const struct ovbd_request *rq, int status)
{
	struct tcmu_transport *t = tcmu_of(transport);
	const struct ovbd_scsi_sense sense = ovbd_scsi_sense_of(rq->op, status);
	const int r = answer(t, &t->workers[worker], status < 0 ? &sense : NULL);

	return r == -ENODEV ? 0 : r; /* then next() will say so */
}

/* The order of its steps is what wait_for_kernel() relies on. */
static void tcmu_stop(struct ovbd_transport *transport)
{
	struct tcmu_transport *t = tcmu_of(transport);
	const int saved = errno; /* may be called by a signal handler */
	pid_t thread;

	atomic_store(&t->stopped, true);
	fcntl(t->uio_fd, F_SETFL, O_RDWR | O_NONBLOCK);
	thread = atomic_load(&t->within);
	if (thread)
		ovbd_rouse(thread);
	errno = saved;
}

static void tcmu_close(struct ovbd_transport *transport)
{
	struct tcmu_transport *t = tcmu_of(transport);

	if (t->ring.map)
		munmap(t->ring.map, t->ring.map_size);
	if (t->uio_fd >= 0)
		close(t->uio_fd);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
	free(t->serial);
	free(t);
}

static const struct ovbd_transport_ops tcmu_ops = {
	.name = "tcmu",
	.next = tcmu_next,
	.complete = tcmu_complete,
	.stop = tcmu_stop,
	.close = tcmu_close,
};

static int check_size(unsigned minor, uint64_t size, uint32_t block_size, struct ovbd_error *err)
{
	if ((block_size != 512 && block_size != 4096) || size % block_size != 0)
		return ovbd_fail(err, -EINVAL, "/dev/uio%u: a disk of %llu bytes in blocks of %u",
		                 minor, (unsigned long long)size, block_size);
	return 0;
}

/* All but the ring. */
static int allocate(const struct ovbd_tcmu_params *p, struct tcmu_transport **ret)
{
	struct tcmu_transport *t;

	t = calloc(1, sizeof(*t) + p->nworkers * sizeof(t->workers[0]));
	if (!t)
		return -ENOMEM;
	t->transport.ops = &tcmu_ops;
	t->minor = p->minor;
	t->nworkers = p->nworkers;
	t->attention = p->changed;
	t->uio_fd = -1;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->wake, NULL);
	t->serial = strdup(p->serial);
	if (!t->serial) {
		tcmu_close(&t->transport);
		return -ENOMEM;
	}
	t->disk = (struct ovbd_scsi_disk){
		.size = p->size,
		.block_size = p->block_size,
		.max_transfer = OVBD_TCMU_MAX_TRANSFER,
		.writable = p->writable,
		.serial = t->serial,
	};
	*ret = t;
	return 0;
}

int ovbd_tcmu_open_ring(const struct ovbd_tcmu_params *p, int take_fd, void *take_map,
                        uint64_t map_size, struct ovbd_transport **ret, struct ovbd_error *err)
{
	struct tcmu_transport *t = NULL;
	int r = check_size(p->minor, p->size, p->block_size, err);

	if (r == 0) {
		r = allocate(p, &t);
		if (r < 0)
			ovbd_fail_errno(err, r, "/dev/uio%u", p->minor);
	}
	if (r < 0) {
		munmap(take_map, map_size);
		close(take_fd);
		return r;
	}
	t->uio_fd = take_fd;
	r = ovbd_tcmu_ring_open(take_map, map_size, &t->ring, err);
	if (r < 0) {
		munmap(take_map, map_size);
		tcmu_close(&t->transport);
		return ovbd_fail_within(err, r, "/dev/uio%u", p->minor);
	}
	*ret = &t->transport;
	return 0;
}

int ovbd_tcmu_set_size(struct ovbd_transport *transport, uint64_t size, bool writable,
                       struct ovbd_error *err)
{
	struct tcmu_transport *t = tcmu_of(transport);
	const int r = check_size(t->minor, size, t->disk.block_size, err);

	if (r < 0)
		return r;
	t->disk.size = size;
	t->disk.writable = writable;
	return 0;
}

int ovbd_tcmu_resize(struct ovbd_transport *transport, uint64_t size, struct ovbd_error *err)
{
	struct tcmu_transport *t = tcmu_of(transport);
	const int r = check_size(t->minor, size, t->disk.block_size, err);

	if (r < 0 || t->disk.size == size)
		return r;
	t->disk.size = size;
	atomic_store(&t->attention, true);
	return 0;
}

/* The commands that a dead server left are the kernel's again, and the ring is empty. One that died
 * in here has left the disk blocked, with an empty ring. */
static int give_back(struct tcmu_transport *t, struct ovbd_error *err)
{
	struct ovbd_tcmu_name name;
	int r = ovbd_tcmu_name_of(t->minor, &name, err), unblocked;

	if (r < 0)
		return r;
	if (!ovbd_tcmu_is_enabled(&name)) /* it is just being made, by who waits for us */
		return 0;
	if (*t->ring.tail != *t->ring.head) {
		r = ovbd_tcmu_action(&name, "block_dev", "1", err);
		ovbd_fault_point("ring-blocked");
		if (r == 0)
			r = ovbd_tcmu_action(&name, "reset_ring", "1", err);
		ovbd_fault_point("ring-reset");
		t->ring.at = *t->ring.tail;
	}
	unblocked = ovbd_tcmu_action(&name, "block_dev", "0", r < 0 ? NULL : err);
	return r < 0 ? r : unblocked;
}

int ovbd_tcmu_open(const struct ovbd_tcmu_params *p, struct ovbd_transport **ret,
                   struct ovbd_error *err)
{
	struct ovbd_transport *t;
	char path[32];
	uint64_t size;
	void *map;
	int fd, r;

	snprintf(path, sizeof(path), "/dev/uio%u", p->minor);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	r = ovbd_tcmu_map_size(p->minor, &size, err);
	map = r < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r == 0 && map == MAP_FAILED)
		r = ovbd_fail_errno(err, -errno, "%s: mapping its ring", path);
	if (r < 0) {
		close(fd);
		return r;
	}
	/* A child must not keep the disk in use that the next server is to take. */
	madvise(map, size, MADV_DONTFORK);
	ovbd_fault_point("ring-mapped");
	r = ovbd_tcmu_open_ring(p, fd, map, size, &t, err);
	if (r < 0)
		return r;
	r = give_back(tcmu_of(t), err);
	if (r < 0) {
		tcmu_close(t);
		return r;
	}
	*ret = t;
	return 0;
}
