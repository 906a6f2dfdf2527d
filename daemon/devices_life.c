// SPDX-License-Identifier: Apache-2.0
/*
 * The life of a device, in a thread of its own (devices_threads.c):
 *
 *     opening ──► serving ──► (leaving) ──► gone
 *      │   ▲         │ the transport has failed
 *      │   └─ retry ─┴──► failed             detached, stopped, or never served: gone
 *
 * Only this thread opens and closes; it publishes the transport under the lock, and takes it back
 * under the lock once nobody pins it. While the daemon ends nothing is forgotten: the state file
 * stays for the next one.
 */
#include <errno.h>
#include <stdio.h>

#include "base/auto.h"
#include "daemon/devices_impl.h"
#include "daemon/fault_point.h"
#include "daemon/state_file.h"
#include "image/upper.h"

#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS   30000
#define TOLD_EVERY_S   1 /* failed requests of one device */

void devices_became_ready(void *arg)
{
	struct served *s = arg;
	bool serving;

	pthread_mutex_lock(&s->all->lock);
	serving = s->state == OVBD_DEVICE_OPENING;
	if (serving) {
		s->state = s->spec->leaving ? OVBD_DEVICE_LEAVING : OVBD_DEVICE_SERVING;
		s->kept = true;
		s->code = 0;
		s->why.msg[0] = '\0';
		pthread_cond_broadcast(&s->all->changed);
	}
	pthread_mutex_unlock(&s->all->lock);
	if (!serving)
		return;
	devices_tell(s->all, false, s->spec->id, "serving");
	devices_report(s, 0, "");
}

void devices_close_line(struct line *l)
{
	if (l->t)
		l->t->ops->close(l->t);
	if (l->early)
		l->early->ops->close(l->early);
	ovbd_stand_in_close(l->stand_in);
	ovbd_device_close(l->writable);
	ovbd_stand_in_close(l->aborted);
	ovbd_tracer_close(l->tracer);
	ovbd_image_close(l->img);
	ovbd_merger_close(l->merger);
	free(l->path);
	*l = (struct line){0};
}

struct ovbd_device *devices_line_device(struct line *l)
{
	if (l->writable || l->aborted)
		return l->writable ? l->writable : ovbd_stand_in_device(l->aborted);
	return l->upper ? l->upper : &l->read_only;
}

bool devices_is_quick(const struct line *l)
{
	return l->writable || l->aborted || l->merger || !ovbd_image_is_remote(l->img);
}

/* What the kernel has named is written down with its name, so that the next daemon finds it. */
static int keep_path(struct served *s, const char *path, struct ovbd_error *err)
{
	char *copy = strdup(path);
	bool same;

	if (!copy)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	pthread_mutex_lock(&s->all->lock);
	same = s->spec->path && strcmp(s->spec->path, path) == 0;
	free(s->spec->path);
	s->spec->path = copy;
	pthread_mutex_unlock(&s->all->lock);
	return same ? 0 : ovbd_state_file_write(s->all->state_dir, s->spec, err);
}

/* Lock held. */
static bool is_over(const struct served *s)
{
	return s->leave || s->all->stopping;
}

bool devices_enter(struct served *s)
{
	pthread_mutex_lock(&s->all->lock);
	s->entered = !is_over(s);
	pthread_mutex_unlock(&s->all->lock);
	return s->entered;
}

static void was_named(void *arg, const char *path)
{
	struct served *s = arg;
	struct ovbd_error err;
	char *copy = strdup(path);

	if (keep_path(s, path, &err) < 0)
		devices_tell(s->all, true, s->spec->id, err.msg);
	ovbd_fault_point("link-named");
	pthread_mutex_lock(&s->all->lock);
	free(s->path);
	s->path = copy;
	pthread_mutex_unlock(&s->all->lock);
}

static int open_kind(struct served *s, struct line *l, struct ovbd_transport_open *p,
                     struct ovbd_error *err)
{
	int r = 0;

	p->path = s->spec->path;
	if (!s->kept && !s->adopted) /* what only failed to open is not to come back */
		r = ovbd_state_file_write(s->all->state_dir, s->spec, err);
	ovbd_fault_point("make-noted");
	if (s->kind->survives && l->upper)
		ovbd_upper_keep(l->upper);
	if (r == 0) {
		p->take_early = OVBD_MOVE(l->early);
		r = s->kind->open(p, &l->t, &l->path, err);
		s->made |= r == 0;
	}
	ovbd_fault_point("make-opened");
	if (r == 0 && !s->kind->suffix && l->path && !s->adopted)
		r = keep_path(s, l->path, err);
	return r;
}

