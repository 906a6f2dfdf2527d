/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of "ovbd cache". */
#ifndef OVBD_TOOLS_CACHE_TOOL_H
#define OVBD_TOOLS_CACHE_TOOL_H

#include <jansson.h>

#include "image/image.h"
#include "remote/cache_admin.h"
#include "tools/cli.h"

/* cache_print.c. A line, or an object, for a blob of the cache; d may be NULL. */
void ovbd_cache_print_head(void);
void ovbd_cache_print_item(const struct ovbd_cache_item *item);
json_t *ovbd_cache_item_json(const struct ovbd_cache_item *item, const struct ovbd_cache_damage *d);

/* The blob's digest, or else its URL, to be freed. NULL: no memory. */
char *ovbd_cache_item_name(const struct ovbd_cache_item *item);

/* Whether name, at least 6 letters of it, is how a user may call the blob: the beginning of its
 * name or digest, or its URL. */
bool ovbd_cache_item_is(const struct ovbd_cache_item *item, const char *name);

/* cache_prefetch.c. Reads all that img's layers have elsewhere, n pieces at a time. *ret: so many
 * bytes. */
int ovbd_cache_prefetch(const struct ovbd_cli *c, const struct ovbd_image *img, unsigned n,
                        bool progress, uint64_t *ret, struct ovbd_error *err);

#endif
