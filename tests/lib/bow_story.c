// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/bow_story.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "tests/unit/test.h"

#define SECTOR TEST_BOW_SECTOR

static uint64_t below(struct story *t, uint64_t n)
{
	return test_random(&t->random) % n;
}

static void die(const struct story *t, const char *what, const struct ovbd_error *err)
{
	fail_msg("seed %llu, depth %u, %s after %zu operations: %s: %s",
	         (unsigned long long)t->seed, t->depth, ovbd_bow_state_name(t->state), t->h.nops,
	         what, err->msg);
}

static enum ovbd_bow_state state_of(const struct story *t)
{
	struct ovbd_bow_status s;

	ovbd_bow_get_status(t->device, &s);
	return s.state;
}

/* ---- one operation ---- */

static struct test_bow_op *begin(struct story *t)
{
	struct test_bow_op *op = &t->h.ops[t->h.nops++];

	*op = (struct test_bow_op){
		.begin = test_power_count(t->power),
		.began = ++t->time,
		.end = SIZE_MAX,
		.ended = UINT64_MAX,
	};
	return op;
}

static void end(struct story *t, struct test_bow_op *op)
{
	op->end = test_power_count(t->power);
	op->ended = ++t->time;
}

static bool has_room(const struct story *t, size_t nops)
{
	return t->h.nops + nops < TEST_BOW_OPS && !t->over;
}

/* A call failed: was it the disk that did? */
static bool was_disk(struct story *t)
{
	const bool failed = t->failing && test_power_failed(t->power);

	t->failing = t->failing && !failed;
	t->lost |= failed;
	return failed;
}

/* The policy may have been followed within op, whether it worked or not. */
static void follow(struct story *t, struct test_bow_op *op, int r, bool disk)
{
	const enum ovbd_bow_state s = state_of(t);

	if (t->state != OVBD_BOW_CHECKPOINT)
		return;
	if (t->params.on_full == OVBD_BOW_FULL_COMMIT && (r < 0 || s != t->state)) {
		t->h.commit.from = op->begin;
		op->commits = true;
		if (s == OVBD_BOW_COMMITTED)
			t->h.commit.by = op->end;
	}
	if (t->params.on_full == OVBD_BOW_FULL_ABORT && (r < 0 || s != t->state)) {
		t->h.abort.from = op->begin;
		if (s == OVBD_BOW_ABORTED && !disk)
			t->h.abort.by = op->end;
	}
	t->over |= r < 0 && t->params.on_full != OVBD_BOW_FULL_ERROR;
	t->state = s;
}

static void mark(struct story *t, const struct test_bow_op *op, int r)
{
	const uint64_t per = t->block_size / SECTOR;

	for (uint64_t b = op->off / per; b <= (op->off + op->n - 1) / per; b++)
		t->is_free[b] = t->is_free[b] && r < 0;
}

/* Half of them in a few places, to be written over and over; some follow the one before. */
static void some_range(struct story *t, uint64_t *ret_off, uint64_t *ret_n)
{
	const uint64_t per = t->block_size / SECTOR;
	uint64_t off = below(t, t->nsectors), n = 1 + below(t, below(t, 4) ? 3 * per : 24 * per);

	if (below(t, 4) == 0)
		off = t->behind % t->nsectors;
	else if (below(t, 6) == 0)
		off = below(t, per); /* block 0 */
	else if (below(t, 2))
		off %= ovbd_min(t->nsectors, 6 * per);
	if (t->small) {
		off = below(t, t->nsectors);
		n = 1 + below(t, per);
	}
	if (below(t, 2))
		off = off / per * per;
	*ret_off = off;
	*ret_n = ovbd_min(n, t->nsectors - off);
	t->behind = off + *ret_n;
}

