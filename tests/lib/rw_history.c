// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/rw_history.h"

#include <stdio.h>
#include <string.h>

#define MAYBE_MAX (TEST_RW_DEPTHS * TEST_RW_OPS_MAX + TEST_RW_DEPTHS)

/* What each sector may have after a cut: a number for sure, or one of some others. */
struct allowed {
	struct test_rw_cut cut; /* h NULL: none */
	uint16_t sure[TEST_RW_NSECTORS], maybe[TEST_RW_NSECTORS][MAYBE_MAX];
	size_t nmaybe[TEST_RW_NSECTORS];
};

static struct allowed allowed[TEST_RW_DEPTHS];

void test_rw_history_changed(unsigned depth)
{
	allowed[depth].cut.h = NULL;
}

/* How the parent's ended, as far as this one's power failed later. */
static struct test_rw_cut parent_of(const struct test_rw_cut *c)
{
	return (struct test_rw_cut){c->h->parent, c->h->parent_at,
	                            c->h->parent_killed && c->killed};
}

/* As the cut that came before, if this one fell before the layer was open again. */
static struct test_rw_cut earliest(struct test_rw_cut c)
{
	while (c.h->parent && c.at < c.h->opened)
		c = parent_of(&c);
	return c;
}

/* How many operations are there for sure. */
static size_t nsafe(const struct test_rw_cut *c)
{
	size_t n = 0;

	for (size_t k = 0; k < c->h->nops; k++)
		if ((c->h->ops[k].flush || (c->killed && c->h->ops[k].kept)) &&
		    c->h->ops[k].end <= c->at)
			n = k + 1;
	return n;
}

/* Nothing has been flushed here of what the parent left to be flushed. */
static bool is_as_inherited(const struct test_rw_cut *c)
{
	return c->h->inherits && !c->killed && nsafe(c) == 0;
}

/* ---- sectors ---- */

static void allow(struct allowed *a, uint64_t i, uint16_t number, bool sure)
{
	if (sure)
		a->sure[i] = number;
	else
		a->maybe[i][a->nmaybe[i]++] = number;
}

static void allow_op(struct allowed *a, const struct test_rw_op *op, bool sure)
{
	for (uint64_t i = op->off; i < op->off + op->n; i++)
		allow(a, i, op->first ? (uint16_t)(op->first + (i - op->off)) : 0, sure);
}

static const struct allowed *allowed_at(const struct test_rw_cut *c);

/* What there was when the layer was opened. */
static void allow_base(struct allowed *a, const struct test_rw_cut *c)
{
	struct test_rw_cut parent;
	const struct allowed *p;

	memset(a->nmaybe, 0, sizeof(a->nmaybe));
	memcpy(a->sure, c->h->base.numbers, sizeof(a->sure));
	if (!is_as_inherited(c))
		return;
	parent = parent_of(c);
	parent = earliest(parent);
	p = allowed_at(&parent);
	memcpy(a->sure, p->sure, sizeof(a->sure));
	memcpy(a->maybe, p->maybe, sizeof(a->maybe));
	memcpy(a->nmaybe, p->nmaybe, sizeof(a->nmaybe));
	for (uint64_t i = 0; i < TEST_RW_NSECTORS; i++)
		allow(a, i, c->h->base.numbers[i], false);
}

/* The same for all the states of a cut. */
static const struct allowed *allowed_at(const struct test_rw_cut *c)
{
	const struct test_rw_history *h = c->h;
	struct allowed *a = &allowed[h->depth];
	const size_t safe = nsafe(c);

	if (a->cut.h == h && a->cut.at == c->at && a->cut.killed == c->killed)
		return a;
	allow_base(a, c);
	for (size_t k = 0; k < h->nops && h->ops[k].begin <= c->at; k++)
		allow_op(a, &h->ops[k], k < safe);
	a->cut = *c;
	return a;
}

static bool is_allowed(const struct allowed *a, uint64_t i, uint16_t number)
{
	for (size_t k = 0; k < a->nmaybe[i]; k++)
		if (a->maybe[i][k] == number)
			return true;
	return number == a->sure[i];
}

/* ---- fields ---- */

static bool may_be_field(const struct test_rw_cut *c, unsigned file, enum test_rw_field field,
                         uint16_t value)
{
	const struct test_rw_history *h = c->h;
	uint16_t last = h->base.fields[file][field];
	bool is_set = false;

	for (size_t k = 0; k < h->nops && h->ops[k].begin <= c->at; k++) {
		const uint16_t set = h->ops[k].set[field];

		if (set && h->ops[k].end <= c->at) {
			last = set;
			is_set = true;
		} else if (set && set == value) {
			return true;
		}
	}
	/* a flush is of the data; nothing leads from them to what an index file says of itself */
	if (!is_set && (is_as_inherited(c) || (h->inherits && !c->killed && file > 0))) {
		const struct test_rw_cut parent = parent_of(c), e = earliest(parent);

		if (may_be_field(&e, file, field, value))
			return true;
	}
	return value == last;
}

/* To look at a layer, it was made as large as it can be. */
static bool is_looked_at(const struct test_rw_cut *now, const struct test_rw_cut *c,
                         enum test_rw_field field, uint16_t value)
{
	return now->h != c->h && field == TEST_RW_SIZE && value == TEST_RW_NSECTORS;
}

bool test_rw_history_allows(const struct test_rw_cut *c, const struct test_rw_found *found,
                            char ret_why[100])
{
	const struct test_rw_cut e = earliest(*c);
	const struct allowed *a = allowed_at(&e);

	for (unsigned file = 0; file < TEST_RW_FILES; file++) {
		for (unsigned k = 0; k < TEST_RW_NFIELDS; k++) {
			const uint16_t value = found->fields[file][k];

			if (may_be_field(&e, file, (enum test_rw_field)k, value) ||
			    is_looked_at(c, &e, (enum test_rw_field)k, value))
				continue;
			snprintf(ret_why, 100, "the %s in file %u is %u",
			         k == TEST_RW_SIZE ? "size" : "parent", file, value);
			return false;
		}
	}
	for (uint64_t i = 0; i < TEST_RW_NSECTORS; i++) {
		if (is_allowed(a, i, found->numbers[i]))
			continue;
		snprintf(ret_why, 100, "sector %u is %u", (unsigned)i, found->numbers[i]);
		return false;
	}
	return true;
}
