// SPDX-License-Identifier: Apache-2.0
/*
 * A device that the kernel has kept while there was no server has users who wait, so it is served
 * before its image is open: a stand-in answers for it. Two threads: one serves, the device's own
 * opens the image, again and again if need be, and puts it into the stand-in's hand.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "base/auto.h"
#include "daemon/devices_impl.h"
#include "image/upper.h"

#define RETRY_MS 1000

struct service {
	struct served *s;
	struct line *line;
	int status;
	struct ovbd_error why;
};

static void *serve_main(void *arg)
{
	struct service *v = arg;
	struct served *s = v->s;

	v->status = devices_serve(s, v->line, ovbd_stand_in_device(v->line->stand_in), &v->why);
	pthread_mutex_lock(&s->all->lock);
	s->ended = true;
	pthread_cond_broadcast(&s->all->changed);
	pthread_mutex_unlock(&s->all->lock);
	return NULL;
}

/* If it was detached while an earlier daemon served it, that goes on, whether there is an image or
 * not; but not before it is there, and served. */
static void go_on_leaving(struct served *s, bool there)
{
	struct ovbd_devices *ds = s->all;
	struct ovbd_transport *t;
	struct ovbd_error err;

	pthread_mutex_lock(&ds->lock);
	s->there |= there;
	t = s->there && s->spec->leaving ? s->t : NULL;
	s->npins += t != NULL;
	pthread_mutex_unlock(&ds->lock);
	if (!t)
		return;
	if (t->ops->detach && t->ops->detach(t, &err) < 0)
		devices_tell(ds, true, s->spec->id, err.msg);
	pthread_mutex_lock(&ds->lock);
	s->npins--;
	pthread_cond_broadcast(&ds->changed);
	pthread_mutex_unlock(&ds->lock);
}

/* It is the image that decides when the device is ready. */
static void transport_ready(void *arg)
{
	go_on_leaving(arg, true);
}

/* The line's image is there from now on, also for those who look. */
static void put_image(struct served *s, struct line *l, struct line *bytes)
{
	pthread_mutex_lock(&s->all->lock);
	s->img = l->img = OVBD_MOVE(bytes->img);
	s->writable = l->writable = OVBD_MOVE(bytes->writable);
	l->upper = bytes->upper;
	s->bow = l->bow = bytes->bow;
	l->aborted = OVBD_MOVE(bytes->aborted);
	s->merger = l->merger = OVBD_MOVE(bytes->merger);
	l->read_only = bytes->read_only;
	pthread_mutex_unlock(&s->all->lock);
	if (l->upper)
		ovbd_upper_keep(l->upper);
	ovbd_stand_in_fill(l->stand_in, devices_line_device(l));
	atomic_store(&s->quick, devices_is_quick(l));
}

static int open_once(struct served *s, struct line *l, struct ovbd_error *err)
{
	const uint64_t kept = ovbd_stand_in_device(l->stand_in)->blob->size;
	struct line bytes = {0};
	uint64_t size;
	bool grown;
	int r = devices_open_blob(s, &bytes, err);

	if (r < 0) {
		devices_close_line(&bytes);
		return r;
	}
	size = devices_line_device(&bytes)->blob->size;
	grown = size > kept && devices_can_follow(s, l, &bytes);
	if (size != kept && !grown) {
		const bool raw = bytes.img && bytes.img->nlayers == 1 && !bytes.img->upper &&
		                 bytes.img->layers[0].format == OVBD_FORMAT_RAW;

		devices_close_line(&bytes);
		if (raw && devices_grow(s, size))
			return ovbd_fail(err, -ECANCELED, "is about to grow");
		return ovbd_fail(err, -ESTALE,
		                 "the image has %llu bytes, but its device had %llu: detach it",
		                 (unsigned long long)size, (unsigned long long)kept);
	}
	put_image(s, l, &bytes);
	if (grown)
		devices_follow(s, l);
	return 0;
}

/* Opens the image, however often that takes, as long as it is wanted. */
static void open_image(struct served *s, struct line *l)
{
	struct ovbd_error err = {0}, last = {0};
	unsigned wait_ms = RETRY_MS;
	int r;

	while ((r = open_once(s, l, &err)) < 0) {
		if (r == -ECANCELED)
			return;
		ovbd_stand_in_explain(l->stand_in, r, err.msg);
		if (strcmp(err.msg, last.msg) != 0)
			devices_tell(s->all, true, s->spec->id, err.msg);
		last = err;
		if (!devices_try_again(s, r, &err, &wait_ms))
			return;
	}
	devices_became_ready(s);
}

/* Begins to serve with a stand-in for the image. */
static int open_kept(struct served *s, uint64_t size, struct line *l, struct ovbd_error *err)
{
	int r = 0;

	atomic_store(&s->quick, false);
	s->there = false;
	if (!devices_enter(s))
		r = ovbd_fail(err, -ECANCELED, "was detached before it was opened");
	if (r == 0)
		r = ovbd_stand_in_open(size, s->spec->writable, s->all->wait_ms, &l->stand_in, err);
	if (r == 0)
		r = devices_open_transport(s, l, ovbd_stand_in_device(l->stand_in), transport_ready,
		                           err);
	return r;
}

int devices_serve_kept(struct served *s, uint64_t size, struct ovbd_error *err)
{
	struct line l = {0};
	struct service v = {.s = s, .line = &l};
	pthread_t thread;
	int r = open_kept(s, size, &l, err);

	if (r == 0 && !devices_publish(s, &l))
		r = ovbd_fail(err, -ECANCELED, "was detached while it was opened");
	if (r < 0) {
		if (!devices_is_left(s))
			devices_close_line(&l); /* which leaves what was there before */
		return r;
	}
	r = -pthread_create(&thread, NULL, serve_main, &v);
	if (r == 0) {
		go_on_leaving(s, !s->kind->late);
		open_image(s, &l);
		pthread_join(thread, NULL);
		r = v.status;
		if (r < 0 && err)
			*err = v.why;
	} else {
		ovbd_fail_errno(err, r, "starting a thread");
	}
	devices_withdraw(s, &l);
	devices_close_line(&l);
	return r;
}
