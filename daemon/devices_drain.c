// SPDX-License-Identifier: Apache-2.0
/*
 * Detaching all: some at a time, as each may wait for the kernel or look at every process, and one
 * that hangs is not to hold up the others. Who asked goes on at the deadline, so what the threads
 * share belongs to the last of them, and what is still being done then is let go on.
 */
#include <errno.h>
#include <stdio.h>

#include "base/auto.h"
#include "daemon/devices_impl.h"

#define NTHREADS 8

struct result {
	char id[OVBD_SPEC_ID_MAX + 1];
	bool done;
	int code;
	struct ovbd_error why;
};

struct drain {
	struct ovbd_devices *ds;
	enum ovbd_detach how;
	struct timespec deadline;

	/* Guarded by ds->lock. */
	unsigned nrefs, nrunning; /* who asked, and the threads; the threads */
	bool over;                /* nobody asks any more */
	size_t next, n;
	struct result results[];
};

/* Lock held. */
static void unref(struct drain *take_d)
{
	if (--take_d->nrefs == 0)
		free(take_d);
}

/* Lock held. */
static struct drain *list_all(struct ovbd_devices *ds)
{
	struct drain *d;
	size_t n = 0;

	for (const struct served *s = ds->list; s; s = s->next)
		n++;
	d = calloc(1, sizeof(*d) + n * sizeof(d->results[0]));
	if (!d)
		return NULL;
	for (const struct served *s = ds->list; s; s = s->next)
		snprintf(d->results[d->n++].id, sizeof(d->results[0].id), "%s", s->spec->id);
	d->ds = ds;
	d->nrefs = 1;
	return d;
}

static void *drain_main(void *arg)
{
	struct drain *d = arg;
	struct ovbd_devices *ds = d->ds;

	pthread_mutex_lock(&ds->lock);
	while (!d->over && d->next < d->n) {
		struct result *r = &d->results[d->next++];
		struct ovbd_error why = {0};
		int code;

		pthread_mutex_unlock(&ds->lock);
		code = devices_detach_by(ds, r->id, d->how, &d->deadline, &why);
		pthread_mutex_lock(&ds->lock);
		r->code = code;
		r->why = why;
		r->done = true;
	}
	d->nrunning--;
	ds->nthreads--; /* of those that stop() waits for */
	pthread_cond_broadcast(&ds->changed);
	unref(d);
	pthread_mutex_unlock(&ds->lock);
	return NULL;
}

/* What became of one: true if it is left. Lock held. */
static bool explain(const struct result *r, bool begun, struct ovbd_error *ret)
{
	if (!r->done) {
		ovbd_fail(ret, 0,
		          begun ? "device %s: is ending, but has not in time"
		                : "device %s: others before it have not ended in time",
		          r->id);
		return true;
	}
	if (r->code > 0)
		ovbd_fail(ret, 0, "device %s: its users are served to the end", r->id);
	else
		*ret = r->why;
	return r->code != 0 && r->code != -ENOENT;
}

/* Tells of those that are left; how many. Lock held, and given up meanwhile. */
static int report(const struct drain *d, const struct ovbd_drain_params *p, struct ovbd_error *err)
{
	char all[OVBD_ERROR_SIZE] = "";
	size_t len = 0;
	int nleft = 0;

	for (size_t i = 0; i < d->n; i++) {
		struct ovbd_error why;
		int n;

		if (!explain(&d->results[i], i < d->next, &why))
			continue;
		nleft++;
		n = snprintf(all + len, sizeof(all) - len, "%s%s", len ? "; " : "", why.msg);
		len += n > 0 && (size_t)n < sizeof(all) - len ? (size_t)n : 0;
		all[len] = '\0'; /* whole sentences, as many as there is room for */
		if (p->left)
			p->left(p->arg, d->results[i].id, why.msg);
	}
	if (nleft > 1)
		ovbd_fail(err, -EBUSY, "%d devices are left: %s", nleft, all);
	else if (nleft > 0)
		ovbd_fail(err, -EBUSY, "%s", all);
	return nleft;
}

/* Starts the threads and waits for them, to the deadline. Lock held. */
static int run(struct drain *d)
{
	struct ovbd_devices *ds = d->ds;
	pthread_t threads[NTHREADS];
	unsigned n = 0;
	int r = 0;

	while (r == 0 && n < NTHREADS && n < d->n) {
		r = -pthread_create(&threads[n], NULL, drain_main, d);
		n += r == 0;
		d->nrefs += r == 0;
		d->nrunning += r == 0;
		ds->nthreads += r == 0;
	}
	if (n == 0)
		return r;
	while (d->nrunning > 0 && devices_wait(ds, &d->deadline))
		;
	d->over = true;
	r = d->nrunning > 0;
	pthread_mutex_unlock(&ds->lock);
	for (unsigned i = 0; i < n; i++)
		if (r > 0)
			pthread_detach(threads[i]);
		else
			pthread_join(threads[i], NULL);
	pthread_mutex_lock(&ds->lock);
	return 0;
}

int ovbd_devices_drain(struct ovbd_devices *ds, const struct ovbd_drain_params *p,
                       struct ovbd_error *err)
{
	struct drain *d;
	int r = -ENOMEM;

	pthread_mutex_lock(&ds->lock);
	d = list_all(ds);
	if (d) {
		d->how = p->how;
		d->deadline = devices_deadline(p->timeout_ms);
		r = run(d);
		r = r < 0 ? ovbd_fail_errno(err, r, "starting a thread") : report(d, p, err);
		unref(d);
	} else {
		ovbd_fail(err, r, "out of memory");
	}
	pthread_mutex_unlock(&ds->lock);
	return r;
}
