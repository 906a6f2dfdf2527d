// SPDX-License-Identifier: Apache-2.0
/*
 * overlaybd-commit, which is three programs: a commit of a writable layer; --seal, after which its
 * data file is a layer; and --commit_sealed, which compresses such a one.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "image/upper.h"
#include "tools/commit.h"
#include "tools/convert_request.h"
#include "tools/dst.h"
#include "tools/interrupt.h"
#include "tools/overlaybd.h"
#include "tools/overlaybd_upload.h"
#include "tools/scan.h"

enum { OPT_UUID = OVBD_OPTION_OWN, OPT_SEAL, OPT_SEALED, OPT_THREADS };

static const struct ovbd_option options[] = {
	{'m', "message", "TEXT", "Put this message of at most 256 bytes into the layer."},
	{OPT_UUID, "uuid", "UUID", "Its UUID (default: the null UUID)."},
	{'p', "parent-uuid", "UUID", "The UUID of the layer below."},
	{'z', "zfile", NULL, "Compress it."},
	{'t', "tar", NULL, "Wrap it in a tar, as registries store it."},
	{'f', "force", NULL, "Replace OUT if it exists."},
	OVBD_OVERLAYBD_ZFILE_OPTIONS,
	{OPT_THREADS, "compress_threads", "N",
         "Compress with N threads (default: as many as there are CPUs)."},
	{OPT_SEAL, "seal", NULL, "Make DATA itself the layer, not compressed."},
	{OPT_SEALED, "commit_sealed", NULL, "DATA was sealed, and the second operand is OUT."},
	OVBD_OVERLAYBD_UPLOAD_OPTIONS,
	OVBD_OVERLAYBD_TURBO_OPTIONS,
	{0},
};

struct request {
	const char *uuid, *parent_uuid, *tag;
	char uuid_text[OVBD_UUID_SIZE], parent_text[OVBD_UUID_SIZE];
	bool compress, tar, force, seal, sealed;
	struct ovbd_zfile_params zfile;
	struct ovbd_overlaybd_upload upload;
	const char *data, *index, *out;
};

/* ---- the command line ---- */

static int take_uuid(struct ovbd_cli *c, char buf[OVBD_UUID_SIZE], const char **ret)
{
	if (!ovbd_convert_uuid(c->value, buf))
		return ovbd_cli_usage(c, "'%s' is not a UUID", c->value);
	*ret = buf;
	return 0;
}

static int take_flag(struct ovbd_cli *c, int id, struct request *q)
{
	switch (id) {
	case 'z':
		q->compress = true;
		return 0;
	case 't':
		q->tar = true;
		return 0;
	case 'f':
		q->force = true;
		return 0;
	case OPT_SEAL:
		q->seal = true;
		return 0;
	case OPT_SEALED:
		q->sealed = true;
		return 0;
	default:
		return ovbd_overlaybd_option(c, id, &q->zfile) < 0 ||
		       ovbd_overlaybd_upload_option(c, id, &q->upload) < 0;
	}
}

static int take_option(struct ovbd_cli *c, int id, struct request *q)
{
	switch (id) {
	case 'm':
		q->tag = c->value;
		return 0;
	case OPT_UUID:
		return take_uuid(c, q->uuid_text, &q->uuid);
	case 'p':
		return take_uuid(c, q->parent_text, &q->parent_uuid);
	case OPT_THREADS:
		return ovbd_overlaybd_threads(c, &q->zfile.nthreads);
	default:
		return take_flag(c, id, q);
	}
}

/* What would be of no effect is refused, but for what the original only warns of. */
static int check(struct ovbd_cli *c, const struct request *q)
{
	if (q->seal && q->sealed)
		return ovbd_cli_usage(c, "--seal and --commit_sealed are two things");
	if (q->seal &&
	    (q->compress || q->tar || q->uuid || q->parent_uuid || q->tag || q->upload.url))
		return ovbd_cli_usage(c, "--seal leaves DATA as it is: -z, -t, -m, --uuid, -p and "
		                         "--upload are for a commit");
	if (!q->compress && (q->zfile.codec || q->zfile.block_size))
		fprintf(stderr,
		        "WARNING option '--bs' and '--algorithm' will be ignored without '-z'\n");
	return ovbd_overlaybd_upload_check(c, &q->upload);
}

static int parse(struct ovbd_cli *c, struct request *q)
{
	static const char *const three[] = {"DATA", "INDEX", "OUT", NULL},
				 *const seal[] = {"DATA", "INDEX", NULL},
				 *const sealed[] = {"DATA", "OUT", NULL};
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		if (take_option(c, id, q) != 0)
			return -1;
	if (id < 0 || check(c, q) != 0)
		return -1;
	if (q->seal     ? ovbd_overlaybd_operands(c, 2, seal) < 0
	    : q->sealed ? ovbd_overlaybd_operands(c, 2, sealed) < 0
	                : ovbd_overlaybd_operands(c, 3, three) < 0)
		return -1;
	q->data = c->operands[0];
	q->index = q->sealed ? NULL : c->operands[1];
	q->out = q->seal ? NULL : c->operands[c->noperands - 1];
	return 0;
}

