// SPDX-License-Identifier: Apache-2.0
/*
 * An array of puts, and a sweep over it.
 *
 * Whoever converts an image puts in ascending order. Then puts mostly continue the one before, and
 * are joined to it, and the array is already what can be seen.
 *
 * Otherwise the array is sorted by where puts begin, and a position sweeps over the device. A heap
 * holds the puts that have begun, the newest on top: that is the one to be seen, until it ends or
 * another begins. Those that ended below the top are noticed when they get there, or when the heap
 * is full. Each put enters and leaves the heap once, and each begin or end makes at most one piece
 * of the result more.
 *
 * Sorting is a merge sort from the bottom up, as it is quick for input that consists of a few
 * ascending runs, and needs no recursion.
 */
#include "lsmt/puts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/bytes.h"
#include "lsmt/index.h"

#define CAP_MIN   256u
#define RUN_WIDTH 16u /* sorted by insertion before merging begins */

/* By a quarter only: arrays that are large enough for this to matter grow by moving pages. */
static int grow(struct lsmt_puts *p, struct ovbd_error *err)
{
	const size_t cap = (size_t)ovbd_min(p->cap + p->cap / 4 + CAP_MIN, OVBD_SEGMENTS_MAX);
	struct lsmt_put *v;

	if (p->n == OVBD_SEGMENTS_MAX)
		return ovbd_fail(err, -E2BIG, "a layer cannot have more than %u segments",
		                 OVBD_SEGMENTS_MAX);
	v = realloc(p->v, cap * sizeof(*v));
	if (!v)
		return ovbd_fail(err, -ENOMEM, "out of memory for %zu segments", cap);
	p->v = v;
	p->cap = cap;
	return 0;
}

/* Whether b goes on where a ends, in the device and, not being zeros, where it comes from. */
static bool continues(const struct lsmt_put *a, const struct lsmt_put *b)
{
	if (a->off + a->len != b->off || lsmt_put_kind(a) != lsmt_put_kind(b))
		return false;
	return lsmt_put_kind(a) == LSMT_PUT_ZERO || a->stamp + a->len == b->stamp;
}

int ovbd_lsmt_puts_add(struct lsmt_puts *p, const struct lsmt_put *put, struct ovbd_error *err)
{
	int r;

	if (p->n > 0 && put->off < p->end)
		p->unordered = true;
	if (p->n > 0 && continues(&p->v[p->n - 1], put)) {
		p->v[p->n - 1].len += put->len;
	} else {
		r = p->n == p->cap ? grow(p, err) : 0;
		if (r < 0)
			return r;
		p->v[p->n++] = *put;
	}
	if (put->off + put->len > p->end)
		p->end = put->off + put->len;
	return 0;
}

static void sort_by_insertion(struct lsmt_put *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		const struct lsmt_put put = v[i];
		size_t k = i;

		for (; k > 0 && v[k - 1].off > put.off; k--)
			v[k] = v[k - 1];
		v[k] = put;
	}
}

/* The sorted a and b, which lie one after the other, into to. */
static void merge(const struct lsmt_put *a, size_t na, size_t nb, struct lsmt_put *to)
{
	const struct lsmt_put *b = a + na, *a_end = a + na, *b_end = b + nb;

	if (na == 0 || nb == 0 || a_end[-1].off <= b->off) {
		memcpy(to, a, (na + nb) * sizeof(*to));
		return;
	}
	while (a < a_end && b < b_end)
		*to++ = b->off < a->off ? *b++ : *a++;
	memcpy(to, a, (size_t)(a_end - a) * sizeof(*to));
	memcpy(to + (a_end - a), b, (size_t)(b_end - b) * sizeof(*to));
}

static int sort_by_off(struct lsmt_puts *p, struct ovbd_error *err)
{
	struct lsmt_put *from = p->v, *to;
	const size_t n = p->n;

	to = malloc(n * sizeof(*to));
	if (!to)
		return ovbd_fail(err, -ENOMEM, "out of memory for sorting %zu segments", n);
	for (size_t i = 0; i < n; i += RUN_WIDTH)
		sort_by_insertion(from + i, (size_t)ovbd_min(RUN_WIDTH, n - i));
	for (size_t width = RUN_WIDTH; width < n; width *= 2) {
		struct lsmt_put *merged = to;

		for (size_t i = 0; i < n; i += 2 * width) {
			const size_t na = (size_t)ovbd_min(width, n - i);

			merge(from + i, na, (size_t)ovbd_min(width, n - i - na), to + i);
		}
		to = from;
		from = merged;
	}
	free(to);
	p->v = from;
	p->cap = n;
	return 0;
}

/* Puts that have begun, as positions in the array; the newest is at[0]. */
struct heap {
	const struct lsmt_put *puts;
	uint32_t *at;
	size_t n, cap;
};

static bool newer(const struct heap *h, size_t a, size_t b)
{
	return h->puts[h->at[a]].stamp > h->puts[h->at[b]].stamp;
}

