/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCI image layouts (image-spec, image-layout.md): a directory of blobs, each named by its digest,
 * and an index.json of the images that have names. Who reads a blob has it verified; who writes one
 * publishes it whole. Several processes may write to one layout.
 */
#ifndef OVBD_OCI_LAYOUT_H
#define OVBD_OCI_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

#define OVBD_OCI_DIGEST_SIZE 160 /* of a digest's text, with its NUL */

/* oci:DIR[:TAG][@DIGEST], as skopeo reads it: DIR ends at the first colon. */
struct ovbd_oci_name {
	char *text; /* all of it, for messages */
	char *dir;
	char *tag, *digest; /* NULL: not given */
};

bool ovbd_oci_is_name(const char *text);
/* -EINVAL: it is none. *ret is to be freed. */
int ovbd_oci_name_parse(const char *text, struct ovbd_oci_name *ret, struct ovbd_error *err);
void ovbd_oci_name_free(struct ovbd_oci_name *n);

/* The paths of the layers of an image of ours, bottom first, to be read as a stack. -ENOTSUP: they
 * are not ours. platform: OS/ARCH[/VARIANT] of an index; NULL: this machine. Layers are not
 * verified, all else is. *ret and what it points to are to be freed, by ovbd_oci_stack_free(). */
int ovbd_oci_stack(const char *name, const char *platform, char ***ret, size_t *ret_n,
                   struct ovbd_error *err);
void ovbd_oci_stack_free(char **take_paths, size_t n);

#endif
