// SPDX-License-Identifier: Apache-2.0
/*
 * Disks that an earlier daemon has left, of devices whose state file is not there, or cannot be
 * read: nobody else would find them. What nobody uses is taken away. What somebody uses stays, as
 * attaching the same image with the same id once more has its users go on.
 */
#include <stdio.h>

#include "base/auto.h"
#include "daemon/devices_impl.h"
#include "daemon/holders.h"

#define HOLDERS_SIZE (OVBD_ERROR_SIZE - 192)

struct look {
	struct ovbd_devices *ds;
	const struct ovbd_transport_kind *kind;
};

static void look_at(void *arg, const char *id, const char *path)
{
	const struct look *l = arg;
	struct ovbd_devices *ds = l->ds;
	const struct ovbd_transport_open p = {.id = id, .manager = ds->files_dir, .path = path};
	char holders[HOLDERS_SIZE];
	struct ovbd_error say;
	bool known, used;
	int r = 0;

	pthread_mutex_lock(&ds->lock);
	known = devices_find(ds, id) != NULL;
	pthread_mutex_unlock(&ds->lock);
	if (known)
		return;
	used = ovbd_holders_find(path, holders, sizeof(holders)) > 0;
	if (!used)
		r = l->kind->abandon(&p, &say);
	if (used)
		ovbd_fail(&say, 0,
		          "has no state file, but %s is left of it, in use by %s: attach it again",
		          path, holders);
	else if (r == 0)
		ovbd_fail(&say, 0, "has no state file; %s, which was left of it, is taken away",
		          path);
	devices_tell(ds, true, id, say.msg);
}

void devices_take_left(struct ovbd_devices *ds)
{
	const struct ovbd_transport_kind *kind;

	for (unsigned i = 0; (kind = ovbd_transport_kind_at(i)); i++) {
		struct look l = {.ds = ds, .kind = kind};

		if (kind->left)
			kind->left(ds->files_dir, look_at, &l);
	}
}
