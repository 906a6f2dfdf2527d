// SPDX-License-Identifier: Apache-2.0
#include "image/update.h"

#include <errno.h>
#include <string.h>

#include "ota/exceptions.h"

static const char *const names[] = {
	[OVBD_UPDATE_DM_SNAPSHOT] = "dm-snapshot",
	[OVBD_UPDATE_DM_SNAPSHOT_1] = "dm-snapshot-1",
	[OVBD_UPDATE_MERGE] = "merge",
};

#define NNAMES (sizeof(names) / sizeof(names[0]))

const char *ovbd_update_name(enum ovbd_update_kind k)
{
	return names[k];
}

int ovbd_update_parse(const char *name, enum ovbd_update_kind *ret)
{
	for (size_t i = 1; i < NNAMES; i++) {
		if (strcmp(names[i], name) == 0) {
			*ret = (enum ovbd_update_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* What the kernel writes to meanwhile. */
static int open_base(const char *path, struct ovbd_device **ret, struct ovbd_error *err)
{
	AUTO_DEVICE *d = NULL;
	struct ovbd_blob *b;
	int r = ovbd_device_open_file(path, &d, err);

	if (r == 0)
		r = ovbd_blob_open_uncached(path, &b, err);
	if (r < 0)
		return r;
	ovbd_blob_close(d->blob);
	d->blob = b;
	*ret = OVBD_MOVE(d);
	return 0;
}

static int open_merging(const struct ovbd_update_params *p, struct ovbd_device **ret,
                        struct ovbd_error *err)
{
	AUTO_DEVICE *cow = NULL;
	AUTO_DEVICE *base = NULL;
	int r = ovbd_device_open_file_alone(p->cow, &cow, err);

	if (r == 0)
		r = open_base(p->base, &base, err);
	if (r < 0)
		return r;
	r = ovbd_exceptions_merge_open(OVBD_MOVE(cow), OVBD_MOVE(base), ret, err);
	return r < 0 ? ovbd_fail_within(err, r, "%s", p->cow) : 0;
}

static int open_reading(const struct ovbd_update_params *p, enum ovbd_exceptions_order order,
                        struct ovbd_device **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *c = NULL;
	AUTO_BLOB *base = NULL;
	AUTO_BLOB *store = NULL;
	struct ovbd_blob *b;
	int r = ovbd_blob_open_file(p->cow, &b, err);

	if (r == 0)
		r = ovbd_cow_open(b, NULL, &c, err);
	if (r < 0)
		return ovbd_fail_named(err, r, p->cow);
	r = ovbd_blob_open_uncached(p->base, &base, err);
	if (r < 0)
		return r;
	r = ovbd_exceptions_open(OVBD_MOVE(c), OVBD_MOVE(base), order, &store, err);
	if (r < 0)
		return ovbd_fail_within(err, r, "%s", p->cow);
	return ovbd_device_open_blob(OVBD_MOVE(store), ret, err);
}

int ovbd_update_open(const struct ovbd_update_params *p, struct ovbd_device **ret,
                     struct ovbd_error *err)
{
	if (p->kind == OVBD_UPDATE_DM_SNAPSHOT && p->writable)
		return open_merging(p, ret, err);
	if (p->writable)
		return ovbd_fail(err, -ENOTSUP,
		                 "%s: in the order of the first snapuserd it cannot be merged",
		                 p->cow);
	return open_reading(p,
	                    p->kind == OVBD_UPDATE_DM_SNAPSHOT ? OVBD_EXCEPTIONS_MERGE
	                                                       : OVBD_EXCEPTIONS_FILE,
	                    ret, err);
}