int devices_open_transport(struct served *s, struct line *l, struct ovbd_device *d,
                           void (*ready)(void *arg), struct ovbd_error *err)
{
	struct ovbd_transport_open p = {
		.id = s->spec->id,
		.manager = s->all->files_dir,
		.device = d,
		.quick = &s->quick,
		.nworkers = l->early ? l->nworkers : atomic_load(&s->all->nworkers),
		.changed = s->changed,
		.ready = ready,
		.named = was_named,
		.arg = s,
	};
	int r = devices_choose_kind(s, d->blob->size, err);

	l->nworkers = p.nworkers;
	if (r == 0)
		r = open_kind(s, l, &p, err);
	while (r < 0 && !l->t && devices_choose_again(s, d->blob->size, err))
		r = open_kind(s, l, &p, err);
	if (r == 0)
		s->inherited = s->changed = false;
	return r;
}

bool devices_publish(struct served *s, struct line *l)
{
	bool wanted;

	pthread_mutex_lock(&s->all->lock);
	wanted = !is_over(s);
	if (wanted) {
		s->t = l->t;
		s->img = l->img;
		s->writable = l->writable;
		s->merger = l->merger;
		s->bow = l->bow;
		s->stand_in = l->stand_in;
		if (l->path)
			s->path = OVBD_MOVE(l->path);
		s->size = l->stand_in ? ovbd_stand_in_device(l->stand_in)->blob->size
		                      : devices_line_device(l)->blob->size;
		s->ended = false;
	}
	pthread_mutex_unlock(&s->all->lock);
	return wanted;
}

/* Nobody writes any more. */
static void flush_upper(struct served *s, struct line *l)
{
	struct ovbd_error err;

	if (l->upper && ovbd_device_flush(l->upper, &err) < 0)
		devices_tell(s->all, true, s->spec->id, err.msg);
}

void devices_withdraw(struct served *s, struct line *l)
{
	flush_upper(s, l);
	pthread_mutex_lock(&s->all->lock);
	while (s->npins > 0)
		devices_wait(s->all, NULL);
	s->t = NULL;
	s->img = NULL;
	s->writable = NULL;
	s->merger = NULL;
	s->bow = NULL;
	s->stand_in = NULL;
	l->path = OVBD_MOVE(s->path);
	s->size = 0;
	pthread_mutex_unlock(&s->all->lock);
}

static void request_failed(void *arg, const struct ovbd_request *rq, int code,
                           const struct ovbd_error *why)
{
	struct served *s = arg;
	struct timespec now;
	bool tell;

	(void)rq;
	(void)code;
	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&s->all->lock);
	tell = s->told == 0 || now.tv_sec - s->told >= TOLD_EVERY_S;
	if (tell)
		s->told = now.tv_sec;
	s->why = *why;
	pthread_mutex_unlock(&s->all->lock);
	if (tell)
		devices_tell(s->all, true, s->spec->id, why->msg);
}

int devices_serve(struct served *s, struct line *l, struct ovbd_device *d, struct ovbd_error *err)
{
	const struct ovbd_serve_params p = {
		.nworkers = l->nworkers,
		.failed = request_failed,
		.arg = s,
		.stats = &s->stats,
	};

	return ovbd_serve(l->t, d, &p, err);
}

bool devices_is_left(struct served *s)
{
	bool left;

	pthread_mutex_lock(&s->all->lock);
	left = s->kind->survives && s->kept && !s->leave;
	pthread_mutex_unlock(&s->all->lock);
	return left;
}

/* One turn: 0 when it has been served to its end, or why it could not be. */
static int serve_once(struct served *s, struct ovbd_error *err)
{
	struct line l = {0};
	bool wanted;
	int r;

	devices_open_early(s, &l);
	r = devices_open_blob(s, &l, err);
	devices_wait_for_coming(s, &l);
	if (r == 0 && !devices_enter(s))
		r = ovbd_fail(err, -ECANCELED, "was detached while its image was opened");
	atomic_store(&s->quick, r == 0 && devices_is_quick(&l));
	if (r == 0)
		r = devices_open_transport(s, &l, devices_line_device(&l), devices_became_ready,
		                           err);
	if (r < 0) {
		devices_close_line(&l);
		return r;
	}
	wanted = devices_publish(s, &l);
	if (wanted) {
		if (!s->kind->late)
			devices_became_ready(s);
		r = devices_serve(s, &l, devices_line_device(&l), err);
		devices_withdraw(s, &l);
	}
	if (wanted || !devices_is_left(s))
		devices_close_line(&l);
	return r;
}

