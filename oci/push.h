/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to oci/: what is put into a repository (OCI distribution-spec 1.1, "Push"). A blob goes
 * up in chunks, so that an upload that breaks is gone on with where the registry says; where it
 * does not, or takes no chunks, all of it goes up again. One thread at a time uses a pusher.
 */
#ifndef OVBD_OCI_PUSH_H
#define OVBD_OCI_PUSH_H

#include "image/repository.h"
#include "oci/impl.h"
#include "remote/send.h"

struct oci_pusher;

/* How it is done; 0: the default. */
struct oci_push_params {
	uint64_t chunk_size; /* bytes of a request; default 16 MiB */
	unsigned stuck_ms;   /* without progress for so long it is given up; default twice the
	                      * deadline of a read */
};

/* repo's scheme is known. All is copied. */
int oci_pusher_open(const struct ovbd_repository *repo, const struct oci_push_params *params,
                    struct oci_pusher **ret, struct ovbd_error *err);
/* Ends an upload that was begun and not used. NULL is fine. */
void oci_pusher_close(struct oci_pusher *take_p);

/* 1: the blob is there, with its size; 0: it is not. */
int oci_push_has(struct oci_pusher *p, const struct oci_ref *ref, struct ovbd_error *err);
/* Begins an upload, which the next blob takes: so that it is known early whether we may. */
int oci_push_prepare(struct oci_pusher *p, struct ovbd_error *err);
/* 1: the blob of another repository of the same registry is now in this one too; 0: it is not, for
 * whatever reason. */
int oci_push_mount(struct oci_pusher *p, const struct oci_ref *ref, const char *from,
                   struct ovbd_error *err);
/* Puts the blob, unless it is there. */
int oci_push_blob(struct oci_pusher *p, struct ovbd_blob *b, const struct oci_ref *ref,
                  struct ovbd_error *err);
/* Puts a manifest or index as name, its digest or a tag: always, or (by its digest) unless it is
 * there. */
int oci_push_manifest(struct oci_pusher *p, const char *text, const struct oci_ref *ref,
                      const char *name, struct ovbd_error *err);

/* ---- push_range.c ---- */

/* How many bytes of an upload are there, as a Range header says: "0-1023", with or without
 * "bytes=". "0-0" is said of none, too, and taken so. False: it is not one. */
bool oci_push_range(const char *text, uint64_t *ret);

/* url with digest=DIGEST in its query; to be freed; NULL: no memory. */
char *oci_push_with_digest(const char *url, const char *digest);

#endif
