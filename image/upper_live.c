// SPDX-License-Identifier: Apache-2.0
/*
 * Writes hold a lock for reading, and who makes a snapshot takes it for writing: so all that was
 * written before is in the layer that is frozen, and flushed, and nothing that comes later is.
 * Readers do not ask for it. They take the top as it is, and what they find beneath it, within an
 * epoch: what was replaced stays until the last of them has left.
 *
 *     before     top ──► lower
 *     switched   next ──► under ──► top, frozen ──► lower
 *     settled    next ──► under ──► growing stack, with the frozen one's layer ──► lower
 *
 * A frozen layer has the same bytes in its own index and as a layer of the growing stack, so it
 * does not matter through which of them a reader finds them. And a stack that has got a layer shows
 * the same to who reads it through that layer's writable form, which hides it.
 */
#include "image/upper_live.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/bytes.h"
#include "base/epoch.h"
#include "image/upper.h"

#define GRACE_NS 1000000L /* between looks whether readers have left */

/* What a top lies over, which may be replaced by what has the same bytes. */
struct under {
	struct ovbd_blob blob;
	struct ovbd_epoch *epoch; /* the live device's */
	_Atomic(struct ovbd_blob *) now;
	struct ovbd_blob *view; /* owned; of the growing stack, once it is that */
};

struct live {
	struct ovbd_device device; /* its head */
	struct ovbd_blob blob;
	struct ovbd_epoch *epoch;
	struct ovbd_blob *lower;           /* lent; NULL: nothing */
	pthread_rwlock_t order;            /* writes: for reading; a switch: for writing */
	_Atomic(struct ovbd_device *) top; /* owned */

	pthread_mutex_t snapshots;         /* all below */
	uint64_t beneath;                  /* bytes of what the top lies over */
	struct ovbd_blob *grown;           /* owned; NULL before the first is settled */
	struct ovbd_device *next, *frozen; /* owned, where there is one */
	struct under *next_under, *under;  /* of next; of the top, while frozen is there */
	char *data, *next_data;            /* of the top, of next */
	char *frozen_data;
};

static struct live *live_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct live, device);
}

/* ---- beneath ---- */

static struct under *under_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct under, blob);
}

static int under_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	struct under *u = under_of(b);
	const unsigned ticket = ovbd_epoch_enter(u->epoch);
	const int r = ovbd_blob_pread(atomic_load(&u->now), buf, len, off, err);

	ovbd_epoch_leave(u->epoch, ticket);
	return r;
}

static int under_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                        struct ovbd_error *err)
{
	struct under *u = under_of(b);
	const unsigned ticket = ovbd_epoch_enter(u->epoch);
	const int r = ovbd_blob_run_at(atomic_load(&u->now), off, len, ret, err);

	ovbd_epoch_leave(u->epoch, ticket);
	return r;
}

static void under_close(struct ovbd_blob *b)
{
	struct under *u = under_of(b);

	ovbd_blob_close(u->view);
	free(u);
}

static const struct ovbd_blob_ops under_ops = {
	.name = "what a snapshot left beneath",
	.pread = under_pread,
	.run_at = under_run_at,
	.close = under_close,
};

/* ---- the device ---- */

static int live_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct live *l = OVBD_CONTAINER_OF(b, struct live, blob);
	const unsigned ticket = ovbd_epoch_enter(l->epoch);
	const int r = ovbd_blob_pread(atomic_load(&l->top)->blob, buf, len, off, err);

	ovbd_epoch_leave(l->epoch, ticket);
	return r;
}

static int live_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                       struct ovbd_error *err)
{
	struct live *l = OVBD_CONTAINER_OF(b, struct live, blob);
	const unsigned ticket = ovbd_epoch_enter(l->epoch);
	const int r = ovbd_blob_run_at(atomic_load(&l->top)->blob, off, len, ret, err);

	ovbd_epoch_leave(l->epoch, ticket);
	return r;
}

static void live_blob_close(struct ovbd_blob *b)
{
	(void)b; /* is part of the device */
}

static const struct ovbd_blob_ops live_blob_ops = {
	.name = "writable layer that may be frozen",
	.pread = live_pread,
	.run_at = live_run_at,
	.close = live_blob_close,
};

