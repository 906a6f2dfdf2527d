// SPDX-License-Identifier: Apache-2.0
/* check: its command line and its verdict. The work is in check.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "remote/verity.h"
#include "tools/check.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/text.h"
#include "tools/verbs.h"

enum { OPT_VERITY = OVBD_OPTION_LONG };
enum { EXIT_CLEAN = 0, EXIT_UNCHECKED = 1, EXIT_CORRUPT = 2 }; /* as qemu-img check */

static const struct ovbd_option options[] = {
	OVBD_SOURCE_OPTIONS,
	OVBD_OPTION_OUTPUT_ENTRY,
	{OPT_VERITY, "verity", "ROOT",
         "Also verify that this is the root of SRC, which is one file or URL: sha256: and what "
         "fsverity digest prints. Of an image configuration that names roots it is done anyway."},
	{'p', "progress", NULL,
         "Show progress also if standard error is no terminal: a line per 10 %."},
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd check disk.ovbd", "Every header, table, checksum and block of a layer."},
	{"ovbd check -q https://example.org/disk.ovbd || echo bad", "For a script."},
	{NULL},
};

struct check {
	struct ovbd_image_params how;
	bool json, progress;
	const char *root; /* or NULL */
};

static const char *verdict(int code)
{
	return code == 0 ? "clean" : code == -EBADMSG ? "corrupt" : "unchecked";
}

/* ---- what is printed ---- */

/* What is good goes to standard output, what is not to standard error, also with -q. */
static void print_layer(const struct ovbd_cli *c, const struct ovbd_image_layer *l,
                        const struct ovbd_check_result *res)
{
	AUTO_FREE char *name = ovbd_text_escape(l->shown);
	char size[OVBD_SIZE_TEXT], count[OVBD_COUNT_TEXT];

	if (res->code < 0) {
		struct ovbd_error err = res->err;

		ovbd_fail_named(&err, res->code, l->shown);
		ovbd_cli_error(c, "%s", err.msg);
		return;
	}
	if (c->quiet)
		return;
	printf("%s: ", name ? name : "");
	if (l->layer)
		printf("%s, ",
		       ovbd_count_text(count, ovbd_layer_info(l->layer)->nsegments, "segment"));
	if (l->root)
		printf("%s, ", l->root);
	if (l->zfile)
		printf("%s %s checksum: good\n", ovbd_count_text(count, res->nblocks, "block"),
		       res->checksum ? "with a" : "without a");
	else
		printf("%s without a checksum read: good\n", ovbd_size_text(size, res->raw_size));
}

static json_t *layer_json(const struct ovbd_image *img, size_t number,
                          const struct ovbd_check_result *res)
{
	const struct ovbd_image_layer *l = &img->layers[number];
	json_t *obj = json_object();

	ovbd_json_set_text(obj, "filename", l->shown);
	ovbd_json_set_text(obj, "format", ovbd_format_name(l->format));
	ovbd_json_set_text(obj, "result", verdict(res->code));
	ovbd_json_set_bool(obj, "checksums", res->checksum);
	if (l->layer)
		ovbd_json_set_size(obj, "segments", ovbd_layer_info(l->layer)->nsegments);
	if (l->zfile)
		ovbd_json_set_size(obj, "blocks", res->nblocks);
	if (l->root)
		ovbd_json_set_text(obj, "verity", l->root);
	if (res->code < 0)
		ovbd_json_set_text(obj, "error", res->err.msg);
	return obj;
}

/* The verdict where no image could be opened. */
static int print_corrupt(const struct ovbd_cli *c, bool json, const struct ovbd_error *err)
{
	if (json) {
		json_t *obj = ovbd_json_create("check");

		ovbd_json_set_text(obj, "result", "corrupt");
		ovbd_json_set_text(obj, "error", err->msg);
		ovbd_json_set(obj, "layers", json_array());
		ovbd_json_print(obj);
	} else {
		ovbd_cli_error(c, "%s", err->msg);
	}
	return EXIT_CORRUPT;
}

/* ---- the run ---- */

/* The worst of all: corrupt is worse than unchecked. */
static int overall(const struct ovbd_check_result *res, size_t n)
{
	int code = 0;

	for (size_t i = 0; i < n; i++)
		if (res[i].code < 0 && code != -EBADMSG)
			code = res[i].code;
	return code;
}

static void print_results(const struct ovbd_cli *c, const struct check *q,
                          const struct ovbd_image *img, const struct ovbd_check_result *res)
{
	const int code = overall(res, img->nlayers);
	json_t *obj, *layers;

	if (!q->json) {
		for (size_t i = 0; i < img->nlayers; i++)
			print_layer(c, &img->layers[i], &res[i]);
		return;
	}
	obj = ovbd_json_create("check");
	layers = json_array();
	ovbd_json_set_text(obj, "result", verdict(code));
	for (size_t i = 0; i < img->nlayers; i++)
		ovbd_json_append(layers, layer_json(img, i, &res[i]));
	ovbd_json_set(obj, "layers", layers);
	ovbd_json_print(obj);
}

