/* SPDX-License-Identifier: Apache-2.0 */
/* What a file of settings says of registries, of which some is said in other words than registry.h
 * has. */
#ifndef OVBD_IMAGE_REGISTRY_SETTINGS_H
#define OVBD_IMAGE_REGISTRY_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "image/registry.h"

struct ovbd_registry_settings {
	struct ovbd_registry_params p; /* as far as it is not below */
	const char *credentials;       /* a file; NULL: none */
	uint64_t service_timeout_s;    /* 0: default */
	uint64_t deadline_s;           /* of a read over the network; 0: default */
	bool tls_verify;
	const char *authfiles[2]; /* of the whole */
};

/* The whole, which points into *s. */
struct ovbd_registry_params ovbd_registry_settings_params(struct ovbd_registry_settings *s);

#endif
