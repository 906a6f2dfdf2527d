// SPDX-License-Identifier: Apache-2.0
/* What all devices have counted, those that are gone included, so that it never falls. */
#include "daemon/devices_impl.h"

void devices_retire(struct served *s)
{
	ovbd_serve_stats_add(&s->all->retired, &s->stats);
}

void ovbd_devices_totals(struct ovbd_devices *ds, bool anew, struct ovbd_serve_stats *ret)
{
	pthread_mutex_lock(&ds->lock);
	ovbd_serve_stats_add(ret, &ds->retired);
	if (anew)
		atomic_store(&ds->retired.slowest_ns, 0);
	for (struct served *s = ds->list; s; s = s->next) {
		ovbd_serve_stats_add(ret, &s->stats);
		if (anew)
			atomic_store(&s->stats.slowest_ns, 0);
	}
	pthread_mutex_unlock(&ds->lock);
}
