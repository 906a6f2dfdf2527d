// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/cow_cuts.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/power.h"
#include "tests/unit/test.h"

enum { COW, BASE };

/* What a merge needs of memory: once for each depth, since there are thousands of merges. */
struct room {
	uint8_t *disks[2], *before[2];
};

struct run {
	struct test_cuts *t;
	struct room *rooms;
	unsigned depth;
	struct ovbd_blob *view;
	uint8_t *buf; /* base_size */
	size_t at;    /* of the cut that it goes on from */
	uint64_t random;
};

static void compare(const struct run *r, const char *when)
{
	const struct test_cuts *t = r->t;

	for (size_t i = 0; i < t->base_size; i += 4096)
		if (memcmp(r->buf + i, t->want + i, 4096) != 0)
			fail_msg("%s, seed %llu: %s (depth %u, cut at %zu): block %zu is wrong",
			         t->name, (unsigned long long)t->seed, when, r->depth, r->at,
			         i / 4096);
}

static void read_view(struct run *r, struct ovbd_blob *view, const char *when)
{
	struct ovbd_error err = {""};

	memset(r->buf, 0xa5, r->t->base_size);
	if (ovbd_blob_pread(view, r->buf, r->t->base_size, 0, &err) < 0)
		fail_msg("%s, seed %llu: %s: %s", r->t->name, (unsigned long long)r->t->seed, when,
		         err.msg);
	compare(r, when);
}

/* What is on the disks, as who has not seen the merge reads it. Returns what is merged. */
static uint64_t look(struct run *r, uint8_t *const disks[2], const char *when)
{
	struct ovbd_blob *cow, *base, *view;
	struct ovbd_error err = {""};
	struct ovbd_cow *c;
	uint64_t nmerged;

	assert_int_equal(ovbd_blob_open_mem(disks[COW], r->t->cow_size, &cow, NULL), 0);
	assert_int_equal(ovbd_blob_open_mem(disks[BASE], r->t->base_size, &base, NULL), 0);
	if (ovbd_cow_open(cow, NULL, &c, &err) < 0)
		fail_msg("%s, seed %llu: %s: %s", r->t->name, (unsigned long long)r->t->seed, when,
		         err.msg);
	nmerged = ovbd_cow_info(c)->nmerged;
	if (ovbd_cow_view_open(c, base, &view, &err) < 0)
		fail_msg("%s: %s: %s", r->t->name, when, err.msg);
	read_view(r, view, when);
	ovbd_blob_close(view);
	return nmerged;
}

static void at_write(void *arg)
{
	struct run *r = arg;

	if (r->t->nplaces > 0 && test_random(&r->random) % 8 != 0)
		return; /* long files, and in a hurry */
	r->t->nreads++;
	read_view(r, r->view, "during the merge");
}

/* Merges to the end, watching if it is the first one. */
static void merge(struct run *r, struct test_power *p, uint8_t *const disks[2])
{
	struct test_cuts *t = r->t;
	struct ovbd_error err = {""};
	struct ovbd_merge *m;
	int s;

	s = ovbd_merge_open(test_power_disk(p, COW, disks[COW], t->cow_size),
	                    test_power_disk(p, BASE, disks[BASE], t->base_size), &t->how, &m, &err);
	if (s < 0)
		fail_msg("%s, seed %llu: %s", t->name, (unsigned long long)t->seed, err.msg);
	assert_int_equal(ovbd_merge_view(m, &r->view, NULL), 0);
	if (r->depth == 0 || test_random(&r->random) % 16 == 0)
		test_power_watch(p, at_write, r);
	do {
		s = ovbd_merge_step(m, &err);
		if (s < 0)
			fail_msg("%s: %s", t->name, err.msg);
	} while (s > 0);
	assert_int_equal(ovbd_merge_progress(m).nmerged, ovbd_merge_progress(m).nops);
	read_view(r, r->view, "after the merge, its view");
	ovbd_blob_close(r->view);
	ovbd_merge_close(m);
	memcpy(r->buf, disks[BASE], t->base_size);
	compare(r, "after the merge, the base");
	look(r, disks, "after the merge, a new view");
}

static void merge_and_cut(struct run *r, uint8_t *const before[2]);

static void after_cut(void *arg, uint8_t *const disks[2], size_t at)
{
	struct run *r = arg, next;

	r->t->nstates++;
	r->at = at;
	look(r, disks, "after a cut");
	next = (struct run){
		.t = r->t, .rooms = r->rooms, .depth = r->depth + 1, .buf = r->buf, .at = at};
	next.random = test_random(&r->random);
	merge_and_cut(&next, disks);
}

static void merge_and_cut(struct run *r, uint8_t *const before[2])
{
	struct test_cuts *t = r->t;
	const struct room *room = &r->rooms[r->depth];
	const bool cut =
		r->depth == 0 || (r->depth < t->depth && test_random(&r->random) % t->nested == 0);
	struct test_power *p = test_power_create();

	memcpy(room->disks[COW], before[COW], t->cow_size);
	memcpy(room->disks[BASE], before[BASE], t->base_size);
	if (cut) { /* before may be the disks that the next cut makes anew */
		memcpy(room->before[COW], before[COW], t->cow_size);
		memcpy(room->before[BASE], before[BASE], t->base_size);
	}
	merge(r, p, room->disks);
	if (r->depth == 0)
		t->nwrites += test_power_count(p);
	if (cut && test_power_count(p) > 0) {
		const size_t n = test_power_count(p) + 1;
		/* within a merge that goes on after a cut, one place is enough */
		const struct test_power_params how = {
			.before = {room->before[COW], room->before[BASE]},
			.sizes = {t->cow_size, t->base_size},
			.seed = test_random(&r->random),
			.nrandom = t->nrandom,
			.nsingle = r->depth > 0 && t->nsingle == 0 ? 1 : t->nsingle,
			.first = r->depth == 0 ? 0 : test_random(&r->random) % n,
			.every = r->depth > 0                   ? n
		                 : t->nplaces && n > t->nplaces ? n / t->nplaces
		                                                : 1,
			.check = after_cut,
			.arg = r,
		};

		test_power_cuts(p, &how);
	}
	test_power_free(p);
}

static uint8_t *room_of(size_t size)
{
	uint8_t *p = malloc(size);

	assert_non_null(p);
	return p;
}

void test_cuts(struct test_cuts *t)
{
	const unsigned nrooms = 1 + (t->depth > 1 ? t->depth : 1);
	struct run r = {.t = t, .buf = room_of(t->base_size), .random = t->seed};
	uint8_t *before[2] = {room_of(t->cow_size), room_of(t->base_size)};

	r.rooms = calloc(nrooms, sizeof(*r.rooms));
	assert_non_null(r.rooms);
	for (unsigned i = 0; i < nrooms; i++)
		r.rooms[i] = (struct room){{room_of(t->cow_size), room_of(t->base_size)},
		                           {room_of(t->cow_size), room_of(t->base_size)}};
	memcpy(before[COW], t->cow, t->cow_size);
	memcpy(before[BASE], t->base, t->base_size);
	merge_and_cut(&r, before);
	for (unsigned i = 0; i < nrooms; i++)
		for (unsigned k = 0; k < 2; k++) {
			free(r.rooms[i].disks[k]);
			free(r.rooms[i].before[k]);
		}
	free(r.rooms);
	free(before[COW]);
	free(before[BASE]);
	free(r.buf);
}
