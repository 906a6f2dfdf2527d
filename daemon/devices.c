// SPDX-License-Identifier: Apache-2.0
/*
 * A sorted list of devices under one lock, and one condition for whatever changes. Nothing slow
 * happens under the lock: images and transports are opened, served and closed by the device's own
 * thread (devices_life.c). Who wants something of a device says so in its struct and waits for its
 * state to change; who calls into its transport pins it, and the thread closes what nobody pins.
 */
#include "daemon/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/lock.h"
#include "daemon/devices_impl.h"
#include "daemon/fault_point.h"
#include "daemon/state_file.h"
#include "image/registry.h"

#define NWORKERS_DEFAULT 16
#define WAIT_MS_DEFAULT  30000
#define FREE_IDS         1000000
#define LOOK_MS          500 /* how often who waits is asked whether it still does */

const char *ovbd_device_state_name(enum ovbd_device_state s)
{
	static const char *const names[] = {
		[OVBD_DEVICE_OPENING] = "opening", [OVBD_DEVICE_SERVING] = "serving",
		[OVBD_DEVICE_FAILED] = "failed",   [OVBD_DEVICE_LEAVING] = "leaving",
		[OVBD_DEVICE_GONE] = "gone",
	};

	return names[s];
}

struct timespec devices_deadline(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

void devices_tell(const struct ovbd_devices *ds, bool error, const char *id, const char *sentence)
{
	if (ds->told)
		ds->told(ds->arg, error, id, sentence);
}

bool devices_wait(struct ovbd_devices *ds, const struct timespec *deadline)
{
	if (!deadline)
		return pthread_cond_wait(&ds->changed, &ds->lock) == 0;
	return pthread_cond_timedwait(&ds->changed, &ds->lock, deadline) == 0;
}

/* --- the list --- */

static struct served **place_of(struct ovbd_devices *ds, const char *id)
{
	struct served **at = &ds->list;

	while (*at && strcmp((*at)->spec->id, id) < 0)
		at = &(*at)->next;
	return at;
}

struct served *devices_find(struct ovbd_devices *ds, const char *id)
{
	struct served *s = *place_of(ds, id);

	return s && strcmp(s->spec->id, id) == 0 ? s : NULL;
}

void devices_unlist(struct served *s)
{
	struct served **at = place_of(s->all, s->spec->id);

	if (*at == s)
		*at = s->next;
	s->state = OVBD_DEVICE_GONE;
	pthread_cond_broadcast(&s->all->changed);
}

static void served_free(struct served *s)
{
	ovbd_spec_free(s->spec);
	ovbd_transport_verdicts_free(s->considered);
	pthread_cond_destroy(&s->came);
	free(s->path);
	free(s->alias);
	pthread_mutex_destroy(&s->bow_lock);
	free(s);
}

void devices_unref(struct served *take_s)
{
	if (--take_s->nrefs == 0)
		served_free(take_s);
}

/* --- open and close --- */

static int make_dir(const char *path, mode_t mode, struct ovbd_error *err)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return ovbd_fail_errno(err, -errno, "%s: creating the directory", path);
	return 0;
}

