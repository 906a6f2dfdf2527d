// SPDX-License-Identifier: Apache-2.0
/* A read takes microseconds, an addition nanoseconds: there is one counter of each kind, which all
 * threads add to. */
#include "remote/metrics.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <time.h>

const uint32_t ovbd_read_bounds_us[OVBD_READ_NBOUNDS] = {
	5,       10,      20,      50,       100,      200,      500,    1000,
	2000,    5000,    10000,   20000,    50000,    100000,   200000, 500000,
	1000000, 2000000, 5000000, 10000000, 20000000, 30000000,
};

struct source_counters {
	alignas(64) atomic_uint_fast64_t reads;
	atomic_uint_fast64_t bytes, failed, in_flight, sum_ns;
	atomic_uint_fast64_t counts[OVBD_READ_NBOUNDS + 1];
};

static struct source_counters from[OVBD_NSOURCES];
static atomic_uint_fast64_t counters[OVBD_NCOUNTERS];
static atomic_uint_fast64_t statuses[OVBD_HTTP_STATUSES];

static void add(atomic_uint_fast64_t *to, uint64_t n)
{
	atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

static uint64_t get(const atomic_uint_fast64_t *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

const char *ovbd_source_name(enum ovbd_source s)
{
	static const char *const names[] = {
		[OVBD_SOURCE_CACHE] = "cache",
		[OVBD_SOURCE_LOCAL] = "local",
		[OVBD_SOURCE_REMOTE] = "remote",
	};

	return names[s];
}

void ovbd_remote_metrics(struct ovbd_remote_metrics *ret)
{
	for (int s = 0; s < OVBD_NSOURCES; s++) {
		struct ovbd_source_metrics *to = &ret->from[s];

		to->reads = get(&from[s].reads);
		to->bytes = get(&from[s].bytes);
		to->failed = get(&from[s].failed);
		to->in_flight = get(&from[s].in_flight);
		to->sum_ns = get(&from[s].sum_ns);
		for (int i = 0; i <= OVBD_READ_NBOUNDS; i++)
			to->counts[i] = get(&from[s].counts[i]);
	}
	for (int i = 0; i < OVBD_NCOUNTERS; i++)
		ret->counters[i] = get(&counters[i]);
	for (int i = 0; i < OVBD_HTTP_STATUSES; i++)
		ret->statuses[i] = get(&statuses[i]);
}

void ovbd_remote_count(enum ovbd_counter c, uint64_t n)
{
	add(&counters[c], n);
}

void ovbd_remote_count_status(long status)
{
	add(&statuses[status > 0 && status < OVBD_HTTP_STATUSES ? status : 0], 1);
}

uint64_t ovbd_remote_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t ovbd_remote_read_begin(enum ovbd_source s)
{
	add(&from[s].in_flight, 1);
	return ovbd_remote_now_ns();
}

void ovbd_remote_read_end(enum ovbd_source s, uint64_t begin, size_t len, int code)
{
	atomic_fetch_sub_explicit(&from[s].in_flight, 1, memory_order_relaxed);
	ovbd_remote_count_read(s, ovbd_remote_now_ns() - begin, len, code);
}

void ovbd_remote_count_read(enum ovbd_source s, uint64_t ns, size_t len, int code)
{
	struct source_counters *f = &from[s];
	int i = 0;

	while (i < OVBD_READ_NBOUNDS && ns > (uint64_t)ovbd_read_bounds_us[i] * 1000)
		i++;
	add(&f->counts[i], 1);
	add(&f->sum_ns, ns);
	if (code < 0) {
		add(&f->failed, 1);
		return;
	}
	add(&f->reads, 1);
	add(&f->bytes, len);
}
