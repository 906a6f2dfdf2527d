/* SPDX-License-Identifier: Apache-2.0 */
/* An update of a phone and its base, a pair of files or block devices, as what a kernel wants to
 * have of them. (As an image, base and COW are a stack like any other: image/image.h.) */
#ifndef OVBD_IMAGE_UPDATE_H
#define OVBD_IMAGE_UPDATE_H

#include <stdbool.h>

#include "base/device.h"

enum ovbd_update_kind {
	OVBD_UPDATE_NONE,        /* an image */
	OVBD_UPDATE_DM_SNAPSHOT, /* the exception store of a snapshot of the base, in merge order */
	OVBD_UPDATE_DM_SNAPSHOT_1, /* the same as the first snapuserd had it, in the file's order */
	OVBD_UPDATE_MERGE, /* what the two read as, to be merged: daemon/merger.h opens it */
};

/* "dm-snapshot", ...; NULL for NONE. And back: -EINVAL if unknown. */
const char *ovbd_update_name(enum ovbd_update_kind k);
int ovbd_update_parse(const char *name, enum ovbd_update_kind *ret);

struct ovbd_update_params {
	enum ovbd_update_kind kind; /* of dm-snapshot */
	const char *base, *cow;     /* paths */
	bool writable; /* DM_SNAPSHOT: the kernel may merge it; -EBUSY if cow is in use */
};

int ovbd_update_open(const struct ovbd_update_params *p, struct ovbd_device **ret,
                     struct ovbd_error *err);

#endif
