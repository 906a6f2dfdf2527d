// SPDX-License-Identifier: Apache-2.0
/*
 * A device that takes writes becomes larger while it is served. First its bytes, durably; then who
 * looks at it is told; then its users are. So whoever dies in between, no user ever sees more than
 * there is, and the next daemon, which finds that there is more than the users see, tells them.
 *
 * Reads and writes go on. The one that grows has pinned the device: it is closed afterwards.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/auto.h"
#include "daemon/devices_impl.h"
#include "daemon/fault_point.h"

struct growth {
	struct served *s; /* pinned */
	struct ovbd_transport *t;
	uint64_t size, before;
	char *path; /* where the transport has it */
	void (*done)(void *arg, int status, const char *why);
	void *arg;
};

static struct ovbd_transport_open place_of(const struct served *s, const char *path)
{
	return (struct ovbd_transport_open){
		.id = s->spec->id,
		.manager = s->all->files_dir,
		.path = path,
	};
}

bool devices_may_grow(const struct served *s)
{
	return s->spec->writable && s->spec->update == OVBD_UPDATE_NONE && s->t &&
	       (s->writable || (s->img && s->img->upper));
}

/* Lock held. */
static int check(const struct served *s, uint64_t size, struct ovbd_error *err)
{
	const struct ovbd_transport_need need = {.size = size, .writable = true};

	if (!s->spec->writable || s->spec->update != OVBD_UPDATE_NONE)
		return ovbd_fail(err, -ENOTSUP,
		                 "takes no writes: only a device that does can grow while it is "
		                 "served");
	if (s->state != OVBD_DEVICE_SERVING || s->growing || s->resizing)
		return ovbd_fail(err, -EAGAIN, "is %s: try again",
		                 s->state == OVBD_DEVICE_SERVING
		                         ? "being resized"
		                         : ovbd_device_state_name(s->state));
	if (!devices_may_grow(s))
		return ovbd_fail(err, -ENOTSUP, "has no writable layer, which could grow");
	if (size < s->size)
		return ovbd_fail(err, -ENOTSUP,
		                 "a smaller size (%llu of %llu bytes) was refused: a device in use "
		                 "only grows; detach it to make it smaller",
		                 (unsigned long long)size, (unsigned long long)s->size);
	if (!s->kind->resize)
		return ovbd_fail(err, -ENOTSUP,
		                 "%s devices keep their size: detach it, resize its layer, and "
		                 "attach it again",
		                 s->kind->name);
	return ovbd_transport_kind_suits(s->kind, &need, err);
}

/* Lock held. */
static int begin(struct served *s, uint64_t size, struct growth *ret, struct ovbd_error *err)
{
	int r = check(s, size, err);

	if (r < 0)
		return r;
	*ret = (struct growth){.s = s, .t = s->t, .size = size, .before = s->size};
	if (s->spec->path) {
		ret->path = strdup(s->spec->path);
		if (!ret->path)
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	s->npins++;
	s->growing = true;
	return 0;
}

static int grow_bytes(struct served *s, uint64_t size, struct ovbd_error *err)
{
	int r = s->img ? ovbd_image_grow(s->img, size, err)
	               : ovbd_device_grow(s->writable, size, err);

	if (r == 0 && s->stand_in)
		ovbd_stand_in_grow(s->stand_in);
	return r;
}

static int grow(const struct growth *g, struct ovbd_error *err)
{
	struct served *s = g->s;
	const struct ovbd_transport_open p = place_of(s, g->path);
	struct ovbd_error say;
	int r = s->kind->resize(&p, g->t, 0, err);

	if (r == 0)
		r = grow_bytes(s, g->size, err);
	if (r < 0)
		return r;
	ovbd_fault_point("grow-durable");
	pthread_mutex_lock(&s->all->lock);
	s->size = g->size;
	pthread_mutex_unlock(&s->all->lock);
	r = s->kind->resize(&p, g->t, g->size, err);
	ovbd_fault_point("grow-told");
	if (r < 0)
		return ovbd_fail_within(err, r,
		                        "it has grown, but its users have not been told (ask "
		                        "again for the same size)");
	ovbd_fail(&say, 0, "has grown from %llu to %llu bytes", (unsigned long long)g->before,
	          (unsigned long long)g->size);
	devices_tell(s->all, false, s->spec->id, say.msg);
	return 0;
}

static void end(struct growth *g)
{
	struct ovbd_devices *ds = g->s->all;

	free(g->path);
	pthread_mutex_lock(&ds->lock);
	g->s->growing = false;
	g->s->npins--;
	pthread_cond_broadcast(&ds->changed);
	pthread_mutex_unlock(&ds->lock);
}

int ovbd_devices_grow(struct ovbd_devices *ds, const char *id, uint64_t size, uint64_t *ret_before,
                      struct ovbd_error *err)
{
	struct growth g;
	struct served *s;
	int r;

	pthread_mutex_lock(&ds->lock);
	s = devices_find_any(ds, id);
	r = s ? begin(s, size, &g, err) : ovbd_fail(err, -ENOENT, "there is none of this id");
	pthread_mutex_unlock(&ds->lock);
	if (r == 0) {
		r = grow(&g, err);
		end(&g);
	}
	if (r < 0)
		return ovbd_fail_within(err, r, "device %.80s", id);
	*ret_before = g.before;
	return 0;
}

static void *grow_main(void *arg)
{
	struct growth *g = arg;
	struct ovbd_error err = {0};
	const int r = grow(g, &err);

	g->done(g->arg, r, err.msg);
	end(g);
	free(g);
	return NULL;
}

int devices_grow_aside(struct served *s, uint64_t size,
                       void (*done)(void *arg, int status, const char *why), void *arg,
                       struct ovbd_error *err)
{
	AUTO_FREE struct growth *g = calloc(1, sizeof(*g));
	sigset_t all, old;
	pthread_t thread;
	int r;

	if (!g)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = begin(s, size, g, err);
	if (r < 0)
		return r;
	g->done = done;
	g->arg = arg;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&thread, NULL, grow_main, g);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0) {
		free(g->path);
		s->growing = false;
		s->npins--;
		return ovbd_fail_errno(err, r, "starting a thread");
	}
	pthread_detach(thread);
	g = NULL;
	return 0;
}

bool devices_can_follow(struct served *s, struct line *l, const struct line *bytes)
{
	const struct ovbd_transport_open p = place_of(s, s->spec->path);

	return (bytes->upper || bytes->writable) && s->spec->update == OVBD_UPDATE_NONE &&
	       s->kind->resize && s->kind->resize(&p, l->t, 0, NULL) == 0;
}

void devices_follow(struct served *s, struct line *l)
{
	const struct ovbd_transport_open p = place_of(s, s->spec->path);
	const uint64_t size = devices_line_device(l)->blob->size;
	struct ovbd_error err;
	uint64_t before;
	int r;

	pthread_mutex_lock(&s->all->lock);
	before = s->size;
	s->size = size;
	pthread_mutex_unlock(&s->all->lock);
	r = s->kind->resize(&p, l->t, size, &err);
	if (r == 0)
		ovbd_fail(&err, 0, "had grown from %llu to %llu bytes: its users see it now",
		          (unsigned long long)before, (unsigned long long)size);
	devices_tell(s->all, r < 0, s->spec->id, err.msg);
}
