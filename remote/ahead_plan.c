// SPDX-License-Identifier: Apache-2.0
/* New pieces come between those there are, in a new array; then that takes the place of the old. */
#include "remote/ahead_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

struct plan {
	struct piece **pieces;
	size_t n, room;
	bool counted; /* those that are new */
};

static int put(struct plan *to, struct piece *p)
{
	if (to->n == to->room) {
		const size_t room = to->room + to->room / 2 + 64;
		struct piece **more = realloc(to->pieces, room * sizeof(struct piece *));

		if (!more)
			return -ENOMEM;
		to->pieces = more;
		to->room = room;
	}
	to->pieces[to->n++] = p;
	return 0;
}

static int put_new(struct plan *to, uint64_t off, uint64_t end)
{
	struct piece *p = off < end ? calloc(1, sizeof(*p)) : NULL;
	int r;

	if (off >= end)
		return 0;
	if (!p)
		return -ENOMEM;
	*p = (struct piece){.off = off, .len = end - off, .state = PLANNED, .counted = to->counted};
	r = put(to, p);
	if (r < 0)
		free(p);
	return r;
}

/* All pieces of a, and new ones where they leave room for the ranges. */
static int weave(const struct ahead *a, const struct ovbd_range *ranges, size_t n, struct plan *to)
{
	size_t i = 0;
	int r = 0;

	for (size_t k = 0; r == 0 && k < n; k++) {
		const uint64_t end = ovbd_min(ranges[k].off + ovbd_min(ranges[k].len, a->blob.size),
		                              a->blob.size);
		uint64_t off = ranges[k].off;

		while (r == 0 && i < a->n && a->pieces[i]->off < end) {
			struct piece *p = a->pieces[i];

			r = put_new(to, off, p->off);
			if (ahead_end(p) > off)
				off = ahead_end(p);
			if (r == 0 && ahead_end(p) > end)
				break; /* it may reach into the next range */
			if (r == 0)
				r = put(to, p);
			i++;
		}
		if (r == 0)
			r = put_new(to, off, end);
	}
	for (; r == 0 && i < a->n; i++)
		r = put(to, a->pieces[i]);
	return r;
}

/* Those that are new end with the plan that could not be made. */
static void unweave(const struct ahead *a, struct plan *take_plan)
{
	for (size_t k = 0; k < take_plan->n; k++) {
		struct piece *p = take_plan->pieces[k];
		const size_t i = ovbd_ahead_find(a, p->off);

		if (i == a->n || a->pieces[i] != p)
			free(p);
	}
	free(take_plan->pieces);
}

int ovbd_ahead_plan_counted(struct ahead *a, const struct ovbd_range *ranges, size_t n,
                            bool counted, struct ovbd_error *err)
{
	struct plan made = {.counted = counted};
	int r;

	pthread_mutex_lock(&a->lock);
	r = weave(a, ranges, n, &made);
	if (r == 0) {
		free(a->pieces);
		a->pieces = made.pieces;
		a->n = made.n;
		a->stats.planned = 0;
		for (size_t i = 0; i < a->n; i++)
			a->stats.planned += a->pieces[i]->len;
		atomic_store_explicit(&a->any, a->n > 0, memory_order_release);
	} else {
		unweave(a, &made);
	}
	pthread_mutex_unlock(&a->lock);
	return r < 0 ? ovbd_fail(err, r, "out of memory") : 0;
}

int ovbd_ahead_plan(struct ovbd_blob *b, const struct ovbd_range *ranges, size_t n,
                    struct ovbd_error *err)
{
	return ovbd_ahead_plan_counted(ovbd_ahead_of(b), ranges, n, true, err);
}

int ovbd_ahead_put(struct ovbd_blob *b, const void *buf, size_t len, uint64_t off,
                   struct ovbd_error *err)
{
	const struct ovbd_range range = {.off = off, .len = len};
	struct ahead *a = ovbd_ahead_of(b);
	struct piece *p;
	int r = ovbd_ahead_plan(b, &range, 1, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&a->lock);
	p = a->pieces[ovbd_ahead_find(a, off)];
	assert(p->off == off && p->len == len);
	p->buf = p->state == PLANNED ? ovbd_ahead_room(a, p) : NULL;
	if (p->buf)
		memcpy(p->buf, buf, len);
	p->state = p->buf ? HELD : GONE;
	pthread_mutex_unlock(&a->lock);
	return 0;
}
