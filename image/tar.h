/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tar around a layer, the way registries store it: a pax header that holds the size, a ustar
 * header, the layer, zeros. docs/format-lsmt.md, "The tar wrapper".
 */
#ifndef OVBD_IMAGE_TAR_H
#define OVBD_IMAGE_TAR_H

#include "base/blob.h"
#include "base/sink.h"

/* Where the first member of the tar in b lies. 1: *ret_off and *ret_len are set, and within b.
 * 0: b is no tar. -EBADMSG: it begins like one, but the member does not fit. Understood: ustar and
 * GNU headers, pax headers of any length, sizes in octal and in base 256. */
int ovbd_tar_member(struct ovbd_blob *b, uint64_t *ret_off, uint64_t *ret_len,
                    struct ovbd_error *err);

/* A sink that wraps what it takes, with the bytes overlaybd-commit -t writes. take_inner must be
 * able to patch, for the size stands before the data. finish() finishes take_inner too. */
int ovbd_tar_create(struct ovbd_sink *take_inner, struct ovbd_sink **ret, struct ovbd_error *err);

#endif
