/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the names of files to what has to be read for them: files of the ext4 that a device holds. A
 * list has a path on each line, absolute in that file system; one that ends in a slash, or in one
 * and a star, stands for all files beneath. Symbolic links are followed, within the file system.
 */
#ifndef OVBD_IMAGE_PATHS_H
#define OVBD_IMAGE_PATHS_H

#include <stdatomic.h>

#include "image/image.h"
#include "image/recorder.h"

#define OVBD_PATHS_SIZE_MAX (1u << 20) /* bytes of a list */

struct ovbd_paths_entry {
	const char *path; /* in the list; without the slash and the star at its end */
	size_t len;       /* > 0 */
	bool all;         /* with all that is beneath */
};

/* The next path of a list, which *text, *len become what is left of; false: there is none. Whether
 * it is absolute is not asked. */
bool ovbd_paths_next(const char **text, size_t *len, struct ovbd_paths_entry *ret);

/* Whether a file of these bytes is meant to be a list: its first path is absolute, and no byte is
 * 0. */
bool ovbd_paths_is_list(const char *text, size_t len);

/* All of a file, to be freed. -E2BIG: it is too long for a list. */
int ovbd_paths_load(const char *path, char **ret, size_t *ret_len, struct ovbd_error *err);

struct ovbd_paths_params {
	/* That img was opened with: what is read to find the files comes first in the trace. NULL:
	 * it is left out. */
	struct ovbd_recorder *recorder;
	/* What could not be found or read: a path, and why. */
	void (*told)(void *arg, const char *sentence);
	/* Before they are read: ranges of layers that hold what tells where files are. Or NULL. */
	void (*will_read)(void *arg, const struct ovbd_trace *t);
	void *arg;
	const atomic_bool *stop; /* once it is true: -ECANCELED. NULL: never */
};

/* Adds to t the ranges of img's layers that hold the files which the len bytes of text name, in
 * their order. -ENOTSUP: this build has no libext2fs, or img is no stack of layers; -EBADMSG: there
 * is no ext4. What is missing is told, and left out. */
int ovbd_paths_trace(struct ovbd_image *img, const char *text, size_t len,
                     const struct ovbd_paths_params *p, struct ovbd_trace *t,
                     struct ovbd_error *err);

#endif
