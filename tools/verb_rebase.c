// SPDX-License-Identifier: Apache-2.0
/*
 * rebase: a writable layer is put over something else. First what would be another there is
 * written to it, then the record of what lies beneath changes: so at any moment it reads as it
 * did over what the record says.
 */
#include <errno.h>
#include <stdlib.h>

#include "tools/interrupt.h"
#include "tools/progress.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/upper.h"
#include "tools/upper_config.h"
#include "tools/verbs.h"

enum { OPT_FROM = OVBD_OPTION_LONG, OPT_WHOLE, OPT_FLATTEN };

static const struct ovbd_option options[] = {
	{'B', "base", "BASE", "What shall lie beneath; repeated, bottom first, it is a stack."},
	{OPT_FLATTEN, "flatten", NULL,
         "Nothing shall: all that shows through DATA is written to it, and it is all of the "
         "device."},
	{OPT_FROM, "from", "OLD", "What lies beneath DATA now; repeated, bottom first."},
	{OPT_WHOLE, "whole", NULL, "Nothing does now."},
	{'u', "unsafe", NULL,
         "Only change the record of what lies beneath: BASE reads as what was there before, but "
         "has "
         "other names, or other layers."},
	{'p', "progress", NULL,
         "Show progress also if standard error is no terminal: a line per 10 %."},
	OVBD_CACHE_OPTIONS,
	OVBD_REMOTE_OPTIONS,
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd rebase -B new.ovbd disk.json",
         "The image of disk.json lies over new.ovbd now, and reads as it did."},
	{"ovbd rebase --from old.ovbd -B base.ovbd -B delta.ovbd disk.rw",
         "The same of one layer."},
	{"ovbd rebase -u -B squashed.ovbd disk.json",
         "squashed.ovbd is what lay beneath, in one layer."},
	{NULL},
};

struct request {
	struct ovbd_upper_names names; /* its bases are the old ones */
	const char **to;
	size_t nto;
	bool flatten, unsafe, progress;
};

/* ---- the command line ---- */

static int check(struct ovbd_cli *c, const struct request *q)
{
	if (c->noperands < 1)
		return ovbd_cli_usage(c, "DATA is missing");
	if (ovbd_cli_at_most(c, 2) != 0)
		return -1;
	if (q->nto == 0 && !q->flatten)
		return ovbd_cli_usage(c, "-B is missing: what shall lie beneath (or --flatten)");
	if (q->nto > 0 && q->flatten)
		return ovbd_cli_usage(c,
		                      "--flatten: then nothing lies beneath, and there is no -B");
	if (q->flatten && q->unsafe)
		return ovbd_cli_usage(c, "--flatten writes what shows through: it is not -u");
	if (q->names.whole && q->names.nbases > 0)
		return ovbd_cli_usage(c, "--whole: --from is for what lies beneath");
	return 0;
}

static int parse(struct ovbd_cli *c, const char **from, struct request *q)
{
	int id;

	while ((id = ovbd_cli_next(c)) > 0) {
		if (id == 'B')
			q->to[q->nto++] = c->value;
		if (id == OPT_FROM)
			from[q->names.nbases++] = c->value;
		q->flatten |= id == OPT_FLATTEN;
		q->names.whole |= id == OPT_WHOLE;
		q->unsafe |= id == 'u';
		q->progress |= id == 'p';
	}
	if (id < 0)
		return -1;
	q->names.names = c->operands;
	q->names.n = c->noperands;
	q->names.blind = q->unsafe;
	return check(c, q);
}

/* ---- the run ---- */

/* The UUID of the topmost layer; NULL: there is none, or it is no layer. */
static const char *top_uuid(const struct ovbd_image *img)
{
	const struct ovbd_layer *l =
		img && img->nlayers > 0 ? img->layers[img->nlayers - 1].layer : NULL;

	return l ? ovbd_layer_info(l)->uuid : NULL;
}

static int write_differences(const struct ovbd_cli *c, const struct request *q,
                             struct ovbd_device *d, struct ovbd_image *to, struct ovbd_error *err)
{
	char text[OVBD_SIZE_FULL];
	struct ovbd_progress progress;
	uint64_t written = 0;
	int r;

