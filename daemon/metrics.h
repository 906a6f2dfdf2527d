/* SPDX-License-Identifier: Apache-2.0 */
/* Counters as OpenMetrics text. */
#ifndef OVBD_DAEMON_METRICS_H
#define OVBD_DAEMON_METRICS_H

#include "daemon/devices.h"

/* *ret_text is to be freed. */
int ovbd_metrics_write(struct ovbd_devices *ds, char **ret_text, size_t *ret_len);

#define OVBD_METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

#endif
