/* SPDX-License-Identifier: Apache-2.0 */
/* A device with backup on write (bow/bow.h) by the path of what lies beneath it. Sentences begin
 * with that. */
#ifndef OVBD_IMAGE_BOW_H
#define OVBD_IMAGE_BOW_H

#include "bow/bow.h"

/* path: a regular file or block device, of which nobody else may have anything to do: -EBUSY, with
 * who has it. *ret takes writes of any length; *ret_bow is what bow/bow.h speaks of, and *ret's. */
int ovbd_image_bow_open(const char *path, const struct ovbd_bow_params *p, struct ovbd_device **ret,
                        struct ovbd_device **ret_bow, struct ovbd_error *err);

/* 0 (the largest that divides the device's size), or a power of two from 512 to 4096: or
 * -EINVAL. */
int ovbd_image_bow_check_block_size(uint64_t n, struct ovbd_error *err);

/* What an image configuration says of one. */
struct ovbd_image_bow {
	char *device;                  /* path */
	struct ovbd_bow_params params; /* without anybody to be told */
};

/* *ret: what the configuration name (a file) says, to be released; ret->device is NULL if it is no
 * configuration, or one of something else. */
int ovbd_image_bow_find(const char *name, struct ovbd_image_bow *ret, struct ovbd_error *err);
void ovbd_image_bow_release(struct ovbd_image_bow *b);

#endif