/* ---- the run ---- */

static struct ovbd_convert out_of(const struct request *q)
{
	struct ovbd_convert o = {
		.dst = q->out,
		.format = q->compress ? OVBD_FORMAT_OVBD : OVBD_FORMAT_LSMT,
		.tar = q->tar,
		.force = q->force,
		.zfile = q->zfile,
		.uuid = q->uuid,
		.parent_uuid = q->parent_uuid,
		.tag = q->tag,
		.nreaders = ovbd_cpus(),
	};

	ovbd_overlaybd_zfile_settle(&o.zfile);
	return o;
}

static int commit(const struct request *q, struct ovbd_converted *ret, struct ovbd_error *err)
{
	const struct ovbd_commit how = {
		.out = out_of(q),
		.data = q->data,
		.index = q->index,
		.new_uuid = true,
	};

	return ovbd_commit_run(&how, ret, err);
}

/* What the layer has stays, holes and zeros too: what lies beneath is not known. */
static int commit_sealed(const struct request *q, struct ovbd_converted *ret,
                         struct ovbd_error *err)
{
	static const struct ovbd_image_params how = {
		.below = OVBD_BENEATH_STACK,
		.hint = "it is no layer by itself",
	};
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	struct ovbd_convert o = out_of(q);
	const struct ovbd_layer_info *info;
	bool local;
	int r = ovbd_image_open(&q->data, 1, &how, &img, err);

	if (r < 0)
		return r;
	if (!img->stack)
		return ovbd_fail(err, -EBADMSG, "%s: is not a layer that was sealed", q->data);
	info = ovbd_layer_info(img->layers[0].layer);
	o.src = img->blob;
	o.img = img;
	o.parent_uuid = o.parent_uuid ? o.parent_uuid : info->parent_uuid;
	o.tag = o.tag ? o.tag : info->tag;
	return ovbd_convert_run(&o, ret, &local, err);
}

static void warn(const struct ovbd_cli *c, const struct request *q,
                 const struct ovbd_converted *done)
{
	if (done->nsegments > OVBD_SEGMENTS_ORIGINAL)
		ovbd_cli_warning(c, "%s: %llu segments: overlaybd opens layers of at most %u",
		                 q->out, (unsigned long long)done->nsegments,
		                 OVBD_SEGMENTS_ORIGINAL);
	if (done->nlarge > 0)
		ovbd_cli_warning(c,
		                 "%s: %llu blocks grew beyond 64 KiB when compressed, which "
		                 "overlaybd cannot read",
		                 q->out, (unsigned long long)done->nlarge);
}

static int run(struct ovbd_cli *c)
{
	struct request q = {.compress = false};
	struct ovbd_converted done = {0};
	struct ovbd_error err;
	int r;

	if (parse(c, &q) < 0)
		return c->status;
	ovbd_interrupt_catch();
	if (q.seal) {
		r = ovbd_upper_seal(q.data, q.index, &err);
		return r < 0 ? ovbd_cli_fail(c, r, false, &err) : OVBD_EXIT_OK;
	}
	r = ovbd_dst_check(q.out, q.force, &err);
	if (r == 0)
		r = q.sealed ? commit_sealed(&q, &done, &err) : commit(&q, &done, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	warn(c, &q, &done);
	r = ovbd_overlaybd_upload_run(c, &q.upload, q.out, "failed to commit or upload");
	if (r != OVBD_EXIT_OK)
		return r;
	printf("overlaybd-commit has committed files SUCCESSFULLY\n");
	return OVBD_EXIT_OK;
}

static const struct ovbd_example examples[] = {
	{"overlaybd-commit writable_data writable_index overlaybd.commit -z -t",
         "A layer as registries store it."},
	{"overlaybd-commit --seal writable_data writable_index", "writable_data is a layer now."},
	{"overlaybd-commit --commit_sealed overlaybd.sealed overlaybd.commit -z -t",
         "And compressed."},
	{NULL},
};

const struct ovbd_verb ovbd_overlaybd_commit = {
	.name = "commit",
	.program = "overlaybd-commit",
	.summary = "Make a layer of what was written to a writable one",
	.usage = "DATA INDEX [OUT]",
	.text = "Writes OUT, a layer of what was written to the writable layer DATA with INDEX, "
		"which "
		"nobody may have open. It appears when it is complete, or not at all. In the place "
		"of "
		"overlaybd's program.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage; 69 not possible here; 128 + N after signal N.",
	.run = run,
};