static void do_write(struct story *t)
{
	static uint8_t buf[TEST_BOW_SECTORS * SECTOR];
	struct test_bow_op *op = begin(t);
	const bool zero = below(t, 8) == 0;
	struct ovbd_error err = {""};
	unsigned flags;
	bool disk;
	int r;

	some_range(t, &op->off, &op->n);
	op->fua = below(t, 8) == 0;
	flags = op->fua ? OVBD_WRITE_FUA : 0;
	if (zero) {
		r = ovbd_device_write_zeroes(t->device, op->off * SECTOR, op->n * SECTOR, flags,
		                             &err);
	} else {
		op->first = t->next;
		t->next += op->n;
		for (uint64_t i = 0; i < op->n; i++)
			test_bow_fill(op->first + i, buf + i * SECTOR);
		r = ovbd_device_pwrite(t->device, buf, op->n * SECTOR, op->off * SECTOR, flags,
		                       &err);
	}
	end(t, op);
	op->maybe = r < 0;
	disk = r < 0 && was_disk(t);
	if (r < 0 && !disk && state_of(t) != OVBD_BOW_ABORTED &&
	    (r != -ENOSPC || t->params.on_full != OVBD_BOW_FULL_ERROR))
		die(t, "write", &err);
	mark(t, op, r);
	follow(t, op, r, disk);
}

static void do_flush(struct story *t)
{
	struct test_bow_op *op = begin(t);
	struct ovbd_error err = {""};
	const int r = ovbd_device_flush(t->device, &err);

	end(t, op);
	op->flush = r == 0;
	if (r < 0 && !was_disk(t) && !t->lost)
		die(t, "flush", &err);
	t->lost = false;
}

/* Each run of blocks of which afterwards the same is known is an operation of the history. */
static void do_discard(struct story *t, uint64_t off, uint64_t n)
{
	const uint64_t per = t->block_size / SECTOR, last = off + n;
	const struct test_bow_op *whole = begin(t);
	const struct test_bow_op proto = *whole;
	struct ovbd_error err = {""};
	const int r = ovbd_device_discard(t->device, off * SECTOR, n * SECTOR, &err);

	t->h.nops--;
	if (r < 0 && !was_disk(t))
		die(t, "discard", &err);
	for (uint64_t i = off; i < last;) {
		const uint64_t b = i / per, next = ovbd_min(last, (b + 1) * per);
		const bool all = i == b * per && next == (b + 1) * per;
		const bool any = all && t->state != OVBD_BOW_COMMITTED;
		struct test_bow_op *op = &t->h.ops[t->h.nops];

		if (all && t->state == OVBD_BOW_TRIM && b > 0)
			t->is_free[b] = true;
		if (i > off && op[-1].any == any) {
			op[-1].n += next - i;
		} else {
			if (!has_room(t, 2))
				break;
			*op = proto;
			op->off = i;
			op->n = next - i;
			op->any = any;
			op->maybe = true;
			t->h.nops++;
			end(t, op);
		}
		i = next;
	}
}

static void some_op(struct story *t)
{
	const uint64_t what = below(t, 16);
	uint64_t off, n;

	if (what < 3) {
		do_flush(t);
	} else if (what < 5 && has_room(t, 24)) {
		some_range(t, &off, &n);
		do_discard(t, off, n);
	} else {
		do_write(t);
	}
}

static void some_ops(struct story *t, uint64_t n)
{
	const enum ovbd_bow_state s = t->state;

	while (n-- > 0 && has_room(t, 30) && t->state == s)
		some_op(t);
}

/* As FITRIM. */
static void trim(struct story *t)
{
	const uint64_t per = t->block_size / SECTOR, nblocks = t->nsectors / per;
	const uint64_t from = t->small ? nblocks / 2 : below(t, nblocks);
	const uint64_t n = t->small ? nblocks - from : 1 + below(t, nblocks - from);

	if (has_room(t, 24))
		do_discard(t, from * per, n * per);
	if (below(t, 2) && has_room(t, 24)) {
		const uint64_t at = below(t, nblocks);

		do_discard(t, at * per, ovbd_min(1 + below(t, 8), nblocks - at) * per);
	}
}

/* ---- states ---- */

