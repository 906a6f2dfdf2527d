// SPDX-License-Identifier: Apache-2.0
/* What is looked at, and how a device is opened. What is done to it: bow_model_ops.c. */
#include "tests/lib/bow_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "bow/restore.h"
#include "tests/lib/bow_undo.h"
#include "tests/unit/test.h"

#define SECTOR TEST_BOW_SECTOR

void test_bow_die(const struct test_bow *t, const char *format, ...)
{
	char text[OVBD_ERROR_SIZE + 256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fail_msg("seed %llu, step %llu, %s, blocks of %u, %llu bytes: %s",
	         (unsigned long long)t->seed, (unsigned long long)t->step,
	         ovbd_bow_state_name(t->state), t->block_size, (unsigned long long)t->size, text);
	abort();
}

uint64_t test_bow_below(struct test_bow *t, uint64_t n)
{
	return test_random(&t->random) % n;
}

struct ovbd_bow_status test_bow_status(struct test_bow *t)
{
	struct ovbd_bow_status s;

	ovbd_bow_get_status(t->device, &s);
	if (s.block_size != t->block_size)
		test_bow_die(t, "status says blocks of %u", s.block_size);
	if (s.free_bytes > t->size || s.free_bytes % t->block_size ||
	    (s.free_bytes == 0) != (s.free_extents == 0))
		test_bow_die(t, "status says %llu bytes free in %llu extents",
		             (unsigned long long)s.free_bytes, (unsigned long long)s.free_extents);
	return s;
}

/* ---- comparing ---- */

void test_bow_compare(const struct test_bow *t, const uint8_t *got, uint64_t off, uint64_t len,
                      bool old, const char *what)
{
	const uint8_t *want = (old ? t->old : t->now) + off;
	const uint8_t *any = old ? t->old_any : t->now_any;

	if (memcmp(got, want, len) == 0)
		return;
	for (uint64_t i = 0; i < len; i += SECTOR)
		if (!any[(off + i) / SECTOR] && memcmp(got + i, want + i, SECTOR) != 0)
			test_bow_die(t, "%s: sector %llu is %lld, not %lld", what,
			             (unsigned long long)((off + i) / SECTOR),
			             (long long)test_bow_number(got + i),
			             (long long)test_bow_number(want + i));
}

void test_bow_read(struct test_bow *t, uint64_t off, uint64_t len)
{
	struct ovbd_error err = {""};
	int r = ovbd_blob_pread(t->device->blob, t->data, len, off, &err);

	if (t->state == OVBD_BOW_ABORTED) {
		if (r != -EIO)
			test_bow_die(t, "a read returned %d", r);
		return;
	}
	if (r < 0 && test_bow_disk_heal(&t->disk)) {
		t->nfailed++;
		r = ovbd_blob_pread(t->device->blob, t->data, len, off, &err);
	}
	if (r < 0)
		test_bow_die(t, "read: %s", err.msg);
	test_bow_compare(t, t->data, off, len, false, "read");
}

/* Each sector is what it was, or want. From now on it is what it is. */
void test_bow_look(struct test_bow *t, uint64_t off, uint64_t len, const uint8_t *want)
{
	struct ovbd_error err = {""};
	uint8_t *got = malloc(len);

	assert_non_null(got);
	if (ovbd_blob_pread(t->device->blob, got, len, off, &err) < 0)
		test_bow_die(t, "read after a failure: %s", err.msg);
	for (uint64_t i = 0; i < len; i += SECTOR) {
		uint8_t *now = t->now + off + i;

		if (t->now_any[(off + i) / SECTOR])
			continue;
		if (memcmp(got + i, now, SECTOR) != 0 && memcmp(got + i, want + i, SECTOR) != 0)
			test_bow_die(t, "sector %llu is %lld, neither %lld nor %lld",
			             (unsigned long long)((off + i) / SECTOR),
			             (long long)test_bow_number(got + i),
			             (long long)test_bow_number(now),
			             (long long)test_bow_number(want + i));
		memcpy(now, got + i, SECTOR);
	}
	free(got);
}

static void keep_file(const struct test_bow *t, const char *what, const void *p, uint64_t len)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%llu.%llu.%s", t->keep, (unsigned long long)t->seed,
	         (unsigned long long)t->step, what);
	f = fopen(path, "w");
	if (!f || fwrite(p, 1, len, f) != len || fclose(f) != 0)
		test_bow_die(t, "%s: cannot be written", path);
}

/* For an observer that is no part of this. */
static void keep(const struct test_bow *t)
{
	keep_file(t, "disk", t->disk.bytes, t->size);
	keep_file(t, "old", t->old, t->size);
	keep_file(t, "any", t->old_any, t->size / SECTOR);
}

