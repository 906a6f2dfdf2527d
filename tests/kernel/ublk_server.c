// SPDX-License-Identifier: Apache-2.0
/*
 * ublk_server [-w] [-r] [-i ID] [-j N] FILE: FILE as /dev/ublkbN, whose name is printed when it is
 * there; -w writable, -r takes over what a dead server has left. SIGTERM detaches, SIGINT stops.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/device.h"
#include "daemon/serve.h"
#include "daemon/ublk.h"

static char path[OVBD_UBLK_PATH_SIZE];
static struct ovbd_transport *transport;
static sigset_t signals;

static void ready(void *arg)
{
	(void)arg;
	puts(path);
	fflush(stdout);
}

static void *wait_for_signals(void *arg)
{
	struct ovbd_error err = {0};
	int sig, r;

	for (;;) {
		sigwait(&signals, &sig);
		if (sig == SIGUSR1)
			return arg;
		if (sig == SIGINT) {
			transport->ops->stop(transport);
			continue;
		}
		r = transport->ops->detach(transport, &err);
		fprintf(stderr, "detach: %d %s\n", r, err.msg);
	}
}

static int serve(struct ovbd_ublk_params *p, struct ovbd_device *d)
{
	const struct ovbd_serve_params sp = {.nworkers = p->nworkers};
	struct ovbd_error err;
	pthread_t thread;
	int r;

	p->size = d->blob->size;
	p->read_only = !ovbd_device_is_writable(d);
	r = ovbd_ublk_open(p, path, &transport, &err);
	if (r == 0) {
		pthread_create(&thread, NULL, wait_for_signals, NULL);
		r = ovbd_serve(transport, d, &sp, &err);
		pthread_kill(thread, SIGUSR1);
		pthread_join(thread, NULL);
		transport->ops->close(transport);
	}
	if (r < 0)
		fprintf(stderr, "%s\n", err.msg);
	return r < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct ovbd_ublk_params p = {.block_size = 512, .nworkers = 2, .id = -1, .ready = ready};
	AUTO_DEVICE *d = NULL;
	struct ovbd_blob *blob;
	struct ovbd_error err;
	bool writable = false;
	int option, r;

	while ((option = getopt(argc, argv, "wri:j:")) > 0) {
		writable |= option == 'w';
		p.recover |= option == 'r';
		if (option == 'i')
			p.id = atoi(optarg);
		if (option == 'j')
			p.nworkers = (unsigned)atoi(optarg);
	}
	if (optind + 1 != argc)
		return 2;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (writable) {
		r = ovbd_device_open_file(argv[optind], &d, &err);
	} else {
		r = ovbd_blob_open_file(argv[optind], &blob, &err);
		if (r == 0)
			r = ovbd_device_open_blob(blob, &d, &err);
	}
	if (r < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	return serve(&p, d);
}
