/* SPDX-License-Identifier: Apache-2.0 */
/* Private to image/: a layer of which a configuration says what proves it. */
#ifndef OVBD_IMAGE_PROVE_H
#define OVBD_IMAGE_PROVE_H

#include "image/image.h"
#include "image/shared.h"

/* Puts a blob over x->blob, and sets x->verity, if l->root is given: nothing is read then that its
 * Merkle tree, l->tree, does not prove (docs/format-verity.md). lazily: no server is asked for the
 * tree before it is needed. On failure there is no x->blob. */
int ovbd_prove(struct ovbd_bytes *x, const struct ovbd_image_layer *l,
               const struct ovbd_image_params *p, bool lazily, struct ovbd_error *err);

#endif
