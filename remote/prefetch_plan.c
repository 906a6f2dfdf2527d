// SPDX-License-Identifier: Apache-2.0
/*
 * Sorted by place the ranges become extents, with the gaps between them; after the smallest gaps
 * have been closed the extents are cut into pieces, and each piece takes its turn from the first
 * range that lies in it.
 */
#include "remote/prefetch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"

#define GAP_MAX   (64u << 10)
#define GAP_SHARE 16u

struct want {
	uint32_t blob;
	uint64_t off, end;
	size_t turn;
};

static int by_place(const void *a, const void *b)
{
	const struct want *x = a, *y = b;

	if (x->blob != y->blob)
		return x->blob < y->blob ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off;
}

static int by_turn(const void *a, const void *b)
{
	const struct want *x = a, *y = b;

	if (x->turn != y->turn)
		return x->turn < y->turn ? -1 : 1;
	return by_place(a, b);
}

static int by_size(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The gap between two neighbours in the order of places; UINT64_MAX: they have nothing to do with
 * each other. */
static uint64_t gap_between(const struct want *extent, const struct want *next)
{
	if (extent->blob != next->blob)
		return UINT64_MAX;
	return next->off > extent->end ? next->off - extent->end : 0;
}

/* Joins neighbours with a gap of at most max; returns how many extents there are. */
static size_t join(struct want *w, size_t n, uint64_t max)
{
	size_t last = 0;

	for (size_t i = 1; i < n; i++) {
		if (gap_between(&w[last], &w[i]) > max) {
			w[++last] = w[i];
			continue;
		}
		if (w[i].end > w[last].end)
			w[last].end = w[i].end;
		if (w[i].turn < w[last].turn)
			w[last].turn = w[i].turn;
	}
	return n > 0 ? last + 1 : 0;
}

/* The largest gap that may be closed: with all that are not larger, the sum is in bounds. */
static int choose_gap(const struct want *w, size_t n, uint64_t *ret)
{
	AUTO_FREE uint64_t *gaps = ovbd_array_alloc(n, sizeof(gaps[0]));
	uint64_t named = 0, sum = 0;
	size_t ngaps = 0;

	if (!gaps)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const uint64_t gap = i + 1 < n ? gap_between(&w[i], &w[i + 1]) : UINT64_MAX;

		named += w[i].end - w[i].off;
		if (gap <= GAP_MAX)
			gaps[ngaps++] = gap;
	}
	qsort(gaps, ngaps, sizeof(gaps[0]), by_size);
	*ret = 0;
	for (size_t i = 0; i < ngaps; i++) {
		sum += gaps[i];
		if (sum > named / GAP_SHARE)
			break;
		if (i + 1 == ngaps || gaps[i + 1] > gaps[i])
			*ret = gaps[i];
	}
	return 0;
}

/* How many pieces the extents are. */
static uint64_t count_pieces(const struct want *w, size_t n)
{
	uint64_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += (w[i].end - w[i].off - 1) / OVBD_PREFETCH_PIECE + 1;
	return count;
}

/* Cuts the extents; wants, sorted by place, say when each piece has its turn. */
static void cut(const struct want *extents, size_t n, const struct want *wants, size_t nwants,
                struct want *ret_pieces)
{
	size_t i = 0;

	for (size_t k = 0; k < n; k++)
		for (uint64_t off = extents[k].off; off < extents[k].end;
		     off += OVBD_PREFETCH_PIECE) {
			struct want p = extents[k];

			p.off = off;
			p.end = ovbd_min(off + OVBD_PREFETCH_PIECE, extents[k].end);
			p.turn = SIZE_MAX;
			while (i < nwants && (wants[i].blob < p.blob ||
			                      (wants[i].blob == p.blob && wants[i].end <= p.off)))
				i++;
			for (size_t j = i;
			     j < nwants && wants[j].blob == p.blob && wants[j].off < p.end; j++)
				if (wants[j].end > p.off && wants[j].turn < p.turn)
					p.turn = wants[j].turn;
			*ret_pieces++ = p;
		}
}

static int make_plan(struct want *wants, size_t n, struct ovbd_prefetch_range **ret, size_t *ret_n,
                     uint64_t *ret_named)
{
	AUTO_FREE struct want *extents = ovbd_array_alloc(n, sizeof(*extents));
	AUTO_FREE struct want *pieces = NULL;
	struct ovbd_prefetch_range *made;
	uint64_t gap, npieces;
	size_t nextents;

	if (!extents)
		return -ENOMEM;
	qsort(wants, n, sizeof(*wants), by_place);
	for (size_t i = 0; i < n; i++)
		extents[i] = wants[i];
	nextents = join(extents, n, 0);
	*ret_named = 0;
	for (size_t i = 0; i < nextents; i++)
		*ret_named += extents[i].end - extents[i].off;
	if (choose_gap(extents, nextents, &gap) < 0)
		return -ENOMEM;
	nextents = join(extents, nextents, gap);
	npieces = count_pieces(extents, nextents);
	pieces = ovbd_array_alloc(npieces, sizeof(*pieces));
	made = ovbd_array_alloc(npieces, sizeof(*made));
	if (!pieces || !made) {
		free(made);
		return -ENOMEM;
	}
	cut(extents, nextents, wants, n, pieces);
	qsort(pieces, (size_t)npieces, sizeof(*pieces), by_turn);
	for (size_t i = 0; i < npieces; i++)
		made[i] = (struct ovbd_prefetch_range){.blob = pieces[i].blob,
		                                       .off = pieces[i].off,
		                                       .len = pieces[i].end - pieces[i].off};
	*ret = made;
	*ret_n = (size_t)npieces;
	return 0;
}

int ovbd_prefetch_plan(const struct ovbd_prefetch_range *ranges, size_t n,
                       struct ovbd_prefetch_range **ret, size_t *ret_n, uint64_t *ret_named,
                       struct ovbd_error *err)
{
	AUTO_FREE struct want *wants = ovbd_array_alloc(n, sizeof(*wants));
	size_t nwants = 0;
	int r;

	if (!wants)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		if (ranges[i].len > 0)
			wants[nwants++] = (struct want){
				.blob = ranges[i].blob,
				.off = ranges[i].off,
				.end = ranges[i].off + ranges[i].len,
				.turn = i,
			};
	r = make_plan(wants, nwants, ret, ret_n, ret_named);
	return r < 0 ? ovbd_fail(err, r, "out of memory") : 0;
}
