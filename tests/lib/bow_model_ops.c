// SPDX-License-Identifier: Apache-2.0
/*
 * What is done to a device and its model.
 *
 * A discard makes free the whole blocks in it: in TRIM all, in CHECKPOINT those whose original is
 * backed up, which may be any. A write to a block takes it back. In TRIM a free block reads as it
 * did, or as zeros, and only the checkpoint makes it unknown.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "tests/lib/bow_model.h"
#include "tests/unit/test.h"

#define SECTOR TEST_BOW_SECTOR

enum { MAYBE = 1, SURELY }; /* free */

/* Something has failed. If it was the disk that did, that is over now. */
static bool was_disk(struct test_bow *t)
{
	const bool flush = t->disk.calls == TEST_BOW_FLUSH;
	const bool dead = t->disk.dead, hit = test_bow_disk_heal(&t->disk);

	t->lost |= hit && flush;
	t->nfailed += hit;
	t->disk.dead = dead;
	return hit;
}

/* ---- writes ---- */

static void written(struct test_bow *t, uint64_t off, uint64_t len, const uint8_t *data)
{
	const uint64_t first = off / t->block_size, end = (off + len - 1) / t->block_size + 1;

	memcpy(t->now + off, data, len);
	memset(t->now_any + off / SECTOR, 0, len / SECTOR);
	memset(t->is_free + first, 0, end - first);
}

static void only_when_full(const struct test_bow *t, const struct ovbd_bow_status *before,
                           uint64_t off, uint64_t len, const char *what)
{
	if (t->state != OVBD_BOW_CHECKPOINT || before->free_bytes >= test_bow_need(t, off, len))
		test_bow_die(t, "%s, though %llu bytes are free: %llu bytes at %llu", what,
		             (unsigned long long)before->free_bytes, (unsigned long long)len,
		             (unsigned long long)off);
}

/* The policy, if it was followed. */
static void follow(struct test_bow *t, const struct ovbd_bow_status *before, uint64_t off,
                   uint64_t len, unsigned ntold)
{
	const enum ovbd_bow_state s = test_bow_status(t).state;
	const bool commits = t->params.on_full == OVBD_BOW_FULL_COMMIT;

	if (s == t->state) {
		const struct ovbd_bow_status now = test_bow_status(t);

		if (t->nfailed == 0 && now.backed_up > before->backed_up &&
		    now.free_bytes < t->params.min_free)
			test_bow_die(t, "a backup has left %llu bytes free",
			             (unsigned long long)now.free_bytes);
		if (ntold != t->ntold && t->nfailed == 0 && !t->disk.hit)
			test_bow_die(t, "told of a policy that was not followed");
		return;
	}
	if (!t->commit_began || s != OVBD_BOW_COMMITTED) { /* which is finished by who comes next */
		only_when_full(t, before, off, len, ovbd_bow_state_name(s));
		if (t->params.on_full == OVBD_BOW_FULL_ERROR ||
		    s != (commits ? OVBD_BOW_COMMITTED : OVBD_BOW_ABORTED))
			test_bow_die(t, "has become %s", ovbd_bow_state_name(s));
		if (t->ntold == ntold)
			test_bow_die(t, "is %s now, and told nobody", ovbd_bow_state_name(s));
	}
	if (s == OVBD_BOW_ABORTED && t->disk.hit) {
		t->abort_began = true; /* it failed on the way */
		return;
	}
	t->state = s;
	t->commit_began = t->abort_began = false;
	if (s == OVBD_BOW_ABORTED)
		test_bow_compare(t, t->disk.bytes, 0, t->size, true, "aborted by the policy");
}

/* The write has failed. */
static void not_written(struct test_bow *t, int r, const struct ovbd_bow_status *before,
                        uint64_t off, uint64_t len, const struct ovbd_error *err)
{
	const uint64_t first = off / t->block_size, end = (off + len - 1) / t->block_size + 1;
	const bool disk = was_disk(t);

	if (t->state == OVBD_BOW_ABORTED)
		return;
	for (uint64_t b = first; b < end; b++)
		t->is_free[b] = t->is_free[b] ? MAYBE : 0;
	if (disk) {
		/* also the policy may have failed on the way */
		const bool full = before->free_bytes < test_bow_need(t, off, len);

		t->commit_began |= full && t->params.on_full == OVBD_BOW_FULL_COMMIT;
		t->abort_began |= full && t->params.on_full == OVBD_BOW_FULL_ABORT;
	} else if (r != -ENOSPC || t->params.on_full != OVBD_BOW_FULL_ERROR) {
		test_bow_die(t, "%d: %s", r, err->msg);
	} else {
		only_when_full(t, before, off, len, err->msg);
	}
}

