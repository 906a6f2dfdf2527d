/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of what is fetched for devices, for all of the daemon: it is kept in a cache, and
 * layers are downloaded in the background. */
#ifndef OVBD_DAEMON_BACKGROUND_H
#define OVBD_DAEMON_BACKGROUND_H

#include "daemon/devices.h"
#include "daemon/options.h"

struct ovbd_background;

/* For ds, before it opens an image. As overlaybd-tcmu, what an image does not say of downloads is
 * in the file o->config, which is read at each open. Without a cache that can be used it does
 * without. What there is to say goes to the log. */
int ovbd_background_start(const struct ovbd_options *o, struct ovbd_devices *ds,
                          struct ovbd_background **ret, struct ovbd_error *err);

/* NULL: there is none. */
struct ovbd_cache *ovbd_background_cache(const struct ovbd_background *bg);

/* After ds. NULL is fine. */
void ovbd_background_close(struct ovbd_background *take_bg);

#endif