void test_bow_observe(struct test_bow *t)
{
	struct test_bow_disk k = {.bytes = t->copy, .size = t->size};
	struct ovbd_bow_info info;
	struct ovbd_error err = {""};
	const char *why = NULL;

	if (t->state != OVBD_BOW_CHECKPOINT || t->commit_began || t->abort_began)
		return;
	if (t->keep && t->size <= 1 << 18 && ++t->nobserved % 16 == 0)
		keep(t);
	memcpy(t->copy, t->disk.bytes, t->size);
	if (test_bow_undo(t->copy, t->size, &why) != TEST_BOW_UNDONE)
		test_bow_die(t, "the observer finds %s", why ? why : "no log");
	test_bow_compare(t, t->copy, 0, t->size, true, "restored by the observer");
	memcpy(t->copy, t->disk.bytes, t->size);
	if (ovbd_bow_restore(test_bow_disk(&k), NULL, &info, &err) < 0)
		test_bow_die(t, "restore: %s", err.msg);
	test_bow_compare(t, t->copy, 0, t->size, true, "restored");
}

/* What a backup of all of the range would take, and the log of it. */
uint64_t test_bow_need(const struct test_bow *t, uint64_t off, uint64_t len)
{
	const uint64_t n = (off + len - 1) / t->block_size - off / t->block_size + 1;
	const uint64_t most = (t->block_size - 28) / 24 - 1; /* of entries in a log block */

	return (n + n / most + 4) * t->block_size + t->params.min_free;
}

/* ---- opening ---- */

static void told(void *arg, const char *sentence)
{
	struct test_bow *t = arg;

	t->ntold++;
	if (strlen(sentence) < 10)
		test_bow_die(t, "told \"%s\"", sentence);
}

static void open_device(struct test_bow *t)
{
	struct ovbd_error err = {""};
	int r = ovbd_bow_open(test_bow_disk(&t->disk), &t->params, &t->device, &err);

	if (r == -EUCLEAN && t->abort_began) {
		struct ovbd_bow_info info;

		r = ovbd_bow_restore(test_bow_disk(&t->disk), NULL, &info, &err);
		if (r == 0)
			r = ovbd_bow_open(test_bow_disk(&t->disk), &t->params, &t->device, &err);
	}
	if (r < 0)
		test_bow_die(t, "open: %s", err.msg);
}

static bool open_state_may_be(const struct test_bow *t, enum ovbd_bow_state s)
{
	const bool fresh = s == OVBD_BOW_TRIM || s == OVBD_BOW_COMMITTED;

	switch (t->state) {
	case OVBD_BOW_TRIM:
		return fresh || (t->checkpoint_began && s == OVBD_BOW_CHECKPOINT);
	case OVBD_BOW_CHECKPOINT:
		return s == OVBD_BOW_CHECKPOINT || ((t->commit_began || t->abort_began) && fresh);
	case OVBD_BOW_COMMITTED:
	case OVBD_BOW_ABORTED:
		break;
	}
	return fresh;
}

/* The old is the new. */
static void take_back(struct test_bow *t)
{
	memcpy(t->now, t->old, t->size);
	memcpy(t->now_any, t->old_any, t->size / SECTOR);
}

static void take_state(struct test_bow *t, enum ovbd_bow_state s)
{
	if (t->state == OVBD_BOW_ABORTED ||
	    (t->abort_began && t->state == OVBD_BOW_CHECKPOINT && s != t->state))
		take_back(t);
	t->state = s;
	t->checkpoint_began = t->commit_began = t->abort_began = false;
	memset(t->is_free, 0, t->size / t->block_size);
}

static void check_all(struct test_bow *t)
{
	test_bow_read(t, 0, t->size);
	if (t->size <= 65536 || test_bow_below(t, 20) == 0)
		test_bow_observe(t);
}

void test_bow_reopen_after(struct test_bow *t, uint64_t off, uint64_t len, const uint8_t *want)
{
	const bool taken_back = t->state == OVBD_BOW_CHECKPOINT && t->abort_began;
	enum ovbd_bow_state s;

	/* of what it does now, nothing arrives */
	t->disk.dead = true;
	ovbd_device_close(t->device);
	test_bow_disk_heal(&t->disk);
	open_device(t);
	s = test_bow_status(t).state;
	if (!open_state_may_be(t, s))
		test_bow_die(t, "opens as %s", ovbd_bow_state_name(s));
	take_state(t, s);
	if (len > 0 && (s == OVBD_BOW_CHECKPOINT || !taken_back))
		test_bow_look(t, off, len, want);
	check_all(t);
}

void test_bow_reopen(struct test_bow *t)
{
	test_bow_reopen_after(t, 0, 0, NULL);
}

/* ---- offline ---- */

