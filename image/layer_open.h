/* SPDX-License-Identifier: Apache-2.0 */
/* Private to image/: one name, opened as far down as it goes. */
#ifndef OVBD_IMAGE_LAYER_OPEN_H
#define OVBD_IMAGE_LAYER_OPEN_H

#include "image/image.h"

/* Opens ret->name as what p->format says, or as what it is; ret's shown, digest and said_size are
 * set too, number is the layer's. Fills the rest of *ret. *ret_blob is what lies deepest and is no
 * layer: the bytes, or the decompressed bytes; NULL if ret->layer is set or it is an update. All
 * are the caller's. */
int ovbd_layer_ref_open(struct ovbd_image_layer *ret, uint32_t number,
                        const struct ovbd_image_params *p, struct ovbd_blob **ret_blob,
                        struct ovbd_error *err);

/* The bytes of a path or URL. *ret_http is the same blob if it is an HTTP blob, else NULL. */
int ovbd_bytes_open(const char *name, const struct ovbd_image_params *p, struct ovbd_blob **ret,
                    struct ovbd_blob **ret_http, struct ovbd_error *err);

#endif
