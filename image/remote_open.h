/* SPDX-License-Identifier: Apache-2.0 */
/* Private to image/: a layer that lies elsewhere. */
#ifndef OVBD_IMAGE_REMOTE_OPEN_H
#define OVBD_IMAGE_REMOTE_OPEN_H

#include "image/image.h"
#include "image/shared.h"

/* Opens the URL l->name, through p->cache where there is one: ret->blob, ret->http and
 * ret->ahead. Where it is
 * known before what lies there (l->digest, l->said_size), its server is not asked yet. */
int ovbd_remote_open(const struct ovbd_image_layer *l, const struct ovbd_image_params *p,
                     struct ovbd_bytes *ret, struct ovbd_error *err);

/* Fetches at once what opening the ZFile at the beginning of x->blob, and a layer in it, will ask
 * for one after the other. What fails here is told by who reads it. */
void ovbd_remote_bring_metadata(const struct ovbd_bytes *x);

#endif