static void swap(struct heap *h, size_t a, size_t b)
{
	const uint32_t t = h->at[a];

	h->at[a] = h->at[b];
	h->at[b] = t;
}

static void sift_down(struct heap *h, size_t i)
{
	for (;;) {
		const size_t left = 2 * i + 1, right = left + 1;
		size_t top = i;

		if (left < h->n && newer(h, left, top))
			top = left;
		if (right < h->n && newer(h, right, top))
			top = right;
		if (top == i)
			return;
		swap(h, i, top);
		i = top;
	}
}

static bool ended(const struct heap *h, size_t i, uint64_t pos)
{
	const struct lsmt_put *p = &h->puts[h->at[i]];

	return p->off + p->len <= pos;
}

/* Makes room for one more: throws out what has ended at pos, and grows if that was not half of it.
 * So the heap stays as small as what is open, and looking through all of it costs no more than the
 * pushes did. */
static int heap_make_room(struct heap *h, uint64_t pos, struct ovbd_error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++)
		if (!ended(h, i, pos))
			h->at[n++] = h->at[i];
	h->n = n;
	for (size_t i = n / 2; i > 0; i--)
		sift_down(h, i - 1);
	if (n >= h->cap / 2) {
		const size_t cap = h->cap ? h->cap * 2 : CAP_MIN;
		uint32_t *at = realloc(h->at, cap * sizeof(*at));

		if (!at)
			return ovbd_fail(err, -ENOMEM, "out of memory for overlaying segments");
		h->at = at;
		h->cap = cap;
	}
	return 0;
}

static int heap_push(struct heap *h, size_t put, struct ovbd_error *err)
{
	const int r = h->n == h->cap ? heap_make_room(h, h->puts[put].off, err) : 0;

	if (r < 0)
		return r;
	h->at[h->n] = (uint32_t)put;
	for (size_t i = h->n++; i > 0 && newer(h, i, (i - 1) / 2); i = (i - 1) / 2)
		swap(h, i, (i - 1) / 2);
	return 0;
}

static void heap_pop(struct heap *h)
{
	h->at[0] = h->at[--h->n];
	sift_down(h, 0);
}

static void heap_release(struct heap *h)
{
	free(h->at);
}

/* The newest put that covers pos, or NULL. What is newer and has ended is thrown out. */
static const struct lsmt_put *newest_at(struct heap *h, uint64_t pos)
{
	while (h->n > 0 && ended(h, 0, pos))
		heap_pop(h);
	return h->n > 0 ? &h->puts[h->at[0]] : NULL;
}

static struct lsmt_put part_of(const struct lsmt_put *p, uint64_t from, uint64_t to)
{
	return (struct lsmt_put){
		.off = from,
		.len = to - from,
		.stamp = p->stamp + (lsmt_put_kind(p) != LSMT_PUT_ZERO ? from - p->off : 0),
	};
}

/* A put begins at pos: not two references there, of which none is the newer. */
static int check_overlap(struct heap *h, const struct lsmt_put *p, uint64_t pos,
                         struct ovbd_error *err)
{
	const struct lsmt_put *open = newest_at(h, pos);

	if (!open || lsmt_put_kind(open) != LSMT_PUT_REFERENCE ||
	    lsmt_put_kind(p) != LSMT_PUT_REFERENCE)
		return 0;
	return ovbd_fail(err, -EINVAL, "two references of a layer overlap at %" PRIu64, p->off);
}

static int sweep(const struct lsmt_puts *p, lsmt_puts_fn fn, void *ctx, struct ovbd_error *err)
{
	OVBD_AUTO(heap_release) struct heap h = {.puts = p->v};
	uint64_t pos = 0;
	size_t next = 0;
	int r = 0;

	while (r == 0) {
		const struct lsmt_put *top;

		for (; r == 0 && next < p->n && p->v[next].off <= pos; next++) {
			r = check_overlap(&h, &p->v[next], pos, err);
			if (r == 0)
				r = heap_push(&h, next, err);
		}
		top = newest_at(&h, pos);
		if (r == 0 && top) {
			const uint64_t end = top->off + top->len;
			const uint64_t to = next < p->n ? ovbd_min(end, p->v[next].off) : end;
			const struct lsmt_put visible = part_of(top, pos, to);

			r = fn(ctx, &visible, err);
			pos = to;
		} else if (next < p->n) {
			pos = p->v[next].off;
		} else {
			break;
		}
	}
	return r;
}

int ovbd_lsmt_puts_overlay(struct lsmt_puts *p, lsmt_puts_fn fn, void *ctx, struct ovbd_error *err)
{
	int r = 0;

	if (!p->unordered) {
		for (size_t i = 0; r == 0 && i < p->n; i++)
			r = fn(ctx, &p->v[i], err);
		return r;
	}
	r = sort_by_off(p, err);
	return r < 0 ? r : sweep(p, fn, ctx, err);
}

void ovbd_lsmt_puts_free(struct lsmt_puts *p)
{
	free(p->v);
	*p = (struct lsmt_puts){0};
}
