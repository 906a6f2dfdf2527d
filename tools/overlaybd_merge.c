// SPDX-License-Identifier: Apache-2.0
/* overlaybd-merge: the layers of an image, with what was written over them, become one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/convert.h"
#include "tools/dst.h"
#include "tools/interrupt.h"
#include "tools/overlaybd.h"
#include "tools/overlaybd_service.h"
#include "tools/overlaybd_upload.h"
#include "tools/progress.h"
#include "tools/scan.h"

#define READERS_REMOTE 8u /* round trips overlap, whatever the number of processors */

enum { OPT_COMPRESS = OVBD_OPTION_OWN, OPT_SERVICE };

static const struct ovbd_option options[] = {
	{OPT_COMPRESS, "compress", "[=BOOL]", "Compress OUT with lz4 (default true)."},
	{'t', "tar", NULL, "Wrap it in a tar, as registries store it."},
	{OPT_SERVICE, "service_config_path", "FILE",
         "The daemon's configuration (default: /etc/overlaybd/overlaybd.json, if it is there)."},
	OVBD_OVERLAYBD_UPLOAD_OPTIONS,
	{0},
};

struct request {
	bool bare, tar;
	const char *service;
	struct ovbd_overlaybd_upload upload;
};

static int set_compress(struct ovbd_cli *c, struct request *q)
{
	q->bare = c->value && strcmp(c->value, "false") == 0;
	if (q->bare || !c->value || strcmp(c->value, "true") == 0)
		return 0;
	return ovbd_cli_usage(c, "--compress=%s: it is true or false", c->value);
}

static int parse(struct ovbd_cli *c, struct request *q)
{
	static const char *const names[] = {"CONFIG", "OUT", NULL};
	int id;

	while ((id = ovbd_cli_next(c)) > 0) {
		if (id == OPT_COMPRESS && set_compress(c, q) != 0)
			return -1;
		if (id == 't')
			q->tar = true;
		if (id == OPT_SERVICE)
			q->service = c->value;
		if (ovbd_overlaybd_upload_option(c, id, &q->upload) < 0)
			return -1;
	}
	if (id < 0 || ovbd_overlaybd_operands(c, 2, names) < 0)
		return -1;
	return ovbd_overlaybd_upload_check(c, &q->upload);
}

static int merge(struct ovbd_cli *c, const struct request *q, const struct ovbd_image *img,
                 struct ovbd_error *err)
{
	struct ovbd_progress progress;
	struct ovbd_converted done;
	struct ovbd_convert how = {
		.src = img->blob,
		.img = img,
		.dst = c->operands[1],
		.format = q->bare ? OVBD_FORMAT_LSMT : OVBD_FORMAT_OVBD,
		.tar = q->tar,
		.force = true, /* as the original, which empties OUT */
		.parent_uuid = img->nlayers > 0 && img->layers[0].layer
	                               ? ovbd_layer_info(img->layers[0].layer)->parent_uuid
	                               : NULL,
		.nreaders = ovbd_image_is_remote(img) ? READERS_REMOTE : ovbd_cpus(),
		.progress = ovbd_progress_update,
		.arg = &progress,
	};
	bool local;
	int r;

	ovbd_overlaybd_zfile_settle(&how.zfile);
	ovbd_progress_start(&progress, c, false);
	r = ovbd_convert_run(&how, &done, &local, err);
	ovbd_progress_end(&progress);
	return r;
}

static int run(struct ovbd_cli *c)
{
	OVBD_AUTO(ovbd_overlaybd_service_close) struct ovbd_overlaybd_service service = {NULL};
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	struct request q = {.bare = false};
	struct ovbd_error err;
	int r;

	if (parse(c, &q) < 0)
		return c->status;
	ovbd_interrupt_catch();
	r = ovbd_overlaybd_service_open(c, q.service, &service, &err);
	if (r == 0)
		r = ovbd_overlaybd_image(&service, c->operands[0], &img, &err);
	if (r == 0)
		r = ovbd_dst_check(c->operands[1], true, &err);
	if (r == 0)
		r = merge(c, &q, img, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	return ovbd_overlaybd_upload_run(c, &q.upload, c->operands[1], "failed to upload");
}

static const struct ovbd_example examples[] = {
	{"overlaybd-merge config.v1.json one.commit", "All that the image has, in one layer."},
	{"overlaybd-merge --compress=false config.v1.json one.lsmt", "Not compressed."},
	{NULL},
};

const struct ovbd_verb ovbd_overlaybd_merge = {
	.name = "merge",
	.program = "overlaybd-merge",
	.summary = "Make one layer of all of an image's",
	.usage = "CONFIG OUT",
	.text = "Writes OUT, one layer that has what the image CONFIG (JSON) has, with its upper, "
		"if "
		"it names one. OUT is replaced if it is there; it appears when it is complete, or "
		"not "
		"at all. In the place of overlaybd's program.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage; 128 + N after signal N.",
	.run = run,
};
