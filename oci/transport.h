/* SPDX-License-Identifier: Apache-2.0 */
/* Names of images, wherever they are: TRANSPORT:REST, as skopeo has them. */
#ifndef OVBD_OCI_TRANSPORT_H
#define OVBD_OCI_TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/error.h"

struct ovbd_http_params;
struct ovbd_registry;

/* Who asks over a network, and how. What it points to outlives what is opened with it. Zeroed:
 * nobody, with the defaults. */
struct ovbd_oci_access {
	struct ovbd_registry *registry;
	const struct ovbd_http_params *http;
	const atomic_bool *stop; /* once it is true threads give up: -ECANCELED. NULL: never */
};

/* Whether text begins as the name of an image does, of a transport that we have. */
bool ovbd_oci_is_image(const char *text);

#endif
