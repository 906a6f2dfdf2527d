// SPDX-License-Identifier: Apache-2.0
/* Snapshots of devices that take writes, while they are served. */
#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "daemon/devices_impl.h"
#include "daemon/fault_point.h"

struct served *devices_find_any(struct ovbd_devices *ds, const char *id)
{
	struct served *s = devices_find(ds, id);

	for (struct served *other = ds->list; !s && other; other = other->next)
		if (other->alias && strcmp(other->alias, id) == 0)
			s = other;
	return s;
}

/* Lock held. The device cannot be closed until npins is back. */
static int pin(struct ovbd_devices *ds, const char *id, struct served **ret, struct ovbd_error *err)
{
	struct served *s = devices_find_any(ds, id);

	if (!s)
		return ovbd_fail(err, -ENOENT, "device %.80s: there is none", id);
	if (!s->spec->writable || s->spec->update != OVBD_UPDATE_NONE ||
	    s->spec->format == OVBD_FORMAT_RAW)
		return ovbd_fail(err, -EINVAL,
		                 "device %s: has no writable layer, of which a snapshot could be",
		                 s->spec->id);
	if (!s->img)
		return ovbd_fail(err, -EAGAIN, "device %s: is not served now%s%s", s->spec->id,
		                 s->why.msg[0] ? ": " : "", s->why.msg);
	s->npins++;
	*ret = s;
	return 0;
}

bool ovbd_devices_has(struct ovbd_devices *ds, const char *id)
{
	bool has;

	pthread_mutex_lock(&ds->lock);
	has = devices_find_any(ds, id) != NULL;
	pthread_mutex_unlock(&ds->lock);
	return has;
}

static void tell(struct served *s, const struct ovbd_snapshot *done)
{
	struct ovbd_error say;

	ovbd_fail(&say, 0, "a snapshot: %s is a layer, beneath %s; writes waited %llu us",
	          done->layer, done->data, (unsigned long long)(done->pause_ns / 1000));
	devices_tell(s->all, false, s->spec->id, say.msg);
}

int ovbd_devices_snapshot(struct ovbd_devices *ds, const char *id,
                          const struct ovbd_snapshot_params *p, struct ovbd_snapshot *ret,
                          struct ovbd_error *err)
{
	struct ovbd_snapshot_params params = *p;
	struct served *s = NULL;
	int r;

	pthread_mutex_lock(&ds->lock);
	r = pin(ds, id, &s, err);
	pthread_mutex_unlock(&ds->lock);
	if (r < 0)
		return r;
	params.at = ovbd_fault_point;
	r = ovbd_image_snapshot(s->img, &params, ret, err);
	if (r < 0)
		ovbd_fail_within(err, r, "device %s", s->spec->id);
	else
		tell(s, ret);
	pthread_mutex_lock(&ds->lock);
	s->npins--;
	pthread_cond_broadcast(&ds->changed);
	pthread_mutex_unlock(&ds->lock);
	return r;
}