static void do_checkpoint(struct story *t)
{
	struct test_bow_op *op = begin(t);
	struct ovbd_error err = {""};
	int r;

	assert_int_equal(ovbd_blob_pread(t->device->blob, t->h.old, t->size, 0, NULL), 0);
	for (uint64_t i = 0; i < t->nsectors; i++)
		t->h.old_any[i] = t->is_free[i / (t->block_size / SECTOR)];
	t->h.log.from = op->begin;
	r = ovbd_bow_checkpoint(t->device, &err);
	end(t, op);
	op->flush = r == 0;
	if (r == 0) {
		t->h.log.by = op->end;
		t->state = OVBD_BOW_CHECKPOINT;
		return;
	}
	if (!was_disk(t) && r != -ENOSPC)
		die(t, "checkpoint", &err);
	t->h.log.failed = op->end;
	if (state_of(t) != OVBD_BOW_TRIM)
		die(t, "checkpoint failed, but the state is another", &err);
}

static void do_commit(struct story *t)
{
	struct ovbd_error err = {""};
	int r;

	do {
		struct test_bow_op *op = begin(t);

		t->h.commit.from = ovbd_min(t->h.commit.from, op->begin);
		op->commits = true;
		r = ovbd_bow_commit(t->device, &err);
		end(t, op);
		op->flush = r == 0;
		if (r == 0)
			t->h.commit.by = op->end;
	} while (r < 0 && was_disk(t));
	if (r < 0)
		die(t, "commit", &err);
	t->state = OVBD_BOW_COMMITTED;
}

static void do_abort(struct story *t)
{
	struct ovbd_error err = {""};
	int r;

	do {
		struct test_bow_op *op = begin(t);

		t->h.abort.from = ovbd_min(t->h.abort.from, op->begin);
		r = ovbd_bow_abort(t->device, &err);
		end(t, op);
		if (r == 0)
			t->h.abort.by = op->end;
	} while (r < 0 && was_disk(t) && state_of(t) == OVBD_BOW_CHECKPOINT);
	t->over = true;
	t->state = state_of(t);
	if (r < 0 && t->state != OVBD_BOW_ABORTED)
		die(t, "abort", &err);
}

static bool has_threads(const struct story *t)
{
	return t->seed % 4 == 1 && t->params.on_full == OVBD_BOW_FULL_ERROR && has_room(t, 60);
}

void story_do(struct story *t)
{
	const uint64_t most = t->depth > 0 ? 8 : below(t, 3) && !t->small ? 30 : 80;

	if (t->depth == 0 && t->seed % 4 == 3) {
		t->failing = true;
		if (below(t, 3) == 0)
			test_power_bad_flush(t->power, 1 + below(t, 40));
		else
			test_power_full(t->power, 1 + below(t, 120), 1);
	}
	if (t->state == OVBD_BOW_TRIM) {
		some_ops(t, below(t, 4));
		trim(t);
		some_ops(t, below(t, 3));
		do_checkpoint(t);
	}
	if (t->state == OVBD_BOW_CHECKPOINT && t->depth > 0)
		trim(t); /* as nothing is free after it was opened */
	if (t->state == OVBD_BOW_CHECKPOINT && has_threads(t))
		story_threads(t);
	some_ops(t, 4 + below(t, most));
	if (t->state == OVBD_BOW_CHECKPOINT && below(t, 3) == 0) {
		trim(t);
		some_ops(t, below(t, most));
	}
	if (t->state == OVBD_BOW_CHECKPOINT && !t->over && has_room(t, 6)) {
		const uint64_t what = below(t, 3);

		if (what == 0)
			do_commit(t);
		else if (what == 1)
			do_abort(t);
	}
	if (t->state == OVBD_BOW_COMMITTED)
		some_ops(t, below(t, 3));
}

/* ---- making ---- */

static void power_on(struct story *t)
{
	t->power = test_power_create();
	pthread_mutex_init(&t->lock, NULL);
	if (t->seed / 8 % 2)
		test_power_discards(t->power);
}

