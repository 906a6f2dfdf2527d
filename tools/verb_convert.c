// SPDX-License-Identifier: Apache-2.0
/* convert: what it opens, what it refuses to overwrite, what it tells. The work is in convert.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "tools/convert.h"
#include "tools/convert_oci.h"
#include "tools/convert_request.h"
#include "tools/cow_make.h"
#include "tools/dst.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/scan.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/spool.h"
#include "tools/verbs.h"

#define UPDATE_CHUNK   (64u << 10)
#define READERS_REMOTE 8u /* round trips overlap, whatever the number of processors */

static const struct ovbd_example examples[] = {
	{"ovbd convert disk.raw disk.ovbd", "A raw image or block device becomes a layer."},
	{"ovbd convert -c zstd:9 --block-size 32K --tar disk.raw disk.tar",
         "The same, smaller, in a tar for a registry."},
	{"ovbd convert -B disk.ovbd new.raw delta.ovbd",
         "What has changed since disk.ovbd, as a second layer."},
	{"ovbd convert disk.ovbd delta.ovbd both.ovbd", "Two layers become one."},
	{"ovbd convert -O raw disk.ovbd delta.ovbd flat.raw", "The device as a plain sparse file."},
	{"ovbd convert -O android-cow -B old.ovbd new.ovbd update.cow",
         "An update of Android, of layers."},
	{"ovbd convert --verity disk.raw disk.ovbd",
         "With disk.ovbd.verity, by which any part of it can be proven."},
	{"ovbd convert oci:debian:12 oci:blocks:12",
         "An image of a container becomes one of block layers."},
	{"ovbd convert docker-archive:saved.tar oci-archive:blocks.tar:12",
         "The same of what docker save has written, to an archive."},
	{"ovbd convert docker://debian:12 docker://registry.example/debian:12",
         "The same, in registries."},
	{"zcat disk.gz | ovbd convert - disk.ovbd", "From standard input."},
	{NULL},
};

struct opened {
	struct ovbd_image *img, *base;
	struct ovbd_blob *bytes; /* standard input */
	bool remote;
	int status; /* of the exit, if it failed; it has been told */
};

static void close_opened(struct opened *o)
{
	ovbd_image_close(o->img);
	ovbd_image_close(o->base);
	ovbd_blob_close(o->bytes);
}

/* A layer through a pipe is most likely not meant to become the content of a layer. */
static int refuse_piped_layer(const struct ovbd_convert_request *q, struct ovbd_blob *b,
                              struct ovbd_error *err)
{
	int r;

	if (q->in == OVBD_FORMAT_RAW || q->out == OVBD_FORMAT_ZFILE)
		return 0;
	r = ovbd_zfile_probe(b, err);
	if (r == 0)
		r = ovbd_layer_probe(b, err);
	if (r == 1)
		return ovbd_fail(err, -EINVAL,
		                 "standard input is a layer or ZFile: name it as a file instead "
		                 "(or say -f raw if its bytes are meant)");
	return r;
}

static int open_stdin(const struct ovbd_cli *c, const struct ovbd_convert_request *q,
                      const char *dst, struct opened *o)
{
	const char *slash = strrchr(dst, '/'), *tmp = getenv("TMPDIR");
	AUTO_FREE char *dir = NULL;
	struct ovbd_error err;
	int r;

	if (strcmp(dst, "-") == 0)
		dir = strdup(tmp ? tmp : "/var/tmp");
	else if (slash)
		dir = strndup(dst, slash == dst ? 1 : (size_t)(slash - dst));
	else
		dir = strdup(".");
	r = dir ? ovbd_spool_stdin(dir, &o->bytes, &err)
	        : ovbd_fail(&err, -ENOMEM, "out of memory");
	if (r == 0)
		r = refuse_piped_layer(q, o->bytes, &err);
	if (r < 0)
		o->status = ovbd_cli_fail(c, r, false, &err);
	return r;
}

