/* SPDX-License-Identifier: Apache-2.0 */
/* Private to image/: a layer that lies elsewhere. */
#ifndef OVBD_IMAGE_REMOTE_OPEN_H
#define OVBD_IMAGE_REMOTE_OPEN_H

#include "image/image.h"
#include "image/shared.h"

/* Opens the URL l->name, through p->cache where there is one: ret->blob and ret->http. Where it is
 * known before what lies there (l->digest, l->said_size), its server is not asked yet. */
int ovbd_remote_open(const struct ovbd_image_layer *l, const struct ovbd_image_params *p,
                     struct ovbd_bytes *ret, struct ovbd_error *err);

#endif
