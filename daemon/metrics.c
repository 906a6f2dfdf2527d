// SPDX-License-Identifier: Apache-2.0
/*
 * A table of families, each of which is written for all devices, as the format wants it. Ids need
 * no escaping: of their letters none is special.
 */
#include "daemon/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct text {
	char *s;
	size_t len, size;
	bool failed;
};

struct family {
	const char *name, *help, *unit; /* unit: NULL, or what the name ends with */
	bool gauge;
	uint64_t (*value)(const struct ovbd_device_view *v);
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

static const struct family families[] = {
	{"up", "Whether the device is served", NULL, true, get_up},
	{"size_bytes", "Size of the device", "bytes", true, get_size},
	{"reads", "Reads answered, failed ones included", NULL, false, get_reads},
	{"read_bytes", "Bytes of the reads that succeeded", "bytes", false, get_bytes},
	{"writes", "Writes, zeroes and discards answered", NULL, false, get_writes},
	{"written_bytes", "Bytes of those that succeeded", "bytes", false, get_written_bytes},
	{"flushes", "Flushes answered", NULL, false, get_flushes},
	{"failed_requests", "Requests answered with an error", NULL, false, get_failed},
	{"http_requests", "Requests sent for layers", NULL, false, get_requests},
	{"http_retries", "Of them sent again", NULL, false, get_retries},
	{"http_bytes", "Bytes fetched for layers", "bytes", false, get_fetched},
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...)
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

static void add_sample(void *arg, const struct ovbd_device_view *v)
{
	const struct writing *w = arg;

	add(w->text, "ovbd_device_%s%s{id=\"%s\",transport=\"%s\"} %" PRIu64 "\n", w->family->name,
	    w->family->gauge ? "" : "_total", v->spec->id, v->spec->transport, w->family->value(v));
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
	add(t, "# TYPE ovbd_devices gauge\n# HELP ovbd_devices Devices by their state\n");
	for (int s = 0; s < OVBD_DEVICE_GONE; s++)
		add(t, "ovbd_devices{state=\"%s\"} %zu\n",
		    ovbd_device_state_name((enum ovbd_device_state)s), n[s]);
}

int ovbd_metrics_write(struct ovbd_devices *ds, char **ret_text, size_t *ret_len)
{
	struct text t = {0};

	add_states(&t, ds);
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		const struct family *f = &families[i];
		struct writing w = {.text = &t, .family = f};

		add(&t, "# TYPE ovbd_device_%s %s\n", f->name, f->gauge ? "gauge" : "counter");
		if (f->unit)
			add(&t, "# UNIT ovbd_device_%s %s\n", f->name, f->unit);
		add(&t, "# HELP ovbd_device_%s %s\n", f->name, f->help);
		ovbd_devices_show(ds, NULL, add_sample, &w);
	}
	add(&t, "# EOF\n");
	if (t.failed) {
		free(t.s);
		return -ENOMEM;
	}
	*ret_text = t.s;
	*ret_len = t.len;
	return 0;
}
