// SPDX-License-Identifier: Apache-2.0
/* Counters without order between them: who reads them sees each as it was at some moment. */
#include "daemon/serve.h"

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void raise_to(_Atomic uint64_t *highest, uint64_t n)
{
	uint64_t have = get(highest);

	while (have < n &&
	       !atomic_compare_exchange_weak_explicit(highest, &have, n, memory_order_relaxed,
	                                              memory_order_relaxed))
		;
}

static void count_latency(struct ovbd_latency *l, uint64_t ns)
{
	const uint64_t us = (ns + 999) / 1000;
	unsigned i = 0;

	while (i < OVBD_LATENCY_NBOUNDS && us > OVBD_LATENCY_US(i))
		i++;
	count(&l->counts[i], 1);
	count(&l->sum_ns, ns);
}

void ovbd_serve_stats_count(struct ovbd_serve_stats *st, const struct ovbd_request *rq, int status,
                            uint64_t ns)
{
	if (rq->op == OVBD_REQUEST_READ) {
		count(&st->reads, 1);
		count(&st->bytes, status == 0 ? rq->len : 0);
		count_latency(&st->latency[OVBD_LATENCY_READ], ns);
		raise_to(&st->slowest_ns, ns);
	} else if (rq->op == OVBD_REQUEST_FLUSH) {
		count(&st->flushes, 1);
		count_latency(&st->latency[OVBD_LATENCY_FLUSH], ns);
	} else {
		count(&st->writes, 1);
		count(&st->written_bytes, status == 0 ? rq->len : 0);
		count_latency(&st->latency[OVBD_LATENCY_WRITE], ns);
	}
	if (status < 0)
		count(&st->failed, 1);
}

void ovbd_serve_stats_add(struct ovbd_serve_stats *to, struct ovbd_serve_stats *from)
{
	count(&to->reads, get(&from->reads));
	count(&to->bytes, get(&from->bytes));
	count(&to->writes, get(&from->writes));
	count(&to->written_bytes, get(&from->written_bytes));
	count(&to->flushes, get(&from->flushes));
	count(&to->failed, get(&from->failed));
	for (int op = 0; op < OVBD_LATENCY_NOPS; op++) {
		for (int i = 0; i <= OVBD_LATENCY_NBOUNDS; i++)
			count(&to->latency[op].counts[i], get(&from->latency[op].counts[i]));
		count(&to->latency[op].sum_ns, get(&from->latency[op].sum_ns));
	}
	raise_to(&to->slowest_ns, get(&from->slowest_ns));
}
