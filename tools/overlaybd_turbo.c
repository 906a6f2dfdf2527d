// SPDX-License-Identifier: Apache-2.0
/* turboOCI-apply: whoever calls it is told in one sentence, instead of finding nothing. */
#include "tools/overlaybd.h"

static const struct ovbd_option options[] = {
	{OVBD_OPTION_OWN, "mkfs", NULL, "Refused, as all of it."},
	{OVBD_OPTION_OWN + 1, "fstype", "TYPE", "The same."},
	{OVBD_OPTION_OWN + 2, "gz_index_path", "FILE", "The same."},
	{OVBD_OPTION_OWN + 3, "import", NULL, "The same."},
	{OVBD_OPTION_OWN + 4, "export", NULL, "The same."},
	{OVBD_OPTION_OWN + 5, "service_config_path", "FILE", "The same."},
	{0},
};

static int run(struct ovbd_cli *c)
{
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		;
	if (id < 0)
		return c->status;
	ovbd_cli_error(c, "layers of turboOCI are not made here; overlaybd's own tool does");
	return OVBD_EXIT_UNAVAILABLE;
}

const struct ovbd_verb ovbd_overlaybd_turbo = {
	.name = "turbo",
	.program = "turboOCI-apply",
	.summary = "Refuse to make a layer of turboOCI",
	.usage = "INPUT CONFIG",
	.text = "Layers that leave their data in an image's tars are not made here. Convert the "
		"image with ovbd convert, or keep overlaybd's own tools.",
	.options = options,
	.exits = "69 always.",
	.run = run,
};
