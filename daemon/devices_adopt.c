// SPDX-License-Identifier: Apache-2.0
/*
 * Devices whose life the kernel decides on. One that is expected opens its image, and what it is to
 * be for the kernel only when that has told of it. One that is being taken away leaves the list at
 * once, so that the next of its name can come; its thread closes it in its own time. As who takes
 * it away must not wait for a slow image, a device that is not open yet counts as closed.
 */
#include <errno.h>
#include <stdio.h>

#include "base/auto.h"
#include "daemon/devices_impl.h"

static void open_early(struct served *s, struct line *l)
{
	const struct ovbd_transport_open p = {
		.id = s->spec->id,
		.path = s->spec->path,
		.nworkers = atomic_load(&s->all->nworkers),
	};

	l->nworkers = p.nworkers;
	if (!s->kept && s->kind && s->kind->open_early &&
	    s->kind->open_early(&p, &l->early, NULL) < 0)
		l->early = NULL;
}

/* Lock held. */
static void take_early(struct served *s, struct line *l)
{
	if (!s->early)
		return;
	l->early = OVBD_MOVE(s->early);
	l->nworkers = s->early_nworkers;
}

void devices_open_early(struct served *s, struct line *l)
{
	bool expected;

	pthread_mutex_lock(&s->all->lock);
	expected = s->expected;
	take_early(s, l);
	pthread_mutex_unlock(&s->all->lock);
	if (!expected && !l->early)
		open_early(s, l);
}

void devices_wait_for_coming(struct served *s, struct line *l)
{
	pthread_mutex_lock(&s->all->lock);
	while (s->expected && !s->leave && !s->all->stopping)
		pthread_cond_wait(&s->came, &s->all->lock);
	s->expected = false;
	take_early(s, l);
	pthread_mutex_unlock(&s->all->lock);
}

/* Lock held. */
static void let_go(struct served *s)
{
	s->leave = s->orphan = true;
	s->all->norphans++;
	if (s->stand_in)
		ovbd_stand_in_give_up(s->stand_in);
	if (s->t)
		s->t->ops->stop(s->t);
	pthread_cond_signal(&s->came);
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
	if (s && a->expected)
		return ovbd_fail(err, -EEXIST, "id %s in use", spec->id);
	if (s)
		let_go(s);
	r = devices_enlist(ds, OVBD_MOVE(spec), a->kind, &s);
	if (r < 0)
		return ovbd_fail(err, r, "out of memory");
	s->adopted = true;
	s->kept = a->kept;
	s->expected = a->expected;
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

int ovbd_devices_announce(struct ovbd_devices *ds, const char *id, const char *path,
                          void (*opened)(void *arg, int status, const char *why), void *arg)
{
	struct line l = {0};
	struct served *s;

	pthread_mutex_lock(&ds->lock);
	s = devices_find(ds, id);
	if (!s || !s->expected || strcmp(s->spec->path, path) != 0) {
		pthread_mutex_unlock(&ds->lock);
		return -ENOENT;
	}
	s->nrefs++;
	s->opened = opened;
	s->opened_arg = arg;
	pthread_mutex_unlock(&ds->lock);
	open_early(s, &l);
	pthread_mutex_lock(&ds->lock);
	if (s->expected) {
		s->early = OVBD_MOVE(l.early);
		s->early_nworkers = l.nworkers;
		s->expected = false;
		pthread_cond_signal(&s->came);
	}
	devices_unref(s);
	pthread_mutex_unlock(&ds->lock);
	devices_close_line(&l);
	return 0;
}

void ovbd_devices_expect_no_more(struct ovbd_devices *ds, const char *path)
{
	struct served *s, *next;

	pthread_mutex_lock(&ds->lock);
	for (s = ds->list; s; s = next) {
		next = s->next;
		if (s->expected && (!path || strcmp(s->spec->path, path) == 0))
			let_go(s);
	}
	pthread_mutex_unlock(&ds->lock);
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
