// SPDX-License-Identifier: Apache-2.0
/*
 * The threads of devices: each lives for one device after the other. Some are kept idle, so that a
 * device that comes is begun at once: a new thread has its first turn behind all that are ready to
 * run, and where many disks are made at a time these are the makers of the others.
 *
 * A thread that is not kept ends, and is joined by the next that ends: it had no more to do than
 * that.
 */
#include <errno.h>

#include "daemon/devices_impl.h"

#define NIDLE 16

struct device_thread {
	struct ovbd_devices *all;
	pthread_t thread;
	struct device_thread *next; /* of those that are idle; guarded by all->lock, as: */
	pthread_cond_t wake;
	struct served *s; /* NULL: it is idle */
	bool over;
};

static struct device_thread *create(struct ovbd_devices *ds, struct served *s)
{
	struct device_thread *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->all = ds;
	t->s = s;
	pthread_cond_init(&t->wake, NULL);
	return t;
}

static void release(struct device_thread *t)
{
	pthread_cond_destroy(&t->wake);
	free(t);
}

/* The next device; NULL at the manager's end. */
static struct served *wait_for_device(struct device_thread *t)
{
	struct served *s;

	pthread_mutex_lock(&t->all->lock);
	while (!t->s && !t->over)
		pthread_cond_wait(&t->wake, &t->all->lock);
	s = t->s;
	pthread_mutex_unlock(&t->all->lock);
	return s;
}

/* Its device is over. Whether there may be another. */
static bool rest(struct device_thread *t, pthread_t *ret_before, bool *ret_had)
{
	struct ovbd_devices *ds = t->all;
	bool stays;

	pthread_mutex_lock(&ds->lock);
	if (t->s->orphan)
		ds->norphans--;
	else
		devices_unlist(t->s);
	devices_unref(t->s);
	t->s = NULL;
	stays = !ds->stopping && ds->nidle < NIDLE;
	if (stays) {
		t->next = ds->idle;
		ds->idle = t;
		ds->nidle++;
	} else {
		*ret_before = ds->over;
		*ret_had = ds->is_over;
		ds->over = pthread_self();
		ds->is_over = true;
	}
	ds->nthreads--;
	pthread_cond_broadcast(&ds->changed);
	pthread_mutex_unlock(&ds->lock);
	return stays;
}

static void *thread_main(void *arg)
{
	struct device_thread *t = arg;
	pthread_t before;
	struct served *s;
	bool had;

	do {
		s = wait_for_device(t);
		if (!s)
			return NULL;
		devices_live(s);
	} while (rest(t, &before, &had));
	release(t);
	if (had)
		pthread_join(before, NULL);
	return NULL;
}

void devices_keep_threads(struct ovbd_devices *ds)
{
	pthread_mutex_lock(&ds->lock);
	while (ds->nidle < NIDLE) {
		struct device_thread *t = create(ds, NULL);

		if (!t)
			break;
		if (pthread_create(&t->thread, NULL, thread_main, t) != 0) {
			release(t);
			break;
		}
		t->next = ds->idle;
		ds->idle = t;
		ds->nidle++;
	}
	pthread_mutex_unlock(&ds->lock);
}

int devices_start(struct served *s)
{
	struct ovbd_devices *ds = s->all;
	struct device_thread *t = ds->idle;
	int r = 0;

	if (t) {
		ds->idle = t->next;
		ds->nidle--;
		t->s = s;
		pthread_cond_signal(&t->wake);
	} else {
		t = create(ds, s);
		r = t ? -pthread_create(&t->thread, NULL, thread_main, t) : -ENOMEM;
	}
	if (r < 0) {
		if (t)
			release(t);
		return r;
	}
	s->nrefs++;
	ds->nthreads++;
	return 0;
}

void devices_end_threads(struct ovbd_devices *ds)
{
	struct device_thread *t;

	while ((t = ds->idle)) {
		ds->idle = t->next;
		pthread_mutex_lock(&ds->lock);
		t->over = true;
		pthread_cond_signal(&t->wake);
		pthread_mutex_unlock(&ds->lock);
		pthread_join(t->thread, NULL);
		release(t);
	}
	if (ds->is_over) /* or its last steps would be taken while the process ends */
		pthread_join(ds->over, NULL);
}