	ovbd_progress_start(&progress, c, q->progress);
	r = ovbd_rw_rebase(d, to ? to->blob : NULL, ovbd_progress_update, &progress, &written, err);
	ovbd_progress_end(&progress);
	if (r == 0)
		ovbd_cli_note(c, "%s: %s written, where what lies beneath differs", c->operands[0],
		              ovbd_size_full(text, written));
	return r;
}

static int rebase(const struct ovbd_cli *c, const struct request *q,
                  const struct ovbd_upper_place *place, struct ovbd_image *to,
                  struct ovbd_error *err)
{
	AUTO_DEVICE *d = NULL;
	bool upper;
	int r;

	if (!place->known && !q->unsafe)
		return ovbd_fail(
			err, -EINVAL,
			"%s: what lies beneath it now is not known: name it with --from; or "
			"say --whole if nothing does, or -u if it reads as BASE",
			place->data);
	r = ovbd_upper_place_open(place, &d, err);
	if (r == 0 && !q->unsafe)
		r = write_differences(c, q, d, to, err);
	if (r == 0)
		r = ovbd_rw_set_parent(d, top_uuid(to), err);
	if (r < 0)
		return ovbd_fail_named(err, r, place->data);
	if (q->names.n == 1 && ovbd_image_is_config(c->operands[0], &upper, NULL) > 0)
		r = ovbd_upper_config_set_lowers(c->operands[0], q->to, q->nto, err);
	return r;
}

/* What is to be written into a configuration must be possible to write. */
static int check_lowers(const struct request *q, struct ovbd_error *err)
{
	bool upper;
	int r = q->names.n == 1 ? ovbd_image_is_config(q->names.names[0], &upper, err) : 0;

	for (size_t i = 0; r > 0 && i < q->nto; i++) {
		json_t *l = ovbd_upper_layer_json(q->to[i], err);

		if (!l)
			return -EINVAL;
		json_decref(l);
	}
	return r < 0 ? r : 0;
}

static int open_and_rebase(const struct ovbd_cli *c, const struct request *q)
{
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *to = NULL;
	struct ovbd_upper_place place;
	struct ovbd_error err;
	int status = OVBD_EXIT_OK;
	int r = check_lowers(q, &err);

	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	if (q->nto > 0 && ovbd_source_open(c, q->to, q->nto, NULL, &to, &status) < 0)
		return status;
	if (ovbd_upper_find(c, &q->names, &place, &status) == 0) {
		r = rebase(c, q, &place, to, &err);
		if (r < 0)
			status = ovbd_cli_fail(c, r, false, &err);
	}
	ovbd_upper_place_close(&place);
	return status;
}

static int run(struct ovbd_cli *c)
{
	AUTO_FREE const char **from = calloc((size_t)c->argc, sizeof(from[0]));
	AUTO_FREE const char **to = calloc((size_t)c->argc, sizeof(to[0]));
	struct request q = {.names = {.bases = from}, .to = to};

	if (!from || !to) {
		ovbd_cli_error(c, "out of memory");
		return OVBD_EXIT_FAILURE;
	}
	if (parse(c, from, &q) != 0)
		return c->status;
	ovbd_interrupt_catch();
	return open_and_rebase(c, &q);
}

const struct ovbd_verb ovbd_verb_rebase = {
	.name = "rebase",
	.summary = "Put a writable layer over something else, and keep what it shows",
	.usage = "-B BASE... CONFIG|DATA [INDEX]",
	.text = "DATA is a writable layer, with INDEX one of overlaybd's; CONFIG is an image "
		"configuration (JSON) that names one, and what lies beneath, which it does anew "
		"afterwards. Nobody may have it open. Where DATA has nothing of its own, and BASE "
		"is "
		"another than what lay beneath, that is written to it: the device stays what it "
		"was.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage; a BASE or OLD over the network: 65 bad data, 69 "
		 "not "
		 "available, 74 I/O error, 75 try again later, 77 denied; 128 + N after signal N.",
	.run = run,
};
