// SPDX-License-Identifier: Apache-2.0
/* merge-ota: an update is merged into its base, in place; or it is said whether it could be. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "ota/merge.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/size.h"
#include "tools/text.h"
#include "tools/verbs.h"

#define THREADS_MAX 8 /* the disk is the limit */

enum { OPT_SMALL_GROUPS = OVBD_OPTION_LONG };

static const struct ovbd_option options[] = {
	{'n', "check", NULL, "Say whether it can be merged, and how; change nothing."},
	{OPT_SMALL_GROUPS, "small-groups", NULL,
         "Merge also what overwrites what it copies and has no scratch area: as few operations at "
         "a time as that takes, each time waiting for the disk."},
	OVBD_OPTION_OUTPUT_ENTRY,
	{'p', "progress", NULL,
         "Show progress also if standard error is no terminal: a line per 10 %."},
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd merge-ota -n system.img update.cow", "Could it be merged? What is left to do?"},
	{"ovbd merge-ota system.img update.cow", "The image becomes the updated one."},
	{NULL},
};

struct merge {
	const struct ovbd_cli *cli;
	const char *base, *cow; /* paths */
	bool json, check, progress;
	struct ovbd_merge_params how;
	/* what came of it */
	struct ovbd_merge_plan plan;
	uint64_t nmerged, nops;
};

/* ---- what is printed ---- */

static int finish(const struct merge *q, const char *result, int code, const struct ovbd_error *err)
{
	json_t *obj;

	if (code < 0 && !q->json)
		return ovbd_cli_fail(q->cli, code, false, err);
	if (!q->json)
		return OVBD_EXIT_OK;
	obj = ovbd_json_create("merge-ota");
	ovbd_json_set_text(obj, "base", q->base);
	ovbd_json_set_text(obj, "cow", q->cow);
	ovbd_json_set_text(obj, "result", result);
	if (code < 0)
		ovbd_json_set_text(obj, "error", err->msg);
	ovbd_json_set_size(obj, "operations", q->nops);
	ovbd_json_set_size(obj, "merged", q->nmerged);
	ovbd_json_set_size(obj, "steps", q->plan.ngroups);
	ovbd_json_set_size(obj, "scratch-steps", q->plan.nscratch);
	ovbd_json_set_size(obj, "bytes", q->plan.nwritten);
	ovbd_json_print(obj);
	if (code < 0 && ovbd_interrupted())
		return OVBD_EXIT_SIGNAL + ovbd_interrupted();
	return ovbd_exit_status(code, false);
}

static void say_plan(const struct merge *q)
{
	char size[OVBD_SIZE_TEXT];

	if (q->json || q->cli->quiet)
		return;
	if (q->plan.nops == 0) {
		printf("nothing to do: all %" PRIu64 " operations are merged\n", q->nops);
		return;
	}
	printf("can be merged: %" PRIu64 " of %" PRIu64 " operations, %s to write, in %" PRIu64
	       " steps, of them %" PRIu64 " by way of the scratch area\n",
	       q->plan.nops, q->nops, ovbd_size_text(size, q->plan.nwritten), q->plan.ngroups,
	       q->plan.nscratch);
}

/* ---- the two ways ---- */

static int plan(struct merge *q, const struct ovbd_cow *c, uint64_t base_size,
                struct ovbd_error *err)
{
	q->nops = ovbd_cow_count(c);
	q->nmerged = ovbd_cow_info(c)->nmerged;
	return ovbd_merge_plan(c, base_size, &q->how, &q->plan, err);
}

static int check(struct merge *q)
{
	OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *c = NULL;
	AUTO_BLOB *base = NULL;
	struct ovbd_blob *b;
	struct ovbd_error err;
	int r;

	r = ovbd_blob_open_file(q->base, &base, &err);
	if (r == 0)
		r = ovbd_blob_open_file(q->cow, &b, &err);
	if (r < 0)
		return finish(q, "failed", r, &err);
	r = ovbd_cow_open(b, NULL, &c, &err);
	if (r == 0)
		r = plan(q, c, base->size, &err);
	if (r < 0)
		return finish(q, "refused", ovbd_fail_named(&err, r, q->cow), &err);
	say_plan(q);
	return finish(q, q->plan.nops ? "can be merged" : "merged", 0, NULL);
}

