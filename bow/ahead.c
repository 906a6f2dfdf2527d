// SPDX-License-Identifier: Apache-2.0
/*
 * Who overwrites in order will overwrite what comes next. That is backed up with what is being
 * overwritten now, more each time, so that small writes, each of which would wait for two flushes
 * of the device below, mostly need nothing. As with reading ahead, a few streams are known by where
 * their next write would be; as many may be in flight, in any order, what is near counts, too. Only
 * the foremost goes ahead, before which nobody is at work.
 *
 * What is backed up for nothing costs free space. A stream takes a small part of what there is, and
 * no more than twice what it has been overwriting.
 */
#include "bow/core.h"

#include "base/bytes.h"

#define AHEAD_MIN  (UINT64_C(64) << 10)
#define AHEAD_MAX  (UINT64_C(16) << 20)
#define FREE_SHARE 16u
#define SHARE_MIN  (UINT64_C(256) << 10) /* where so little is free nobody goes ahead */
#define NEAR       8u                    /* times what is written */

/* The stream that the flight continues, or else the one that has not been continued for the longest
 * time, anew. */
static struct bow_stream *find_stream(struct bow_device *d, const struct bow_flight *f)
{
	const uint64_t near = (f->end - f->off) * NEAR;
	struct bow_stream *oldest = &d->streams[0];

	for (unsigned i = 0; i < BOW_STREAMS; i++) {
		struct bow_stream *s = &d->streams[i];

		if (s->used && f->off <= s->next + near && s->next <= f->off + near)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	*oldest = (struct bow_stream){.next = 0};
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
	const bool all_used = f->off <= s->next && s->next < f->end;
	const uint64_t more = all_used ? ovbd_max(s->window, 2 * needed) : 2 * needed;

	if (s->window > 0 && share >= SHARE_MIN)
		f->end =
			untouched(d, f, ovbd_align_down(ovbd_min(s->window, share), d->block_size));
	s->window = ovbd_min(AHEAD_MAX, ovbd_max(AHEAD_MIN, s->window + more));
	s->next = ovbd_max(s->next, f->end);
	s->used = ++d->nstreams;
}

void ovbd_bow_ahead_end(struct bow_device *d, struct bow_flight *f, uint64_t end)
{
	if (f->end == end)
		return;
	f->end = end;
	pthread_cond_broadcast(&d->landed);
}