static int check_opened(const struct ovbd_cli *c, const struct check *q,
                        const struct ovbd_image *img)
{
	AUTO_FREE struct ovbd_check_result *res = calloc(img->nlayers, sizeof(res[0]));
	struct ovbd_progress progress;
	int code;

	if (!res) {
		ovbd_cli_error(c, "out of memory");
		return OVBD_EXIT_FAILURE;
	}
	ovbd_progress_start(&progress, c, q->progress);
	ovbd_check_image(c, img, ovbd_progress_update, &progress, res);
	ovbd_progress_end(&progress);
	code = overall(res, img->nlayers);
	for (size_t i = 0; i < img->nlayers; i++) {
		/* what could not be checked is a failure: no verdict is printed */
		if (code < 0 && code != -EBADMSG && res[i].code == code)
			return ovbd_cli_fail(c, code, ovbd_source_is_remote(img), &res[i].err);
	}
	print_results(c, q, img, res);
	ovbd_source_note_fetched(c, img);
	return code == 0 ? EXIT_CLEAN : EXIT_CORRUPT;
}

/* Whether there is something in img that can be checked. */
static bool is_known(const struct ovbd_image *img)
{
	return img->nlayers > 1 || img->format != OVBD_FORMAT_RAW || img->layers[0].root;
}

/* What the command line says of the only layer. */
static int set_root(const struct check *q, struct ovbd_image *img, struct ovbd_error *err)
{
	if (!q->root)
		return 0;
	if (img->format == OVBD_FORMAT_IMAGE)
		return ovbd_fail(err, -EINVAL,
		                 "--verity: SRC is a configuration, which has roots "
		                 "of its own for its layers");
	img->layers[0].root = strdup(q->root);
	return img->layers[0].root ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

static int check(const struct ovbd_cli *c, const struct check *q)
{
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	struct ovbd_error err, suspicion;
	int r;

	r = ovbd_source_image(c, c->operands, c->noperands, &q->how, &img, &err);
	if (r == -EBADMSG)
		return print_corrupt(c, q->json, &err);
	if (r == 0)
		r = set_root(q, img, &err);
	if (r == 0 && is_known(img))
		return check_opened(c, q, img);
	/* one file that is nothing we know: was it? */
	if ((r == 0 || r == -ENOTSUP) && q->how.format == OVBD_FORMAT_AUTO)
		for (size_t i = 0; i < c->noperands; i++)
			if (ovbd_check_suspect(c, c->operands[i], &suspicion) == -EBADMSG)
				return print_corrupt(c, q->json, &suspicion);
	if (r < 0)
		return ovbd_cli_fail(c, r, ovbd_source_maybe_remote(c->operands, c->noperands),
		                     &err);
	ovbd_cli_error(c, "%s: is neither a layer nor a ZFile: nothing in it can be checked",
	               c->operands[0]);
	return EXIT_UNCHECKED;
}

static int run(struct ovbd_cli *c)
{
	struct check q = {.how = {.format = OVBD_FORMAT_AUTO, .below = OVBD_BENEATH_UNSAID}};
	struct ovbd_verity_root root;
	struct ovbd_error err;
	int id;

	while ((id = ovbd_cli_next(c)) > 0) {
		if (ovbd_source_option(c, id, &q.how) < 0)
			return c->status;
		if (id == OVBD_OPTION_OUTPUT && ovbd_json_wanted(c, c->value, &q.json) < 0)
			return c->status;
		if (id == 'p')
			q.progress = true;
		if (id == OPT_VERITY)
			q.root = c->value;
	}
	if (id < 0)
		return c->status;
	if (c->noperands == 0)
		return ovbd_cli_usage(c, "SRC is missing");
	if (q.root && ovbd_verity_root_parse(q.root, &root, &err) < 0)
		return ovbd_cli_usage(c, "--verity: %s", err.msg);
	if (q.root && c->noperands > 1)
		return ovbd_cli_usage(c, "--verity is the root of one SRC");
	ovbd_interrupt_catch();
	return check(c, &q);
}

const struct ovbd_verb ovbd_verb_check = {
	.name = "check",
	.summary = "Verify every header, table, checksum and block",
	.usage = "SRC...",
	.text = "SRC is a layer, a ZFile, an image configuration (JSON) or a URL. What is not "
		"compressed has no checksums: of it, headers and indexes are verified and all "
		"bytes "
		"read once.",
	.options = options,
	.examples = examples,
	.exits = "0 clean; 1 could not be checked; 2 corrupt (or wrong usage); a SRC over the "
		 "network "
		 "that cannot be read: 69, 74, 75, 77 as for convert.",
	.run = run,
};
