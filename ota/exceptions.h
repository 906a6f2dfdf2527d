/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A COW as the device that dm-snapshot wants beside the base: a persistent exception store, made up
 * as it is read. The kernel's snapshot of the base with it reads as the update, and snapshot-merge
 * merges it. docs/format-android-cow.md has the layout.
 */
#ifndef OVBD_OTA_EXCEPTIONS_H
#define OVBD_OTA_EXCEPTIONS_H

#include "base/device.h"
#include "ota/cow.h"

enum ovbd_exceptions_order {
	OVBD_EXCEPTIONS_FILE,  /* as the first snapuserd: the operations as they come */
	OVBD_EXCEPTIONS_MERGE, /* as the last: the kernel merges from the end, in a safe order */
};

/* Chunks are of 4096 bytes. What has been merged is not in the metadata any more. Takes both, also
 * on failure. */
int ovbd_exceptions_open(struct ovbd_cow *take_c, struct ovbd_blob *take_base,
                         enum ovbd_exceptions_order order, struct ovbd_blob **ret,
                         struct ovbd_error *err);

/* The same, in merge order, as a device that takes what snapshot-merge writes back: the counter in
 * the COW is advanced durably before such a write returns, so what is merged, and a merge that was
 * cut short at any moment, is right with the next open. Nothing else can be written: -EROFS. The
 * kernel writes to the base meanwhile: its blob is not to be one that remembers.
 *
 * Fails as ovbd_cow_open() and ovbd_merge_plan() do, and with -ENOTSUP if a merge of another kind
 * was cut short. Takes both, also on failure. */
int ovbd_exceptions_merge_open(struct ovbd_device *take_cow, struct ovbd_device *take_base,
                               struct ovbd_device **ret, struct ovbd_error *err);

/* Exceptions that are left, areas for all that there ever were, and the i-th: what chunk of the
 * base, and where its new content is. */
uint64_t ovbd_exceptions_count(const struct ovbd_blob *store);
uint64_t ovbd_exceptions_areas(const struct ovbd_blob *store);
void ovbd_exceptions_get(const struct ovbd_blob *store, uint64_t i, uint64_t *ret_old,
                         uint64_t *ret_new);

#endif