/* For -O zfile SRC is bytes, not a device: what is a ZFile is unpacked, all else taken as it is. */
static int open_bytes(const struct ovbd_cli *c, const struct ovbd_convert_request *q,
                      const char *name, struct opened *o)
{
	static const struct ovbd_image_params raw = {.format = OVBD_FORMAT_RAW};
	static const struct ovbd_image_params zfile = {.format = OVBD_FORMAT_ZFILE};
	struct ovbd_error err;
	int r;

	r = ovbd_source_open(c, &name, 1, &raw, &o->img, &o->status);
	if (r < 0 || q->in != OVBD_FORMAT_AUTO)
		return r;
	r = ovbd_zfile_probe(o->img->blob, &err);
	if (r < 0)
		o->status = ovbd_cli_fail(c, r, ovbd_source_is_remote(o->img), &err);
	if (r <= 0)
		return r;
	ovbd_image_close(OVBD_MOVE(o->img));
	return ovbd_source_open(c, &name, 1, &zfile, &o->img, &o->status);
}

/* What lies beneath SRC. An update is read over what it is an update of, which is what -B names;
 * any other SRC with a base is a device of its own. */
static enum ovbd_beneath below_of(const struct ovbd_convert_request *q)
{
	if (q->nbases > 0)
		return OVBD_BENEATH_UPDATE;
	if (q->whole || q->out == OVBD_FORMAT_RAW || q->out == OVBD_FORMAT_ZFILE ||
	    q->out == OVBD_FORMAT_ANDROID_COW)
		return OVBD_BENEATH_NOTHING;
	return OVBD_BENEATH_STACK;
}

static int open_sources(const struct ovbd_cli *c, const struct ovbd_convert_request *q,
                        struct opened *o)
{
	const size_t nsrcs = c->noperands - 1;
	const bool bytes = q->out == OVBD_FORMAT_ZFILE && nsrcs == 1 &&
	                   (q->in == OVBD_FORMAT_AUTO || q->in == OVBD_FORMAT_RAW);
	struct ovbd_image_params how = {.format = q->in,
	                                .cow = q->cow,
	                                .hint = OVBD_CONVERT_HINT,
	                                .below = below_of(q)};
	static const struct ovbd_image_params base = {.format = OVBD_FORMAT_AUTO};
	int r = 0;

	if (q->nbases > 0)
		r = ovbd_source_open(c, q->bases, q->nbases, &base, &o->base, &o->status);
	if (r < 0)
		return r;
	how.beneath = o->base ? o->base->blob : NULL;
	if (strcmp(c->operands[0], "-") == 0)
		r = open_stdin(c, q, c->operands[nsrcs], o);
	else if (bytes)
		r = open_bytes(c, q, c->operands[0], o);
	else
		r = ovbd_source_open(c, c->operands, nsrcs, &how, &o->img, &o->status);
	if (r == 0)
		o->remote = (o->img && ovbd_source_is_remote(o->img)) ||
		            (o->base && ovbd_source_is_remote(o->base));
	return r;
}

/* ---- the destination ---- */

/* Whether writing to the device st would destroy a layer of img. */
static bool is_layer_of(const struct stat *st, const struct ovbd_image *img)
{
	struct stat l;

	for (size_t i = 0; img && i < img->nlayers; i++)
		if (!img->layers[i].http && stat(img->layers[i].name, &l) == 0 &&
		    S_ISBLK(l.st_mode) && l.st_rdev == st->st_rdev)
			return true;
	return false;
}

/* A device is written in place, so what could go wrong is found out before. */
static int check_device(const struct ovbd_convert_request *q, const struct opened *o,
                        const char *dst, const struct stat *st, struct ovbd_error *err)
{
	const uint64_t want = o->img ? o->img->blob->size : o->bytes->size;
	AUTO_BLOB *device = NULL;
	int r;

	if (q->out != OVBD_FORMAT_RAW)
		return ovbd_fail(err, -EINVAL,
		                 "%s: is a block device: only -O raw can be written to one", dst);
	if (is_layer_of(st, o->img))
		return ovbd_fail(err, -EINVAL, "%s: is read from and cannot be written to", dst);
	r = ovbd_blob_open_file(dst, &device, err);
	if (r == 0 && device->size < want)
		return ovbd_fail(err, -ENOSPC, "%s: has %" PRIu64 " bytes, but the image %" PRIu64,
		                 dst, device->size, want);
	return r;
}

