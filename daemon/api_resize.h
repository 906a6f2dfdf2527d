/* SPDX-License-Identifier: Apache-2.0 */
/* A device that shall become larger, as it is asked for over HTTP: docs/api.md. */
#ifndef OVBD_DAEMON_API_RESIZE_H
#define OVBD_DAEMON_API_RESIZE_H

#include <jansson.h>

#include "daemon/devices.h"

/* POST /v1/devices/ID/resize, and its body. The status of HTTP; *ret is a new reference, or NULL
 * where there is no memory. */
unsigned ovbd_api_resize(struct ovbd_devices *ds, const char *id, const json_t *body, json_t **ret);

#endif
