/* SPDX-License-Identifier: Apache-2.0 */
/* What `ovbd info` shows, in its two ways. */
#ifndef OVBD_TOOLS_INFO_H
#define OVBD_TOOLS_INFO_H

#include "image/image.h"
#include "tools/json.h"

/* All bytes. */
struct ovbd_info_sizes {
	uint64_t stored;     /* of all layers */
	uint64_t nsegments;  /* of the device; 0 if it has no index */
	uint64_t data, zero; /* of the device */
};

struct ovbd_info_sizes ovbd_info_sizes(const struct ovbd_image *img);

#define OVBD_INFO_WARNINGS     5
#define OVBD_INFO_WARNING_SIZE 160

/* What one should know of a layer before using it elsewhere; returns how many sentences. */
size_t ovbd_info_warnings(const struct ovbd_image *img, size_t number,
                          char ret[OVBD_INFO_WARNINGS][OVBD_INFO_WARNING_SIZE]);

/* On standard output. */
void ovbd_info_text(const struct ovbd_image *img, bool verbose);

json_t *ovbd_info_json(const struct ovbd_image *img);

/* "1.0", "2.0", "3.0" */
const char *ovbd_info_cow_version(const struct ovbd_cow_info *i);

#endif
