// SPDX-License-Identifier: Apache-2.0
/* merge: some layers of a stack become one, which takes their place. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tools/convert.h"
#include "tools/convert_request.h"
#include "tools/dst.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/scan.h"
#include "tools/source.h"
#include "tools/verbs.h"

#define READERS_REMOTE 8u

enum {
	OPT_FROM = OVBD_OPTION_LONG,
	OPT_TO,
	OPT_BLOCK_SIZE,
	OPT_TAR,
	OPT_FORCE,
	OPT_UUID,
	OPT_PARENT,
};

static const struct ovbd_option options[] = {
	{OPT_FROM, "from", "I",
         "The lowest of the layers that become one (default 0, the bottom)."},
	{OPT_TO, "to", "J", "The topmost of them (default: that of the stack)."},
	{'O', "output-format", "FMT", "What DST is: ovbd (default), or lsmt: not compressed."},
	{'c', "compress", "CODEC", "lz4 (default), zstd, or zstd:LEVEL (1 to 22, default 3)."},
	{OPT_BLOCK_SIZE, "block-size", "SIZE",
         "Bytes that are compressed together: 4K (default), 8K, 16K, 32K or 64K."},
	{'j', "jobs", "N",
         "Threads; default: one per processor. The output is the same for any N."},
	{'p', "progress", NULL,
         "Show progress also if standard error is no terminal: a line per 10 %."},
	{OPT_TAR, "tar", NULL, "Wrap the layer in a tar, the way registries store it."},
	{'m', "message", "TEXT", "Its message, instead of that of layer J."},
	{OPT_UUID, "uuid", "UUID", "Its UUID, instead of that of layer J."},
	{OPT_PARENT, "parent-uuid", "UUID",
         "The UUID of the layer beneath, instead of what I says."},
	{OPT_FORCE, "force", NULL, "Replace DST if it exists."},
	OVBD_OPTION_OUTPUT_ENTRY,
	OVBD_CACHE_OPTIONS,
	OVBD_REMOTE_OPTIONS,
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd merge --from 1 --to 3 image.json middle.ovbd",
         "Layers 1, 2 and 3 of the image become one; 0 and 4 stay what they are."},
	{"ovbd merge base.ovbd one.ovbd two.ovbd all.ovbd", "All of a stack."},
	{NULL},
};

struct request {
	struct ovbd_convert_request how; /* codec, block_size, njobs */
	size_t first, last;              /* last SIZE_MAX: the topmost */
	bool bare, tar, force, progress, json;
	const char *uuid, *parent_uuid, *tag;
};

/* ---- the command line ---- */

static int set_number(struct ovbd_cli *c, const char *option, size_t *ret)
{
	char *end;
	const unsigned long n = strtoul(c->value, &end, 10);

	if (!isdigit((unsigned char)c->value[0]) || *end || n >= OVBD_LAYERS_MAX)
		return ovbd_cli_usage(c, "--%s %s: the number of a layer; the lowest is 0", option,
		                      c->value);
	*ret = n;
	return 0;
}

static int take_option(struct ovbd_cli *c, int id, struct request *q)
{
	switch (id) {
	case OPT_FROM:
		return set_number(c, "from", &q->first);
	case OPT_TO:
		return set_number(c, "to", &q->last);
	case 'O':
		return ovbd_convert_layer_format(c, &q->bare);
	case 'c':
		return ovbd_convert_layer_codec(c, &q->how, &q->bare);
	case OPT_BLOCK_SIZE:
		return ovbd_convert_block_size(c, &q->how);
	case 'j':
		return ovbd_convert_jobs(c, &q->how.njobs);
	case OVBD_OPTION_OUTPUT:
		return ovbd_json_wanted(c, c->value, &q->json);
	case 'm':
		q->tag = c->value;
		break;
	case OPT_UUID:
		q->uuid = c->value;
		break;
	case OPT_PARENT:
		q->parent_uuid = c->value;
		break;
	default:
		q->progress |= id == 'p';
		q->tar |= id == OPT_TAR;
		q->force |= id == OPT_FORCE;
		break;
	}
	return 0;
}

static int parse(struct ovbd_cli *c, struct request *q)
{
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		if (take_option(c, id, q) != 0)
			return -1;
	if (id < 0)
		return -1;
	if (c->noperands < 2)
		return ovbd_cli_usage(c, c->noperands == 0 ? "SRC and DST are missing"
		                                           : "DST is missing");
	if (q->last != SIZE_MAX && q->first > q->last)
		return ovbd_cli_usage(c, "--from %zu is above --to %zu", q->first, q->last);
	return 0;
}

/* ---- the range ---- */

/* The device is as large as the topmost of them says that says it; but beyond its end there may be
 * more, which a larger layer on top would show. *ret_size: the end of all. */
static int measure(const struct ovbd_image *img, uint64_t *ret_virtual_size, uint64_t *ret_size,
                   struct ovbd_error *err)
{
	uint64_t virtual_size = 0, size = 512;

