// SPDX-License-Identifier: Apache-2.0
/* Without fs/, which reads tars. */
#include <errno.h>

#include "oci/place.h"

static int no_source(const char *name, const struct oci_how *how, struct oci_source **ret,
                     struct ovbd_error *err)
{
	(void)how;
	(void)ret;
	return ovbd_fail(err, -ENOTSUP, "%s: this program was built without libext2fs", name);
}

const struct oci_transport oci_transport_archive = {"oci-archive:", no_source, NULL};
const struct oci_transport oci_transport_docker_archive = {"docker-archive:", no_source, NULL};