enum ovbd_bow_state story_open(struct story *t, const char *where)
{
	struct ovbd_device *disk = test_power_disk(t->power, 0, t->bytes, t->size);
	struct ovbd_error err = {""};

	disk = story_lock_disk(disk, &t->lock);
	if (ovbd_bow_open(disk, &t->params, &t->device, &err) < 0)
		fail_msg("%s: open: %s", where, err.msg);
	t->state = state_of(t);
	return t->state;
}

static void alloc_old(struct story *t)
{
	t->h.old = calloc(1, t->size);
	t->h.old_any = calloc(1, t->nsectors);
	assert_true(t->h.old && t->h.old_any);
}

void story_begin(struct story *t, uint64_t seed)
{
	static const uint64_t most[] = {512, 1024, 2048, 4096};

	*t = (struct story){.seed = seed, .random = seed, .next = 1};
	t->block_size = (uint32_t)most[below(t, 4)];
	t->small = below(t, 3) == 0;
	t->nsectors = (12 + below(t, below(t, 8) ? 40 : 200)) * t->block_size / SECTOR;
	if (t->small)
		t->nsectors = 80 * t->block_size / SECTOR;
	t->nsectors = ovbd_min(TEST_BOW_SECTORS, t->nsectors);
	t->size = t->nsectors * SECTOR;
	t->params = (struct ovbd_bow_params){
		.block_size = t->block_size,
		.on_full = (enum ovbd_bow_on_full)below(t, 3),
	};
	t->bytes = malloc(t->size);
	assert_non_null(t->bytes);
	alloc_old(t);
	test_bow_history_begin(&t->h);
	for (uint64_t i = 0; i < t->nsectors; i++) {
		t->h.base[i] = t->next++;
		test_bow_fill(t->h.base[i], t->bytes + i * SECTOR);
	}
	power_on(t);
	story_open(t, "a new device");
}

void story_continue(struct story *t, const struct story *before, uint8_t *bytes, uint64_t random)
{
	*t = (struct story){
		.seed = before->seed,
		.random = random,
		.next = before->next,
		.time = before->time,
		.depth = before->depth + 1,
		.small = before->small,
		.block_size = before->block_size,
		.size = before->size,
		.nsectors = before->nsectors,
		.bytes = bytes,
		.params = before->params,
	};
	alloc_old(t);
	test_bow_history_begin(&t->h);
	power_on(t);
}

void story_opened(struct story *t, const struct story *before, const struct test_bow_cut *c,
                  bool committed, bool taken_back, size_t at, const uint8_t *reads_as)
{
	t->h.parent = &before->h;
	t->h.parent_at = at;
	t->h.parent_killed = before->killed;
	t->h.opened = test_power_count(t->power);
	for (uint64_t i = 0; i < t->nsectors; i++) {
		const bool any = taken_back ? c->h->old_any[i]
		                            : test_bow_may_be(c, committed, i, TEST_BOW_ANY);

		t->h.base[i] = any ? TEST_BOW_ANY : test_bow_number(reads_as + i * SECTOR);
	}
	if (t->state != OVBD_BOW_CHECKPOINT)
		return;
	t->h.log = (struct test_bow_change){0, 0, SIZE_MAX};
	memcpy(t->h.old, c->h->old, t->size);
	memcpy(t->h.old_any, c->h->old_any, t->nsectors);
}

void story_must_not_open(const struct story *t, uint8_t *bytes, const char *where)
{
	struct test_bow_disk k = {.bytes = bytes, .size = t->size};
	struct ovbd_device *d = NULL;
	struct ovbd_error err = {""};
	const int r = ovbd_bow_open(test_bow_disk(&k), &t->params, &d, &err);

	if (r != -EUCLEAN)
		fail_msg("%s: half restored, and open returned %d", where, r);
}

void story_end(struct story *t)
{
	test_power_free(t->power);
	pthread_mutex_destroy(&t->lock);
	free(t->h.old);
	free(t->h.old_any);
}
