// SPDX-License-Identifier: Apache-2.0
/*
 * TCMU as two transports of the daemon. One serves a disk that others have made, as it is. The
 * other makes the disk, and the block device of it, which takes a server that serves already: so a
 * thread of its own, the keeper, does it while the workers go on:
 *
 *   open       makes the disk, or finds the one that a dead daemon has left; maps its ring
 *   keeper     from the first next(): makes the block device; named(), ready(); waits for stop() or
 *              the last user; takes the block device away; stops the workers
 *   close      waits for the keeper; removes the disk if it was not there before, or is not linked
 *
 * A worker that finds the ring broken tells the keeper to leave all as it is, for the next turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "base/auto.h"
#include "daemon/confine.h"
#include "daemon/helper.h"
#include "daemon/serve.h"
#include "daemon/stand_in.h"
#include "daemon/tcmu_disk.h"
#include "daemon/transports.h"

#define CLAIM_MS 200 /* between looks whether the last user has gone */

struct disk {
	struct ovbd_transport transport;
	struct ovbd_transport *ring;
	char *id;
	char path[OVBD_TCMU_PATH_SIZE]; /* /dev/sdX; the keeper's */
	bool writable;
	bool linked; /* or may be: then the disk is not to be removed */
	int wake_fd; /* wakes the keeper to look at the flags */
	atomic_bool stopping, leaving, broken;
	atomic_bool placed; /* path is there */
	/* It has another size than the kernel may have found. */
	_Atomic uint64_t new_size;
	void (*ready)(void *arg);
	void (*named)(void *arg, const char *path);
	void *arg;
	pthread_t keeper;
	bool has_keeper; /* worker 0's, and then close()'s */
	/* The keeper's: why there is no block device. For others once dead is true. */
	struct ovbd_error why;
	int code;
	atomic_bool dead;
};

static struct disk *disk_of(struct ovbd_transport *t)
{
	return OVBD_CONTAINER_OF(t, struct disk, transport);
}

static void raise_event(int fd)
{
	const uint64_t one = 1;
	const int saved = errno; /* may be called by a signal handler */

	/* Fails only when the counter is full, and then the event is raised. */
	if (write(fd, &one, sizeof(one)) < 0)
		errno = saved;
}

/* --- the keeper --- */

