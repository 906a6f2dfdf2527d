// SPDX-License-Identifier: Apache-2.0
/* seal: a writable layer becomes a read-only one where it is. */
#include <errno.h>
#include <unistd.h>

#include "image/upper.h"
#include "tools/verbs.h"

enum { OPT_KEEP_INDEX = OVBD_OPTION_LONG };

static const struct ovbd_option options[] = {
	{OPT_KEEP_INDEX, "keep-index", NULL, "Leave INDEX where it is; it is not needed any more."},
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd seal disk.rw", "disk.rw is a layer now, and can be a lower one of another image."},
	{"ovbd seal disk.data disk.index", "disk.data is one, as overlaybd has it."},
	{NULL},
};

/* What is removed is not needed: data opens as a layer. index NULL: nothing is. */
static int check_and_drop(const char *data, const char *index, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_layer_closep) struct ovbd_layer *l = NULL;
	struct ovbd_blob *b;
	int r = ovbd_blob_open_file(data, &b, err);

	if (r < 0)
		return r;
	r = ovbd_layer_open(b, b->size, &l, err);
	if (r < 0)
		return ovbd_fail_named(err, r, data);
	return index && unlink(index) < 0 ? ovbd_fail_errno(err, -errno, "%s", index) : 0;
}

static int run(struct ovbd_cli *c)
{
	struct ovbd_error err;
	bool keep = false;
	int id, r;

	while ((id = ovbd_cli_next(c)) > 0)
		keep |= id == OPT_KEEP_INDEX;
	if (id < 0)
		return c->status;
	if (c->noperands < 1)
		return ovbd_cli_usage(c, "DATA is missing");
	if (ovbd_cli_at_most(c, 2) != 0)
		return c->status;
	r = ovbd_upper_seal(c->operands[0], c->operands[1], &err);
	if (r == 0)
		r = check_and_drop(c->operands[0], keep ? NULL : c->operands[1], &err);
	return r < 0 ? ovbd_cli_fail(c, r, false, &err) : OVBD_EXIT_OK;
}

const struct ovbd_verb ovbd_verb_seal = {
	.name = "seal",
	.summary = "Make a writable layer a read-only one in place",
	.usage = "DATA [INDEX]",
	.text = "DATA becomes a layer, not compressed; nobody may have it open. Nothing is copied "
		"(but of a sparse one): the index goes to its end. What was written over stays in "
		"the file; ovbd commit leaves it out. INDEX is removed.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage.",
	.run = run,
};
