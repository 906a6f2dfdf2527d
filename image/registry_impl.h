/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to image/registry*.c and image/route.c.
 *
 *     registry.c        what was given, and who we are
 *     route.c           from a URL to the parameters with which it is opened
 *     registry_find.c   from docker://... to layers
 *     repository.c      what is in a repository, and how it is reached
 *     manifest.c        what a manifest or an index says                         (pure)
 *     registry_name.c   docker://..., and OS/ARCH/VARIANT                        (pure)
 */
#ifndef OVBD_IMAGE_REGISTRY_IMPL_H
#define OVBD_IMAGE_REGISTRY_IMPL_H

#include <pthread.h>

#include "image/manifest.h"
#include "image/registry.h"

struct string {
	struct string *next;
	char text[];
};

/* Certificates as one file without a name, for libraries that want a file. */
struct bundle {
	struct bundle *next;
	char *text; /* what is in it */
	size_t len;
	int fd;
	char path[32];
};

struct ovbd_registry {
	struct ovbd_registry_params p; /* its strings are those below */
	char **authfiles;              /* until NULL */
	struct ovbd_platform platform;
	struct string *strings;
	bool out_of_memory;
	pthread_mutex_t lock;
	/* guarded by the lock */
	char *first_host; /* NULL until one was noted */
	struct bundle *bundles;
};

/* The function of struct ovbd_http_logins; ctx is the registry. */
int ovbd_registry_login(void *ctx, const char *url, bool refused, struct ovbd_http_login *ret,
                        struct ovbd_error *err);

#endif
