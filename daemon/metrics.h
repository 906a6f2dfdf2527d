/* SPDX-License-Identifier: Apache-2.0 */
/* Counters as OpenMetrics text. */
#ifndef OVBD_DAEMON_METRICS_H
#define OVBD_DAEMON_METRICS_H

#include "daemon/devices.h"
#include "remote/cache.h"

struct ovbd_metrics_params {
	struct ovbd_devices *devices;
	struct ovbd_cache *cache; /* of theirs, or NULL */
	bool original;            /* also what overlaybd's daemon tells, by its names */
	uint64_t interval_ms;     /* of these: over how long rates are taken, at least */
};

struct ovbd_metrics;

int ovbd_metrics_open(const struct ovbd_metrics_params *p, struct ovbd_metrics **ret,
                      struct ovbd_error *err);

/* *ret_text is to be freed. Any thread. */
int ovbd_metrics_write(struct ovbd_metrics *m, char **ret_text, size_t *ret_len);

/* NULL is fine. */
void ovbd_metrics_close(struct ovbd_metrics *take_m);

#define OVBD_METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

#endif
