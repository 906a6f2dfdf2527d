/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that are not known to be anything, but may have been a layer. */
#ifndef OVBD_IMAGE_SUSPECT_H
#define OVBD_IMAGE_SUSPECT_H

#include "base/blob.h"

/* -EBADMSG if b ends like a layer, or if one lies behind what must have been a tar header: then its
 * beginning is damaged. 0: no sign of that. name is for the sentence. */
int ovbd_suspect(struct ovbd_blob *b, const char *name, struct ovbd_error *err);

#endif
