// SPDX-License-Identifier: Apache-2.0
/* create: an empty writable layer. */
#include <errno.h>

#include "base/size.h"
#include "image/upper.h"
#include "tools/verbs.h"

enum { OPT_UUID = OVBD_OPTION_LONG, OPT_PARENT };

static const struct ovbd_option options[] = {
	{'s', "sparse", NULL, "Make a sparse DATA, which is as long as the device."},
	{'m', "message", "TEXT", "Put this message of at most 256 bytes into it."},
	{OPT_UUID, "uuid", "UUID", "Its UUID (default: the null UUID)."},
	{OPT_PARENT, "parent-uuid", "UUID", "The UUID of the layer below."},
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd create 20G disk.rw", "A layer that survives crashes and power cuts, in one file."},
	{"ovbd create 20G disk.data disk.index", "One in the two files of overlaybd."},
	{NULL},
};

static int parse(struct ovbd_cli *c, struct ovbd_rw_params *p)
{
	int id;

	while ((id = ovbd_cli_next(c)) > 0) {
		if (id == 's')
			p->sparse = true;
		else if (id == 'm')
			p->tag = c->value;
		else if (id == OPT_UUID)
			p->uuid = c->value;
		else if (id == OPT_PARENT)
			p->parent_uuid = c->value;
	}
	if (id < 0)
		return c->status;
	if (c->noperands < 2)
		return ovbd_cli_usage(c, c->noperands == 0 ? "SIZE is missing" : "DATA is missing");
	if (ovbd_cli_at_most(c, 3) != 0)
		return c->status;
	if (ovbd_size_parse(c->operands[0], &p->virtual_size) < 0 || p->virtual_size % 512)
		return ovbd_cli_usage(c,
		                      "SIZE %s: a size of whole sectors of 512 bytes, such as 20G",
		                      c->operands[0]);
	if (p->sparse && c->noperands < 3)
		return ovbd_cli_usage(c, "INDEX is missing: a sparse layer has one");
	return OVBD_EXIT_OK;
}

static int run(struct ovbd_cli *c)
{
	struct ovbd_rw_params p = {0};
	const int status = parse(c, &p);
	struct ovbd_error err;
	int r;

	if (status != OVBD_EXIT_OK || c->noperands < 2)
		return status;
	r = ovbd_upper_create(c->operands[1], c->noperands > 2 ? c->operands[2] : NULL, &p, &err);
	return r < 0 ? ovbd_cli_fail(c, r, false, &err) : OVBD_EXIT_OK;
}

const struct ovbd_verb ovbd_verb_create = {
	.name = "create",
	.summary = "Make an empty writable layer",
	.usage = "SIZE DATA [INDEX]",
	.text = "Makes the files of a writable layer for a device of SIZE, which must not be there "
		"yet. DATA alone is an ovbd-rw: what was flushed to it survives crashes and power "
		"cuts. With INDEX it is one that overlaybd reads and writes, too. What is written "
		"to "
		"a layer becomes a read-only one by ovbd commit.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage.",
	.run = run,
};
