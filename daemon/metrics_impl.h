/* SPDX-License-Identifier: Apache-2.0 */
/* Private to metrics*.c. */
#ifndef OVBD_DAEMON_METRICS_IMPL_H
#define OVBD_DAEMON_METRICS_IMPL_H

#include <pthread.h>

#include "daemon/metrics.h"

struct text {
	char *s;
	size_t len, size;
	bool failed;
};

void metrics_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What overlaybd tells: what happened between two moments, the later of them at most a while
 * ago. */
struct metrics_window {
	uint64_t at_ms;
	uint64_t reads, bytes, requests, fetched; /* until then */
	double reads_rate, bytes_rate, requests_rate, fetched_rate;
	uint64_t slowest_ns;
};

struct ovbd_metrics {
	struct ovbd_metrics_params p;
	pthread_mutex_t lock; /* guards window */
	struct metrics_window window;
	char node[65];
};

void metrics_add_remote(struct text *t, struct ovbd_cache *cache);
void metrics_add_latency(struct text *t, struct ovbd_devices *ds);
void metrics_original_start(struct ovbd_metrics *m);
void metrics_add_original(struct text *t, struct ovbd_metrics *m);

#endif
