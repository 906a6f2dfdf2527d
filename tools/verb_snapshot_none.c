// SPDX-License-Identifier: Apache-2.0
/* Stands in for verb_snapshot.c where there is no libdevmapper. */
#include "tools/control.h"
#include "tools/verbs.h"

static const struct ovbd_option options[] = {
	{'t', "transport", "NAME", "Not in this build."},
	OVBD_OPTION_SOCKET_ENTRY,
	{0},
};

static int run(struct ovbd_cli *c)
{
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		;
	if (id < 0)
		return c->status;
	ovbd_cli_error(c, "this ovbd was built without libdevmapper");
	return OVBD_EXIT_UNAVAILABLE;
}

const struct ovbd_verb ovbd_verb_snapshot = {
	.name = "snapshot",
	.summary = "Have the kernel merge a phone's update (not in this build)",
	.usage = "map NAME BASE COW | merge NAME | unmap NAME",
	.options = options,
	.run = run,
};