bool devices_try_again(struct served *s, int code, const struct ovbd_error *why, unsigned *wait_ms)
{
	const struct timespec deadline = devices_deadline(*wait_ms);
	bool again;

	*wait_ms = *wait_ms < RETRY_MAX_MS / 2 ? *wait_ms * 2 : RETRY_MAX_MS;
	devices_report(s, code, why->msg);
	pthread_mutex_lock(&s->all->lock);
	s->code = code;
	s->why = *why;
	again = s->kept && !is_over(s) && !s->ended && !(s->adopted && code == -ENODEV);
	if (again) {
		s->state = OVBD_DEVICE_FAILED;
		s->retry = false;
		pthread_cond_broadcast(&s->all->changed);
		while (!s->retry && !is_over(s) && !s->ended && devices_wait(s->all, &deadline))
			;
		again = !is_over(s) && !s->ended;
		if (again)
			s->state = OVBD_DEVICE_OPENING;
		s->entered = s->t != NULL;
	}
	pthread_mutex_unlock(&s->all->lock);
	return again;
}

/* Whether it is forgotten now, or, as it is the daemon that ends, is the next one's. Lock held. */
static void settle(struct served *s)
{
	s->settled = true;
	s->forget = !s->adopted && !s->orphan && (s->leave || !s->all->stopping || !s->kept);
}

/* Its thread takes it out of the list afterwards. */
static void bury(struct served *s)
{
	struct ovbd_devices *ds = s->all;
	void (*gone)(void *arg);
	void *gone_arg;
	struct ovbd_error err;

	devices_report(s, -ESHUTDOWN, "the daemon is ending");
	devices_report_resized(s, -EAGAIN, "it is not served any more");
	pthread_mutex_lock(&ds->lock);
	if (s->forget && ovbd_state_file_remove(ds->state_dir, s->spec->id, &err) < 0)
		devices_tell(ds, true, s->spec->id, err.msg);
	ovbd_fault_point("unmake-forgotten");
	devices_retire(s);
	gone = s->gone;
	gone_arg = s->gone_arg;
	pthread_mutex_unlock(&ds->lock);
	if (gone) /* it was unlisted when that was set */
		gone(gone_arg);
}

void devices_abandon(struct served *s)
{
	const struct ovbd_transport_open p = {
		.id = s->spec->id,
		.manager = s->all->files_dir,
		.path = s->spec->path,
	};
	struct ovbd_error err;

	if (!s->inherited && !(s->kind && s->kind->survives))
		return;
	if (s->kind && s->kind->abandon && s->kind->abandon(&p, &err) < 0)
		devices_tell(s->all, true, s->spec->id, err.msg);
}

/* What there is to be done before it is buried; of an orphan it has been done. What is forgotten
 * leaves nothing on the host, wherever its thread was stopped: nobody would find it again. */
static void end(struct served *s)
{
	bool orphan, abandon;

	pthread_mutex_lock(&s->all->lock);
	settle(s);
	orphan = s->orphan;
	abandon = s->forget && (s->leave || s->made);
	pthread_mutex_unlock(&s->all->lock);
	ovbd_fault_point("device-ending");
	if (orphan)
		return;
	if (abandon)
		devices_abandon(s);
	devices_tell(s->all, false, s->spec->id, "ended");
}

/* It was to go with its last user, and nobody has it open any more. */
static int has_left(struct served *s)
{
	pthread_mutex_lock(&s->all->lock);
	s->leave = true;
	pthread_mutex_unlock(&s->all->lock);
	return 0;
}

/* One turn, of a device that may have outlived an earlier daemon, or an earlier turn. */
static int serve_turn(struct served *s, struct ovbd_error *err)
{
	const struct ovbd_transport_open p = {
		.id = s->spec->id,
		.manager = s->all->files_dir,
		.path = s->spec->path,
	};
	uint64_t size;
	int r = -ENOENT;

	if (devices_is_resized(s))
		return devices_serve_kept(s, devices_new_size(s), err);
	if (s->kept && s->kind && s->kind->size)
		r = s->kind->size(&p, &size, err);
	if (r == -ENOENT && s->spec->leaving)
		return has_left(s);
	if (r == -ENOENT)
		return serve_once(s, err);
	return r < 0 ? r : devices_serve_kept(s, size, err);
}

void devices_live(struct served *s)
{
	unsigned wait_ms = RETRY_FIRST_MS;
	struct ovbd_error err = {0}, last = {0};

	for (;;) {
		const uint64_t reads = atomic_load(&s->stats.reads);
		const int r = serve_turn(s, &err);

		if (devices_is_resized(s))
			continue;
		if (r == 0)
			break;
		if (r != -ECANCELED && strcmp(err.msg, last.msg) != 0) /* once, not at every try */
			devices_tell(s->all, true, s->spec->id, err.msg);
		last = err;
		if (atomic_load(&s->stats.reads) != reads)
			wait_ms = RETRY_FIRST_MS;
		if (!devices_try_again(s, r, &err, &wait_ms))
			break;
	}
	end(s);
	bury(s);
}
