// SPDX-License-Identifier: Apache-2.0
/* commit: what was written to a writable layer becomes a read-only one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/commit.h"
#include "tools/convert_request.h"
#include "tools/dst.h"
#include "tools/interrupt.h"
#include "tools/scan.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/verbs.h"

/* With 64 KiB a block that does not compress is longer than overlaybd can read. */
#define BLOCK_SIZE 32768u

enum { OPT_FORCE = OVBD_OPTION_LONG, OPT_WHOLE, OPT_UUID, OPT_PARENT };

static const struct ovbd_option options[] = {
	{'O', "output-format", "FMT", "What OUT is: ovbd (default), or lsmt: not compressed."},
	{'B', "base", "BASE", "What lies beneath; repeated, bottom first, it is a stack."},
	{OPT_WHOLE, "whole", NULL, "Nothing lies beneath: what was zeroed needs no segment."},
	{'j', "threads", "N", "Compress with N threads (default: as many as there are CPUs)."},
	{'m', "message", "TEXT", "Its message, instead of that of the writable layer."},
	{OPT_UUID, "uuid", "UUID", "Its UUID, instead of that of the writable layer."},
	{OPT_PARENT, "parent-uuid", "UUID", "The UUID of the layer below, likewise."},
	{OPT_FORCE, "force", NULL, "Replace OUT if it exists."},
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd commit disk.rw disk.ovbd", "disk.ovbd is the layer of what was written."},
	{"ovbd commit -B base.ovbd -B delta.ovbd disk.rw disk.ovbd",
         "What those hide beyond their ends stays hidden."},
	{"ovbd commit disk.data disk.index disk.ovbd", "Of one in the two files of overlaybd."},
	{NULL},
};

struct request {
	const char *data, *index, *out;
	const char **bases;
	size_t nbases;
	const char *uuid, *parent_uuid, *tag;
	bool force, whole, bare;
	unsigned nthreads; /* 0: as many as there are CPUs */
};

/* ---- the command line ---- */

static int set_threads(struct ovbd_cli *c, struct request *q)
{
	char *end;
	const unsigned long n = strtoul(c->value, &end, 10);

	if (*end || end == c->value || n == 0 || n > 256)
		return ovbd_cli_usage(c, "--threads %s: a number from 1 to 256", c->value);
	q->nthreads = (unsigned)n;
	return OVBD_EXIT_OK;
}

static int take_option(struct ovbd_cli *c, int id, struct request *q)
{
	switch (id) {
	case 'B':
		q->bases[q->nbases++] = c->value;
		break;
	case 'O':
		return ovbd_convert_layer_format(c, &q->bare);
	case 'j':
		return set_threads(c, q);
	case 'm':
		q->tag = c->value;
		break;
	case OPT_UUID:
		q->uuid = c->value;
		break;
	case OPT_PARENT:
		q->parent_uuid = c->value;
		break;
	case OPT_WHOLE:
		q->whole = true;
		break;
	case OPT_FORCE:
		q->force = true;
		break;
	default:
		break;
	}
	return OVBD_EXIT_OK;
}

static int parse(struct ovbd_cli *c, struct request *q)
{
	int id, status = OVBD_EXIT_OK;

	while (status == OVBD_EXIT_OK && (id = ovbd_cli_next(c)) > 0)
		status = take_option(c, id, q);
	if (status != OVBD_EXIT_OK)
		return status;
	if (id < 0)
		return c->status;
	if (q->whole && q->nbases > 0)
		return ovbd_cli_usage(
			c, "--whole says that nothing lies beneath, and --base what does");
	if (c->noperands < 2)
		return ovbd_cli_usage(c, c->noperands == 0 ? "DATA is missing" : "OUT is missing");
	if (ovbd_cli_at_most(c, 3) != 0)
		return c->status;
	q->data = c->operands[0];
	q->index = c->noperands == 3 ? c->operands[1] : NULL;
	q->out = c->operands[c->noperands - 1];
	return OVBD_EXIT_OK;
}

/* ---- the run ---- */

static int commit(const struct request *q, const struct ovbd_image *below,
                  struct ovbd_converted *ret, struct ovbd_error *err)
{
	const struct ovbd_commit how = {
		.out = {.dst = q->out,
	                .format = q->bare ? OVBD_FORMAT_LSMT : OVBD_FORMAT_OVBD,
	                .force = q->force,
	                .zfile = {.codec = OVBD_CODEC_ZSTD,
	                          .block_size = BLOCK_SIZE,
	                          .checksum = true,
	                          .nthreads = q->nthreads ? q->nthreads : ovbd_cpus()},
	                .uuid = q->uuid,
	                .parent_uuid = q->parent_uuid,
	                .tag = q->tag},
		.data = q->data,
		.index = q->index,
		.whole = q->whole,
		.below = below,
	};
	const int r = ovbd_dst_check(q->out, q->force, err);

	return r < 0 ? r : ovbd_commit_run(&how, ret, err);
}

static int open_and_commit(const struct ovbd_cli *c, const struct request *q)
{
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *below = NULL;
	char count[OVBD_COUNT_TEXT];
	struct ovbd_converted done;
	struct ovbd_error err;
	int r, status;

	if (q->nbases > 0 && ovbd_source_open(c, q->bases, q->nbases, NULL, &below, &status) < 0)
		return status;
	ovbd_interrupt_catch();
	r = commit(q, below, &done, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	if (done.nsegments > OVBD_SEGMENTS_ORIGINAL)
		ovbd_cli_warning(c, "%s: %s: overlaybd opens layers of at most %u", q->out,
		                 ovbd_count_text(count, done.nsegments, "segment"),
		                 OVBD_SEGMENTS_ORIGINAL);
	return OVBD_EXIT_OK;
}

static int run(struct ovbd_cli *c)
{
	AUTO_FREE const char **bases = calloc((size_t)c->argc, sizeof(bases[0]));
	struct request q = {.bases = bases};
	int r;

	if (!bases) {
		ovbd_cli_error(c, "out of memory");
		return OVBD_EXIT_FAILURE;
	}
	r = parse(c, &q);
	return r != OVBD_EXIT_OK || !q.out ? r : open_and_commit(c, &q);
}

const struct ovbd_verb ovbd_verb_commit = {
	.name = "commit",
	.summary = "Make a layer of what was written to a writable one",
	.usage = "DATA [INDEX] OUT",
	.text = "Writes OUT, a layer of what was written to the writable layer DATA (with INDEX: "
		"one of overlaybd's), which nobody may have open. What lies beneath is not part of "
		"it. "
		"The same content gives the same bytes.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage; 128 + N after signal N.",
	.run = run,
};
