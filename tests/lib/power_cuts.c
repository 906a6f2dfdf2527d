// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "tests/lib/fault.h"
#include "tests/lib/power_impl.h"
#include "tests/unit/test.h"

#define SUBSETS_MAX 4u

enum fate { ARRIVED, LOST, BEGUN, SCATTERED };

struct test_power_cut {
	const struct test_power *p;
	const struct test_power_params *how;
	uint64_t random, n, nflushes;
	size_t at;
	uint8_t *durable[TEST_POWER_DISKS], *disks[TEST_POWER_DISKS];
	const struct test_power_record **pending; /* of p->n */
	size_t npending;
};

/* Of a file: what was a hole appears as a whole block, and as it was in memory then: with what the
 * earlier of the pending have written to it. */
static void appear(struct test_power_cut *c, const struct test_power_record *r, uint64_t at)
{
	const uint64_t from = at / TEST_POWER_BLOCK * TEST_POWER_BLOCK,
		       to = from + TEST_POWER_BLOCK;

	for (size_t i = 0; i < c->npending; i++) {
		const struct test_power_record *w = c->pending[i];
		const uint64_t begins = ovbd_max(w->off, from),
			       ends = ovbd_min(w->off + w->len, to);

		if (w->disk == r->disk && begins < ends)
			test_power_arrive(c->p, c->disks[w->disk], w, begins, ends);
		if (w == r)
			return;
	}
}

/* What of r arrives: sectors, or whole blocks that are or become holes. */
static void arrive_as(struct test_power_cut *c, const struct test_power_record *r, enum fate fate)
{
	const uint64_t end = r->off + r->len;
	const uint64_t nsectors =
		(end + TEST_POWER_SECTOR - 1) / TEST_POWER_SECTOR - r->off / TEST_POWER_SECTOR;
	const uint64_t begun = test_random(&c->random) % (nsectors + 1);
	const uint8_t *data = test_power_is_data(c->p, r->disk, c->disks[r->disk]);
	uint64_t to;

	if (fate == LOST)
		return;
	for (uint64_t at = r->off; at < end; at = to) {
		const bool appears = data && !r->hole && !data[at / TEST_POWER_BLOCK];
		const bool goes =
			r->hole && at % TEST_POWER_BLOCK == 0 && end - at >= TEST_POWER_BLOCK;
		const uint64_t step = appears || goes ? TEST_POWER_BLOCK : TEST_POWER_SECTOR;

		to = ovbd_min(end, (at / step + 1) * step);
		if ((fate == BEGUN &&
		     at / TEST_POWER_SECTOR - r->off / TEST_POWER_SECTOR >= begun) ||
		    (fate == SCATTERED && test_random(&c->random) % 2))
			continue;
		if (appears)
			appear(c, r, at);
		else
			test_power_arrive(c->p, c->disks[r->disk], r, at, to);
	}
}

static void put_back(struct test_power_cut *c, unsigned disk, size_t from, size_t to)
{
	memcpy(c->disks[disk] + from, c->durable[disk] + from, to - from);
}

