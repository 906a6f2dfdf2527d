/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tar around a layer, the way registries store it: an optional pax header, a ustar header, the
 * layer, zeros. docs/format-lsmt.md, "The tar wrapper".
 */
#ifndef OVBD_IMAGE_TAR_H
#define OVBD_IMAGE_TAR_H

#include "base/blob.h"
#include "base/sink.h"

/* If take_b is such a tar, a slice of its first member; otherwise take_b itself. *ret_tar says
 * which. */
int ovbd_tar_unwrap(struct ovbd_blob *take_b, struct ovbd_blob **ret, bool *ret_tar,
                    struct ovbd_error *err);

/* A sink that wraps what it takes; take_inner must be able to patch. finish() finishes it too. */
int ovbd_tar_create(struct ovbd_sink *take_inner, struct ovbd_sink **ret, struct ovbd_error *err);

#endif
