// SPDX-License-Identifier: Apache-2.0
/*
 * The text as it grows, and the histograms of all devices together: one of each device would be as
 * much text as all else. Who looks for a slow device has its sum of seconds.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/metrics_impl.h"

void metrics_add(struct text *t, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (t->len + (size_t)n + 1 > t->size) {
		const size_t size = 2 * t->size + sizeof(line);
		char *more = realloc(t->s, size);

		if (!more) {
			t->failed = true;
			return;
		}
		t->s = more;
		t->size = size;
	}
	for (int i = 0; i <= n; i++)
		t->s[t->len + (size_t)i] = line[i];
	t->len += (size_t)n;
}

static void add_histogram(struct text *t, const char *op, struct ovbd_latency *l)
{
	uint64_t n = 0;

	for (int i = 0; i < OVBD_LATENCY_NBOUNDS; i++) {
		n += atomic_load(&l->counts[i]);
		metrics_add(t, "ovbd_latency_seconds_bucket{op=\"%s\",le=\"%.10g\"} %" PRIu64 "\n",
		            op, (double)OVBD_LATENCY_US(i) / 1e6, n);
	}
	n += atomic_load(&l->counts[OVBD_LATENCY_NBOUNDS]);
	metrics_add(t, "ovbd_latency_seconds_bucket{op=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", op, n);
	metrics_add(t, "ovbd_latency_seconds_sum{op=\"%s\"} %.9f\n", op,
	            (double)atomic_load(&l->sum_ns) / 1e9);
	metrics_add(t, "ovbd_latency_seconds_count{op=\"%s\"} %" PRIu64 "\n", op, n);
}

void metrics_add_latency(struct text *t, struct ovbd_devices *ds)
{
	static const char *const ops[] = {
		[OVBD_LATENCY_READ] = "read",
		[OVBD_LATENCY_WRITE] = "write",
		[OVBD_LATENCY_FLUSH] = "flush",
	};
	struct ovbd_serve_stats all = {0};

	ovbd_devices_totals(ds, false, &all);
	metrics_add(t, "# TYPE ovbd_latency_seconds histogram\n"
	               "# UNIT ovbd_latency_seconds seconds\n"
	               "# HELP ovbd_latency_seconds Time to answer a request, of all devices\n");
	for (int op = 0; op < OVBD_LATENCY_NOPS; op++)
		add_histogram(t, ops[op], &all.latency[op]);
}
