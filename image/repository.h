/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For image/ and oci/: a repository of a registry, as it is reached: by TLS, or without where that
 * is asked for, or allowed and the only way.
 */
#ifndef OVBD_IMAGE_REPOSITORY_H
#define OVBD_IMAGE_REPOSITORY_H

#include "image/manifest.h"
#include "image/registry.h"

struct ovbd_repository {
	struct ovbd_registry *g;
	struct ovbd_http_params base;
	struct ovbd_registry_name name;
	bool direct;        /* no mirrors are asked */
	const char *scheme; /* "https" or "http"; NULL until the registry has answered */
};

/* What kind ("blobs", "manifests") has as reference, to be freed; NULL: no memory. scheme is
 * known. */
char *ovbd_repository_url(const struct ovbd_repository *r, const char *kind, const char *reference);

/* The way to a URL of r, as ovbd_route_find(). */
int ovbd_repository_route(const struct ovbd_repository *r, const char *url, bool resolve,
                          struct ovbd_route *ret, struct ovbd_error *err);

/* A manifest or index by its tag or digest; with the latter it is verified. Finds the scheme, if
 * that is not known: also where it fails, if the registry has answered. */
int ovbd_repository_manifest(struct ovbd_repository *r, const char *reference,
                             struct ovbd_http_document *ret, struct ovbd_error *err);

#endif