static void put(struct test_bow *t, uint64_t off, uint64_t len, const uint8_t *data, bool zero,
                unsigned flags)
{
	const struct ovbd_bow_status before = test_bow_status(t);
	const unsigned ntold = t->ntold;
	struct ovbd_error err = {""};
	int r = zero ? ovbd_device_write_zeroes(t->device, off, len, flags, &err)
	             : ovbd_device_pwrite(t->device, data, len, off, flags, &err);

	if (t->state == OVBD_BOW_ABORTED && r != -EIO)
		test_bow_die(t, "a write returned %d", r);
	if (t->state == OVBD_BOW_ABORTED)
		return;
	follow(t, &before, off, len, ntold);
	if (r == 0) {
		if (t->state == OVBD_BOW_ABORTED)
			test_bow_die(t, "a write that aborted returned 0");
		written(t, off, len, data);
		return;
	}
	not_written(t, r, &before, off, len, &err);
	if (t->state == OVBD_BOW_ABORTED)
		return;
	if (t->disk.dead || test_bow_status(t).state == OVBD_BOW_ABORTED)
		test_bow_reopen_after(t, off, len, data);
	else
		test_bow_look(t, off, len, data);
}

void test_bow_write(struct test_bow *t, uint64_t off, uint64_t len, unsigned flags)
{
	uint8_t *data = malloc(len);

	assert_non_null(data);
	for (uint64_t i = 0; i < len; i += SECTOR)
		test_bow_fill(t->next++, data + i);
	put(t, off, len, data, false, flags);
	free(data);
}

void test_bow_zero(struct test_bow *t, uint64_t off, uint64_t len, unsigned flags)
{
	uint8_t *data = calloc(1, len);

	assert_non_null(data);
	put(t, off, len, data, true, flags);
	free(data);
}

/* ---- discards, flushes ---- */

/* Whole blocks in it, block 0 is none of them. */
static void discarded(struct test_bow *t, uint64_t off, uint64_t len, bool sure)
{
	const uint64_t bs = t->block_size, end = (off + len) / bs;

	for (uint64_t b = (off + bs - 1) / bs; b < end; b++) {
		if (t->state == OVBD_BOW_TRIM)
			t->is_free[b] = b == 0 ? 0 : sure ? SURELY : MAYBE;
		else if (t->state == OVBD_BOW_CHECKPOINT)
			memset(t->now_any + b * bs / SECTOR, 1, bs / SECTOR);
	}
}

void test_bow_discard(struct test_bow *t, uint64_t off, uint64_t len)
{
	struct ovbd_error err = {""};
	const int r = ovbd_device_discard(t->device, off, len, &err);
	uint8_t *zeros;

	if (t->state == OVBD_BOW_ABORTED) {
		if (r != -EIO)
			test_bow_die(t, "a discard returned %d", r);
		return;
	}
	if (r < 0 && !was_disk(t))
		test_bow_die(t, "discard: %s", err.msg);
	if (!t->disk.dead)
		test_bow_disk_heal(&t->disk); /* it has not come to it */
	discarded(t, off, len, r == 0);
	zeros = calloc(1, len);
	assert_non_null(zeros);
	if (t->disk.dead)
		test_bow_reopen_after(t, off, len, zeros);
	else
		test_bow_look(t, off, len, zeros);
	free(zeros);
}

void test_bow_flush(struct test_bow *t)
{
	struct ovbd_error err = {""};
	const int r = ovbd_device_flush(t->device, &err);

	if (t->state == OVBD_BOW_ABORTED) {
		if (r != -EIO)
			test_bow_die(t, "a flush returned %d", r);
		return;
	}
	if (r < 0 && !was_disk(t) && !t->lost)
		test_bow_die(t, "flush: %s", err.msg);
	t->lost = false;
	if (t->disk.dead)
		test_bow_reopen(t);
}

