/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the names of files to what has to be read for them: files of the ext4 that a device holds. A
 * list has a path on each line, absolute in that file system; one that ends in a slash, or in one
 * and a star, stands for all files beneath. Symbolic links are followed, within the file system.
 */
#ifndef OVBD_IMAGE_PATHS_H
#define OVBD_IMAGE_PATHS_H

#include "image/image.h"
#include "image/recorder.h"

#define OVBD_PATHS_SIZE_MAX (1u << 20) /* bytes of a list */

/* What could not be found or read: a path, and why. */
typedef void (*ovbd_paths_told_fn)(void *arg, const char *sentence);

/* Adds to t the ranges of img's layers that hold the files which the len bytes of text name, after
 * what is read to find them: img was opened with recorder. -ENOTSUP: this build has no libext2fs,
 * or img is no stack of layers; -EBADMSG: there is no ext4. What is missing is told, and left out.
 * */
int ovbd_paths_trace(struct ovbd_image *img, struct ovbd_recorder *recorder, const char *text,
                     size_t len, ovbd_paths_told_fn told, void *arg, struct ovbd_trace *t,
                     struct ovbd_error *err);

#endif
