/* SPDX-License-Identifier: Apache-2.0 */
/* The digests by which registries name their blobs: "sha256:" and hexadecimal digits. */
#ifndef OVBD_IMAGE_DIGEST_H
#define OVBD_IMAGE_DIGEST_H

#include "base/blob.h"
#include "base/progress.h"

/* Reads all of b. -EBADMSG if its digest is another one; -ENOTSUP for an algorithm that is neither
 * sha256 nor sha512. progress may be NULL. */
int ovbd_digest_check(struct ovbd_blob *b, const char *digest, ovbd_progress_fn progress, void *arg,
                      struct ovbd_error *err);

#endif
