/* SPDX-License-Identifier: Apache-2.0 */
/* ovbd convert oci:... oci:...: an image of files becomes an image of blocks. */
#ifndef OVBD_TOOLS_CONVERT_OCI_H
#define OVBD_TOOLS_CONVERT_OCI_H

#include "tools/convert_request.h"

/* The exit status. convert_oci.c, or convert_oci_none.c. */
int ovbd_convert_oci(struct ovbd_cli *c, const struct ovbd_convert_request *q);

#endif
