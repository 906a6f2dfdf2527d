/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics over TCP, for anyone to read: GET of one path, and nothing else. */
#ifndef OVBD_DAEMON_EXPORTER_H
#define OVBD_DAEMON_EXPORTER_H

#include "daemon/metrics.h"

struct ovbd_exporter;

/* address: HOST:PORT, [HOST]:PORT for IPv6, :PORT for every address. -EINVAL: no such address;
 * -EADDRINUSE. */
int ovbd_exporter_listen(const char *address, int *ret_fd, struct ovbd_error *err);

/* Answers at take_fd, in a thread of its own with the caller's signal mask. path is copied. */
int ovbd_exporter_start(int take_fd, const char *path, struct ovbd_metrics *metrics,
                        struct ovbd_exporter **ret, struct ovbd_error *err);

/* NULL is fine. */
void ovbd_exporter_stop(struct ovbd_exporter *take_e);

#endif
