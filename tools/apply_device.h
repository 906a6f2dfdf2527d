/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar applied to a device that takes writes, or a file system made on one: apply_device.c, or
 * apply_device_none.c where there is no libext2fs (-ENOTSUP).
 */
#ifndef OVBD_TOOLS_APPLY_DEVICE_H
#define OVBD_TOOLS_APPLY_DEVICE_H

#include "base/device.h"
#include "base/progress.h"

struct ovbd_apply_device {
	struct ovbd_device *device;
	bool mkfs;           /* a new file system, in place of whatever is there */
	const char *tar;     /* a path, or "-"; NULL: none */
	const char *diff_id; /* that tar must have, decompressed; or NULL */
	int64_t now;
	ovbd_progress_fn progress; /* of tar; may be NULL */
	void *arg;
};

/* Durable when it returns 0. Of a tar that is damaged, or not the one that is wanted (-EBADMSG), at
 * most what is in files has been written, to places that no file has. */
int ovbd_apply_device(const struct ovbd_apply_device *a, struct ovbd_error *err);

#endif
