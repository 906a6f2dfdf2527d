// SPDX-License-Identifier: Apache-2.0
/*
 * tcmu_device [-w] [-s SUBTYPE] FILE: serves every TCMU disk of the subtype (default: ovbd) from
 * FILE, as it appears and until it is removed; those that are there already first. For the tests
 * of the transport and of the listener by themselves.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#include "base/auto.h"
#include "base/device.h"
#include "daemon/serve.h"
#include "daemon/tcmu.h"

#define NDISKS   16
#define NWORKERS 4

struct disk {
	bool used;
	unsigned minor;
	struct ovbd_transport *t;
	struct ovbd_device *device;
	pthread_t thread;
};

static const char *path, *subtype = "ovbd";
static bool writable;
static struct disk disks[NDISKS];

static void *serve(void *arg)
{
	const struct ovbd_serve_params p = {.nworkers = NWORKERS};
	struct disk *d = arg;
	struct ovbd_error err = {0};
	const int r = ovbd_serve(d->t, d->device, &p, &err);

	fprintf(stderr, "uio%u: ended: %s\n", d->minor,
	        r == 0 || r == -ESHUTDOWN ? "well" : err.msg);
	return NULL;
}

static int open_device(struct ovbd_device **ret, struct ovbd_error *err)
{
	struct ovbd_blob *b;
	int r;

	if (writable)
		return ovbd_device_open_file(path, ret, err);
	r = ovbd_blob_open_file(path, &b, err);
	return r < 0 ? r : ovbd_device_open_blob(b, ret, err);
}

static int add(unsigned minor, const struct ovbd_tcmu_name *name, struct ovbd_error *err)
{
	struct disk *d = disks;
	int r;

	while (d < disks + NDISKS && d->used)
		d++;
	if (d == disks + NDISKS)
		return ovbd_fail(err, -EMFILE, "no more than %d disks", NDISKS);
	r = open_device(&d->device, err);
	if (r < 0)
		return r;
	r = ovbd_tcmu_open(
		&(struct ovbd_tcmu_params){
			.minor = minor,
			.size = d->device->blob->size,
			.block_size = OVBD_TCMU_BLOCK_SIZE,
			.writable = writable,
			.serial = name->device,
			.nworkers = NWORKERS,
		},
		&d->t, err);
	if (r < 0) {
		ovbd_device_close(d->device);
		return r;
	}
	d->minor = minor;
	d->used = pthread_create(&d->thread, NULL, serve, d) == 0;
	fprintf(stderr, "uio%u: serving %s/%s\n", minor, name->subtype, name->config);
	return d->used ? 0 : -EAGAIN;
}

static void remove_disk(unsigned minor)
{
	for (struct disk *d = disks; d < disks + NDISKS; d++) {
		if (!d->used || d->minor != minor)
			continue;
		d->t->ops->stop(d->t);
		pthread_join(d->thread, NULL);
		d->t->ops->close(d->t);
		ovbd_device_close(d->device);
		d->used = false;
	}
}

static int found(void *arg, unsigned minor, const struct ovbd_tcmu_name *name)
{
	struct ovbd_error err = {0};

	(void)arg;
	if (strcmp(name->subtype, subtype) == 0 && add(minor, name, &err) < 0)
		fprintf(stderr, "uio%u: %s\n", minor, err.msg);
	return 0;
}

static int on_event(struct ovbd_tcmu_listener *l, const struct ovbd_tcmu_event *e,
                    struct ovbd_error *err)
{
	int status = -ENOTSUP;

	if (strcmp(e->name.subtype, subtype) != 0)
		return 0;
	if (e->kind == OVBD_TCMU_REMOVED) {
		remove_disk(e->minor);
		status = 0;
	} else if (e->kind == OVBD_TCMU_ADDED) {
		/* the test asks to be refused */
		status = strcmp(e->name.config, "refuse") == 0 ? -EACCES
		                                               : add(e->minor, &e->name, err);
	}
	if (status < 0)
		fprintf(stderr, "uio%u: event %d: %d\n", e->minor, (int)e->kind, status);
	return ovbd_tcmu_reply(l, e, status, err);
}

static int run(struct ovbd_error *err)
{
	struct ovbd_tcmu_listener *l;
	struct ovbd_tcmu_event e;
	int r = ovbd_tcmu_listen(&l, err);

	if (r < 0)
		return r;
	r = ovbd_tcmu_scan(found, NULL, err);
	if (r == 0)
		r = ovbd_tcmu_listen_ready(l, err);
	fprintf(stderr, "ready\n");
	while (r == 0) {
		struct pollfd p = {.fd = ovbd_tcmu_listener_fd(l), .events = POLLIN};

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return -errno;
		while (r == 0 && (r = ovbd_tcmu_next_event(l, &e, err)) > 0)
			r = on_event(l, &e, err);
	}
	ovbd_tcmu_listener_close(l);
	return r;
}

int main(int argc, char **argv)
{
	struct ovbd_error err = {0};
	int o;

	while ((o = getopt(argc, argv, "ws:")) > 0) {
		if (o == 'w')
			writable = true;
		else if (o == 's')
			subtype = optarg;
		else
			return 2;
	}
	if (optind + 1 != argc)
		return 2;
	path = argv[optind];
	if (run(&err) < 0)
		fprintf(stderr, "tcmu_device: %s\n", err.msg);
	return 1;
}
