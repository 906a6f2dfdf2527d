// SPDX-License-Identifier: Apache-2.0
/* Stands in for convert_oci.c where there is no libext2fs. */
#include "tools/convert_oci.h"

int ovbd_convert_oci(struct ovbd_cli *c, const struct ovbd_convert_request *q)
{
	(void)q;
	ovbd_cli_error(c, "%s: this ovbd was built without libext2fs, and makes no images",
	               c->operands[1]);
	return OVBD_EXIT_UNAVAILABLE;
}