/* ---- the run ---- */

/* The parent a layer names if none is given: the one it was made to lie on. NULL if that has no
 * UUID, or what others have left in its place. */
static const char *default_parent(const struct opened *o)
{
	static const char null_uuid[] = "00000000-0000-0000-0000-000000000000";
	const struct ovbd_image *on = o->base ? o->base : o->img;
	char checked[OVBD_UUID_SIZE];
	const char *uuid;

	if (!on || !on->stack)
		return NULL;
	if (o->base)
		uuid = ovbd_layer_info(on->layers[on->nlayers - 1].layer)->uuid;
	else
		uuid = ovbd_layer_info(on->layers[0].layer)->parent_uuid;
	return ovbd_convert_uuid(uuid, checked) && strcmp(uuid, null_uuid) != 0 ? uuid : NULL;
}

static enum ovbd_dm_update_codec update_codec(const struct ovbd_convert_request *q)
{
	if (!q->compress)
		return OVBD_DM_UPDATE_NONE;
	if (q->deflate)
		return OVBD_DM_UPDATE_DEFLATE;
	return q->codec_id == OVBD_CODEC_ZSTD ? OVBD_DM_UPDATE_ZSTD : OVBD_DM_UPDATE_LZ4;
}

static int convert(const struct ovbd_cli *c, const struct ovbd_convert_request *q,
                   const struct opened *o, const char *verity)
{
	const unsigned njobs = q->njobs ? q->njobs : ovbd_cpus();
	struct ovbd_progress progress;
	struct ovbd_converted done;
	struct ovbd_error err;
	bool local;
	struct ovbd_convert v = {
		.src = o->img ? o->img->blob : o->bytes,
		.img = o->img,
		.base = o->base,
		.dst = c->operands[c->noperands - 1],
		.format = q->out,
		.references = q->references || (o->img && o->img->part && !q->materialised),
		.tar = q->tar,
		.force = q->force,
		.verity = verity,
		.zfile = {.codec = q->codec_id,
	                  .level = q->level,
	                  .block_size =
	                          q->block_size ? (uint32_t)q->block_size : OVBD_ZFILE_BLOCK_MIN,
	                  .checksum = true,
	                  .nthreads = njobs},
		.update_codec = update_codec(q),
		.update_chunk = q->block_size ? (uint32_t)q->block_size : UPDATE_CHUNK,
		.uuid = q->uuid,
		.parent_uuid = q->parent_uuid ? q->parent_uuid : default_parent(o),
		.tag = q->tag,
		.nreaders = o->remote && njobs < READERS_REMOTE ? READERS_REMOTE : njobs,
		.progress = ovbd_progress_update,
		.arg = &progress,
	};
	int r;

	ovbd_progress_start(&progress, c, q->progress);
	r = ovbd_convert_run(&v, &done, &local, &err);
	ovbd_progress_end(&progress);
	if (r < 0)
		return ovbd_cli_fail(c, r, o->remote && !local, &err);
	ovbd_convert_tell(c, q->json, &v, &done, ovbd_progress_seconds(&progress));
	ovbd_source_note_fetched(c, o->base);
	ovbd_source_note_fetched(c, o->img);
	return OVBD_EXIT_OK;
}

/* The same as `ovbd cow create` does, which has more to choose from. */
static int make_cow(const struct ovbd_cli *c, const struct ovbd_convert_request *q,
                    const struct opened *o)
{
	struct ovbd_cow_make m = {
		.src = o->img ? o->img->blob : o->bytes,
		.img = o->img,
		.old = o->base,
		.dst = c->operands[c->noperands - 1],
		.params = ovbd_cow_make_defaults(),
		.force = q->force,
		.progress = q->progress,
	};

	if (q->njobs > 0)
		m.params.nthreads = q->njobs;
	if (q->block_size > 0)
		m.params.write.max_piece = (uint32_t)q->block_size;
	m.params.level = q->level;
	if (!q->compress)
		m.params.write.algorithm = OVBD_COW_NONE;
	else if (q->codec_id == OVBD_CODEC_ZSTD)
		m.params.write.algorithm = OVBD_COW_ZSTD;
	return ovbd_cow_make_run(c, &m);
}

