// SPDX-License-Identifier: Apache-2.0
/*
 * Who overwrites in order will overwrite what comes next. That is backed up with what is being
 * overwritten now, more each time, so that small writes, each of which would wait for two flushes
 * of the device below, mostly need nothing. As with reading ahead, a few streams are known by where
 * their next write would be.
 *
 * What is backed up for nothing costs free space: one stream takes a small part of what there is.
 */
#include "bow/core.h"

#include "base/bytes.h"

#define AHEAD_MIN  (UINT64_C(64) << 10)
#define AHEAD_MAX  (UINT64_C(4) << 20)
#define FREE_SHARE 64u

/* The stream that the flight continues, or else the one that has not been continued for the longest
 * time, anew. */
static struct bow_stream *find_stream(struct bow_device *d, const struct bow_flight *f)
{
	struct bow_stream *oldest = &d->streams[0];

	for (unsigned i = 0; i < BOW_STREAMS; i++) {
		struct bow_stream *s = &d->streams[i];

		if (s->used && f->off <= s->next && s->next < f->end)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	oldest->window = 0;
	return oldest;
}

/* Up to where nothing has been changed, and nobody is at work. */
static uint64_t untouched(const struct bow_device *d, const struct bow_flight *f, uint64_t max)
{
	uint64_t end = ovbd_min(d->size, f->end + max);

	for (const struct bow_flight *g = d->flights; g; g = g->next)
		if (g != f && g->end > f->end && g->off < end)
			end = ovbd_max(g->off, f->end);
	if (end > f->end) {
		const struct bow_range g = ovbd_bow_ranges_at(d->ranges, f->end, end - f->end);

		end = g.kind == BOW_UNCHANGED ? g.off + g.len : f->end;
	}
	return end;
}

void ovbd_bow_ahead_begin(struct bow_device *d, struct bow_flight *f, uint64_t needed)
{
	const uint64_t n = ovbd_bow_ranges_bytes(d->ranges, BOW_FREE), min = d->params.min_free;
	const uint64_t share = n > needed && n - needed > min ? (n - needed - min) / FREE_SHARE : 0;
	struct bow_stream *s = find_stream(d, f);

	if (s->window > 0 && share >= AHEAD_MIN)
		f->end =
			untouched(d, f, ovbd_align_down(ovbd_min(s->window, share), d->block_size));
	s->window = ovbd_min(AHEAD_MAX, ovbd_max(AHEAD_MIN, s->window * 2));
	s->next = f->end;
	s->used = ++d->nstreams;
}

void ovbd_bow_ahead_end(struct bow_device *d, struct bow_flight *f, uint64_t end)
{
	if (f->end == end)
		return;
	f->end = end;
	pthread_cond_broadcast(&d->landed);
}
