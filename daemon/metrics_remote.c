// SPDX-License-Identifier: Apache-2.0
/* What the process has read of layers: remote/metrics.h, as the format wants it. */
#include <inttypes.h>
#include <string.h>

#include "daemon/metrics_impl.h"
#include "remote/metrics.h"

static void add_head(struct text *t, const char *name, const char *type, const char *unit,
                     const char *help)
{
	metrics_add(t, "# TYPE %s %s\n", name, type);
	if (unit)
		metrics_add(t, "# UNIT %s %s\n", name, unit);
	metrics_add(t, "# HELP %s %s\n", name, help);
}

static void add_histograms(struct text *t, const struct ovbd_remote_metrics *m)
{
	static const char name[] = "ovbd_layer_read_latency_seconds";

	add_head(t, name, "histogram", "seconds", "Time of reads of layers, failed ones included");
	for (int s = 0; s < OVBD_NSOURCES; s++) {
		const char *source = ovbd_source_name((enum ovbd_source)s);
		uint64_t n = 0;

		for (int i = 0; i < OVBD_READ_NBOUNDS; i++) {
			n += m->from[s].counts[i];
			metrics_add(t, "%s_bucket{source=\"%s\",le=\"%.10g\"} %" PRIu64 "\n", name,
			            source, (double)ovbd_read_bounds_us[i] / 1e6, n);
		}
		n += m->from[s].counts[OVBD_READ_NBOUNDS];
		metrics_add(t, "%s_bucket{source=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, source,
		            n);
		metrics_add(t, "%s_sum{source=\"%s\"} %.9f\n", name, source,
		            (double)m->from[s].sum_ns / 1e9);
		metrics_add(t, "%s_count{source=\"%s\"} %" PRIu64 "\n", name, source, n);
	}
}

static void add_sources(struct text *t, const struct ovbd_remote_metrics *m)
{
	static const struct {
		const char *name, *unit, *help;
		size_t at;
	} families[] = {
		{"ovbd_layer_reads", NULL, "Reads of layers that succeeded",
	         offsetof(struct ovbd_source_metrics, reads)},
		{"ovbd_layer_read_bytes", "bytes", "Their bytes",
	         offsetof(struct ovbd_source_metrics, bytes)},
		{"ovbd_layer_failed_reads", NULL, "Reads of layers that failed",
	         offsetof(struct ovbd_source_metrics, failed)},
		{"ovbd_layer_reads_in_flight", NULL, "Reads of layers that have not ended",
	         offsetof(struct ovbd_source_metrics, in_flight)},
	};

	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		const bool gauge =
			families[f].at == offsetof(struct ovbd_source_metrics, in_flight);

		add_head(t, families[f].name, gauge ? "gauge" : "counter", families[f].unit,
		         families[f].help);
		for (int s = 0; s < OVBD_NSOURCES; s++) {
			uint64_t value;

			memcpy(&value, (const char *)&m->from[s] + families[f].at, sizeof(value));
			metrics_add(t, "%s%s{source=\"%s\"} %" PRIu64 "\n", families[f].name,
			            gauge ? "" : "_total", ovbd_source_name((enum ovbd_source)s),
			            value);
		}
	}
}

static void add_refetched(struct text *t, const struct ovbd_remote_metrics *m)
{
	static const char name[] = "ovbd_refetched_chunks";

	add_head(t, name, "counter", NULL, "Chunks that were fetched again because they are wrong");
	metrics_add(t, "%s_total{why=\"cache\"} %" PRIu64 "\n", name,
	            m->counters[OVBD_COUNT_BAD_CHUNKS]);
	metrics_add(t, "%s_total{why=\"checksum\"} %" PRIu64 "\n", name,
	            m->counters[OVBD_COUNT_DISTRUSTED]);
	metrics_add(t, "%s_total{why=\"verity\"} %" PRIu64 "\n", name,
	            m->counters[OVBD_COUNT_UNVERIFIED]);
}

