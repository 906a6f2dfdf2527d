// SPDX-License-Identifier: Apache-2.0
/* overlaybd-apply: a tar is applied to the writable layer of an image, or to a raw disk. */
#include <errno.h>
#include <stdio.h>

#include "tools/apply_device.h"
#include "tools/fs_options.h"
#include "tools/interrupt.h"
#include "tools/overlaybd.h"
#include "tools/overlaybd_service.h"
#include "tools/progress.h"

enum {
	OPT_RAW = OVBD_OPTION_OWN,
	OPT_MKFS,
	OPT_SERVICE,
	OPT_CHECKSUM,
	OPT_GZ_INDEX,
	OPT_QCOW2,
	OPT_EXTRACT,
	OPT_NO_EXTRACT,
};

static const struct ovbd_option options[] = {
	{OPT_RAW, "raw", NULL, "CONFIG is a raw disk."},
	{OPT_MKFS, "mkfs", NULL, "Make an empty ext4 of it first."},
	{OPT_CHECKSUM, "checksum", "sha256:HEX", "The digest that TAR must have, decompressed."},
	{OPT_SERVICE, "service_config_path", "FILE",
         "The daemon's configuration (default: /etc/overlaybd/overlaybd.json, if it is there)."},
	{OPT_GZ_INDEX, "gz_index_path", "FILE", "Refused: for layers of turboOCI."},
	{OPT_QCOW2, "from_qcow2", NULL, "Refused: qcow2 images are not read."},
	{OPT_EXTRACT, "extract-rootfs", NULL, "Refused likewise."},
	{OPT_NO_EXTRACT, "no-extract-rootfs", NULL, "Refused likewise."},
	{0},
};

struct request {
	bool raw, mkfs;
	const char *service, *checksum;
};

/* ---- the command line ---- */

static int refuse(struct ovbd_cli *c, const char *sentence)
{
	ovbd_cli_error(c, "%s", sentence);
	c->status = OVBD_EXIT_UNAVAILABLE;
	return -1;
}

static int take_option(struct ovbd_cli *c, int id, struct request *q)
{
	switch (id) {
	case OPT_RAW:
		q->raw = true;
		return 0;
	case OPT_MKFS:
		q->mkfs = true;
		return 0;
	case OPT_CHECKSUM:
		q->checksum = c->value;
		return 0;
	case OPT_SERVICE:
		q->service = c->value;
		return 0;
	case OPT_GZ_INDEX:
		return refuse(c, "--gz_index_path: layers of turboOCI are not made here; "
		                 "overlaybd's own tool does");
	default:
		return refuse(c, "qcow2 images are not read here: make a raw one of it, with "
		                 "qemu-img convert -O raw, and a layer of that with ovbd convert");
	}
}

static int parse(struct ovbd_cli *c, struct request *q)
{
	static const char *const names[] = {"TAR", "CONFIG", NULL};
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		if (take_option(c, id, q) < 0)
			return -1;
	return id < 0 ? -1 : ovbd_overlaybd_operands(c, 2, names);
}

/* ---- the run ---- */

static int apply(struct ovbd_cli *c, const struct request *q, struct ovbd_device *d,
                 struct ovbd_error *err)
{
	struct ovbd_progress progress;
	const struct ovbd_apply_device a = {
		.device = d,
		.mkfs = q->mkfs,
		.tar = c->operands[0],
		.diff_id = q->checksum,
		.now = ovbd_source_date(),
		.progress = ovbd_progress_update,
		.arg = &progress,
	};
	int r;

	ovbd_progress_start(&progress, c, false);
	r = ovbd_apply_device(&a, err);
	ovbd_progress_end(&progress);
	return r;
}

static int apply_raw(struct ovbd_cli *c, const struct request *q, struct ovbd_error *err)
{
	AUTO_DEVICE *d = NULL;
	const int r = ovbd_device_open_file_alone(c->operands[1], &d, err);

	return r < 0 ? r : apply(c, q, d, err);
}

static int apply_image(struct ovbd_cli *c, const struct request *q, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_overlaybd_service_close) struct ovbd_overlaybd_service service = {NULL};
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	const char *config = c->operands[1];
	int r = ovbd_overlaybd_service_open(c, q->service, &service, err);

	if (r == 0)
		r = ovbd_overlaybd_image(&service, config, &img, err);
	if (r == 0 && !img->upper)
		r = ovbd_fail(err, -EROFS,
		              "%s: is read-only: it names no upper with data and index", config);
	return r < 0 ? r : apply(c, q, img->upper, err);
}

static int run(struct ovbd_cli *c)
{
	struct request q = {.raw = false};
	struct ovbd_error err;
	int r;

	if (parse(c, &q) < 0)
		return c->status;
	ovbd_interrupt_catch();
	r = q.raw ? apply_raw(c, &q, &err) : apply_image(c, &q, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	printf("overlaybd-apply done\n");
	fprintf(stderr, "%s\n", q.checksum ? q.checksum : "");
	return OVBD_EXIT_OK;
}

static const struct ovbd_example examples[] = {
	{"overlaybd-apply layer.tar config.v1.json", "To the upper that the configuration names."},
	{"overlaybd-apply --raw --mkfs rootfs.tar disk.raw", "To a disk of its own."},
	{NULL},
};

const struct ovbd_verb ovbd_overlaybd_apply = {
	.name = "apply",
	.program = "overlaybd-apply",
	.summary = "Apply a tar to a writable layer",
	.usage = "TAR CONFIG",
	.text = "TAR (as it is, or compressed by gzip or zstd; a pipe too) is applied as a layer "
		"of a container image is to the file system (ext4) of the image CONFIG (JSON), "
		"which must have an upper. Nothing is mounted. In the place of overlaybd's "
		"program.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage; 69 not possible here; 128 + N after signal N.",
	.run = run,
};
