// SPDX-License-Identifier: Apache-2.0
/* How devices are detached and shown. */
#include <errno.h>
#include <stdio.h>

#include "base/auto.h"
#include "daemon/devices_impl.h"
#include "daemon/holders.h"
#include "daemon/state_file.h"
#include "remote/lazy.h"

#define HOLDERS_SIZE (OVBD_ERROR_SIZE - 128)
#define LAST_MS      2000

/* The device with a reference, or NULL. Lock held. */
static struct served *take_ref(struct ovbd_devices *ds, const char *id)
{
	for (struct served *s = ds->list; s; s = s->next)
		if (strcmp(s->spec->id, id) == 0) {
			s->nrefs++;
			return s;
		}
	return NULL;
}

/* Called without the lock: it looks at every process. */
static int check_unused(const char *id, const char *path, struct ovbd_error *err)
{
	char holders[HOLDERS_SIZE];

	if (path && ovbd_holders_find(path, holders, sizeof(holders)) > 0)
		return ovbd_fail(err, -EBUSY, "device %s: in use by %s", id, holders);
	return 0;
}

static void forget_state(const struct served *s)
{
	struct ovbd_error err;

	if (ovbd_state_file_remove(s->all->state_dir, s->spec->id, &err) < 0)
		devices_tell(s->all, true, s->spec->id, err.msg);
}

/* Its users are served to the end, but not so that another daemon brings it back: if the kernel
 * keeps it for that one, the file says how it stands. */
static void remember_leaving(struct served *s)
{
	struct ovbd_error err;
	int r;

	if (!s->kind->survives) {
		forget_state(s);
		return;
	}
	pthread_mutex_lock(&s->all->lock);
	s->spec->leaving = true;
	r = ovbd_state_file_write(s->all->state_dir, s->spec, &err);
	pthread_mutex_unlock(&s->all->lock);
	if (r < 0)
		devices_tell(s->all, true, s->spec->id, err.msg);
}

/* Takes the name of a served device away, or ends its service. The lock is held, and given up while
 * the transport is called: that may take its time. 1: it has users still. */
static int take_away(struct served *s, enum ovbd_detach how, struct ovbd_error *err)
{
	struct ovbd_devices *ds = s->all;
	struct ovbd_transport *t = s->t;
	int r = 0;

	s->leave = true;
	s->npins++;
	pthread_mutex_unlock(&ds->lock);
	if (t->ops->detach)
		r = t->ops->detach(t, err);
	if (r >= 0 && (how == OVBD_DETACH_FORCE || !t->ops->detach)) {
		if (s->stand_in)
			ovbd_stand_in_give_up(s->stand_in);
		t->ops->stop(t);
		r = 0;
	}
	if (r > 0)
		remember_leaving(s);
	pthread_mutex_lock(&ds->lock);
	s->npins--;
	if (r < 0)
		s->leave = false;
	else if (s->state == OVBD_DEVICE_SERVING)
		s->state = OVBD_DEVICE_LEAVING;
	pthread_cond_broadcast(&ds->changed);
	return r;
}

/* Where its users have it, also while it is not served but the kernel keeps it; NULL: nowhere. */
static const char *place_of(const struct served *s)
{
	if (s->state == OVBD_DEVICE_SERVING)
		return s->path;
	return s->kind && s->kind->survives && !s->kind->suffix ? s->spec->path : NULL;
}

bool devices_leave_opening(struct served *s)
{
	struct ovbd_devices *ds = s->all;

	if (s->state != OVBD_DEVICE_OPENING || s->entered || s->leave || s->settled)
		return false;
	s->leave = s->orphan = true;
	ds->norphans++;
	pthread_mutex_unlock(&ds->lock);
	devices_abandon(s);
	forget_state(s);
	devices_tell(ds, false, s->spec->id, "detached while its image was being opened");
	pthread_mutex_lock(&ds->lock);
	devices_unlist(s); /* only now, so that none of this is done to another of its id */
	return true;
}

void devices_give_up(struct served *s)
{
	if (devices_leave_opening(s))
		return;
	if (s->t)
		take_away(s, OVBD_DETACH_FORCE, NULL);
	else
		s->leave = true;
}