/* Where the Merkle tree goes, into *ret, to be freed; NULL: it is not wanted. */
static int verity_place(const struct ovbd_convert_request *q, const char *dst, char **ret,
                        struct ovbd_error *err)
{
	struct stat st;

	*ret = NULL;
	if (!q->verity)
		return 0;
	if (stat(dst, &st) == 0 && S_ISBLK(st.st_mode))
		return ovbd_fail(err, -EINVAL,
		                 "%s: is a block device: --verity is for what stays as it is", dst);
	if (q->verity_file)
		*ret = strdup(q->verity_file);
	else if (asprintf(ret, "%s.verity", dst) < 0)
		*ret = NULL;
	return *ret ? ovbd_dst_check(*ret, q->force, err)
	            : ovbd_fail(err, -ENOMEM, "out of memory");
}

static int open_and_convert(const struct ovbd_cli *c, const struct ovbd_convert_request *q,
                            struct opened *o)
{
	const char *dst = c->operands[c->noperands - 1];
	AUTO_FREE char *verity = NULL;
	struct ovbd_error err;
	struct stat st;
	int r;

	r = ovbd_dst_check(dst, q->force, &err);
	if (r == 0)
		r = verity_place(q, dst, &verity, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	if (open_sources(c, q, o) < 0)
		return o->status;
	if (strcmp(dst, "-") != 0 && stat(dst, &st) == 0 && S_ISBLK(st.st_mode)) {
		r = check_device(q, o, dst, &st, &err);
		if (r < 0)
			return ovbd_cli_fail(c, r, false, &err);
	}
	return q->out == OVBD_FORMAT_ANDROID_COW ? make_cow(c, q, o) : convert(c, q, o, verity);
}

static int run(struct ovbd_cli *c)
{
	AUTO_FREE const char **bases = calloc((size_t)c->argc, sizeof(bases[0]));
	AUTO_FREE const char **annotations = calloc((size_t)c->argc, sizeof(annotations[0]));
	struct ovbd_convert_request q = {.out = OVBD_FORMAT_OVBD,
	                                 .codec_id = OVBD_CODEC_LZ4,
	                                 .compress = true,
	                                 .bases = bases,
	                                 .images = {.annotations = annotations}};
	struct opened o = {0};
	int status;

	if (!bases || !annotations) {
		ovbd_cli_error(c, "out of memory");
		return OVBD_EXIT_FAILURE;
	}
	if (ovbd_convert_parse(c, &q) < 0)
		return c->status;
	ovbd_interrupt_catch();
	if (ovbd_convert_is_images(c))
		return ovbd_convert_oci(c, &q);
	status = open_and_convert(c, &q, &o);
	close_opened(&o);
	return status;
}

const struct ovbd_verb ovbd_verb_convert = {
	.name = "convert",
	.summary = "Make a layer of an image, an image of layers, or a delta of two",
	.usage = "SRC... DST",
	.text = "SRC is a raw image, block device, layer, image configuration (JSON) or URL; "
		"several "
		"SRC are a stack of layers, bottom first. '-' is standard input (as SRC) or "
		"standard output (as DST). DST appears when it is complete, or not at all. With "
		"names of images for both, an image of a container, of tars, becomes one of layers "
		"of blocks: docker://HOST/NAME[:TAG], oci:DIR[:TAG], oci-archive:FILE[:TAG], "
		"dir:DIR, and as SRC also "
		"docker-archive:FILE[:NAME].",
	.options = ovbd_convert_options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage; a SRC over the network: 65 bad data, 69 not "
		 "available, 74 I/O error, 75 try again later, 77 denied; 128 + N after signal N.",
	.run = run,
};