static int live_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                       unsigned flags, struct ovbd_error *err)
{
	struct live *l = live_of(d);
	int r;

	pthread_rwlock_rdlock(&l->order);
	r = ovbd_device_pwrite(l->top, buf, len, off, flags, err);
	pthread_rwlock_unlock(&l->order);
	return r;
}

static int live_write_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                             struct ovbd_error *err)
{
	struct live *l = live_of(d);
	int r;

	pthread_rwlock_rdlock(&l->order);
	r = ovbd_device_write_zeroes(l->top, off, len, flags, err);
	pthread_rwlock_unlock(&l->order);
	return r;
}

static int live_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	struct live *l = live_of(d);
	int r;

	pthread_rwlock_rdlock(&l->order);
	r = ovbd_device_discard(l->top, off, len, err);
	pthread_rwlock_unlock(&l->order);
	return r;
}

static int live_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	struct live *l = live_of(d);
	int r;

	pthread_rwlock_rdlock(&l->order);
	r = ovbd_device_flush(l->top, err);
	pthread_rwlock_unlock(&l->order);
	return r;
}

/* Not beside a snapshot: its new layer is to have the device's size, whichever that is. Writes go
 * on, as they do not look at the size. */
static int live_grow(struct ovbd_device *d, uint64_t size, struct ovbd_error *err)
{
	struct live *l = live_of(d);
	int r;

	pthread_mutex_lock(&l->snapshots);
	r = ovbd_device_grow(l->top, size, err);
	if (r == 0)
		l->blob.size = size;
	pthread_mutex_unlock(&l->snapshots);
	return r;
}

static void live_free(struct ovbd_device *d)
{
	struct live *l = live_of(d);

	ovbd_device_close(l->next);
	ovbd_device_close(l->top);
	ovbd_device_close(l->frozen);
	ovbd_blob_close(l->grown);
	ovbd_epoch_free(l->epoch);
	free(l->data);
	free(l->next_data);
	free(l->frozen_data);
	pthread_mutex_destroy(&l->snapshots);
	pthread_rwlock_destroy(&l->order);
	free(l);
}

static const struct ovbd_device_ops live_ops = {
	.pwrite = live_pwrite,
	.write_zeroes = live_write_zeroes,
	.discard = live_discard,
	.flush = live_flush,
	.grow = live_grow,
};

int ovbd_upper_live_open(struct ovbd_device *take_top, const char *data, struct ovbd_blob *lower,
                         struct ovbd_device **ret, struct ovbd_error *err)
{
	AUTO_DEVICE *top = take_top;
	struct live *l = calloc(1, sizeof(*l));
	pthread_rwlockattr_t attr;

	if (l)
		l->data = strdup(data);
	if (!l || !l->data || ovbd_epoch_create(&l->epoch, NULL) < 0) {
		free(l ? l->data : NULL);
		free(l);
		return ovbd_fail(err, -ENOMEM, "out of memory for a writable layer");
	}
	/* or writes that follow each other closely would keep a snapshot out for ever */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&l->order, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&l->snapshots, NULL);
	l->lower = lower;
	l->beneath = lower ? lower->size : 0;
	l->blob = (struct ovbd_blob){.ops = &live_blob_ops, .size = top->blob->size};
	l->device = (struct ovbd_device){.blob = &l->blob, .ops = &live_ops, .free = live_free};
	atomic_init(&l->top, OVBD_MOVE(top));
	*ret = &l->device;
	return 0;
}

/* ---- a snapshot ---- */

void ovbd_upper_live_lock(struct ovbd_device *d)
{
	pthread_mutex_lock(&live_of(d)->snapshots);
}

void ovbd_upper_live_unlock(struct ovbd_device *d)
{
	pthread_mutex_unlock(&live_of(d)->snapshots);
}

void ovbd_upper_live_info(struct ovbd_device *d, struct ovbd_rw_info *ret)
{
	ovbd_rw_info(live_of(d)->top, ret);
}

void ovbd_upper_live_next_info(struct ovbd_device *d, struct ovbd_rw_info *ret)
{
	ovbd_rw_info(live_of(d)->next, ret);
}

const char *ovbd_upper_live_data(struct ovbd_device *d)
{
	return live_of(d)->data;
}

uint64_t ovbd_upper_live_beneath(struct ovbd_device *d)
{
	return live_of(d)->beneath;
}

int ovbd_upper_live_prepare(struct ovbd_device *d, const char *data, const char *index,
                            struct ovbd_error *err)
{
	struct live *l = live_of(d);
	struct under *u = calloc(1, sizeof(*u));
	int r;

