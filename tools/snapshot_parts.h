/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the verb snapshot: what its operands ask for. Each returns the exit status. */
#ifndef OVBD_TOOLS_SNAPSHOT_PARTS_H
#define OVBD_TOOLS_SNAPSHOT_PARTS_H

#include "tools/cli.h"

struct ovbd_snapshot_create {
	const char *id;
	const char *data, *index; /* of the new writable layer; NULL: the daemon chooses */
	const char *socket;       /* as ovbd_control_socket() */
	bool json;
};

/* Asks ovbdd for a snapshot of a device, and says what has become of it. */
int ovbd_snapshot_create(struct ovbd_cli *c, const struct ovbd_snapshot_create *s);

struct ovbd_snapshot_dm {
	const char *transport; /* of map */
	const char *socket;
};

/* map NAME BASE COW, merge NAME or unmap NAME, as c's operands have it. */
int ovbd_snapshot_dm(struct ovbd_cli *c, const struct ovbd_snapshot_dm *how);

#endif