/* ---- changes of state ---- */

static uint64_t count_free(const struct test_bow *t)
{
	uint64_t n = 0;

	for (uint64_t b = 0; b < t->size / t->block_size; b++)
		n += t->is_free[b] == SURELY;
	return n * t->block_size;
}

static void make_old(struct test_bow *t)
{
	const uint64_t n = t->block_size / SECTOR;

	memcpy(t->old, t->now, t->size);
	for (uint64_t b = 0; b < t->size / t->block_size; b++) {
		if (t->is_free[b])
			memset(t->now_any + b * n, 1, n);
	}
	memcpy(t->old_any, t->now_any, t->size / SECTOR);
}

/* A call that changes the state has failed: what says the device? */
static void not_changed(struct test_bow *t, const char *what, const struct ovbd_error *err)
{
	const enum ovbd_bow_state s = t->disk.dead ? t->state : test_bow_status(t).state;

	if (!was_disk(t))
		test_bow_die(t, "%s: %s", what, err->msg);
	if (t->disk.dead)
		test_bow_reopen(t);
	else if (t->abort_began && s == OVBD_BOW_ABORTED)
		test_bow_reopen(t);
	else if (s != t->state)
		test_bow_die(t, "%s failed, but it is %s now", what, ovbd_bow_state_name(s));
}

static void must_refuse(const struct test_bow *t, int r, const char *what)
{
	if (r != -EINVAL)
		test_bow_die(t, "%s returned %d", what, r);
}

void test_bow_checkpoint(struct test_bow *t)
{
	const uint64_t nfree = count_free(t);
	struct ovbd_error err = {""};
	int r;

	if (t->state == OVBD_BOW_TRIM) {
		const uint64_t says = test_bow_status(t).free_bytes;

		if (t->nfailed == 0 && says != nfree)
			test_bow_die(t, "status says %llu bytes are free, and %llu are",
			             (unsigned long long)says, (unsigned long long)nfree);
		make_old(t);
	}
	t->checkpoint_began = t->state == OVBD_BOW_TRIM;
	r = ovbd_bow_checkpoint(t->device, &err);
	if (t->state != OVBD_BOW_TRIM) {
		must_refuse(t, r, "a checkpoint");
	} else if (r == 0) {
		t->checkpoint_began = false;
		t->state = OVBD_BOW_CHECKPOINT;
		test_bow_observe(t);
	} else if (r == -ENOSPC && !t->disk.hit) {
		if (nfree >= 8 * t->block_size + t->params.min_free)
			test_bow_die(t, "%llu bytes are free: %s", (unsigned long long)nfree,
			             err.msg);
		t->checkpoint_began = false;
	} else {
		not_changed(t, "checkpoint", &err);
		t->checkpoint_began = false;
	}
}

void test_bow_commit(struct test_bow *t)
{
	struct ovbd_error err = {""};
	const bool may = t->state == OVBD_BOW_TRIM || t->state == OVBD_BOW_CHECKPOINT;
	int r;

	if (t->state == OVBD_BOW_CHECKPOINT)
		t->commit_began = true;
	r = ovbd_bow_commit(t->device, &err);
	if (!may) {
		must_refuse(t, r, "a commit");
	} else if (r == 0) {
		t->commit_began = t->abort_began = false;
		t->state = OVBD_BOW_COMMITTED;
	} else {
		not_changed(t, "commit", &err);
	}
}

void test_bow_abort(struct test_bow *t)
{
	struct ovbd_error err = {""};
	int r;

	t->abort_began = t->state == OVBD_BOW_CHECKPOINT;
	r = ovbd_bow_abort(t->device, &err);
	if (!t->abort_began || (t->commit_began && r == -EINVAL)) {
		must_refuse(t, r, "an abort");
		t->abort_began = false;
	} else if (r == 0) {
		t->abort_began = false;
		t->state = OVBD_BOW_ABORTED;
		test_bow_compare(t, t->disk.bytes, 0, t->size, true, "aborted");
	} else {
		not_changed(t, "abort", &err);
	}
}
