// SPDX-License-Identifier: Apache-2.0
/* Stands in for verb_serve.c where there is no daemon/. */
#include "tools/verbs.h"

static const struct ovbd_option options[] = {{0}};

static int run(struct ovbd_cli *c)
{
	if (ovbd_cli_next(c) < 0)
		return c->status;
	ovbd_cli_error(c, "this ovbd was built without servers");
	return OVBD_EXIT_UNAVAILABLE;
}

const struct ovbd_verb ovbd_verb_serve = {
	.name = "serve",
	.summary = "Present an image as a file (not in this build)",
	.usage = "SRC...",
	.options = options,
	.run = run,
};
