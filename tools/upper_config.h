/* SPDX-License-Identifier: Apache-2.0 */
/* Image configurations that verbs write. */
#ifndef OVBD_TOOLS_UPPER_CONFIG_H
#define OVBD_TOOLS_UPPER_CONFIG_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

/* A layer as a configuration names it, from anywhere. NULL: it is a configuration itself, or is not
 * there; err says it. */
json_t *ovbd_upper_layer_json(const char *name, struct ovbd_error *err);

/* The layers of the configuration in the file config become the n that are named, bottom first; all
 * else in it stays. The new file takes the place of the old one at once. */
int ovbd_upper_config_set_lowers(const char *config, const char *const *names, size_t n,
                                 struct ovbd_error *err);

#endif