/* All that is pending is lost. */
static void begin(struct test_power_cut *c)
{
	const struct test_power *p = c->p;

	for (unsigned i = 0; i < TEST_POWER_DISKS; i++) {
		const size_t size = c->how->sizes[i];

		if (size > 0 && !c->how->is_clean)
			put_back(c, i, 0, size);
		else if (size > 0 && p->holes)
			put_back(c, i, size - test_power_behind(size), size);
	}
	for (size_t i = 0; c->how->is_clean && i < c->npending; i++) {
		const struct test_power_record *r = c->pending[i];
		const size_t from = r->off / TEST_POWER_BLOCK * TEST_POWER_BLOCK,
			     to = r->off + r->len;

		/* whole blocks: some appear as such */
		put_back(c, r->disk, from,
		         ovbd_min(ovbd_align_up(to, TEST_POWER_BLOCK), c->how->sizes[r->disk]));
	}
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* Of bytes of a disk. */
static uint64_t state_of(const struct test_power_cut *c, unsigned disk, uint64_t off, uint64_t len)
{
	return mix(mix(off * TEST_POWER_DISKS + disk) + ovbd_crc32c(1, c->disks[disk] + off, len));
}

/* What is durable, and all in which the disks differ from that. */
static uint64_t state(const struct test_power_cut *c)
{
	uint64_t sum = mix(c->nflushes), to;

	for (unsigned i = 0; i < TEST_POWER_DISKS; i++) {
		const size_t size = c->how->sizes[i];

		if (size > 0 && c->p->holes)
			sum += state_of(c, i, size - test_power_behind(size),
			                test_power_behind(size));
	}
	for (size_t i = 0; i < c->npending; i++) {
		const struct test_power_record *r = c->pending[i];

		for (uint64_t at = r->off; at < r->off + r->len; at = to) {
			to = ovbd_min(r->off + r->len,
			              (at / TEST_POWER_SECTOR + 1) * TEST_POWER_SECTOR);
			if (memcmp(c->disks[r->disk] + at, c->durable[r->disk] + at, to - at) != 0)
				sum += state_of(c, r->disk, at, to - at);
		}
	}
	return sum;
}

static void check(struct test_power_cut *c)
{
	c->n++;
	if (c->how->state)
		*c->how->state = state(c);
	if (c->how->now)
		*c->how->now = c;
	c->how->check(c->how->arg, c->disks, c->at);
}

/* All have one fate, but for one. */
static void all_but(struct test_power_cut *c, enum fate fate, size_t one, enum fate other)
{
	begin(c);
	for (size_t i = 0; i < c->npending; i++)
		arrive_as(c, c->pending[i], i == one ? other : fate);
	check(c);
}

static void cut_here(struct test_power_cut *c)
{
	const unsigned max = c->how->nsingle;

	if (c->how->killed)
		*c->how->killed = true;
	all_but(c, ARRIVED, SIZE_MAX, ARRIVED);
	if (c->how->killed)
		*c->how->killed = false;
	if (c->npending == 0)
		return;
	all_but(c, LOST, SIZE_MAX, LOST);
	for (size_t n = 0; n < c->npending && (max == 0 || n < max); n++) {
		const size_t i = max == 0 ? n : test_random(&c->random) % c->npending;

		all_but(c, ARRIVED, i, BEGUN);
		all_but(c, ARRIVED, i, SCATTERED);
		if (c->npending > 1)
			all_but(c, ARRIVED, i, LOST);
	}
	if (c->npending > 1 && c->npending <= SUBSETS_MAX) {
		for (unsigned set = 1; set + 1 < 1u << c->npending; set++) {
			begin(c);
			for (size_t i = 0; i < c->npending; i++)
				arrive_as(c, c->pending[i], set >> i & 1 ? ARRIVED : LOST);
			check(c);
		}
	}
	for (unsigned n = 0; c->npending > 1 && n < c->how->nrandom; n++) {
		begin(c);
		for (size_t i = 0; i < c->npending; i++)
			arrive_as(c, c->pending[i], (enum fate)(test_random(&c->random) % 4));
		check(c);
	}
}

static void go_on(struct test_power_cut *c, const struct test_power_record *r)
{
	size_t n = 0;

	if (!r->flush) {
		c->pending[c->npending++] = r;
		return;
	}
	begin(c);
	c->nflushes++;
	for (size_t i = 0; i < c->npending; i++) {
		const struct test_power_record *w = c->pending[i];

		if (w->disk == r->disk) {
			test_power_arrive_all(c->p, c->durable[w->disk], w, w->off,
			                      w->off + w->len);
			test_power_arrive_all(c->p, c->disks[w->disk], w, w->off, w->off + w->len);
		} else {
			c->pending[n++] = w;
		}
	}
	c->npending = n;
}

uint64_t test_power_cuts(const struct test_power *p, const struct test_power_params *how)
{
	struct test_power_cut c = {.p = p, .how = how, .random = how->seed};

	c.pending = calloc(p->n + 1, sizeof(const struct test_power_record *));
	assert_non_null(c.pending);
	for (unsigned i = 0; i < TEST_POWER_DISKS; i++) {
		if (how->sizes[i] == 0)
			continue;
		c.durable[i] = malloc(how->sizes[i]);
		c.disks[i] = malloc(how->sizes[i]);
		assert_non_null(c.durable[i]);
		assert_non_null(c.disks[i]);
		memcpy(c.durable[i], how->before[i], how->sizes[i]);
		memcpy(c.disks[i], how->before[i], how->sizes[i]);
	}
	for (c.at = 0; c.at <= p->n; c.at++) {
		if (c.at >= how->first && (c.at - how->first) % how->every == 0)
			cut_here(&c);
		if (c.at < p->n)
			go_on(&c, &p->records[c.at]);
	}
	begin(&c);
	for (unsigned i = 0; i < TEST_POWER_DISKS; i++) {
		if (how->sizes[i] > 0) /* check has kept its word */
			assert_int_equal(memcmp(c.disks[i], c.durable[i], how->sizes[i]), 0);
		free(c.durable[i]);
		free(c.disks[i]);
	}
	free(c.pending);
	return c.n;
}

void test_power_go_on(struct test_power *p, const struct test_power_cut *now,
                      uint8_t *const ret_durable[TEST_POWER_DISKS])
{
	for (size_t i = 0; i < now->npending; i++) {
		const struct test_power_record *r = now->pending[i];
		struct test_power_record *mine = test_power_add(p, r->disk);

		*mine = *r;
		mine->old = NULL;
		mine->data = malloc(r->len);
		assert_non_null(mine->data);
		memcpy(mine->data, r->data, r->len);
	}
	for (unsigned i = 0; i < TEST_POWER_DISKS; i++)
		if (now->how->sizes[i] > 0)
			memcpy(ret_durable[i], now->durable[i], now->how->sizes[i]);
}
