// SPDX-License-Identifier: Apache-2.0
/* Two things have this name: a layer made of what a device's users wrote, and device mapper's. */
#include <string.h>

#include "tools/control.h"
#include "tools/snapshot_parts.h"
#include "tools/verbs.h"

static const struct ovbd_option options[] = {
	{'d', "data", "FILE",
         "create: the new writable layer (default: beside the last, numbered)."},
	{'i', "index", "FILE", "create: its index file, in overlaybd's formats."},
	OVBD_OPTION_OUTPUT_ENTRY,
	{'t', "transport", "NAME", "map: by what the store is a disk (default auto)."},
	OVBD_OPTION_SOCKET_ENTRY,
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd snapshot create web", "what web's users wrote is a layer now, and they go on"},
	{"ovbd snapshot map system /dev/system /dev/system-cow",
         "/dev/mapper/system reads as the update"},
	{"ovbd snapshot merge system", "and becomes the base, which becomes the update"},
	{"ovbd snapshot unmap system", "as it was before map"},
	{NULL},
};

struct asked {
	struct ovbd_snapshot_create create;
	struct ovbd_snapshot_dm dm;
};

static int parse(struct ovbd_cli *c, struct asked *a)
{
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		if (id == 'd')
			a->create.data = c->value;
		else if (id == 'i')
			a->create.index = c->value;
		else if (id == 't')
			a->dm.transport = c->value;
		else if (id == OVBD_OPTION_SOCKET)
			a->create.socket = a->dm.socket = c->value;
		else if (ovbd_json_wanted(c, c->value, &a->create.json) < 0)
			return -1;
	return id;
}

static int run(struct ovbd_cli *c)
{
	struct asked a = {.dm = {.transport = "auto"}};
	const char *what;

	if (parse(c, &a) < 0)
		return c->status;
	if (c->noperands < 2)
		return ovbd_cli_usage(
			c, "create, map, merge or unmap, and an ID or NAME, are missing");
	what = c->operands[0];
	a.create.id = c->operands[1];
	if (strcmp(what, "create") == 0 && c->noperands == 2)
		return ovbd_snapshot_create(c, &a.create);
	if ((strcmp(what, "map") == 0 && c->noperands == 4) ||
	    (strcmp(what, "merge") == 0 && c->noperands == 2) ||
	    (strcmp(what, "unmap") == 0 && c->noperands == 2))
		return ovbd_snapshot_dm(c, &a.dm);
	return ovbd_cli_usage(c, "must be create ID, map NAME BASE COW, merge NAME, or unmap NAME");
}

const struct ovbd_verb ovbd_verb_snapshot = {
	.name = "snapshot",
	.summary = "Make a layer of what a device's users wrote; or dm-snapshot's",
	.usage = "create ID | map NAME BASE COW | merge NAME | unmap NAME",
	.text = "create: the writable layer of ovbdd's device ID becomes a read-only one, as it is "
		"at "
		"one moment, and an empty one lies above it; its image configuration is replaced. "
		"Its users go on; writes wait for a flush. map: /dev/mapper/NAME becomes what the "
		"disk BASE and the Android COW read as together, by device mapper's snapshot "
		"target, over an exception store that ovbdd serves as its device NAME. merge: the "
		"kernel merges it into BASE; returns when that is done, and NAME is BASE, without "
		"ovbdd. unmap: all goes, but what has been merged. map again, and merge, after a "
		"reboot.",
	.options = options,
	.examples = examples,
	.run = run,
};
