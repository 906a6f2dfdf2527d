// SPDX-License-Identifier: Apache-2.0
/*
 * Devices whose life the kernel decides on. One that is being taken away leaves the list at once,
 * so that the next of its name can come; its thread closes it in its own time. As who takes it away
 * must not wait for a slow image, a device that is not open yet counts as closed.
 */
#include <errno.h>
#include <stdio.h>

#include "base/auto.h"
#include "daemon/devices_impl.h"

/* Lock held. */
static void let_go(struct served *s)
{
	s->leave = s->orphan = true;
	s->all->norphans++;
	if (s->stand_in)
		ovbd_stand_in_give_up(s->stand_in);
	if (s->t)
		s->t->ops->stop(s->t);
	devices_unlist(s);
}

/* Lock held; take_spec is consumed. */
static int adopt(struct ovbd_devices *ds, const struct ovbd_adoption *a, struct served **ret,
                 struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_spec_freep) struct ovbd_spec *spec = a->take_spec;
	struct served *s = devices_find(ds, spec->id);
	int r;

	if (ds->stopping)
		return ovbd_fail(err, -ESHUTDOWN, "device %s: the daemon is ending", spec->id);
	if (s && !s->adopted)
		return ovbd_fail(err, -EEXIST, "id %s in use: by a device that was attached",
		                 spec->id);
	if (s)
		let_go(s);
	r = devices_enlist(ds, OVBD_MOVE(spec), a->kind, &s);
	if (r < 0)
		return ovbd_fail(err, r, "out of memory");
	s->adopted = true;
	s->kept = a->kept;
	s->alias = a->alias ? strdup(a->alias) : NULL;
	s->opened = a->opened;
	s->opened_arg = a->arg;
	r = devices_start(s);
	if (r < 0) {
		ovbd_fail_errno(err, r, "device %s: starting a thread", s->spec->id);
		devices_unlist(s);
		devices_unref(s);
		return r;
	}
	*ret = s;
	return 0;
}

int ovbd_devices_adopt(struct ovbd_devices *ds, const struct ovbd_adoption *a,
                       struct ovbd_error *err)
{
	struct served *s = NULL;
	int r;

	pthread_mutex_lock(&ds->lock);
	r = adopt(ds, a, &s, err);
	if (r == 0)
		devices_unref(s);
	pthread_mutex_unlock(&ds->lock);
	return r;
}

int ovbd_devices_disown(struct ovbd_devices *ds, const char *id, const char *path,
                        void (*gone)(void *arg), void *arg)
{
	struct served *s;
	bool now = false;
	int r = 0;

	pthread_mutex_lock(&ds->lock);
	s = devices_find(ds, id);
	if (!s || !s->adopted || strcmp(s->spec->path, path) != 0) {
		r = -ENOENT;
	} else {
		now = s->t == NULL;
		if (!now) {
			s->gone = gone;
			s->gone_arg = arg;
		}
		let_go(s);
	}
	pthread_mutex_unlock(&ds->lock);
	if (now)
		gone(arg);
	return r;
}

void devices_report(struct served *s, int status, const char *why)
{
	void (*opened)(void *, int, const char *);

	pthread_mutex_lock(&s->all->lock);
	opened = s->opened;
	s->opened = NULL;
	pthread_mutex_unlock(&s->all->lock);
	if (opened)
		opened(s->opened_arg, status, why);
}