/* Until stop(), or detach() and no user, or the ring is broken: what is to be released, or -1. */
static int wait_for_end(struct disk *d)
{
	struct pollfd p = {.fd = d->wake_fd, .events = POLLIN};
	uint64_t n;

	while (!atomic_load(&d->stopping) && !atomic_load(&d->broken)) {
		const bool leaving = atomic_load(&d->leaving);
		int claim = -1;
		const int r = leaving ? ovbd_helper_claim(d->path, &claim, NULL) : -EAGAIN;

		if (r == 0 || r == -ENOENT)
			return claim;
		if (poll(&p, 1, leaving ? CLAIM_MS : -1) > 0 &&
		    read(d->wake_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
			return -1;
	}
	return -1;
}

/* Also before there is a block device: who finds that it is there, and that there is another size,
 * tells it; it may be both. */
static int tell_size(struct disk *d, struct ovbd_error *err)
{
	const uint64_t size = atomic_load(&d->new_size);
	struct ovbd_tcmu_name name = {.hba = OVBD_TCMU_HBA};

	if (size == 0 || !atomic_load(&d->placed))
		return 0;
	snprintf(name.device, sizeof(name.device), "%s", d->id);
	return ovbd_tcmu_disk_tell_size(&name, d->id, size, err);
}

static void *keeper_main(void *arg)
{
	struct disk *d = arg;
	struct ovbd_error err;
	int claim = -1;

	d->code = ovbd_tcmu_disk_link(d->id, d->path, &d->why);
	if (d->code == 0) {
		d->named(d->arg, d->path);
		atomic_store(&d->placed, true);
		tell_size(d, NULL);
		d->ready(d->arg);
		claim = wait_for_end(d);
	}
	if (!atomic_load(&d->broken)) {
		if (d->code == 0 && d->writable) /* what would be lost with it */
			ovbd_helper_write_back(d->path, NULL);
		ovbd_helper_release(claim);
		d->linked = ovbd_tcmu_disk_unlink(d->id, &err) < 0;
		if (d->linked && d->code == 0)
			d->code = ovbd_fail(&d->why, -EBUSY, "%s", err.msg);
	} else if (claim >= 0) {
		close(claim); /* its end would wait for us */
	}
	atomic_store(&d->dead, true);
	d->ring->ops->stop(d->ring);
	return NULL;
}

/* The keeper takes no signals: they are for the threads of whoever serves. */
static int start_keeper(struct disk *d)
{
	const bool linked = d->linked;
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	d->linked = true;
	r = -pthread_create(&d->keeper, NULL, keeper_main, d);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	d->has_keeper = r == 0;
	if (r < 0)
		d->linked = linked;
	return r;
}

/* --- the transport --- */

/* Without workers the kernel would wait for ever for the block device to go: so it stays. */
static int give_up(struct disk *d, int code)
{
	atomic_store(&d->broken, true);
	d->ring->ops->stop(d->ring);
	return code;
}

static int disk_next(struct ovbd_transport *t, unsigned worker, struct ovbd_request *ret,
                     struct ovbd_error *err)
{
	struct disk *d = disk_of(t);
	int r = 0;

	if (worker == 0 && !d->has_keeper)
		r = start_keeper(d);
	if (r < 0)
		return give_up(d, ovbd_fail_errno(err, r, "%s: starting a thread", d->id));
	r = d->ring->ops->next(d->ring, worker, ret, err);
	if (r == -ESHUTDOWN && atomic_load(&d->dead) && d->code < 0) {
		if (err)
			*err = d->why;
		return d->code;
	}
	return r < 0 && r != -ESHUTDOWN ? give_up(d, r) : r;
}

static int disk_complete(struct ovbd_transport *t, unsigned worker, const struct ovbd_request *rq,
                         int status)
{
	struct disk *d = disk_of(t);
	const int r = d->ring->ops->complete(d->ring, worker, rq, status);

	return r < 0 ? give_up(d, r) : r;
}

static int disk_detach(struct ovbd_transport *t, struct ovbd_error *err)
{
	struct disk *d = disk_of(t);
	int claim = -1, r = -ENOENT;

	if (atomic_load(&d->placed))
		r = ovbd_helper_claim(d->path, &claim, err);
	ovbd_helper_release(claim);
	if (r == -EPIPE)
		return r;
	atomic_store(&d->leaving, true);
	raise_event(d->wake_fd);
	return r == -EBUSY;
}

static void disk_stop(struct ovbd_transport *t)
{
	struct disk *d = disk_of(t);

	atomic_store(&d->stopping, true);
	raise_event(d->wake_fd);
}

static void disk_close(struct ovbd_transport *t)
{
	struct disk *d = disk_of(t);

	if (d->has_keeper) {
		disk_stop(t);
		pthread_join(d->keeper, NULL);
	}
	if (d->ring)
		d->ring->ops->close(d->ring);
	if (!d->linked)
		ovbd_tcmu_disk_remove(d->id, NULL);
	if (d->wake_fd >= 0)
		close(d->wake_fd);
	free(d->id);
	free(d);
}

static const struct ovbd_transport_ops disk_ops = {
	.name = "tcmu",
	.next = disk_next,
	.complete = disk_complete,
	.detach = disk_detach,
	.stop = disk_stop,
	.close = disk_close,
};

static int open_ring(const struct ovbd_transport_open *p, unsigned hba, const char *device,
                     unsigned minor, struct ovbd_transport **ret, struct ovbd_error *err)
{
	struct ovbd_tcmu_params ring = {
		.minor = minor,
		.size = p->device ? p->device->blob->size : 0,
		.writable = p->device && ovbd_device_is_writable(p->device),
		.serial = p->id,
		.changed = p->changed,
		.nworkers = p->nworkers,
	};
	int r = ovbd_tcmu_disk_block_size(hba, device, &ring.block_size, err);

	return r < 0 ? r : ovbd_tcmu_open(&ring, ret, err);
}

static int open_disk(const struct ovbd_transport_open *p, struct disk *d, struct ovbd_error *err)
{
	unsigned minor;
	int r;

	d->id = strdup(p->id);
	d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!d->id || d->wake_fd < 0)
		return ovbd_fail_errno(err, d->id ? -errno : -ENOMEM, "%s", p->id);
	r = ovbd_tcmu_disk_make(p->manager, p->id, p->device->blob->size, &minor, &d->linked, err);
	if (r == 0)
		r = open_ring(p, OVBD_TCMU_HBA, p->id, minor, &d->ring, err);
	return r;
}

static void no_ready(void *arg)
{
	(void)arg;
}

static void no_name(void *arg, const char *path)
{
	(void)arg;
	(void)path;
}

static int open_own(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
                    char **ret_path, struct ovbd_error *err)
{
	struct disk *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	d->transport.ops = &disk_ops;
	d->writable = ovbd_device_is_writable(p->device);
	d->ready = p->ready;
	d->named = p->named;
	d->arg = p->arg;
	d->wake_fd = -1;
	d->linked = true; /* until it is known: close() removes nothing */
	r = open_disk(p, d, err);
	if (r < 0) {
		disk_close(&d->transport);
		return r;
	}
	*ret = &d->transport;
	*ret_path = NULL;
	return 0;
}

/* The kernel lets go of a disk only with a server that answers its last commands, in errors. */
static int abandon_own(const struct ovbd_transport_open *p, struct ovbd_error *err)
{
	const struct ovbd_serve_params serve = {.nworkers = 1};
	struct ovbd_transport_open q = *p;
	struct ovbd_stand_in *nothing;
	struct ovbd_transport *t;
	unsigned minor;
	char *path;
	int r = ovbd_tcmu_find(OVBD_TCMU_HBA, p->id, &minor, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = ovbd_stand_in_open(UINT64_C(1) << 50, true, 0, &nothing, err);
	if (r < 0)
		return r;
	ovbd_stand_in_give_up(nothing);
	q.device = ovbd_stand_in_device(nothing);
	q.nworkers = serve.nworkers;
	q.ready = no_ready;
	q.named = no_name;
	r = open_own(&q, &t, &path, err);
	if (r == 0) {
		t->ops->stop(t);
		r = ovbd_serve(t, q.device, &serve, err);
		t->ops->close(t);
	}
	ovbd_stand_in_close(nothing);
	return r;
}

static int size_own(const struct ovbd_transport_open *p, uint64_t *ret, struct ovbd_error *err)
{
	return ovbd_tcmu_disk_size(p->id, ret, err);
}

static int resize_own(const struct ovbd_transport_open *p, struct ovbd_transport *t, uint64_t size,
                      struct ovbd_error *err)
{
	struct disk *d = disk_of(t);
	int r;

	(void)p;
	if (size == 0)
		return 0;
	r = ovbd_tcmu_resize(d->ring, size, err);
	if (r < 0)
		return r;
	atomic_store(&d->new_size, size);
	return tell_size(d, err);
}

const struct ovbd_transport_kind ovbd_transport_kind_tcmu = {
	.name = "tcmu",
	.writable = true,
	.discards = true,
	.block_size = OVBD_TCMU_BLOCK_SIZE,
	.late = true,
	.survives = true,
	.caps = OVBD_CAP(NET_ADMIN), /* the listener's */
	.calls = OVBD_CALLS_NODES,   /* the same */
	.prepare = ovbd_helper_start,
	.available = ovbd_tcmu_disk_available,
	.size = size_own,
	.open = open_own,
	.resize = resize_own,
	.abandon = abandon_own,
};

/* --- the disk of others --- */

/* The disk that p->path, "/dev/uioN", and p->id mean. -ENODEV: it is gone, or another's by now. */
static int find_adopted(const struct ovbd_transport_open *p, unsigned *ret_minor,
                        struct ovbd_tcmu_name *ret, struct ovbd_error *err)
{
	char id[OVBD_TCMU_NAME_SIZE];

	if (sscanf(p->path, "/dev/uio%u", ret_minor) != 1)
		return ovbd_fail(err, -EINVAL, "%s: is no TCMU disk", p->path);
	if (ovbd_tcmu_name_of(*ret_minor, ret, NULL) < 0 ||
	    ovbd_tcmu_name_id(ret, id, sizeof(id), NULL) < 0 || strcmp(id, p->id) != 0)
		return ovbd_fail(err, -ENODEV, "%s: the disk has been removed", p->path);
	return 0;
}

static int size_adopted(const struct ovbd_transport_open *p, uint64_t *ret, struct ovbd_error *err)
{
	struct ovbd_tcmu_name name;
	unsigned minor;
	int r = find_adopted(p, &minor, &name, err);

	return r < 0 ? r : ovbd_tcmu_disk_size_by_serial(p->id, ret, err);
}

/* All of it; p->device may be missing. */
static int open_found(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
                      struct ovbd_error *err)
{
	struct ovbd_tcmu_name name;
	unsigned minor;
	const int r = find_adopted(p, &minor, &name, err);

	return r < 0 ? r : open_ring(p, name.hba, name.device, minor, ret, err);
}

static int open_adopted(const struct ovbd_transport_open *p, struct ovbd_transport **ret,
                        char **ret_path, struct ovbd_error *err)
{
	struct ovbd_transport *t = p->take_early;
	AUTO_FREE char *path = strdup(p->path);
	int r;

	if (t)
		r = ovbd_tcmu_set_size(t, p->device->blob->size, ovbd_device_is_writable(p->device),
		                       err);
	else
		r = open_found(p, &t, err);
	if (r == 0 && !path)
		r = ovbd_fail(err, -ENOMEM, "%s: out of memory", p->path);
	if (r < 0) {
		if (t)
			t->ops->close(t);
		return r;
	}
	*ret = t;
	*ret_path = OVBD_MOVE(path);
	return 0;
}

static int resize_adopted(const struct ovbd_transport_open *p, struct ovbd_transport *t,
                          uint64_t size, struct ovbd_error *err)
{
	struct ovbd_tcmu_name name;
	unsigned minor;
	int r = find_adopted(p, &minor, &name, err);

	if (r < 0 || size == 0)
		return r;
	r = ovbd_tcmu_resize(t, size, err);
	return r < 0 ? r : ovbd_tcmu_disk_tell_size(&name, p->id, size, err);
}

const struct ovbd_transport_kind ovbd_transport_kind_tcmu_adopted = {
	.name = "tcmu",
	.writable = true,
	.discards = true,
	.block_size = OVBD_TCMU_BLOCK_SIZE,
	.survives = true,
	.available = ovbd_tcmu_disk_available,
	.size = size_adopted,
	.places = ovbd_tcmu_disk_places,
	.open_early = open_found,
	.open = open_adopted,
	.resize = resize_adopted,
};
