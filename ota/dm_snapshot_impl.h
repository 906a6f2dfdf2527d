/* SPDX-License-Identifier: Apache-2.0 */
/* Private to ota/dm_snapshot*.c. */
#ifndef OVBD_OTA_DM_SNAPSHOT_IMPL_H
#define OVBD_OTA_DM_SNAPSHOT_IMPL_H

#include "ota/dm_snapshot.h"
#include "ota/dm_snapshot_format.h"

struct ovbd_dm_snapshot {
	struct ovbd_blob *blob; /* owned */
	struct ovbd_dm_snapshot_info info;
	struct snapshot_exception *list; /* info.nchunks, by old */
};

#endif