static int take_dir(struct ovbd_devices *ds, const char *dir, struct ovbd_error *err)
{
	AUTO_FREE char *real = NULL;
	int r = make_dir(dir, 0755, err);

	if (r < 0)
		return r;
	real = realpath(dir, NULL);
	if (!real)
		return ovbd_fail_errno(err, -errno, "%s", dir);
	if (asprintf(&ds->state_dir, "%s/devices", real) < 0) {
		ds->state_dir = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	ds->files_dir = OVBD_MOVE(real);
	r = make_dir(ds->state_dir, 0700, err);
	if (r < 0)
		return r;
	/* Not files_dir: transports lock the directory they make a socket in. */
	ds->lock_fd = open(ds->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ds->lock_fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", ds->state_dir);
	r = ovbd_lock_fd(ds->lock_fd);
	if (r == -EBUSY)
		return ovbd_fail(err, r, "%s: another ovbdd has it", dir);
	return r < 0 ? ovbd_fail_errno(err, r, "%s: locking it", ds->state_dir) : 0;
}

void ovbd_devices_set_workers(struct ovbd_devices *ds, unsigned n)
{
	atomic_store(&ds->nworkers, n ? n : NWORKERS_DEFAULT);
}

int ovbd_devices_open(const struct ovbd_devices_params *p, struct ovbd_devices **ret,
                      struct ovbd_error *err)
{
	static const struct ovbd_registry_params nobody;
	struct ovbd_devices *ds = calloc(1, sizeof(*ds));
	pthread_condattr_t monotonic;
	int r;

	if (!ds)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	ds->lock_fd = -1;
	ovbd_devices_set_workers(ds, p->nworkers);
	ds->wait_ms = p->wait_ms ? p->wait_ms : WAIT_MS_DEFAULT;
	ds->told = p->told;
	ds->arg = p->arg;
	pthread_mutex_init(&ds->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&ds->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	ds->user_agent = p->user_agent ? strdup(p->user_agent) : NULL;
	ds->http.user_agent = ds->user_agent;
	ds->prefetch = p->prefetch;
	ds->prefetch_params = p->prefetch_params;
	ds->http.deadline_ms = p->deadline_ms;
	r = ovbd_registry_open(p->registry ? p->registry : &nobody, &ds->registry, err);
	if (r == 0)
		r = take_dir(ds, p->state_dir, err);
	if (r == 0)
		r = ovbd_shared_create(&ds->shared, err);
	if (r < 0) {
		ovbd_devices_close(ds);
		return r;
	}
	*ret = ds;
	return 0;
}

void ovbd_devices_set_cache(struct ovbd_devices *ds, struct ovbd_cache *c)
{
	ds->cache = c;
}

void ovbd_devices_set_tune(struct ovbd_devices *ds,
                           void (*tune)(void *arg, struct ovbd_image_params *p), void *arg)
{
	ds->tune = tune;
	ds->tune_arg = arg;
}

/* Whether a device still has to come to its end. Lock held. */
static bool is_awaited(const struct ovbd_devices *ds)
{
	for (const struct served *s = ds->list; s; s = s->next)
		if (!s->t || !s->kind->survives)
			return true;
	return ds->norphans > 0;
}

size_t ovbd_devices_stop(struct ovbd_devices *ds, unsigned timeout_ms)
{
	const struct timespec deadline = devices_deadline(timeout_ms);
	size_t left;

	pthread_mutex_lock(&ds->lock);
	ds->stopping = true;
	ovbd_fault_point("stop-begun");
	pthread_cond_broadcast(&ds->changed);
	for (struct served *s = ds->list; s; s = s->next) {
		pthread_cond_signal(&s->came);
		if (s->t && !s->kind->survives)
			s->t->ops->stop(s->t);
	}
	while (is_awaited(ds) && devices_wait(ds, &deadline))
		;
	left = ds->nthreads;
	pthread_mutex_unlock(&ds->lock);
	return left;
}

void ovbd_devices_close(struct ovbd_devices *take_ds)
{
	if (!take_ds)
		return;
	while (take_ds->list) {
		struct served *s = take_ds->list;

		take_ds->list = s->next;
		served_free(s);
	}
	devices_end_threads(take_ds);
	if (take_ds->lock_fd >= 0)
		close(take_ds->lock_fd);
	ovbd_shared_close(take_ds->shared);
	pthread_cond_destroy(&take_ds->changed);
	pthread_mutex_destroy(&take_ds->lock);
	free(take_ds->user_agent);
	ovbd_registry_close(take_ds->registry);
	free(take_ds->state_dir);
	free(take_ds->files_dir);
	free(take_ds);
}

/* --- attach --- */

int devices_enlist(struct ovbd_devices *ds, struct ovbd_spec *take_spec,
                   const struct ovbd_transport_kind *kind, struct served **ret)
{
	struct served *s = calloc(1, sizeof(*s));
	struct served **at;

	if (!s) {
		ovbd_spec_free(take_spec);
		return -ENOMEM;
	}
	*s = (struct served){.all = ds, .spec = take_spec, .kind = kind, .nrefs = 1};
	pthread_mutex_init(&s->bow_lock, NULL);
	pthread_cond_init(&s->came, NULL);
	at = place_of(ds, s->spec->id);
	s->next = *at;
	*at = s;
	*ret = s;
	return 0;
}

/* Lists a new device and starts its thread; the caller has a reference. Lock held. */
static int enlist(struct ovbd_devices *ds, struct ovbd_spec *take_spec,
                  const struct ovbd_transport_kind *kind, bool kept, struct served **ret)
{
	struct served *s;
	int r = devices_enlist(ds, take_spec, kind, &s);

	if (r < 0)
		return r;
	s->kept = s->inherited = kept;
	r = devices_start(s);
	if (r < 0) {
		devices_unlist(s);
		devices_unref(s);
		return r;
	}
	*ret = s;
	return 0;
}

static int choose_id(struct ovbd_devices *ds, struct ovbd_spec *s, struct ovbd_error *err)
{
	char id[16];

	for (unsigned i = 0; !s->id && i < FREE_IDS; i++) {
		snprintf(id, sizeof(id), "%u", i);
		if (!devices_find(ds, id))
			s->id = strdup(id);
	}
	return s->id ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

/* The device there is already, which asked may mean. Lock held. */
static int join(struct served *s, const struct ovbd_spec *asked, struct ovbd_error *err)
{
	if (s->state == OVBD_DEVICE_LEAVING || s->leave || s->spec->leaving)
		return ovbd_fail(err, -EBUSY, "device %s: is being detached", s->spec->id);
	if (!ovbd_spec_fits(s->spec, asked))
		return ovbd_fail(
			err, -EEXIST,
			"id %s in use: by a device of other images, or attached in another "
			"way; detach it, or take another id",
			s->spec->id);
	if (s->state == OVBD_DEVICE_FAILED) {
		s->state = OVBD_DEVICE_OPENING;
		s->retry = true;
		pthread_cond_broadcast(&s->all->changed);
	}
	s->nrefs++;
	return 0;
}

/* A reference to the device that take_spec means, a new one if need be. Lock held. */
static int find_or_enlist(struct ovbd_devices *ds, struct ovbd_spec *take_spec, struct served **ret,
                          struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_spec_freep) struct ovbd_spec *spec = take_spec;
	const struct ovbd_transport_kind *kind;
	struct served *s;
	int r = choose_id(ds, spec, err);

	if (r < 0)
		return r;
	ovbd_fault_point("list-locked");
	if (ds->stopping)
		return ovbd_fail(err, -ESHUTDOWN, "device %s: the daemon is ending", spec->id);
	s = devices_find(ds, spec->id);
	if (s) {
		r = join(s, spec, err);
		if (r == 0)
			*ret = s;
		return r;
	}
	r = devices_complete(ds, spec, &kind, err);
	if (r < 0)
		return r;
	r = enlist(ds, OVBD_MOVE(spec), kind, false, ret);
	return r < 0 ? ovbd_fail_errno(err, r, "starting a device") : 0;
}

/* Until the device is no longer opening; false if it is not wanted any more. Lock held. */
static bool wait_opening(struct served *s, bool (*still_wanted)(void *arg), void *arg)
{
	struct ovbd_devices *ds = s->all;
	struct timespec look = devices_deadline(LOOK_MS);

	while (s->state == OVBD_DEVICE_OPENING && !ds->stopping) {
		if (devices_wait(ds, still_wanted ? &look : NULL) || !still_wanted)
			continue;
		if (!still_wanted(arg))
			return false;
		look = devices_deadline(LOOK_MS);
	}
	return true;
}

/* How an attach ended, of which s is the device. Lock held. */
static int attach_result(const struct served *s, bool wanted, struct ovbd_error *err)
{
	const char *id = s->spec->id;

	if (!wanted)
		return ovbd_fail(err, -ECANCELED, "device %s: who asked for it has gone", id);
	if (s->state == OVBD_DEVICE_SERVING)
		return 0;
	if (s->code < 0 && !s->leave && s->state != OVBD_DEVICE_OPENING)
		return ovbd_fail(err, s->code, "device %s: %s", id, s->why.msg);
	if (s->all->stopping && !s->leave)
		return ovbd_fail(err, -ESHUTDOWN, "device %s: the daemon is ending", id);
	return ovbd_fail(err, -ECANCELED, "device %s: was detached", id);
}

int ovbd_devices_attach_while(struct ovbd_devices *ds, struct ovbd_spec *take_s,
                              bool (*still_wanted)(void *arg), void *arg,
                              char ret_id[OVBD_SPEC_ID_MAX + 1], struct ovbd_error *err)
{
	struct served *s = NULL;
	bool wanted;
	int r = devices_resolve_path(take_s, err);

	if (r == 0 && take_s->leaving)
		r = ovbd_fail(err, -EINVAL, "\"leaving\" is no wish: detach the device");
	if (r == 0 && (take_s->bow.device || take_s->bow.state != OVBD_BOW_TRIM))
		r = ovbd_fail(err, -EINVAL, "\"bow\": \"device\" and \"state\" are no wishes");
	if (r < 0) {
		ovbd_spec_free(take_s);
		return r;
	}
	pthread_mutex_lock(&ds->lock);
	r = find_or_enlist(ds, take_s, &s, err);
	if (r == 0) {
		snprintf(ret_id, OVBD_SPEC_ID_MAX + 1, "%s", s->spec->id);
		wanted = wait_opening(s, still_wanted, arg);
		if (!wanted && !s->kept && s->nrefs == 2)
			devices_give_up(s);
		r = attach_result(s, wanted, err);
		devices_unref(s);
	}
	pthread_mutex_unlock(&ds->lock);
	return r;
}

int ovbd_devices_attach(struct ovbd_devices *ds, struct ovbd_spec *take_s,
                        char ret_id[OVBD_SPEC_ID_MAX + 1], struct ovbd_error *err)
{
	return ovbd_devices_attach_while(ds, take_s, NULL, NULL, ret_id, err);
}

/* --- recovery --- */

static void recover(void *arg, struct ovbd_spec *take_s)
{
	struct ovbd_devices *ds = arg;
	const struct ovbd_transport_kind *kind;
	char id[OVBD_SPEC_ID_MAX + 1];
	struct ovbd_error why;
	struct served *s;
	int r;

	snprintf(id, sizeof(id), "%s", take_s->id);
	r = ovbd_transport_kind_find(take_s->transport, &kind, &why);
	if (r < 0) {
		ovbd_spec_free(take_s);
		devices_tell(ds, true, id, why.msg);
		return;
	}
	pthread_mutex_lock(&ds->lock);
	r = enlist(ds, take_s, kind, true, &s);
	if (r == 0)
		devices_unref(s);
	pthread_mutex_unlock(&ds->lock);
	if (r < 0)
		devices_tell(ds, true, id, strerror(-r));
}

static void tell_bad(void *arg, const struct ovbd_error *why)
{
	devices_tell(arg, true, "", why->msg);
}

int ovbd_devices_recover(struct ovbd_devices *ds, struct ovbd_error *err)
{
	const int r = ovbd_state_file_each(ds->state_dir, recover, tell_bad, ds, err);

	devices_keep_threads(ds);
	if (r == 0)
		devices_take_left(ds);
	return r;
}

void ovbd_devices_settle(struct ovbd_devices *ds, unsigned timeout_ms)
{
	const struct timespec deadline = devices_deadline(timeout_ms);
	bool opening;

	pthread_mutex_lock(&ds->lock);
	do {
		opening = false;
		for (const struct served *s = ds->list; s; s = s->next)
			opening |= s->state == OVBD_DEVICE_OPENING;
	} while (opening && devices_wait(ds, &deadline));
	pthread_mutex_unlock(&ds->lock);
}

void ovbd_devices_retry(struct ovbd_devices *ds)
{
	pthread_mutex_lock(&ds->lock);
	for (struct served *s = ds->list; s; s = s->next)
		s->retry |= s->state == OVBD_DEVICE_FAILED;
	pthread_cond_broadcast(&ds->changed);
	pthread_mutex_unlock(&ds->lock);
}