static void add_checked(struct text *t, const struct ovbd_remote_metrics *m)
{
	static const char name[] = "ovbd_cache_checked_blobs";

	add_head(t, name, "counter", NULL,
	         "Blobs that were all in the cache and held against their digests");
	metrics_add(t, "%s_total{result=\"right\"} %" PRIu64 "\n", name,
	            m->counters[OVBD_COUNT_WHOLE]);
	metrics_add(t, "%s_total{result=\"wrong\"} %" PRIu64 "\n", name,
	            m->counters[OVBD_COUNT_WRONG]);
}

static void add_downloads(struct text *t, const struct ovbd_remote_metrics *m)
{
	static const struct {
		enum ovbd_counter counter;
		const char *result;
	} results[] = {
		{OVBD_COUNT_DOWNLOADED, "done"},
		{OVBD_COUNT_DOWNLOAD_WRONG, "wrong"},
		{OVBD_COUNT_DOWNLOAD_FAILED, "failed"},
	};
	static const char name[] = "ovbd_downloads";

	add_head(t, name, "counter", NULL, "Layers that were downloaded, or given up");
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
		metrics_add(t, "%s_total{result=\"%s\"} %" PRIu64 "\n", name, results[i].result,
		            m->counters[results[i].counter]);
}

static void add_counters(struct text *t, const struct ovbd_remote_metrics *m)
{
	static const struct {
		enum ovbd_counter counter;
		const char *name, *unit, *help;
	} families[] = {
		{OVBD_COUNT_RETRIES, "ovbd_http_retries", NULL, "HTTP requests sent again"},
		{OVBD_COUNT_STORED_BYTES, "ovbd_cache_stored_bytes", "bytes",
	         "Bytes stored in the cache"},
		{OVBD_COUNT_UNSTORED, "ovbd_cache_unstored_chunks", NULL,
	         "Chunks served and not kept"},
		{OVBD_COUNT_EVICTED, "ovbd_cache_evicted_chunks", NULL, "Chunks evicted"},
		{OVBD_COUNT_DOWNLOAD_BYTES, "ovbd_downloaded_bytes", "bytes",
	         "Bytes fetched of layers that are downloaded"},
		{OVBD_COUNT_PREFETCHED_BYTES, "ovbd_prefetched_bytes", "bytes",
	         "Bytes fetched before somebody read them"},
		{OVBD_COUNT_PREFETCH_HIT, "ovbd_prefetch_hit_bytes", "bytes",
	         "Of them, those that were read"},
		{OVBD_COUNT_PREFETCH_WASTE, "ovbd_prefetch_wasted_bytes", "bytes",
	         "Of them, those that nobody has read"},
	};

	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		add_head(t, families[f].name, "counter", families[f].unit, families[f].help);
		metrics_add(t, "%s_total %" PRIu64 "\n", families[f].name,
		            m->counters[families[f].counter]);
	}
}

static void add_statuses(struct text *t, const struct ovbd_remote_metrics *m)
{
	add_head(t, "ovbd_http_answers", "counter", NULL,
	         "Answers of servers of layers; status 0: none");
	for (int i = 0; i < OVBD_HTTP_STATUSES; i++)
		if (m->statuses[i])
			metrics_add(t, "ovbd_http_answers_total{status=\"%d\"} %" PRIu64 "\n", i,
			            m->statuses[i]);
}

void metrics_add_remote(struct text *t, struct ovbd_cache *cache)
{
	struct ovbd_remote_metrics m;

	ovbd_remote_metrics(&m);
	add_sources(t, &m);
	add_histograms(t, &m);
	add_statuses(t, &m);
	add_refetched(t, &m);
	add_checked(t, &m);
	add_downloads(t, &m);
	add_counters(t, &m);
	if (!cache)
		return;
	add_head(t, "ovbd_cache_used_bytes", "gauge", "bytes", "What the cache's directory takes");
	metrics_add(t, "ovbd_cache_used_bytes %" PRIu64 "\n", ovbd_cache_stats(cache).used);
}
