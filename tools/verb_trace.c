// SPDX-License-Identifier: Apache-2.0
/* trace: looks into what a start of an image has read, puts several starts together, and makes
 * one of the names of files. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "image/paths.h"
#include "image/trace.h"
#include "lsmt/lsmt.h"
#include "tools/dst.h"
#include "tools/json.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/verbs.h"

enum { OPTION_FORCE = OVBD_OPTION_LONG };

#define WHAT "show, merge, from-paths"

static const struct ovbd_option options[] = {
	{OPTION_FORCE, "force", NULL, "merge, from-paths: replace OUT if it exists."},
	OVBD_OPTION_OUTPUT_ENTRY,
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd serve --fuse disk.raw --record-trace start.trace image.json",
         "Record what a start reads."},
	{"ovbd trace show start.trace", "What that was."},
	{"ovbd trace merge start.trace other.trace both.trace", "Of two starts of the same image."},
	{"ovbd trace from-paths files.txt start.trace image.json",
         "Of files that a start will read, by their names."},
	{NULL},
};

struct arguments {
	bool force, json;
};

/* Loads all, one behind the other, in whole pages and without what was there before. */
static int load(struct ovbd_trace *t, const char *const *names, size_t n, struct ovbd_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		AUTO_TRACE one = {0};

		r = ovbd_trace_load(&one, names[i], err);
		if (r == 0)
			r = ovbd_trace_merge(t, &one, err);
	}
	return r;
}

static size_t count_layers(const struct ovbd_trace *t)
{
	bool seen[OVBD_LAYERS_MAX] = {false};
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		n += !seen[t->records[i].layer];
		seen[t->records[i].layer] = true;
	}
	return n;
}

static void show_json(const struct ovbd_trace *t)
{
	json_t *obj = ovbd_json_create("trace"), *list = json_array();

	ovbd_json_set_size(obj, "size", ovbd_trace_size(t));
	ovbd_json_set(obj, "ranges", list);
	for (size_t i = 0; i < t->n; i++) {
		json_t *one = json_object();

		ovbd_json_append(list, one);
		ovbd_json_set_size(one, "layer", t->records[i].layer);
		ovbd_json_set_size(one, "offset", t->records[i].off);
		ovbd_json_set_size(one, "length", t->records[i].len);
	}
	ovbd_json_print(obj);
}

static void show_text(const struct ovbd_trace *t)
{
	char size[OVBD_SIZE_FULL], ranges[OVBD_COUNT_TEXT], layers[OVBD_COUNT_TEXT];

	printf("%s of %s: %s\n", ovbd_count_text(ranges, t->n, "range"),
	       ovbd_count_text(layers, count_layers(t), "layer"),
	       ovbd_size_full(size, ovbd_trace_size(t)));
	if (t->n > 0)
		printf("%5s %14s %12s\n", "layer", "offset", "length");
	for (size_t i = 0; i < t->n; i++)
		printf("%5" PRIu32 " %14" PRIu64 " %12" PRIu64 "\n", t->records[i].layer,
		       t->records[i].off, t->records[i].len);
}

static int show(struct ovbd_cli *c, const struct arguments *a)
{
	AUTO_TRACE t = {0};
	struct ovbd_error err;
	int r;

	if (c->noperands < 2)
		return ovbd_cli_usage(c, "FILE is missing");
	r = c->noperands == 2 ? ovbd_trace_load(&t, c->operands[1], &err)
	                      : load(&t, c->operands + 1, c->noperands - 1, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	if (a->json)
		show_json(&t);
	else
		show_text(&t);
	return OVBD_EXIT_OK;
}

static int merge(struct ovbd_cli *c, const struct arguments *a)
{
	const char *out = c->operands[c->noperands - 1];
	AUTO_TRACE t = {0};
	struct ovbd_error err;
	int r;

	if (c->noperands < 3)
		return ovbd_cli_usage(c, c->noperands < 2 ? "FILE and OUT are missing"
		                                          : "OUT is missing");
	r = ovbd_dst_check(out, a->force, &err);
	if (r == 0)
		r = load(&t, c->operands + 1, c->noperands - 2, &err);
	if (r == 0)
		r = ovbd_trace_save(&t, out, &err);
	return r < 0 ? ovbd_cli_fail(c, r, false, &err) : OVBD_EXIT_OK;
}

static void tell_missing(void *arg, const char *sentence)
{
	ovbd_cli_warning(arg, "%s", sentence);
}

static int from_paths(struct ovbd_cli *c, const struct arguments *a)
{
	OVBD_AUTO(ovbd_recorder_closep) struct ovbd_recorder *recorder = NULL;
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	struct ovbd_paths_params paths = {.told = tell_missing, .arg = c};
	struct ovbd_image_params how = {0};
	AUTO_FREE char *text = NULL;
	AUTO_TRACE t = {0};
	struct ovbd_error err;
	size_t len = 0;
	int r, status;

	if (c->noperands < 4)
		return ovbd_cli_usage(c, "it is: trace from-paths LIST OUT SRC...");
	r = ovbd_dst_check(c->operands[2], a->force, &err);
	if (r == 0)
		r = ovbd_paths_load(c->operands[1], &text, &len, &err);
	if (r == 0)
		r = ovbd_recorder_create(&recorder, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	how.recorder = recorder;
	if (ovbd_source_open(c, c->operands + 3, c->noperands - 3, &how, &img, &status) < 0)
		return status;
	paths.recorder = recorder;
	r = ovbd_paths_trace(img, text, len, &paths, &t, &err);
	if (r == 0)
		r = ovbd_trace_save(&t, c->operands[2], &err);
	return r < 0 ? ovbd_cli_fail(c, r, ovbd_source_is_remote(img), &err) : OVBD_EXIT_OK;
}

static int run(struct ovbd_cli *c)
{
	struct arguments a = {false};
	const char *what;
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		if (id == OPTION_FORCE)
			a.force = true;
		else if (ovbd_json_wanted(c, c->value, &a.json) < 0)
			return c->status;
	if (id < 0)
		return c->status;
	what = c->noperands > 0 ? c->operands[0] : "";
	if (strcmp(what, "show") == 0)
		return show(c, &a);
	if (strcmp(what, "merge") == 0)
		return merge(c, &a);
	if (strcmp(what, "from-paths") == 0)
		return from_paths(c, &a);
	return what[0] ? ovbd_cli_usage(c, "'%s' is none of: " WHAT, what)
	               : ovbd_cli_usage(c, "a word is missing, one of: " WHAT);
}

const struct ovbd_verb ovbd_verb_trace = {
	.name = "trace",
	.summary = "Show, merge or make traces of what starts of an image read",
	.usage = "show|merge|from-paths ...",
	.text = "A trace names the ranges of an image's layers that were read, in order, as ovbd "
		"serve --record-trace or overlaybd's daemon has recorded them.\n\n"
		"show FILE... prints the ranges. Several FILE are shown as merged: one behind "
		"the other, in whole pages of 4 KiB, none of them twice. merge FILE... OUT writes "
		"that to OUT. They must be of the same image.\n\n"
		"from-paths LIST OUT SRC... makes one of the names of files: LIST has one on "
		"each line, absolute in the ext4 that the image SRC holds. A directory with a "
		"slash at its end is all that is in it.",
	.options = options,
	.examples = examples,
	.run = run,
};