/* Nobody was found to use it, but the kernel says so: of a process that has just ended its
 * descriptors may not be closed yet. 1: it is in use still. Lock held. */
static int wait_for_last(struct served *s)
{
	const struct timespec deadline = devices_deadline(LAST_MS);

	while (s->state != OVBD_DEVICE_GONE && !s->all->stopping && devices_wait(s->all, &deadline))
		;
	return s->state != OVBD_DEVICE_GONE;
}

/* Lock held. */
static int leave(struct served *s, enum ovbd_detach how, const struct timespec *deadline,
                 struct ovbd_error *err)
{
	/* Nobody serves its users to the end as yet, and they must not lose it to a lazy detach. */
	const bool asks = how == OVBD_DETACH_UNUSED || (how == OVBD_DETACH_LAZY && !s->t);
	const char *place = asks ? place_of(s) : NULL;
	AUTO_FREE char *path = place ? strdup(place) : NULL;
	int r = 0;

	if (s->adopted)
		return ovbd_fail(err, -EBUSY,
		                 "device %s: was not attached but made in the kernel, by configfs: "
		                 "it goes when it is removed there",
		                 s->spec->id);
	if (path) {
		pthread_mutex_unlock(&s->all->lock);
		r = check_unused(s->spec->id, path, err);
		pthread_mutex_lock(&s->all->lock);
	}
	if (r < 0)
		return r;
	if (devices_leave_opening(s))
		return 0;
	if (s->t)
		r = take_away(s, how, err);
	else
		s->leave = true;
	pthread_cond_broadcast(&s->all->changed);
	if (r > 0 && how == OVBD_DETACH_UNUSED)
		r = wait_for_last(s);
	if (r != 0)
		return r;
	while (s->state != OVBD_DEVICE_GONE && !s->all->stopping && devices_wait(s->all, deadline))
		;
	if (s->state == OVBD_DEVICE_GONE)
		return 0;
	if (s->all->stopping)
		return ovbd_fail(err, -ESHUTDOWN,
		                 "device %s: the daemon is ending before it: look at the next one",
		                 s->spec->id);
	return ovbd_fail(err, -ETIMEDOUT, "device %s: is ending, but has not in time", s->spec->id);
}

int devices_detach_by(struct ovbd_devices *ds, const char *id, enum ovbd_detach how,
                      const struct timespec *deadline, struct ovbd_error *err)
{
	struct served *s;
	int r;

	pthread_mutex_lock(&ds->lock);
	s = take_ref(ds, id);
	if (!s) {
		r = ovbd_fail(err, -ENOENT, "device %.80s: there is none of this id", id);
	} else {
		r = leave(s, how, deadline, err);
		devices_unref(s);
	}
	pthread_mutex_unlock(&ds->lock);
	return r;
}

int ovbd_devices_detach(struct ovbd_devices *ds, const char *id, enum ovbd_detach how,
                        struct ovbd_error *err)
{
	return devices_detach_by(ds, id, how, NULL, err);
}

static void show_one(struct served *s, void (*show)(void *, const struct ovbd_device_view *),
                     void *arg)
{
	struct ovbd_device_view v = {
		.spec = s->spec,
		.adopted = s->adopted,
		.considered = s->considered,
		.state = s->state,
		.path = s->path,
		.error = s->why.msg[0] ? s->why.msg : NULL,
		.size = s->size,
		.nlayers = s->img ? s->img->nlayers : 0,
		.stats = &s->stats,
	};

	devices_view_bow(s, &v);
	for (size_t i = 0; i < v.nlayers; i++)
		if (s->img->layers[i].http) {
			const struct ovbd_http_stats h = ovbd_lazy_stats(s->img->layers[i].http);

			v.requests += h.requests;
			v.retries += h.retries;
			v.fetched += h.bytes;
		}
	show(arg, &v);
}

size_t ovbd_devices_show(struct ovbd_devices *ds, const char *id,
                         void (*show)(void *arg, const struct ovbd_device_view *v), void *arg)
{
	size_t n = 0;

	pthread_mutex_lock(&ds->lock);
	for (struct served *s = ds->list; s; s = s->next)
		if (!id || strcmp(id, s->spec->id) == 0) {
			show_one(s, show, arg);
			n++;
		}
	pthread_mutex_unlock(&ds->lock);
	return n;
}
