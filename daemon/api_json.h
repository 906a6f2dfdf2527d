/* SPDX-License-Identifier: Apache-2.0 */
/* What the API says, as JSON. Each returns a new reference, or NULL where there is no memory. */
#ifndef OVBD_DAEMON_API_JSON_H
#define OVBD_DAEMON_API_JSON_H

#include "daemon/devices.h"

json_t *ovbd_api_json_device(const struct ovbd_device_view *v);

/* Of those of the array (of the above) that others have made: where their users have them. Looks at
 * the host. */
void ovbd_api_json_put_places(json_t *devices);
json_t *ovbd_api_json_error(int code, const char *message);
json_t *ovbd_api_json_transports(void);

/* What the process has given up. */
json_t *ovbd_api_json_confinement(void);

/* The status of HTTP for a negative errno. */
unsigned ovbd_api_http_status(int code);

#endif
