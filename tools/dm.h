/* SPDX-License-Identifier: Apache-2.0 */
/* Device mapper's tables, by libdevmapper. Needs root. Where there is udev, what returns has its
 * node in /dev/mapper, or has it no more. */
#ifndef OVBD_TOOLS_DM_H
#define OVBD_TOOLS_DM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The only line of a table: the sectors [0, sectors). */
struct ovbd_dm_target {
	uint64_t sectors; /* of 512 bytes */
	const char *type; /* "snapshot", ... */
	const char *params;
	bool read_only;
};

/* 0, or -ENOTSUP: the kernel has no such target, and what to do. */
int ovbd_dm_has(const char *type, struct ovbd_error *err);

/* A new device. After a failure nothing is left of it. -EEXIST */
int ovbd_dm_create(const char *name, const struct ovbd_dm_target *t, struct ovbd_error *err);

/* Another table for a device that is there, and may be in use; after a failure it has the old
 * one. */
int ovbd_dm_replace(const char *name, const struct ovbd_dm_target *t, struct ovbd_error *err);

/* -ENOENT: there is none; -EBUSY: it is in use. */
int ovbd_dm_remove(const char *name, struct ovbd_error *err);

/* What the target says of itself, and its type; both to be freed. -ENOENT */
int ovbd_dm_status(const char *name, char **ret_type, char **ret_status, struct ovbd_error *err);

#endif
