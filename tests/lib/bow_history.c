// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/bow_history.h"

#define NEVER ((struct test_bow_change){SIZE_MAX, SIZE_MAX, SIZE_MAX})

void test_bow_history_begin(struct test_bow_history *h)
{
	h->parent = NULL;
	h->parent_at = h->opened = h->nops = 0;
	h->log = h->commit = h->abort = NEVER;
}

struct test_bow_cut test_bow_cut_of(struct test_bow_cut c)
{
	while (c.h->parent && c.at < c.h->opened)
		c = (struct test_bow_cut){c.h->parent, c.h->parent_at,
		                          c.h->parent_killed && c.killed};
	return c;
}

unsigned test_bow_may_find(const struct test_bow_cut *c)
{
	const struct test_bow_history *h = c->h;
	unsigned found = TEST_BOW_LOG;

	if (h->log.by > 0 && (c->at <= h->log.from || c->at >= h->log.failed))
		return TEST_BOW_BEFORE;
	if (c->at < h->log.by)
		return TEST_BOW_BEFORE | TEST_BOW_LOG;
	if (c->at > h->commit.from)
		found |= TEST_BOW_SETTLING | TEST_BOW_NEW;
	if (c->at > h->abort.from)
		found |= TEST_BOW_PARTIAL | TEST_BOW_OLD;
	if (c->at >= h->commit.by)
		found = TEST_BOW_NEW;
	if (c->at >= h->abort.by)
		found = TEST_BOW_OLD;
	return found;
}

/* When the last flush began that is over at the cut: what had ended by then is durable. */
static uint64_t flushed_at(const struct test_bow_cut *c, bool committed)
{
	uint64_t at = 0;

	for (size_t k = 0; k < c->h->nops; k++) {
		const struct test_bow_op *op = &c->h->ops[k];

		if (((op->flush && op->end <= c->at) || (op->commits && committed)) &&
		    op->began > at)
			at = op->began;
	}
	return at;
}

static bool is_safe(const struct test_bow_op *op, const struct test_bow_cut *c, uint64_t flushed)
{
	return op->end <= c->at && !op->maybe && (c->killed || op->fua || op->ended <= flushed);
}

bool test_bow_may_be(const struct test_bow_cut *c, bool committed, uint64_t i, uint64_t number)
{
	const struct test_bow_history *h = c->h;
	const uint64_t flushed = flushed_at(c, committed);
	bool may = h->base[i] == TEST_BOW_ANY || h->base[i] == number;

	for (size_t k = 0; k < h->nops; k++) {
		const struct test_bow_op *op = &h->ops[k];
		uint64_t value;

		if (op->begin > c->at || i < op->off || i >= op->off + op->n)
			continue;
		value = op->first ? op->first + (i - op->off) : 0;
		if (is_safe(op, c, flushed))
			may = false;
		may |= op->any || value == number;
	}
	return may;
}
