// SPDX-License-Identifier: Apache-2.0
/* Stands in for verb_serve.c where there was no FUSE when this was built. */
#include "tools/verbs.h"

static const struct ovbd_option options[] = {{0}};

static int run(struct ovbd_cli *c)
{
	if (ovbd_cli_next(c) < 0)
		return c->status;
	ovbd_cli_error(c, "this ovbd was built without FUSE");
	return OVBD_EXIT_UNAVAILABLE;
}

const struct ovbd_verb ovbd_verb_serve = {
	.name = "serve",
	.summary = "Present an image as a file (not in this build: no FUSE)",
	.usage = "SRC...",
	.options = options,
	.run = run,
};
