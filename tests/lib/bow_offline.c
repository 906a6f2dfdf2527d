// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/bow_offline.h"

#include <errno.h>
#include <stdlib.h>

#include "bow/restore.h"
#include "tests/lib/bow_disk.h"
#include "tests/lib/power.h"
#include "tests/unit/test.h"

#define SECTOR TEST_BOW_SECTOR

enum way { RESTORE, SETTLE };

struct run {
	struct test_bow_offline *o;
	enum way way;
	uint64_t rarely; /* one in so many cuts is followed by others */
};

void test_bow_is_wanted(const struct test_bow_offline *o, const uint8_t *bytes, const char *what)
{
	if (memcmp(bytes, o->want, o->size) == 0)
		return;
	for (uint64_t i = 0; i < o->size; i += SECTOR)
		if (!o->any[i / SECTOR] && memcmp(bytes + i, o->want + i, SECTOR) != 0)
			fail_msg("%s: %s: sector %llu is %lld, not %lld", o->where, what,
			         (unsigned long long)(i / SECTOR),
			         (long long)test_bow_number(bytes + i),
			         (long long)test_bow_number(o->want + i));
}

/* To its end, or in parts. -ENOMSG: there is nothing to do. */
static int finish(struct test_bow_offline *o, enum way way, struct ovbd_device *d,
                  struct ovbd_error *err)
{
	struct ovbd_bow_restore_params p = {0};
	struct ovbd_bow_info info;
	unsigned n = 0;
	int r;

	if (way == SETTLE)
		return ovbd_bow_settle(d, &info, err);
	if (test_random(&o->random) % 4 == 0)
		p.limit = 1 + test_random(&o->random) % 5;
	do
		r = ovbd_bow_restore(d, &p, &info, err);
	while (r == -EAGAIN && p.limit > 0 && ++n < 10000);
	return r;
}

static void cuts(struct test_bow_offline *o, enum way way, uint8_t *bytes);

static void check_cut(void *arg, uint8_t *const disks[TEST_POWER_DISKS], size_t at)
{
	const struct run *run = arg;
	struct test_bow_offline *o = run->o;
	struct test_bow_disk k = {.bytes = disks[0], .size = o->size};
	struct ovbd_error err = {""};
	int r;

	(void)at;
	o->nstates++;
	if (o->depth > 0 && test_random(&o->random) % run->rarely == 0) {
		o->depth--;
		cuts(o, run->way, disks[0]);
		o->depth++;
		return;
	}
	r = finish(o, run->way, test_bow_disk(&k), &err);
	if (r < 0 && r != -ENOMSG)
		fail_msg("%s: cut at %zu, %s: %s", o->where, at,
		         run->way == SETTLE ? "settle" : "restore", err.msg);
	test_bow_is_wanted(o, disks[0],
	                   run->way == SETTLE ? "settled after a cut" : "restored after a cut");
}

/* bytes are as wanted at the end. */
static void cuts(struct test_bow_offline *o, enum way way, uint8_t *bytes)
{
	struct test_power *p = test_power_create();
	struct ovbd_device *d = test_power_disk(p, 0, bytes, o->size);
	uint8_t *before = malloc(o->size);
	struct run run = {o, way, 20};
	struct test_power_params how = {
		.before = {before},
		.sizes = {o->size},
		.seed = test_random(&o->random),
		.nrandom = 2,
		.nsingle = 2,
		.every = 1,
		.check = check_cut,
		.arg = &run,
	};
	struct ovbd_error err = {""};
	int r;

	assert_non_null(before);
	memcpy(before, bytes, o->size);
	r = finish(o, way, d, &err);
	if (r < 0 && r != -ENOMSG)
		fail_msg("%s: %s: %s", o->where, way == SETTLE ? "settle" : "restore", err.msg);
	ovbd_device_close(d);
	test_bow_is_wanted(o, bytes, way == SETTLE ? "settled" : "restored");
	/* many cuts of few, few of many */
	how.every = 1 + test_power_count(p) / 60;
	how.first = test_random(&o->random) % how.every;
	run.rarely += 4 * test_power_count(p) / how.every;
	test_power_cuts(p, &how);
	test_power_free(p);
	free(before);
}

static void copy_and_cut(struct test_bow_offline *o, enum way way, const uint8_t *bytes)
{
	uint8_t *copy = malloc(o->size);

	assert_non_null(copy);
	memcpy(copy, bytes, o->size);
	cuts(o, way, copy);
	free(copy);
}

void test_bow_restore_cuts(struct test_bow_offline *o, const uint8_t *bytes)
{
	copy_and_cut(o, RESTORE, bytes);
}

void test_bow_settle_cuts(struct test_bow_offline *o, const uint8_t *bytes)
{
	copy_and_cut(o, SETTLE, bytes);
}
