/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots over TCP, as the original has them, for who has configured that. */
#ifndef OVBD_DAEMON_SNAPSHOT_SERVICE_H
#define OVBD_DAEMON_SNAPSHOT_SERVICE_H

#include "daemon/devices.h"

struct ovbd_snapshot_service;

/* address: http://HOST:PORT; -EINVAL if it is none. */
int ovbd_snapshot_service_listen(const char *address, int *ret_fd, struct ovbd_error *err);

/* Whoever can reach take_fd may ask. */
int ovbd_snapshot_service_start(int take_fd, struct ovbd_devices *ds,
                                struct ovbd_snapshot_service **ret, struct ovbd_error *err);
/* NULL is fine. */
void ovbd_snapshot_service_stop(struct ovbd_snapshot_service *take_s);

#endif