static int run_steps(struct merge *q, struct ovbd_merge *m, struct ovbd_error *err)
{
	struct ovbd_merge_progress done;
	struct ovbd_progress progress;
	int r = 1;

	ovbd_progress_start(&progress, q->cli, q->progress);
	while (r > 0) {
		done = ovbd_merge_progress(m);
		if (ovbd_progress_update(&progress, done.written, q->plan.nwritten) != 0)
			r = ovbd_fail(err, -ECANCELED, "interrupted");
		else
			r = ovbd_merge_step(m, err);
	}
	done = ovbd_merge_progress(m);
	q->nmerged = done.nmerged;
	ovbd_progress_update(&progress, done.written, q->plan.nwritten);
	ovbd_progress_end(&progress);
	return r;
}

static int open_devices(const struct merge *q, struct ovbd_device **ret_base,
                        struct ovbd_device **ret_cow, struct ovbd_error *err)
{
	AUTO_DEVICE *base = NULL;
	struct stat a, b;
	int r;

	if (stat(q->base, &a) == 0 && stat(q->cow, &b) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino)
		return ovbd_fail(err, -EINVAL, "%s: is BASE and COW", q->cow);
	r = ovbd_device_open_file_alone(q->base, &base, err);
	if (r == 0)
		r = ovbd_device_open_file_alone(q->cow, ret_cow, err);
	if (r == 0)
		*ret_base = OVBD_MOVE(base);
	return r;
}

static int merge(struct merge *q)
{
	OVBD_AUTO(ovbd_merge_closep) struct ovbd_merge *m = NULL;
	AUTO_DEVICE *base = NULL;
	AUTO_DEVICE *cow = NULL;
	struct ovbd_error err;
	uint64_t size;
	int r;

	r = open_devices(q, &base, &cow, &err);
	if (r < 0)
		return finish(q, "failed", r, &err);
	size = base->blob->size;
	r = ovbd_merge_open(OVBD_MOVE(cow), OVBD_MOVE(base), &q->how, &m, &err);
	if (r == 0)
		r = plan(q, ovbd_merge_cow(m), size, &err);
	if (r < 0)
		return finish(q, "refused", ovbd_fail_named(&err, r, q->cow), &err);
	r = run_steps(q, m, &err);
	if (r < 0 && q->nmerged > 0)
		ovbd_cli_note(q->cli,
		              "%" PRIu64 " of %" PRIu64
		              " operations are merged; the same command goes on from there",
		              q->nmerged, q->nops);
	if (r < 0)
		return finish(q, ovbd_interrupted() ? "interrupted" : "failed", r, &err);
	if (!q->json && !q->cli->quiet)
		printf("merged: %" PRIu64 " operations\n", q->plan.nops);
	return finish(q, "merged", 0, NULL);
}

/* ---- the command line ---- */

static int parse(struct ovbd_cli *c, int id, struct merge *q)
{
	switch (id) {
	case 'n':
		q->check = true;
		return 0;
	case OPT_SMALL_GROUPS:
		q->how.small_groups = true;
		return 0;
	case 'p':
		q->progress = true;
		return 0;
	default: /* OVBD_OPTION_OUTPUT */
		return ovbd_json_wanted(c, c->value, &q->json);
	}
}

static int run(struct ovbd_cli *c)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct merge q = {.cli = c};
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		if (parse(c, id, &q) < 0)
			return c->status;
	if (id < 0)
		return c->status;
	if (c->noperands < 2)
		return ovbd_cli_usage(c, "%s is missing", c->noperands == 0 ? "BASE" : "COW");
	if (ovbd_cli_at_most(c, 2) < 0)
		return c->status;
	q.base = c->operands[0];
	q.cow = c->operands[1];
	q.how.nthreads = cpus > 0 ? (unsigned)ovbd_min((uint64_t)cpus, THREADS_MAX) : 1;
	ovbd_interrupt_catch();
	return q.check ? check(&q) : merge(&q);
}

const struct ovbd_verb ovbd_verb_merge_ota = {
	.name = "merge-ota",
	.summary = "Merge an update of Android into its base, in place",
	.usage = "BASE COW",
	.text = "BASE, a raw file or a block device, becomes what BASE and COW read as together. "
		"At "
		"every moment, also after the power fails, the two still read so, and the same "
		"command goes on where it was stopped. COW counts how far it is: it is written "
		"too.",
	.options = options,
	.examples = examples,
	.exits = "0 merged, or with -n: can be; 1 refused or failed; 130 after an interrupt: "
		 "what is left is as before.",
	.run = run,
};
