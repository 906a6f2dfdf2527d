/* SPDX-License-Identifier: Apache-2.0 */
/* Backup on write, as it is asked for over HTTP: docs/api.md. */
#ifndef OVBD_DAEMON_API_BOW_H
#define OVBD_DAEMON_API_BOW_H

#include <jansson.h>

#include "daemon/devices.h"

/* POST /v1/devices/ID/bow, and its body. The status of HTTP; *ret is what went wrong, a new
 * reference, or stays as it is at 200. */
unsigned ovbd_api_bow(struct ovbd_devices *ds, const char *id, const json_t *body, json_t **ret);

/* What a device's JSON has of it; NULL: no memory. */
json_t *ovbd_api_json_bow(const struct ovbd_device_view *v);

#endif
