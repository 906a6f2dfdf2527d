// SPDX-License-Identifier: Apache-2.0
/* The mergers of devices, for who tells them what to do. */
#include <errno.h>

#include "daemon/devices_impl.h"

/* Lock held. The device cannot be closed until npins is back. */
static int pin(struct ovbd_devices *ds, const char *id, struct served **ret, struct ovbd_error *err)
{
	struct served *s = devices_find(ds, id);

	if (!s)
		return ovbd_fail(err, -ENOENT, "device %s: there is none", id);
	if (s->spec->update != OVBD_UPDATE_MERGE)
		return ovbd_fail(err, -EINVAL, "device %s: is no update that can be merged", id);
	if (!s->merger)
		return ovbd_fail(err, -EAGAIN, "device %s: is not served now%s%s", id,
		                 s->why.msg[0] ? ": " : "", s->why.msg);
	s->npins++;
	*ret = s;
	return 0;
}

int ovbd_devices_with_merger(struct ovbd_devices *ds, const char *id, ovbd_with_merger_fn with,
                             void *arg, struct ovbd_error *err)
{
	struct served *s = NULL;
	int r;

	pthread_mutex_lock(&ds->lock);
	r = pin(ds, id, &s, err);
	pthread_mutex_unlock(&ds->lock);
	if (r < 0)
		return r;
	r = with(arg, s->merger, err);
	pthread_mutex_lock(&ds->lock);
	s->npins--;
	pthread_cond_broadcast(&ds->changed);
	pthread_mutex_unlock(&ds->lock);
	return r;
}
