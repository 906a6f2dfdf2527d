// SPDX-License-Identifier: Apache-2.0
/* Stands in for snapshot_dm.c where there is no libdevmapper. */
#include "tools/snapshot_parts.h"

int ovbd_snapshot_dm(struct ovbd_cli *c, const struct ovbd_snapshot_dm *how)
{
	(void)how;
	ovbd_cli_error(c, "%s: this ovbd was built without libdevmapper", c->operands[0]);
	return OVBD_EXIT_UNAVAILABLE;
}
