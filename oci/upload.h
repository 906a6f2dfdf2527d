/* SPDX-License-Identifier: Apache-2.0 */
/* A file becomes a blob of a repository. */
#ifndef OVBD_OCI_UPLOAD_H
#define OVBD_OCI_UPLOAD_H

#include "image/registry.h"
#include "oci/layout.h"

struct ovbd_oci_upload {
	struct ovbd_registry *registry;
	const char *url;  /* that uploads begin at: http[s]://HOST/v2/REPOSITORY/blobs/uploads/ */
	const char *path; /* the file, which does not change meanwhile */
	uint64_t chunk_size; /* bytes of a request; 0: default */
};

/* Puts it there, unless it is there; what breaks is gone on with. A thread's patience
 * (remote/patience.h) ends it. *ret: its sha256. -EINVAL: url is of another form. */
int ovbd_oci_upload(const struct ovbd_oci_upload *u, char ret_digest[OVBD_OCI_DIGEST_SIZE],
                    struct ovbd_error *err);

#endif
