/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OVBD_IMAGE_BLOB_NAMED_H
#define OVBD_IMAGE_BLOB_NAMED_H

#include "base/blob.h"

/* take_b under a name: the sentence of a read that fails begins with it. */
int ovbd_blob_open_named(struct ovbd_blob *take_b, const char *name, struct ovbd_blob **ret,
                         struct ovbd_error *err);

#endif
