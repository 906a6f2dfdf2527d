/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to oci/: a tar that is a container of an image's files, read in place: nothing is
 * unpacked. It must be a file that can be read anywhere, and not compressed itself.
 */
#ifndef OVBD_OCI_ARCHIVE_H
#define OVBD_OCI_ARCHIVE_H

#include "fs/members.h"
#include "image/image.h"
#include "oci/impl.h"

struct oci_archive;

/* -EBADMSG: it is no tar, or a damaged one; -ENOTSUP: a compressed one. */
int oci_archive_open(const char *path, struct oci_archive **ret, struct ovbd_error *err);
/* What is in it, for messages too. */
const char *oci_archive_path(const struct oci_archive *a);
/* -ENOENT: it is not there. */
int oci_archive_find(const struct oci_archive *a, const char *name, struct ovbd_fs_member *ret,
                     struct ovbd_error *err);
/* All of a file of at most max bytes, and a NUL behind it. *ret is to be freed. */
int oci_archive_read(const struct oci_archive *a, const char *name, size_t max, char **ret,
                     size_t *ret_len, struct ovbd_error *err);
/* [off, off + size) of the archive as a blob's bytes; it outlives the reader. */
int oci_archive_reader(const struct oci_archive *a, uint64_t off, uint64_t size,
                       struct oci_reader **ret, struct ovbd_error *err);
/* NULL is fine. */
void oci_archive_close(struct oci_archive *take_a);

static inline void oci_archive_closep(struct oci_archive **a)
{
	oci_archive_close(*a);
}

/* ---- archive_write.c ---- */

/* A tar that is written: it appears at path, in the place of what may be there, when it is
 * complete. Its bytes depend on what is put into it, and in which order, only. */
struct oci_archive_out;

int oci_archive_create(const char *path, struct oci_archive_out **ret, struct ovbd_error *err);
/* A sink whose finish() makes "blobs/sha256/..." of it; one at a time. patch() may be used. */
int oci_archive_blob(struct oci_archive_out *o, struct ovbd_sink **ret, struct ovbd_error *err);
/* After finish(): what it is, but for its media type. */
void oci_archive_ref(const struct ovbd_sink *s, struct oci_ref *ret);
bool oci_archive_has(const struct oci_archive_out *o, const struct oci_ref *ref);
/* Layers of ours that are in it, as a device: bottom first. o outlives it. */
int oci_archive_stack(struct oci_archive_out *o, const struct oci_ref *layers, size_t n,
                      struct ovbd_image **ret, struct ovbd_error *err);
/* A file of any name. */
int oci_archive_put(struct oci_archive_out *o, const char *name, const void *buf, size_t len,
                    struct ovbd_error *err);
int oci_archive_finish(struct oci_archive_out *o, struct ovbd_error *err);
/* NULL is fine. What was not finished is gone. */
void oci_archive_out_close(struct oci_archive_out *take_o);

#endif
