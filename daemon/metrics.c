// SPDX-License-Identifier: Apache-2.0
/*
 * A table of families, each of which is written for all devices, as the format wants it. Ids need
 * no escaping: of their letters none is special.
 */
#include "daemon/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/metrics_impl.h"

struct family {
	const char *name, *help, *unit; /* unit: NULL, or what the name ends with */
	bool gauge, us; /* us: the value is of microseconds, what is told of seconds */
	uint64_t (*value)(const struct ovbd_device_view *v);
	bool bow; /* only of devices with backup on write */
};

struct writing {
	struct text *text;
	const struct family *family;
};

#define COUNTER(field)                                                                             \
	static uint64_t get_##field(const struct ovbd_device_view *v)                              \
	{                                                                                          \
		return atomic_load_explicit(&v->stats->field, memory_order_relaxed);               \
	}
COUNTER(reads)
COUNTER(bytes)
COUNTER(writes)
COUNTER(written_bytes)
COUNTER(flushes)
COUNTER(failed)

static uint64_t get_bow_state(const struct ovbd_device_view *v)
{
	return v->bow.status.state;
}

static uint64_t get_bow_free(const struct ovbd_device_view *v)
{
	return v->bow.status.free_bytes;
}

static uint64_t get_bow_backed_up(const struct ovbd_device_view *v)
{
	return v->bow.status.backed_up;
}

static uint64_t get_bow_log_writes(const struct ovbd_device_view *v)
{
	return v->bow.status.log_writes;
}

static uint64_t get_size(const struct ovbd_device_view *v)
{
	return v->size;
}

static uint64_t get_up(const struct ovbd_device_view *v)
{
	return v->state == OVBD_DEVICE_SERVING;
}

static uint64_t get_requests(const struct ovbd_device_view *v)
{
	return v->requests;
}

static uint64_t get_retries(const struct ovbd_device_view *v)
{
	return v->retries;
}

static uint64_t get_fetched(const struct ovbd_device_view *v)
{
	return v->fetched;
}

static uint64_t get_read_us(const struct ovbd_device_view *v)
{
	return atomic_load_explicit(&v->stats->latency[OVBD_LATENCY_READ].sum_ns,
	                            memory_order_relaxed) /
	       1000;
}

static const struct family families[] = {
	{"up", "Whether the device is served", NULL, true, false, get_up},
	{"size_bytes", "Size of the device", "bytes", true, false, get_size},
	{"reads", "Reads answered, failed ones included", NULL, false, false, get_reads},
	{"read_bytes", "Bytes of the reads that succeeded", "bytes", false, false, get_bytes},
	{"read_seconds", "Time to answer reads", "seconds", false, true, get_read_us},
	{"writes", "Writes, zeroes and discards answered", NULL, false, false, get_writes},
	{"written_bytes", "Bytes of those that succeeded", "bytes", false, false,
         get_written_bytes},
	{"flushes", "Flushes answered", NULL, false, false, get_flushes},
	{"failed_requests", "Requests answered with an error", NULL, false, false, get_failed},
	{"http_requests", "Requests sent for layers", NULL, false, false, get_requests},
	{"http_retries", "Of them sent again", NULL, false, false, get_retries},
	{"http_bytes", "Bytes fetched for layers", "bytes", false, false, get_fetched},
	{"bow_state", "Backup on write: 0 trim, 1 checkpoint, 2 committed, 3 aborted", NULL, true,
         false, get_bow_state, true},
	{"bow_free_bytes", "What backups may still take", "bytes", true, false, get_bow_free, true},
	{"bow_backed_up_bytes", "What has been backed up since the checkpoint", "bytes", true,
         false, get_bow_backed_up, true},
	{"bow_log_writes", "Writes of the log of backups", NULL, false, false, get_bow_log_writes,
         true},
};

static void add_sample(void *arg, const struct ovbd_device_view *v)
{
	const struct writing *w = arg;

	const uint64_t value = w->family->value(v);
	char text[32];

	if (w->family->bow && !v->bow.on)
		return;
	if (w->family->us)
		snprintf(text, sizeof(text), "%" PRIu64 ".%06u", value / 1000000,
		         (unsigned)(value % 1000000));
	else
		snprintf(text, sizeof(text), "%" PRIu64, value);
	metrics_add(w->text, "ovbd_device_%s%s{id=\"%s\",transport=\"%s\"} %s\n", w->family->name,
	            w->family->gauge ? "" : "_total", v->spec->id, v->spec->transport, text);
}

static void count_states(void *arg, const struct ovbd_device_view *v)
{
	size_t *n = arg;

	n[v->state]++;
}

static void add_states(struct text *t, struct ovbd_devices *ds)
{
	size_t n[OVBD_DEVICE_GONE + 1] = {0};

	ovbd_devices_show(ds, NULL, count_states, n);
	metrics_add(t, "# TYPE ovbd_devices gauge\n# HELP ovbd_devices Devices by their state\n");
	for (int s = 0; s < OVBD_DEVICE_GONE; s++)
		metrics_add(t, "ovbd_devices{state=\"%s\"} %zu\n",
		            ovbd_device_state_name((enum ovbd_device_state)s), n[s]);
}

static void add_devices(struct text *t, struct ovbd_devices *ds)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		const struct family *f = &families[i];
		struct writing w = {.text = t, .family = f};

		metrics_add(t, "# TYPE ovbd_device_%s %s\n", f->name,
		            f->gauge ? "gauge" : "counter");
		if (f->unit)
			metrics_add(t, "# UNIT ovbd_device_%s %s\n", f->name, f->unit);
		metrics_add(t, "# HELP ovbd_device_%s %s\n", f->name, f->help);
		ovbd_devices_show(ds, NULL, add_sample, &w);
	}
}

int ovbd_metrics_open(const struct ovbd_metrics_params *p, struct ovbd_metrics **ret,
                      struct ovbd_error *err)
{
	struct ovbd_metrics *m = calloc(1, sizeof(*m));

	if (!m)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	m->p = *p;
	pthread_mutex_init(&m->lock, NULL);
	metrics_original_start(m);
	*ret = m;
	return 0;
}

int ovbd_metrics_write(struct ovbd_metrics *m, char **ret_text, size_t *ret_len)
{
	struct text t = {0};

	add_states(&t, m->p.devices);
	add_devices(&t, m->p.devices);
	metrics_add_latency(&t, m->p.devices);
	metrics_add_remote(&t, m->p.cache);
	if (m->p.original)
		metrics_add_original(&t, m);
	metrics_add(&t, "# EOF\n");
	if (t.failed) {
		free(t.s);
		return -ENOMEM;
	}
	*ret_text = t.s;
	*ret_len = t.len;
	return 0;
}

void ovbd_metrics_close(struct ovbd_metrics *take_m)
{
	if (!take_m)
		return;
	pthread_mutex_destroy(&take_m->lock);
	free(take_m);
}