	free(l->next_data);
	l->next_data = strdup(data);
	if (!u || !l->next_data) {
		free(u);
		return ovbd_fail(err, -ENOMEM, "out of memory for a snapshot");
	}
	u->blob = (struct ovbd_blob){.ops = &under_ops, .size = d->blob->size};
	u->epoch = l->epoch;
	atomic_init(&u->now, atomic_load(&l->top)->blob);
	r = ovbd_upper_open(data, index, &u->blob, &l->next, err);
	if (r < 0)
		return r;
	l->next_under = u;
	if (l->next->blob->size == d->blob->size)
		return 0;
	r = ovbd_fail(err, -EINVAL,
	              "%s: is of %" PRIu64 " bytes, the device of %" PRIu64
	              ", which a snapshot does not change",
	              data, l->next->blob->size, d->blob->size);
	ovbd_upper_live_forget(d);
	return r;
}

void ovbd_upper_live_forget(struct ovbd_device *d)
{
	struct live *l = live_of(d);

	ovbd_device_close(OVBD_MOVE(l->next));
	l->next_under = NULL;
	ovbd_rw_quiet(l->top, false);
}

int ovbd_upper_live_calm(struct ovbd_device *d, struct ovbd_error *err)
{
	struct live *l = live_of(d);

	ovbd_rw_quiet(l->top, true);
	return ovbd_device_flush(l->top, err);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int ovbd_upper_live_switch(struct ovbd_device *d, uint64_t *ret_pause_ns, struct ovbd_error *err)
{
	struct live *l = live_of(d);
	const uint64_t begin = now_ns();
	int r;

	pthread_rwlock_wrlock(&l->order);
	r = ovbd_device_flush(l->top, err);
	if (r == 0) {
		l->frozen = l->top;
		atomic_store(&l->top, OVBD_MOVE(l->next));
	}
	pthread_rwlock_unlock(&l->order);
	*ret_pause_ns = now_ns() - begin;
	if (r < 0)
		return r;
	l->under = OVBD_MOVE(l->next_under);
	free(l->frozen_data);
	l->frozen_data = OVBD_MOVE(l->data);
	l->data = OVBD_MOVE(l->next_data);
	l->beneath = d->blob->size;
	return 0;
}

/* What the top lies over when all is settled. */
static int make_view(struct live *l, struct ovbd_error *err)
{
	struct ovbd_blob *lent;
	int r = 0;

	if (!l->grown)
		r = ovbd_stack_open_growing(l->lower, &l->grown, err);
	if (r < 0 || l->under->view)
		return r;
	r = ovbd_blob_open_lent(l->grown, &lent, err);
	/* as large as it was then: the device may have grown */
	return r < 0 ? r : ovbd_blob_open_slice(lent, 0, l->under->blob.size, &l->under->view, err);
}

/* The layer that the sealed file is, into the stack of all of them. */
static int grow(struct live *l, struct ovbd_error *err)
{
	struct ovbd_layer *layer;
	struct ovbd_blob *b;
	uint64_t size;
	int r = ovbd_blob_open_file(l->frozen_data, &b, err);

	if (r < 0)
		return r;
	size = b->size;
	r = ovbd_layer_open(b, size, &layer, err);
	return r < 0 ? r : ovbd_stack_grow(l->grown, layer, err);
}

static void wait_for_readers(struct live *l)
{
	const uint64_t since = ovbd_epoch_now(l->epoch);
	const struct timespec pause = {.tv_nsec = GRACE_NS};

	for (;;) {
		ovbd_epoch_advance(l->epoch);
		if (ovbd_epoch_is_over(l->epoch, since))
			return;
		nanosleep(&pause, NULL);
	}
}

int ovbd_upper_live_settle(struct ovbd_device *d, struct ovbd_error *err)
{
	struct live *l = live_of(d);
	int r;

	if (!l->frozen)
		return 0;
	r = ovbd_rw_seal(l->frozen, err);
	if (r == 0)
		r = make_view(l, err);
	if (r == 0)
		r = grow(l, err);
	if (r < 0)
		return ovbd_fail_named(err, r, l->frozen_data);
	atomic_store(&l->under->now, l->under->view);
	wait_for_readers(l);
	ovbd_device_close(OVBD_MOVE(l->frozen));
	l->under = NULL;
	return 0;
}
