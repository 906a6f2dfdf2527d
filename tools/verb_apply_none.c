// SPDX-License-Identifier: Apache-2.0
/* Stands in for verb_apply.c where there is no libext2fs. */
#include "tools/verbs.h"

static const struct ovbd_option options[] = {
	{'B', "base", "BASE", "Not in this build."},
	{0},
};

static int run(struct ovbd_cli *c)
{
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		;
	if (id < 0)
		return c->status;
	ovbd_cli_error(c, "this ovbd was built without libext2fs");
	return OVBD_EXIT_UNAVAILABLE;
}

const struct ovbd_verb ovbd_verb_apply = {
	.name = "apply",
	.summary = "Make a layer of a tar (not in this build)",
	.usage = "TAR DST",
	.options = options,
	.run = run,
};
