/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots, as they are asked for over HTTP: docs/api.md. */
#ifndef OVBD_DAEMON_API_SNAPSHOT_H
#define OVBD_DAEMON_API_SNAPSHOT_H

#include <jansson.h>

#include "daemon/devices.h"

/* POST /v1/devices/ID/snapshot, and its body. The status of HTTP; *ret is a new reference, or NULL
 * where there is no memory. */
unsigned ovbd_api_snapshot(struct ovbd_devices *ds, const char *id, const json_t *body,
                           json_t **ret);

/* The original's /snapshot?dev_id=&config=; what is missing is NULL. */
unsigned ovbd_api_snapshot_original(struct ovbd_devices *ds, const char *dev_id, const char *config,
                                    json_t **ret);

#endif
