/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to image/: a list of paths in place of a trace. Where its files are is looked up in a
 * thread of its own, as that reads through the image; then what they take is fetched.
 */
#ifndef OVBD_IMAGE_PREFETCH_LIST_H
#define OVBD_IMAGE_PREFETCH_LIST_H

#include "image/image.h"

struct ovbd_image_list;

/* The list of the file path, if it is one: *ret. 0 also if it is none, or cannot be read. */
int ovbd_image_list_load(const char *path, struct ovbd_image_list **ret);

/* img, which has the list, is open, and something of it is remote. */
int ovbd_image_list_start(struct ovbd_image *img, const struct ovbd_image_prefetch *how,
                          struct ovbd_error *err);

/* Returns when its thread reads no more. NULL is fine. */
void ovbd_image_list_close(struct ovbd_image_list *take_list);

#endif