	for (size_t i = 0; i < img->nlayers; i++) {
		const struct ovbd_image_layer *l = &img->layers[i];
		const struct ovbd_layer_info *info = l->layer ? ovbd_layer_info(l->layer) : NULL;

		if (!info)
			return ovbd_fail(err, -ENOTSUP, "%s: is no layer, but %s: see ovbd convert",
			                 l->shown, ovbd_format_name(l->format));
		if (info->virtual_size > 0)
			virtual_size = info->virtual_size;
		size = ovbd_max(size, info->end);
	}
	*ret_virtual_size = virtual_size;
	*ret_size = ovbd_align_up(ovbd_max(size, virtual_size), 512);
	return 0;
}

static int open_range(const struct ovbd_cli *c, const struct request *q, struct ovbd_image **ret,
                      uint64_t *ret_virtual_size, int *ret_status)
{
	struct ovbd_image_params how = {
		.no_upper = true,
		.range = {.given = true, .first = q->first, .last = q->last},
		.below = q->first > 0 ? OVBD_BENEATH_STACK : OVBD_BENEATH_NOTHING,
	};
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	struct ovbd_error err;
	int r = ovbd_source_open(c, c->operands, c->noperands - 1, &how, &img, ret_status);

	if (r < 0)
		return r;
	r = measure(img, ret_virtual_size, &how.range.size, &err);
	if (r < 0) {
		*ret_status = ovbd_cli_fail(c, r, false, &err);
		return r;
	}
	if (how.range.size != img->blob->size) {
		ovbd_image_close(OVBD_MOVE(img));
		return ovbd_source_open(c, c->operands, c->noperands - 1, &how, ret, ret_status);
	}
	*ret = OVBD_MOVE(img);
	return 0;
}

/* ---- the run ---- */

static int merge(const struct ovbd_cli *c, const struct request *q, const struct ovbd_image *img,
                 uint64_t virtual_size)
{
	const struct ovbd_layer_info *low = ovbd_layer_info(img->layers[0].layer);
	const struct ovbd_layer_info *top = ovbd_layer_info(img->layers[img->nlayers - 1].layer);
	const unsigned njobs = q->how.njobs ? q->how.njobs : ovbd_cpus();
	const bool remote = ovbd_source_is_remote(img);
	struct ovbd_progress progress;
	const struct ovbd_convert v = {
		.src = img->blob,
		.img = img,
		.dst = c->operands[c->noperands - 1],
		.format = q->bare ? OVBD_FORMAT_LSMT : OVBD_FORMAT_OVBD,
		.references = img->part,
		.tar = q->tar,
		.force = q->force,
		.exact = true,
		.virtual_size = virtual_size,
		.zfile = {.codec = q->how.codec_id,
	                  .level = q->how.level,
	                  .block_size = q->how.block_size ? (uint32_t)q->how.block_size
	                                                  : OVBD_ZFILE_BLOCK_MIN,
	                  .checksum = true,
	                  .nthreads = njobs},
		.uuid = q->uuid ? q->uuid : top->uuid,
		.parent_uuid = q->parent_uuid ? q->parent_uuid : low->parent_uuid,
		.tag = q->tag ? q->tag : top->tag,
		.nreaders = remote && njobs < READERS_REMOTE ? READERS_REMOTE : njobs,
		.progress = ovbd_progress_update,
		.arg = &progress,
	};
	struct ovbd_converted done;
	struct ovbd_error err;
	bool local;
	int r;

	ovbd_progress_start(&progress, c, q->progress);
	r = ovbd_convert_run(&v, &done, &local, &err);
	ovbd_progress_end(&progress);
	if (r < 0)
		return ovbd_cli_fail(c, r, remote && !local, &err);
	ovbd_convert_tell(c, q->json, &v, &done, ovbd_progress_seconds(&progress));
	ovbd_source_note_fetched(c, img);
	return OVBD_EXIT_OK;
}

static int run(struct ovbd_cli *c)
{
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	struct request q = {.how = {.codec_id = OVBD_CODEC_LZ4, .compress = true},
	                    .last = SIZE_MAX};
	uint64_t virtual_size = 0;
	struct ovbd_error err;
	int r, status;

	if (parse(c, &q) != 0)
		return c->status;
	r = ovbd_dst_check(c->operands[c->noperands - 1], q.force, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	ovbd_interrupt_catch();
	if (open_range(c, &q, &img, &virtual_size, &status) < 0)
		return status;
	return merge(c, &q, img, virtual_size);
}

const struct ovbd_verb ovbd_verb_merge = {
	.name = "merge",
	.summary = "Make one layer of some of a stack, for their place in it",
	.usage = "SRC... DST",
	.text = "SRC is an image configuration (JSON), or are all layers of a stack, bottom first. "
		"DST is one layer for the place of layers I to J: the stack reads as it did, "
		"whatever lies above them. A writable layer is left out.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage; a SRC over the network: 65 bad data, 69 not "
		 "available, 74 I/O error, 75 try again later, 77 denied; 128 + N after signal N.",
	.run = run,
};
