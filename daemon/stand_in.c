// SPDX-License-Identifier: Apache-2.0
/*
 * One lock, one condition: requests wait for the real device, or the deadline. The real device is
 * set once and stays, so after that a request only looks at it.
 */
#include "daemon/stand_in.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/auto.h"

struct ovbd_stand_in {
	struct ovbd_device device;
	struct ovbd_blob blob;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	struct ovbd_device *real; /* NULL: not yet */
	struct timespec deadline;
	bool over; /* whatever the deadline says */
	int code;
	struct ovbd_error why;
};

/* The real device, or NULL with why there is none in *ret_code. */
static struct ovbd_device *wait_for_real(struct ovbd_stand_in *s, int *ret_code,
                                         struct ovbd_error *err)
{
	struct ovbd_device *real;
	int waited = 0;

	pthread_mutex_lock(&s->lock);
	while (!s->real && !s->over && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&s->changed, &s->lock, &s->deadline);
	real = s->real;
	if (!real)
		*ret_code = ovbd_fail(err, s->code, "the image is not open: %s", s->why.msg);
	pthread_mutex_unlock(&s->lock);
	return real;
}

static struct ovbd_stand_in *of_blob(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct ovbd_stand_in, blob);
}

static struct ovbd_stand_in *of_device(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct ovbd_stand_in, device);
}

static int stand_in_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                          struct ovbd_error *err)
{
	int r = 0;
	struct ovbd_device *d = wait_for_real(of_blob(b), &r, err);

	return d ? ovbd_blob_pread(d->blob, buf, len, off, err) : r;
}

static void stand_in_free_blob(struct ovbd_blob *b)
{
	(void)b;
}

static const struct ovbd_blob_ops blob_ops = {
	.name = "stand-in",
	.pread = stand_in_pread,
	.close = stand_in_free_blob,
};

static int stand_in_pwrite(struct ovbd_device *device, const void *buf, size_t len, uint64_t off,
                           unsigned flags, struct ovbd_error *err)
{
	int r = 0;
	struct ovbd_device *d = wait_for_real(of_device(device), &r, err);

	return d ? ovbd_device_pwrite(d, buf, len, off, flags, err) : r;
}

static int stand_in_zero(struct ovbd_device *device, uint64_t off, uint64_t len, unsigned flags,
                         struct ovbd_error *err)
{
	int r = 0;
	struct ovbd_device *d = wait_for_real(of_device(device), &r, err);

	return d ? ovbd_device_write_zeroes(d, off, len, flags, err) : r;
}

static int stand_in_discard(struct ovbd_device *device, uint64_t off, uint64_t len,
                            struct ovbd_error *err)
{
	int r = 0;
	struct ovbd_device *d = wait_for_real(of_device(device), &r, err);

	return d ? ovbd_device_discard(d, off, len, err) : r;
}

static int stand_in_flush(struct ovbd_device *device, struct ovbd_error *err)
{
	int r = 0;
	struct ovbd_device *d = wait_for_real(of_device(device), &r, err);

	return d ? ovbd_device_flush(d, err) : r;
}

static const struct ovbd_device_ops device_ops = {
	.pwrite = stand_in_pwrite,
	.write_zeroes = stand_in_zero,
	.discard = stand_in_discard,
	.flush = stand_in_flush,
};

int ovbd_stand_in_open(uint64_t size, bool writable, unsigned wait_ms, struct ovbd_stand_in **ret,
                       struct ovbd_error *err)
{
	struct ovbd_stand_in *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;

	if (!s)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->blob = (struct ovbd_blob){.ops = &blob_ops, .size = size};
	s->device = (struct ovbd_device){.blob = &s->blob, .ops = writable ? &device_ops : NULL};
	s->code = ovbd_fail(&s->why, -ETIMEDOUT, "it takes too long");
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	clock_gettime(CLOCK_MONOTONIC, &s->deadline);
	s->deadline.tv_sec += (wait_ms + 999) / 1000;
	*ret = s;
	return 0;
}

struct ovbd_device *ovbd_stand_in_device(struct ovbd_stand_in *s)
{
	return &s->device;
}

void ovbd_stand_in_fill(struct ovbd_stand_in *s, struct ovbd_device *d)
{
	assert(d->blob->size >= s->blob.size);
	pthread_mutex_lock(&s->lock);
	s->real = d;
	s->blob.size = d->blob->size;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void ovbd_stand_in_grow(struct ovbd_stand_in *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->real)
		s->blob.size = s->real->blob->size;
	pthread_mutex_unlock(&s->lock);
}

void ovbd_stand_in_explain(struct ovbd_stand_in *s, int code, const char *why)
{
	pthread_mutex_lock(&s->lock);
	s->code = ovbd_fail(&s->why, code, "%s", why);
	pthread_mutex_unlock(&s->lock);
}

void ovbd_stand_in_give_up(struct ovbd_stand_in *s)
{
	pthread_mutex_lock(&s->lock);
	s->over = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void ovbd_stand_in_close(struct ovbd_stand_in *take_s)
{
	if (!take_s)
		return;
	pthread_cond_destroy(&take_s->changed);
	pthread_mutex_destroy(&take_s->lock);
	free(take_s);
}
