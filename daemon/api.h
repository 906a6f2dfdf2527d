/* SPDX-License-Identifier: Apache-2.0 */
/* The control API: JSON over HTTP/1.1 on a socket. docs/api.md is its contract. */
#ifndef OVBD_DAEMON_API_H
#define OVBD_DAEMON_API_H

#include "daemon/devices.h"
#include "daemon/metrics.h"

struct ovbd_api_params {
	struct ovbd_devices *devices;
	struct ovbd_metrics *metrics;
	int take_fd; /* listens */
	const char *version;
	/* POST /v1/reload; any thread. Fails if there is a mistake in the configuration. */
	int (*reload)(void *arg, struct ovbd_error *err);
	/* May be NULL. Each request that is to change something: what, and by whom. Any thread. */
	void (*asked)(void *arg, const char *sentence);
	void *arg;
};

struct ovbd_api;

/* Answers in threads of its own, with the caller's signal mask. */
int ovbd_api_start(const struct ovbd_api_params *p, struct ovbd_api **ret, struct ovbd_error *err);

/* No new requests; those in progress have to come to their end first: see ovbd_devices_stop().
 * NULL is fine. */
void ovbd_api_stop(struct ovbd_api *take_api);

#endif
