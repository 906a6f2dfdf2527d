// SPDX-License-Identifier: Apache-2.0
/*
 * A part of a story that several threads have: each writes to sectors of its own, within blocks of
 * all, so that backups of many are in one write of the log. The order in which the disk gets it all
 * is another each time.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "tests/lib/bow_story.h"
#include "tests/unit/test.h"

#define SECTOR   TEST_BOW_SECTOR
#define NTHREADS 3u
#define NOPS     14u
#define RUN      3u

/* ---- a disk for one at a time ---- */

struct lock_disk {
	struct ovbd_device device;
	struct ovbd_blob blob;
	struct ovbd_device *below;
	pthread_mutex_t *lock;
};

static struct lock_disk *disk_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct lock_disk, device);
}

static int lock_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct lock_disk *k = OVBD_CONTAINER_OF(b, struct lock_disk, blob);
	int r;

	pthread_mutex_lock(k->lock);
	r = ovbd_blob_pread(k->below->blob, buf, len, off, err);
	pthread_mutex_unlock(k->lock);
	return r;
}

static int lock_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                       unsigned flags, struct ovbd_error *err)
{
	struct lock_disk *k = disk_of(d);
	int r;

	pthread_mutex_lock(k->lock);
	r = ovbd_device_pwrite(k->below, buf, len, off, flags, err);
	pthread_mutex_unlock(k->lock);
	return r;
}

static int lock_write_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                             struct ovbd_error *err)
{
	struct lock_disk *k = disk_of(d);
	int r;

	pthread_mutex_lock(k->lock);
	r = ovbd_device_write_zeroes(k->below, off, len, flags, err);
	pthread_mutex_unlock(k->lock);
	return r;
}

static int lock_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	struct lock_disk *k = disk_of(d);
	int r;

	pthread_mutex_lock(k->lock);
	r = ovbd_device_discard(k->below, off, len, err);
	pthread_mutex_unlock(k->lock);
	return r;
}

static int lock_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	struct lock_disk *k = disk_of(d);
	int r;

	pthread_mutex_lock(k->lock);
	r = ovbd_device_flush(k->below, err);
	pthread_mutex_unlock(k->lock);
	return r;
}

static void nothing_to_close(struct ovbd_blob *b)
{
	(void)b; /* is part of the device */
}

static void lock_free(struct ovbd_device *d)
{
	ovbd_device_close(disk_of(d)->below);
	free(disk_of(d));
}

struct ovbd_device *story_lock_disk(struct ovbd_device *take_below, pthread_mutex_t *lock)
{
	static const struct ovbd_blob_ops blob_ops = {
		.name = "disk",
		.pread = lock_pread,
		.close = nothing_to_close,
	};
	static const struct ovbd_device_ops ops = {
		.pwrite = lock_pwrite,
		.write_zeroes = lock_write_zeroes,
		.discard = lock_discard,
		.flush = lock_flush,
	};
	struct lock_disk *k = calloc(1, sizeof(*k));

	assert_non_null(k);
	k->below = take_below;
	k->lock = lock;
	k->blob = (struct ovbd_blob){.ops = &blob_ops, .size = take_below->blob->size};
	k->device = (struct ovbd_device){.blob = &k->blob, .ops = &ops, .free = lock_free};
	return &k->device;
}

/* ---- the threads ---- */

struct worker {
	struct story *t;
	pthread_t thread;
	uint64_t random, number, next;
	struct test_bow_op ops[NOPS];
	int r;
};

static void begin(struct worker *w, struct test_bow_op *op)
{
	pthread_mutex_lock(&w->t->lock);
	op->begin = test_power_count(w->t->power);
	op->began = ++w->t->time;
	pthread_mutex_unlock(&w->t->lock);
}

static void end(struct worker *w, struct test_bow_op *op)
{
	struct story *t = w->t;

	pthread_mutex_lock(&t->lock);
	op->end = test_power_count(t->power);
	op->ended = ++t->time;
	pthread_mutex_unlock(&t->lock);
}

static void do_write(struct worker *w, struct test_bow_op *op)
{
	struct story *t = w->t;
	const uint64_t nruns = ovbd_min(t->nsectors / RUN / NTHREADS, 16);
	const uint64_t run = test_random(&w->random) % nruns * NTHREADS + w->number;
	const uint64_t from = test_random(&w->random) % RUN;
	uint8_t buf[RUN * SECTOR];

	op->off = run * RUN + from;
	op->n = 1 + test_random(&w->random) % (RUN - from);
	op->fua = test_random(&w->random) % 8 == 0;
	op->first = w->next;
	w->next += op->n;
	for (uint64_t i = 0; i < op->n; i++)
		test_bow_fill(op->first + i, buf + i * SECTOR);
	begin(w, op);
	w->r = ovbd_device_pwrite(t->device, buf, op->n * SECTOR, op->off * SECTOR,
	                          op->fua ? OVBD_WRITE_FUA : 0, NULL);
	end(w, op);
	op->maybe = w->r < 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < NOPS && (w->r == 0 || w->r == -ENOSPC); i++) {
		struct test_bow_op *op = &w->ops[i];

		if (test_random(&w->random) % 5 > 0) {
			do_write(w, op);
			continue;
		}
		begin(w, op);
		w->r = ovbd_device_flush(w->t->device, NULL);
		end(w, op);
		op->flush = w->r == 0;
	}
	return NULL;
}

void story_threads(struct story *t)
{
	struct worker *workers = calloc(NTHREADS, sizeof(*workers));

	assert_non_null(workers);
	for (unsigned i = 0; i < NTHREADS; i++) {
		struct worker *w = &workers[i];

		w->t = t;
		w->number = i;
		w->random = test_random(&t->random);
		w->next = t->next;
		t->next += (uint64_t)NOPS * RUN;
		assert_int_equal(pthread_create(&w->thread, NULL, work, w), 0);
	}
	for (unsigned i = 0; i < NTHREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].r < 0 && workers[i].r != -ENOSPC)
			fail_msg("seed %llu: a thread's call returned %d",
			         (unsigned long long)t->seed, workers[i].r);
		for (unsigned k = 0; k < NOPS; k++)
			t->h.ops[t->h.nops++] = workers[i].ops[k];
	}
	free(workers);
}
