// SPDX-License-Identifier: Apache-2.0
/*
 * What overlaybd's daemon tells, by its names, misspelt as they are, for the dashboards that know
 * them: rates over the time between two looks, which lie an interval apart at least; so whoever
 * looks more often gets the same figures again. Reads are "pread", what was fetched for them is
 * "download", and so is what is fetched of layers that are downloaded as a whole.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "daemon/metrics_impl.h"
#include "remote/metrics.h"

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The host's name, without what would need escaping; it has no such letters. */
void metrics_original_start(struct ovbd_metrics *m)
{
	if (gethostname(m->node, sizeof(m->node) - 1) < 0)
		snprintf(m->node, sizeof(m->node), "unknown");
	for (char *c = m->node; *c; c++)
		if (*c == '"' || *c == '\\' || *c < ' ')
			*c = '_';
	m->window.at_ms = now_ms();
}

static void sum_fetched(void *arg, const struct ovbd_device_view *v)
{
	struct metrics_window *w = arg;

	w->requests += v->requests;
	w->fetched += v->fetched;
}

/* Counters of devices that are gone are gone with them: then there is nothing to say of this
 * time. */
static double rate(uint64_t now, uint64_t before, uint64_t ms)
{
	return now < before ? 0 : (double)(now - before) * 1000 / (double)ms;
}

/* What has been counted until now; anew: for a window that ends now. */
static void count(const struct ovbd_metrics *m, bool anew, struct metrics_window *ret)
{
	struct ovbd_serve_stats all = {0};
	struct ovbd_remote_metrics remote;

	*ret = (struct metrics_window){.at_ms = now_ms()};
	ovbd_devices_totals(m->p.devices, anew, &all);
	ovbd_devices_show(m->p.devices, NULL, sum_fetched, ret);
	ovbd_remote_metrics(&remote);
	ret->requests += remote.counters[OVBD_COUNT_DOWNLOAD_READS];
	ret->fetched += remote.counters[OVBD_COUNT_DOWNLOAD_BYTES];
	ret->reads = atomic_load(&all.reads);
	ret->bytes = atomic_load(&all.bytes);
	ret->slowest_ns = atomic_load(&all.slowest_ns);
}

/* The window there is, or a new one if it is old. Lock held. */
static void look(struct ovbd_metrics *m, uint64_t now)
{
	const struct metrics_window *old = &m->window;
	struct metrics_window w;
	uint64_t ms;

	if (now <= old->at_ms || now - old->at_ms < m->p.interval_ms)
		return;
	count(m, true, &w);
	ms = w.at_ms - old->at_ms;
	w.reads_rate = rate(w.reads, old->reads, ms);
	w.bytes_rate = rate(w.bytes, old->bytes, ms);
	w.requests_rate = rate(w.requests, old->requests, ms);
	w.fetched_rate = rate(w.fetched, old->fetched, ms);
	m->window = w;
}

static void add_pair(struct text *t, const struct ovbd_metrics *m, const char *name,
                     const char *help, double pread, double download)
{
	metrics_add(t, "# TYPE %s gauge\n# HELP %s %s\n", name, name, help);
	metrics_add(t, "%s{node=\"%s\",type=\"pread\",mode=\"\"} %.15g\n", name, m->node, pread);
	metrics_add(t, "%s{node=\"%s\",type=\"download\",mode=\"\"} %.15g\n", name, m->node,
	            download);
}

void metrics_add_original(struct text *t, struct ovbd_metrics *m)
{
	struct metrics_window w, now;

	pthread_mutex_lock(&m->lock);
	look(m, now_ms());
	w = m->window;
	pthread_mutex_unlock(&m->lock);
	count(m, false, &now);
	metrics_add(t,
	            "# TYPE OverlayBD_Alive gauge\n# HELP OverlayBD_Alive Always 1\n"
	            "OverlayBD_Alive{node=\"%s\"} 1\n",
	            m->node);
	add_pair(t, m, "OverlayBD_Read_Throughtput", "Bytes a second", w.bytes_rate,
	         w.fetched_rate);
	add_pair(t, m, "OverlayBD_QPS", "Requests a second", w.reads_rate, w.requests_rate);
	add_pair(t, m, "OverlayBD_MaxLatency", "Microseconds of the slowest read",
	         (double)w.slowest_ns / 1000, 0);
	add_pair(t, m, "OverlayBD_Count", "Bytes in all", (double)now.bytes, (double)now.fetched);
}
