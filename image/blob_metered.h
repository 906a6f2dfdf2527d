/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OVBD_IMAGE_BLOB_METERED_H
#define OVBD_IMAGE_BLOB_METERED_H

#include "base/blob.h"

/* take_b, whose reads are counted as local ones: remote/metrics.h. */
int ovbd_blob_open_metered(struct ovbd_blob *take_b, struct ovbd_blob **ret,
                           struct ovbd_error *err);

#endif
