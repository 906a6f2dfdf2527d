// SPDX-License-Identifier: Apache-2.0
/*
 * A raw file that has grown, and the kernel's wish that its disk grow too. What is open of a file
 * that takes no writes has the size it had, so the transport is stopped, which leaves the disk's
 * users waiting as a death of the daemon would, and the device's next turn opens all anew with the
 * new size. If the file has another one, that turn has the size of before. (What takes writes grows
 * as it is: devices_grow.c.)
 */
#include <errno.h>
#include <stdio.h>

#include "base/auto.h"
#include "daemon/devices_impl.h"

/* Layers have the size that they were made with. Lock held. */
static bool may_grow(const struct served *s)
{
	const struct ovbd_image *img = s->img;

	return img && img->nlayers == 1 && !img->upper &&
	       img->layers[0].format == OVBD_FORMAT_RAW && !img->layers[0].http;
}

/* Lock held; s is served. */
static void begin(struct served *s, uint64_t size)
{
	s->resizing = true;
	s->size_before = s->size;
	s->size_wanted = size;
	s->t->ops->stop(s->t);
}

/* Lock held. */
static int check(const struct served *s, uint64_t size, struct ovbd_error *err)
{
	if (!s || !s->adopted)
		return ovbd_fail(err, -ENOENT, "there is no such disk");
	if (s->size == size)
		return 0;
	if (s->state != OVBD_DEVICE_SERVING || !s->t || s->resizing)
		return ovbd_fail(err, -EAGAIN, "it is %s: try again",
		                 s->resizing ? "being resized" : ovbd_device_state_name(s->state));
	if (!may_grow(s) && !devices_may_grow(s))
		return ovbd_fail(err, -ENOTSUP,
		                 "another size (%llu) was refused: its image has %llu bytes, and "
		                 "only what takes writes or a raw file can grow",
		                 (unsigned long long)size, (unsigned long long)s->size);
	if (size < s->size)
		return ovbd_fail(err, -ENOTSUP,
		                 "a smaller size (%llu of %llu) was refused: a disk only grows",
		                 (unsigned long long)size, (unsigned long long)s->size);
	return 0;
}

int ovbd_devices_resize(struct ovbd_devices *ds, const char *id, uint64_t size,
                        void (*resized)(void *arg, int status, const char *why), void *arg,
                        struct ovbd_error *err)
{
	struct served *s;
	bool now = false;
	int r;

	pthread_mutex_lock(&ds->lock);
	s = devices_find(ds, id);
	r = check(s, size, err);
	if (r == 0) {
		now = s->size == size;
		if (!now && devices_may_grow(s)) {
			r = devices_grow_aside(s, size, resized, arg, err);
		} else if (!now) {
			s->resized = resized;
			s->resized_arg = arg;
			begin(s, size);
		}
	}
	pthread_mutex_unlock(&ds->lock);
	if (now)
		resized(arg, 0, "");
	return r;
}

bool devices_grow(struct served *s, uint64_t size)
{
	bool grows;

	pthread_mutex_lock(&s->all->lock);
	grows = s->adopted && s->t && size > s->size;
	if (grows)
		begin(s, size);
	pthread_mutex_unlock(&s->all->lock);
	return grows;
}

bool devices_is_resized(struct served *s)
{
	bool resizing;

	pthread_mutex_lock(&s->all->lock);
	resizing = s->resizing && !s->leave && !s->all->stopping;
	if (resizing) {
		s->state = OVBD_DEVICE_OPENING;
		s->entered = s->ended = false;
	}
	pthread_mutex_unlock(&s->all->lock);
	return resizing;
}

void devices_report_resized(struct served *s, int status, const char *why)
{
	void (*resized)(void *, int, const char *);

	pthread_mutex_lock(&s->all->lock);
	resized = s->resized;
	s->resized = NULL;
	s->resizing = false;
	pthread_mutex_unlock(&s->all->lock);
	if (resized)
		resized(s->resized_arg, status, why);
}

uint64_t devices_new_size(struct served *s)
{
	const uint64_t wanted = s->size_wanted, before = s->size_before;
	struct ovbd_error err;
	struct line l = {0};
	uint64_t size;
	int r = devices_open_blob(s, &l, &err);

	if (r == 0) {
		size = devices_line_device(&l)->blob->size;
		if (size != wanted)
			r = ovbd_fail(&err, -EINVAL,
			              "another size was refused: its file has %llu bytes, not %llu",
			              (unsigned long long)size, (unsigned long long)wanted);
	}
	devices_close_line(&l);
	if (r == 0) {
		snprintf(err.msg, sizeof(err.msg), "has grown from %llu to %llu bytes",
		         (unsigned long long)before, (unsigned long long)wanted);
		devices_tell(s->all, false, s->spec->id, err.msg);
	}
	s->changed = r == 0;
	devices_report_resized(s, r, err.msg);
	return r == 0 ? wanted : before;
}
