// SPDX-License-Identifier: Apache-2.0
/*
 * What a server tells while it runs. An image whose server has gone away fails thousands of
 * requests in a second, all for one reason: a line is written for the first, and then at most one a
 * second, with the number of those in between.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

#include "daemon/serve.h"
#include "remote/ahead.h"
#include "remote/http.h"
#include "tools/serving.h"
#include "tools/size.h"
#include "remote/lazy.h"
#include "remote/metrics.h"

#define TELL_EVERY_MS 1000

void ovbd_serving_tell(const struct ovbd_serving *s, bool is_error, const char *fmt, ...)
{
	char line[OVBD_ERROR_SIZE + 256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (s->to_syslog) {
		if (is_error || !s->c->quiet)
			syslog(is_error ? LOG_ERR : LOG_NOTICE, "%s: %s", s->path, line);
	} else if (is_error) {
		ovbd_cli_error(s->c, "%s: %s", s->path, line);
	} else {
		ovbd_cli_note(s->c, "%s: %s", s->path, line);
	}
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static const char *name_of(enum ovbd_request_op op)
{
	switch (op) {
	case OVBD_REQUEST_READ:
		return "read";
	case OVBD_REQUEST_WRITE:
		return "write";
	case OVBD_REQUEST_WRITE_ZEROES:
		return "zeroing";
	case OVBD_REQUEST_DISCARD:
		return "discard";
	case OVBD_REQUEST_FLUSH:
		return "flush";
	}
	return "request";
}

void ovbd_serving_failed(void *arg, const struct ovbd_request *rq, int code,
                         const struct ovbd_error *why)
{
	struct ovbd_serving *s = arg;
	const long long now = now_ms();
	long long told = s->told_ms;
	char before[64] = "";
	unsigned long untold;

	(void)code;
	if ((told != 0 && now - told < TELL_EVERY_MS) ||
	    !atomic_compare_exchange_strong(&s->told_ms, &told, now)) {
		atomic_fetch_add(&s->untold, 1);
		return;
	}
	untold = atomic_exchange(&s->untold, 0);
	if (untold > 0)
		snprintf(before, sizeof(before), " (and %lu more before it)", untold);
	ovbd_serving_tell(s, true, "%s of %" PRIu64 " bytes at %" PRIu64 " failed%s: %s",
	                  name_of(rq->op), rq->len, rq->off, before, why->msg);
}

/* What of the layers' bytes came from the cache, and what had to be fetched again. */
static void tell_cache(struct ovbd_serving *s)
{
	struct ovbd_remote_metrics m;
	char kept[OVBD_SIZE_TEXT], stored[OVBD_SIZE_TEXT];

	ovbd_remote_metrics(&m);
	ovbd_serving_tell(s, false,
	                  "the cache answered %" PRIu64 " reads, %s; %s stored, %" PRIu64
	                  " chunks evicted, %" PRIu64 " wrong ones fetched again",
	                  m.from[OVBD_SOURCE_CACHE].reads,
	                  ovbd_size_text(kept, m.from[OVBD_SOURCE_CACHE].bytes),
	                  ovbd_size_text(stored, m.counters[OVBD_COUNT_STORED_BYTES]),
	                  m.counters[OVBD_COUNT_EVICTED],
	                  m.counters[OVBD_COUNT_BAD_CHUNKS] + m.counters[OVBD_COUNT_DISTRUSTED] +
	                          m.counters[OVBD_COUNT_UNVERIFIED]);
}

/* What was brought before it was read, and what of that was read since. */
static void tell_prefetch(struct ovbd_serving *s)
{
	struct ovbd_ahead_stats all = {0};
	char named[OVBD_SIZE_FULL], planned[OVBD_SIZE_TEXT], brought[OVBD_SIZE_TEXT],
		used[OVBD_SIZE_TEXT];

	for (size_t i = 0; s->img && s->img->prefetch && i < s->img->nlayers; i++)
		if (s->img->layers[i].ahead) {
			const struct ovbd_ahead_stats one =
				ovbd_ahead_stats(s->img->layers[i].ahead);

			all.planned += one.planned;
			all.brought += one.brought;
			all.used += one.used;
			all.nfailed += one.nfailed;
		}
	if (all.planned > 0)
		ovbd_serving_tell(s, false,
		                  "prefetch: %s named; %s of %s brought, of which %s were read; "
		                  "%" PRIu64 " failed",
		                  ovbd_size_full(named, s->img->prefetch_named),
		                  ovbd_size_text(brought, all.brought),
		                  ovbd_size_text(planned, all.planned),
		                  ovbd_size_text(used, all.used), all.nfailed);
}

void ovbd_serving_tell_stats(struct ovbd_serving *s)
{
	struct ovbd_http_stats all = {0};
	uint64_t stored = 0;
	size_t nremote = 0;
	char bytes[OVBD_SIZE_TEXT], size[OVBD_SIZE_TEXT];

	for (size_t i = 0; s->img && i < s->img->nlayers; i++) {
		const struct ovbd_image_layer *l = &s->img->layers[i];

		if (l->http) {
			const struct ovbd_http_stats one = ovbd_lazy_stats(l->http);

			all.requests += one.requests;
			all.retries += one.retries;
			all.bytes += one.bytes;
			stored += l->stored_size;
			nremote++;
		}
	}
	ovbd_serving_tell(s, false, "%" PRIu64 " reads, %s; %" PRIu64 " failed",
	                  (uint64_t)s->stats->reads, ovbd_size_text(bytes, s->stats->bytes),
	                  (uint64_t)s->stats->failed);
	if (ovbd_device_is_writable(s->device))
		ovbd_serving_tell(s, false, "%" PRIu64 " writes, %s; %" PRIu64 " flushes",
		                  (uint64_t)s->stats->writes,
		                  ovbd_size_text(bytes, s->stats->written_bytes),
		                  (uint64_t)s->stats->flushes);
	tell_prefetch(s);
	if (nremote > 0)
		ovbd_serving_tell(s, false,
		                  "fetched %s of the %s of %zu remote layer%s: %" PRIu64
		                  " requests, %" PRIu64 " of them retries",
		                  ovbd_size_text(bytes, all.bytes), ovbd_size_text(size, stored),
		                  nremote, nremote == 1 ? "" : "s", all.requests, all.retries);
	if (s->img && s->img->cache)
		tell_cache(s);
}
