/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon's overlaybd.json says to tools that open images: who we are to registries, and
 * the cache. */
#ifndef OVBD_TOOLS_OVERLAYBD_SERVICE_H
#define OVBD_TOOLS_OVERLAYBD_SERVICE_H

#include <jansson.h>

#include "image/image.h"
#include "image/registry_settings.h"
#include "tools/cli.h"

struct ovbd_overlaybd_service {
	struct ovbd_registry *registry;
	struct ovbd_cache *cache; /* NULL: there is none */
	struct ovbd_http_params http;
	const struct ovbd_registry_params *params; /* of registry; NULL: those of c */
	struct ovbd_registry_params said;
	struct ovbd_registry_settings settings;
	json_t *file;
};

/* path NULL: the usual one, which need not be there. A cache that cannot be had is warned of. */
int ovbd_overlaybd_service_open(const struct ovbd_cli *c, const char *path,
                                struct ovbd_overlaybd_service *ret, struct ovbd_error *err);

/* After the images that were opened with it. */
void ovbd_overlaybd_service_close(struct ovbd_overlaybd_service *s);

/* The image of a config.v1.json, and nothing else. */
int ovbd_overlaybd_image(const struct ovbd_overlaybd_service *s, const char *config,
                         struct ovbd_image **ret, struct ovbd_error *err);

#endif