static void close_device(struct test_bow *t)
{
	t->disk.dead = true;
	ovbd_device_close(t->device);
	test_bow_disk_heal(&t->disk);
	if (t->arm)
		t->arm(t);
}

/* Whether a call has failed because the disk did, and is to be made again. */
static bool again(struct test_bow *t, int r)
{
	const bool hit = test_bow_disk_heal(&t->disk);

	t->nfailed += hit;
	return r < 0 && hit;
}

/* Made again, as its last flush failed: nothing was left to do. */
static bool was_done(const struct test_bow *t, uint64_t nfailed, int r)
{
	return r == -ENOMSG && t->nfailed > nfailed;
}

static void open_fresh(struct test_bow *t, const char *what)
{
	enum ovbd_bow_state s;

	open_device(t);
	s = test_bow_status(t).state;
	if (s != OVBD_BOW_TRIM)
		test_bow_die(t, "%s, it opens as %s", what, ovbd_bow_state_name(s));
	take_state(t, s);
	check_all(t);
}

void test_bow_restore(struct test_bow *t, uint64_t limit)
{
	const struct ovbd_bow_restore_params p = {.limit = limit};
	struct ovbd_bow_info info = {0};
	const uint64_t nfailed = t->nfailed;
	struct ovbd_error err = {""};
	uint64_t n = 0;
	int r;

	assert_int_equal(t->state, OVBD_BOW_CHECKPOINT);
	close_device(t);
	do {
		r = ovbd_bow_restore(test_bow_disk(&t->disk), &p, &info, &err);
		if (++n > t->size)
			test_bow_die(t, "restore has no end");
	} while ((r == -EAGAIN && limit > 0) || again(t, r));
	if (r < 0 && !was_done(t, nfailed, r) &&
	    (r != -ENOMSG || !(t->commit_began || t->abort_began)))
		test_bow_die(t, "restore: %s", err.msg);
	if (info.committing && !t->commit_began)
		test_bow_die(t, "a restore finds a commit");
	t->state = info.committing || (r == -ENOMSG && t->commit_began) ? OVBD_BOW_COMMITTED
	                                                                : OVBD_BOW_ABORTED;
	open_fresh(t, "restored");
}

void test_bow_settle(struct test_bow *t)
{
	struct ovbd_bow_info info;
	const uint64_t nfailed = t->nfailed;
	struct ovbd_error err = {""};
	int r;

	if (t->abort_began) {
		test_bow_restore(t, 0);
		return;
	}
	assert_int_equal(t->state, OVBD_BOW_CHECKPOINT);
	close_device(t);
	do
		r = ovbd_bow_settle(test_bow_disk(&t->disk), &info, &err);
	while (again(t, r));
	if (r < 0 && !was_done(t, nfailed, r))
		test_bow_die(t, "settle: %s", err.msg);
	t->state = OVBD_BOW_COMMITTED;
	open_fresh(t, "settled");
}

/* ---- making ---- */

static void *must_alloc(uint64_t n)
{
	void *p = calloc(1, n);

	assert_non_null(p);
	return p;
}

static uint32_t largest_that_divides(uint64_t size)
{
	uint32_t n = 4096;

	while (size % n)
		n /= 2;
	return n;
}

void test_bow_create(struct test_bow *t, uint64_t seed, const struct test_bow_geometry *g)
{
	*t = (struct test_bow){.seed = seed, .random = seed, .next = 1, .size = g->size};
	t->block_size = g->block_size ? g->block_size : largest_that_divides(g->size);
	t->params = (struct ovbd_bow_params){
		.block_size = g->block_size,
		.on_full = g->on_full,
		.min_free = g->min_free,
		.told = told,
		.arg = t,
	};
	t->disk.size = t->size;
	t->disk.bytes = must_alloc(t->size);
	t->disk.no_discards = test_bow_below(t, 4) == 0;
	t->disk.discards_zero = test_bow_below(t, 2) == 0;
	t->now = must_alloc(t->size);
	t->old = must_alloc(t->size);
	t->copy = must_alloc(t->size);
	t->data = must_alloc(t->size);
	t->now_any = must_alloc(t->size / SECTOR);
	t->old_any = must_alloc(t->size / SECTOR);
	t->is_free = must_alloc(t->size / t->block_size);
	for (uint64_t i = 0; i < t->size; i += SECTOR)
		test_bow_fill(t->next++, t->now + i);
	memcpy(t->disk.bytes, t->now, t->size);
	open_fresh(t, "new");
}

void test_bow_free(struct test_bow *t)
{
	ovbd_device_close(t->device);
	free(t->disk.bytes);
	free(t->now);
	free(t->old);
	free(t->copy);
	free(t->data);
	free(t->now_any);
	free(t->old_any);
	free(t->is_free);
}
