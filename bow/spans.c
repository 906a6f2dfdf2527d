// SPDX-License-Identifier: Apache-2.0
/*
 * Two levels: an array of pointers to chunks, each an array of up to CHUNK spans. A search is two
 * binary ones; an insertion moves some of a chunk, and, once in CHUNK / 2 times, pointers. So a
 * million spans are put one by one in a second, and take 24 to 48 bytes each. A span that goes on
 * where its neighbour ends, in place and number, becomes part of it.
 */
#include "bow/spans.h"

#include <errno.h>

#include "base/bytes.h"

enum { CHUNK = 256 };

struct bow_span_chunk {
	size_t n;
	struct bow_span spans[CHUNK];
};

/* Where a span is, or would be: in chunks[c] before spans[i]. */
struct place {
	size_t c, i;
};

static uint64_t end_of(const struct bow_span *p)
{
	return p->off + p->len;
}

static struct bow_span *span_at(const struct bow_spans *s, struct place p)
{
	return p.c < s->nchunks ? &s->chunks[p.c]->spans[p.i] : NULL;
}

/* Of the first span that ends beyond off; {nchunks, 0} if there is none. */
static struct place place_of(const struct bow_spans *s, uint64_t off)
{
	struct place p = {0, 0};
	size_t lo = 0, hi = s->nchunks;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;
		const struct bow_span_chunk *c = s->chunks[mid];

		if (end_of(&c->spans[c->n - 1]) <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	p.c = lo;
	if (lo == s->nchunks)
		return p;
	hi = s->chunks[p.c]->n;
	for (lo = 0; lo < hi;) {
		const size_t mid = lo + (hi - lo) / 2;

		if (end_of(&s->chunks[p.c]->spans[mid]) <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	p.i = lo;
	return p;
}

static int add_chunk(struct bow_spans *s, size_t at)
{
	struct bow_span_chunk *chunk = malloc(sizeof(*chunk));
	struct bow_span_chunk **more = s->chunks;

	if (s->nchunks == s->room) {
		more = realloc(s->chunks, (s->room * 2 + 8) * sizeof(*more));
		if (more) {
			s->chunks = more;
			s->room = s->room * 2 + 8;
		}
	}
	if (!chunk || !more) {
		free(chunk);
		return -ENOMEM;
	}
	chunk->n = 0;
	memmove(s->chunks + at + 1, s->chunks + at, (s->nchunks - at) * sizeof(*s->chunks));
	s->chunks[at] = chunk;
	s->nchunks++;
	return 0;
}

/* Makes room for one in chunks[p->c], which p may leave for the next. */
static int make_room(struct bow_spans *s, struct place *p)
{
	struct bow_span_chunk *c, *next;
	int r;

	if (p->c == s->nchunks && s->nchunks > 0) {
		p->c--;
		p->i = s->chunks[p->c]->n;
	}
	if (s->nchunks == 0)
		return add_chunk(s, 0);
	if (s->chunks[p->c]->n < CHUNK)
		return 0;
	r = add_chunk(s, p->c + 1);
	if (r < 0)
		return r;
	c = s->chunks[p->c];
	next = s->chunks[p->c + 1];
	/* what grows at its end leaves full chunks behind */
	next->n = p->i == CHUNK ? 0 : CHUNK / 2;
	c->n = CHUNK - next->n;
	memcpy(next->spans, c->spans + c->n, next->n * sizeof(*c->spans));
	if (p->i >= c->n && (p->i > c->n || next->n == 0)) {
		p->i -= c->n;
		p->c++;
	}
	return 0;
}

static int insert(struct bow_spans *s, struct place p, const struct bow_span *span)
{
	const int r = make_room(s, &p);
	struct bow_span_chunk *c;

	if (r < 0)
		return r;
	c = s->chunks[p.c];
	memmove(c->spans + p.i + 1, c->spans + p.i, (c->n - p.i) * sizeof(*c->spans));
	c->spans[p.i] = *span;
	c->n++;
	return 0;
}

/* n of chunks[c], from spans[i] on. */
static void erase(struct bow_spans *s, struct place p, size_t n)
{
	struct bow_span_chunk *c = s->chunks[p.c];

	memmove(c->spans + p.i, c->spans + p.i + n, (c->n - p.i - n) * sizeof(*c->spans));
	c->n -= n;
	if (c->n > 0)
		return;
	free(c);
	s->nchunks--;
	memmove(s->chunks + p.c, s->chunks + p.c + 1, (s->nchunks - p.c) * sizeof(*s->chunks));
}

void ovbd_bow_spans_clear(struct bow_spans *s)
{
	for (size_t i = 0; i < s->nchunks; i++)
		free(s->chunks[i]);
	free(s->chunks);
	*s = (struct bow_spans){0};
}

bool ovbd_bow_spans_find(const struct bow_spans *s, uint64_t off, struct bow_span *ret)
{
	const struct bow_span *span = span_at(s, place_of(s, off));

	if (!span)
		return false;
	*ret = *span;
	return true;
}

bool ovbd_bow_spans_overlap(const struct bow_spans *s, uint64_t off, uint64_t len)
{
	const struct bow_span *span = span_at(s, place_of(s, off));

	return span && span->off < off + len;
}

static uint64_t number_at(const struct bow_span *span, uint64_t off)
{
	return span->at == BOW_SPAN_NOWHERE ? span->at : span->at + (off - span->off);
}

int ovbd_bow_spans_cut(struct bow_spans *s, uint64_t off, uint64_t len)
{
	const uint64_t end = off + len;
	struct place p = place_of(s, off);
	struct bow_span *span = span_at(s, p);

	if (span && span->off < off) {
		const struct bow_span tail = {end, end_of(span) - end, number_at(span, end)};
		const bool inside = end_of(span) > end;

		span->len = off - span->off;
		if (inside)
			return insert(s, place_of(s, off), &tail);
		p = place_of(s, off);
	}
	for (span = span_at(s, p); span && end_of(span) <= end; span = span_at(s, p)) {
		const struct bow_span_chunk *c = s->chunks[p.c];
		size_t n = 1;

		while (p.i + n < c->n && end_of(&c->spans[p.i + n]) <= end)
			n++;
		erase(s, p, n);
		p = place_of(s, off);
	}
	if (span && span->off < end) {
		const struct bow_span tail = {end, end_of(span) - end, number_at(span, end)};

		*span = tail;
	}
	return 0;
}

static bool goes_on(const struct bow_span *a, const struct bow_span *b)
{
	return end_of(a) == b->off && number_at(a, b->off) == b->at &&
	       (a->at == BOW_SPAN_NOWHERE) == (b->at == BOW_SPAN_NOWHERE);
}

int ovbd_bow_spans_put(struct bow_spans *s, const struct bow_span *span)
{
	struct bow_span add = *span, near;
	int r = ovbd_bow_spans_cut(s, span->off, span->len);

	if (r < 0)
		return r;
	if (add.off > 0 && ovbd_bow_spans_find(s, add.off - 1, &near) && goes_on(&near, &add)) {
		add = (struct bow_span){near.off, near.len + add.len, near.at};
		erase(s, place_of(s, near.off), 1);
	}
	if (ovbd_bow_spans_find(s, end_of(&add), &near) && goes_on(&add, &near)) {
		add.len += near.len;
		erase(s, place_of(s, near.off), 1);
	}
	return insert(s, place_of(s, add.off), &add);
}
