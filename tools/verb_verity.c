// SPDX-License-Identifier: Apache-2.0
/* verity: the Merkle tree of what is there already, and its root. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "remote/verity.h"
#include "tools/dst.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/source.h"
#include "tools/text.h"
#include "tools/verbs.h"

enum { OPT_FORCE = OVBD_OPTION_LONG };

static const struct ovbd_option options[] = {
	{OPT_FORCE, "force", NULL, "Replace OUT if it exists."},
	OVBD_OPTION_OUTPUT_ENTRY,
	{'p', "progress", NULL,
         "Show progress also if standard error is no terminal: a line per 10 %."},
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd verity create disk.ovbd", "disk.ovbd.verity is its tree; the root is printed."},
	{"ovbd verity digest disk.ovbd", "The root alone, as fsverity digest prints it."},
	{NULL},
};

struct request {
	const char *src;
	char *out; /* where the tree goes, to be freed; NULL: nowhere */
	bool force, json, progress;
};

/* ---- the command line ---- */

/* Where the tree goes if nobody says: beside the file. */
static int set_out(struct ovbd_cli *c, struct request *q)
{
	if (c->noperands == 3)
		q->out = strdup(c->operands[2]);
	else if (ovbd_http_is_url(q->src))
		return ovbd_cli_usage(c, "OUT is missing: %s is a URL", q->src);
	else if (asprintf(&q->out, "%s.verity", q->src) < 0)
		q->out = NULL;
	if (!q->out) {
		ovbd_cli_error(c, "out of memory");
		return OVBD_EXIT_FAILURE;
	}
	if (ovbd_http_is_url(q->out) || strcmp(q->out, "-") == 0)
		return ovbd_cli_usage(c, "OUT %s: it is a file", q->out);
	if (strcmp(q->out, q->src) == 0)
		return ovbd_cli_usage(c, "OUT %s: it is another file than LAYER", q->out);
	return OVBD_EXIT_OK;
}

static int check(struct ovbd_cli *c, struct request *q)
{
	const char *what = c->noperands > 0 ? c->operands[0] : "";
	const bool create = strcmp(what, "create") == 0;

	if (!create && strcmp(what, "digest") != 0)
		return ovbd_cli_usage(c,
		                      c->noperands == 0
		                              ? "it is: verity create LAYER, or digest LAYER"
		                              : "'%s' is none of: create, digest",
		                      what);
	if (c->noperands < 2)
		return ovbd_cli_usage(c, "LAYER is missing");
	if (ovbd_cli_at_most(c, create ? 3 : 2) != 0)
		return c->status;
	q->src = c->operands[1];
	if (create)
		return set_out(c, q);
	return q->force ? ovbd_cli_usage(c, "--force is for create") : OVBD_EXIT_OK;
}

/* ---- the run ---- */

static int measure(const struct request *q, struct ovbd_blob *b, struct ovbd_progress *progress,
                   struct ovbd_verity_root *ret, struct ovbd_error *err)
{
	const struct ovbd_sink_file_params file = {.overwrite = q->force};
	AUTO_SINK *tree = NULL;
	int r = 0;

	if (q->out)
		r = ovbd_dst_check(q->out, q->force, err);
	if (r == 0 && q->out)
		r = ovbd_sink_create_file(q->out, &file, &tree, err);
	if (r == 0)
		r = ovbd_verity_measure(b, tree, ovbd_progress_update, progress, ret, err);
	return r == 0 && tree ? ovbd_sink_finish(tree, err) : r;
}

static void print(const struct request *q, const struct ovbd_image *img,
                  const struct ovbd_verity_root *root)
{
	AUTO_FREE char *name = ovbd_text_escape(img->layers[0].shown);
	char text[OVBD_VERITY_TEXT_SIZE];
	json_t *obj;

	ovbd_verity_root_text(root, text);
	if (!q->json) {
		printf("%s %s\n", text, name ? name : "");
		return;
	}
	obj = ovbd_json_create("verity");
	ovbd_json_set_text(obj, "filename", img->layers[0].shown);
	ovbd_json_set_size(obj, "size", img->blob->size);
	ovbd_json_set_text(obj, "root", text);
	ovbd_json_set_size(obj, "tree-size", ovbd_verity_tree_size(img->blob->size));
	if (q->out)
		ovbd_json_set_text(obj, "tree", q->out);
	ovbd_json_print(obj);
}

static int open_and_measure(struct ovbd_cli *c, const struct request *q)
{
	static const struct ovbd_image_params raw = {.format = OVBD_FORMAT_RAW};
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	struct ovbd_verity_root root;
	struct ovbd_progress progress;
	struct ovbd_error err;
	int r;

	if (ovbd_source_open(c, &q->src, 1, &raw, &img, &c->status) < 0)
		return c->status;
	ovbd_progress_start(&progress, c, q->progress);
	r = measure(q, img->blob, &progress, &root, &err);
	ovbd_progress_end(&progress);
	if (r < 0)
		return ovbd_cli_fail(c, r, ovbd_source_is_remote(img), &err);
	print(q, img, &root);
	ovbd_source_note_fetched(c, img);
	return OVBD_EXIT_OK;
}

static int run(struct ovbd_cli *c)
{
	struct request q = {0};
	int id, status;

	while ((id = ovbd_cli_next(c)) > 0) {
		if (id == OVBD_OPTION_OUTPUT && ovbd_json_wanted(c, c->value, &q.json) < 0)
			return c->status;
		q.force |= id == OPT_FORCE;
		q.progress |= id == 'p';
	}
	if (id < 0)
		return c->status;
	status = check(c, &q);
	if (status == OVBD_EXIT_OK) {
		ovbd_interrupt_catch();
		status = open_and_measure(c, &q);
	}
	free(q.out);
	return status;
}

const struct ovbd_verb ovbd_verb_verity = {
	.name = "verity",
	.summary = "Make the Merkle tree by which a layer is proven",
	.usage = "create LAYER [OUT] | digest LAYER",
	.text = "Reads all of LAYER, a file or URL, and prints its root: that of fs-verity with "
		"SHA-256, blocks of 4 KiB and no salt, as fsverity digest prints it. create also "
		"writes the tree to OUT (default LAYER.verity), as fsverity digest "
		"--out-merkle-tree does. With both, an image configuration has every block of the "
		"layer proven before it is used or kept: "
		"\"verity\": {\"root\": \"sha256:...\", \"file\": \"OUT\"}.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage; a URL: 65 bad data, 69 not available, 74 I/O "
		 "error, 75 try again later, 77 denied; 128 + N after signal N.",
	.run = run,
};
