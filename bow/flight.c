// SPDX-License-Identifier: Apache-2.0
/*
 * Ranges in flight: a list, in the order of arrival, of all that write, discard or read block 0. It
 * is as long as there are threads that do, so it is looked through as it is.
 *
 * A flight waits for all before it that it touches, and for all that are under way. The second
 * matters for block 0 alone, which somebody may take in addition who came later (who writes to
 * where it is, and must move it). That one waits only for those under way: of those some may wait
 * for nobody, as no two that write to the same place can be.
 */
#include "bow/core.h"

static bool has_zero(const struct bow_device *d, const struct bow_flight *f)
{
	return f->zero || f->off < d->block_size;
}

static bool touches(const struct bow_device *d, const struct bow_flight *a,
                    const struct bow_flight *b)
{
	if (a->shared && b->shared)
		return false;
	return (a->off < b->end && b->off < a->end) || (has_zero(d, a) && has_zero(d, b));
}

static bool must_wait(const struct bow_device *d, const struct bow_flight *f)
{
	bool before = true;

	for (const struct bow_flight *g = d->flights; g; g = g->next) {
		if (g == f)
			before = false;
		else if ((before || g->active) && touches(d, f, g))
			return true;
	}
	return false;
}

void ovbd_bow_flight_begin(struct bow_device *d, struct bow_flight *f)
{
	struct bow_flight **at = &d->flights;

	while (*at)
		at = &(*at)->next;
	f->next = NULL;
	*at = f;
	while (must_wait(d, f))
		pthread_cond_wait(&d->landed, &d->lock);
	f->active = true;
}

static bool zero_is_taken(const struct bow_device *d, const struct bow_flight *f)
{
	for (const struct bow_flight *g = d->flights; g; g = g->next)
		if (g != f && g->active && has_zero(d, g))
			return true;
	return false;
}

void ovbd_bow_flight_zero(struct bow_device *d, struct bow_flight *f)
{
	if (has_zero(d, f))
		return;
	while (zero_is_taken(d, f))
		pthread_cond_wait(&d->landed, &d->lock);
	f->zero = true;
}

void ovbd_bow_flight_end(struct bow_device *d, struct bow_flight *f)
{
	struct bow_flight **at = &d->flights;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	pthread_cond_broadcast(&d->landed);
}
