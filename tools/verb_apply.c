// SPDX-License-Identifier: Apache-2.0
/* apply: a tar becomes a layer with a file system, or one that changes the file system beneath. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tools/apply.h"
#include "tools/convert_request.h"
#include "tools/dst.h"
#include "tools/fs_options.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/scan.h"
#include "tools/size.h"
#include "tools/source.h"
#include "tools/verbs.h"

enum {
	OPT_BLOCK_SIZE = OVBD_OPTION_LONG,
	OPT_TAR,
	OPT_FORCE,
	OPT_UUID,
	OPT_PARENT_UUID,
	OPT_FS_SIZE,
	OPT_DIGEST,
};

static const struct ovbd_option options[] = {
	{'B', "base", "BASE",
         "Apply the tar to the file system of BASE: a layer over it. Repeated, bottom first, the "
         "bases are a stack. Without it the tar goes into a new file system."},
	{OPT_FS_SIZE, "fs-size", "SIZE",
         "Of a new file system (default 64G); what is not used costs nothing."},
	{OPT_DIGEST, "digest", "DIGEST", "The sha256 that TAR must have, as it is."},
	{'O', "output-format", "FMT", "What DST becomes: ovbd (default) or lsmt (not compressed)."},
	{'c', "compress", "CODEC",
         "lz4 (default), zstd, zstd:LEVEL (1 to 22, default 3), or none."},
	{OPT_BLOCK_SIZE, "block-size", "SIZE",
         "Bytes that are compressed together: 4K (default), 8K, 16K, 32K or 64K."},
	{'j', "jobs", "N",
         "Threads; default: one per processor. The output is the same for any N."},
	{'p', "progress", NULL,
         "Show progress also if standard error is no terminal: a line per 10 %."},
	{OPT_TAR, "tar", NULL, "Wrap the layer in a tar, the way registries store it."},
	{OPT_FORCE, "force", NULL, "Replace DST if it exists."},
	{OPT_UUID, "uuid", "UUID", "The layer's UUID; default: the null UUID."},
	{OPT_PARENT_UUID, "parent-uuid", "UUID",
         "The UUID of the layer beneath; default: that of the topmost BASE."},
	{'m', "message", "TEXT", "A commit message of at most 256 bytes, kept in the layer."},
	OVBD_OPTION_OUTPUT_ENTRY,
	OVBD_CACHE_OPTIONS,
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd apply rootfs.tar.gz base.ovbd", "A tar becomes a layer with an ext4 of its files."},
	{"ovbd apply -B base.ovbd layer2.tar.gz second.ovbd",
         "The next layer of the image: what it adds, changes and hides."},
	{"mmdebstrap bookworm - | ovbd apply -c zstd - debian.ovbd", "A Debian, from a pipe."},
	{NULL},
};

struct request {
	struct ovbd_convert_request out;
	uint64_t fs_size;
	const char *digest;
	bool json;
};

static int parse_format(struct ovbd_cli *c, struct request *q)
{
	if (ovbd_source_format(c, c->value, &q->out.out) < 0)
		return -1;
	if (q->out.out != OVBD_FORMAT_OVBD && q->out.out != OVBD_FORMAT_LSMT)
		return ovbd_cli_usage(c, "-O %s: it is ovbd or lsmt", c->value);
	return 0;
}

static int parse_uuid(struct ovbd_cli *c, char text[OVBD_UUID_SIZE], const char **ret)
{
	*ret = text;
	if (!ovbd_convert_uuid(c->value, text))
		return ovbd_cli_usage(c, "'%s' is no UUID: 8-4-4-4-12 hexadecimal digits",
		                      c->value);
	return 0;
}

static int parse_tag(struct ovbd_cli *c, struct request *q)
{
	q->out.tag = c->value;
	if (strlen(q->out.tag) >= OVBD_TAG_SIZE)
		return ovbd_cli_usage(c, "-m: %zu bytes; a message has at most %u",
		                      strlen(q->out.tag), OVBD_TAG_SIZE - 1);
	return 0;
}

static int parse_digest(struct ovbd_cli *c, struct request *q)
{
	q->digest = c->value;
	if (strncmp(q->digest, "sha256:", 7) != 0 || strlen(q->digest) != 71)
		return ovbd_cli_usage(c, "--digest %s: it is sha256: and 64 digits", c->value);
	return 0;
}

static int parse_option(struct ovbd_cli *c, int id, struct request *q)
{
	switch (id) {
	case 'B':
		q->out.bases[q->out.nbases++] = c->value;
		return 0;
	case OPT_FS_SIZE:
		return ovbd_fs_size_option(c, &q->fs_size);
	case OPT_DIGEST:
		return parse_digest(c, q);
	case 'O':
		return parse_format(c, q);
	case 'c':
		return ovbd_convert_codec(c, &q->out);
	case OPT_BLOCK_SIZE:
		return ovbd_convert_block_size(c, &q->out);
	case 'j':
		return ovbd_convert_jobs(c, &q->out.njobs);
	case 'p':
		q->out.progress = true;
		return 0;
	case OPT_TAR:
		q->out.tar = true;
		return 0;
	case OPT_FORCE:
		q->out.force = true;
		return 0;
	case OPT_UUID:
		return parse_uuid(c, q->out.uuid_text, &q->out.uuid);
	case OPT_PARENT_UUID:
		return parse_uuid(c, q->out.parent_text, &q->out.parent_uuid);
	case OVBD_OPTION_OUTPUT:
		return ovbd_json_wanted(c, c->value, &q->json);
	default: /* 'm' */
		return parse_tag(c, q);
	}
}

static int check(struct ovbd_cli *c, struct request *q)
{
	if (c->noperands < 2)
		return ovbd_cli_usage(c, c->noperands == 0 ? "TAR and DST are missing"
		                                           : "DST is missing");
	if (ovbd_cli_at_most(c, 2) < 0)
		return -1;
	if (q->out.deflate)
		return ovbd_cli_usage(c, "-c deflate is not for layers");
	if (q->out.codec && !q->out.compress)
		q->out.out = OVBD_FORMAT_LSMT;
	if (q->out.out == OVBD_FORMAT_LSMT &&
	    ((q->out.codec && q->out.compress) || q->out.block_size))
		return ovbd_cli_usage(
			c, "-O lsmt is not compressed: -c and --block-size are for ovbd");
	if (q->fs_size && q->out.nbases > 0)
		return ovbd_cli_usage(c,
		                      "--fs-size is for a new file system, not for that of BASE");
	if (strcmp(c->operands[1], "-") == 0)
		return ovbd_cli_usage(c, "a layer made of a tar cannot go to standard output");
	if (ovbd_http_is_url(c->operands[0]) || ovbd_http_is_url(c->operands[1]))
		return ovbd_cli_usage(c, "TAR and DST are files, not URLs");
	return 0;
}

static void print_json(const struct ovbd_apply *a, const struct ovbd_apply_done *d)
{
	json_t *o = ovbd_json_create("apply");

	ovbd_json_set_text(o, "filename", a->out.dst);
	ovbd_json_set_size(o, "virtual-size", d->fs_size);
	ovbd_json_set_size(o, "actual-size", d->converted.stored_size);
	ovbd_json_set_size(o, "segments", d->converted.nsegments);
	ovbd_json_set_text(o, "tar-digest", d->digest);
	ovbd_json_set_text(o, "tar-compression", d->compression);
	ovbd_json_set_size(o, "tar-size", d->tar_size);
	ovbd_json_set_text(o, "diff-id", d->diff_id);
	ovbd_json_set_size(o, "entries", d->applied.nentries);
	ovbd_json_set_size(o, "removed", d->applied.nremoved);
	ovbd_json_set_size(o, "data-size", d->applied.data_size);
	ovbd_json_print(o);
}

static void summarize(const struct ovbd_cli *c, const struct ovbd_apply *a,
                      const struct ovbd_apply_done *d, double seconds)
{
	char device[OVBD_SIZE_TEXT], stored[OVBD_SIZE_TEXT];
	char removed[64] = "", segments[OVBD_COUNT_TEXT], names[OVBD_COUNT_TEXT];

	ovbd_size_text(device, d->fs_size);
	ovbd_size_text(stored, d->converted.stored_size);
	if (d->applied.nremoved > 0)
		snprintf(removed, sizeof(removed), ", %s removed",
		         ovbd_count_text(names, d->applied.nremoved, "name"));
	ovbd_cli_note(c, "%s: %s device in %s; %" PRIu64 " entries%s, %s; %.1f s", a->out.dst,
	              device, stored, d->applied.nentries, removed,
	              ovbd_count_text(segments, d->converted.nsegments, "segment"), seconds);
}

static const char *parent_of(const struct ovbd_image *base)
{
	static const char null_uuid[] = "00000000-0000-0000-0000-000000000000";
	char checked[OVBD_UUID_SIZE];
	const char *uuid;

	if (!base || !base->stack)
		return NULL;
	uuid = ovbd_layer_info(base->layers[base->nlayers - 1].layer)->uuid;
	return ovbd_convert_uuid(uuid, checked) && strcmp(uuid, null_uuid) != 0 ? uuid : NULL;
}

static int apply(const struct ovbd_cli *c, const struct request *q, const struct ovbd_image *base)
{
	const unsigned njobs = q->out.njobs ? q->out.njobs : ovbd_cpus();
	struct ovbd_progress progress;
	struct ovbd_apply_done done;
	struct ovbd_error err;
	const struct ovbd_apply a = {
		.out = {.base = base,
	                .dst = c->operands[1],
	                .format = q->out.out,
	                .tar = q->out.tar,
	                .force = q->out.force,
	                .zfile = {.codec = q->out.codec_id,
	                          .level = q->out.level,
	                          .block_size = q->out.block_size ? (uint32_t)q->out.block_size
	                                                          : OVBD_ZFILE_BLOCK_MIN,
	                          .checksum = true,
	                          .nthreads = njobs},
	                .uuid = q->out.uuid,
	                .parent_uuid = q->out.parent_uuid ? q->out.parent_uuid : parent_of(base),
	                .tag = q->out.tag,
	                .progress = ovbd_progress_update,
	                .arg = &progress},
		.tar = c->operands[0],
		.digest = q->digest,
		.fs_size = q->fs_size ? q->fs_size : OVBD_FS_SIZE_DEFAULT,
		.now = ovbd_source_date(),
	};
	int r;

	ovbd_progress_start(&progress, c, q->out.progress);
	r = ovbd_apply_run(&a, &done, &err);
	ovbd_progress_end(&progress);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	if (q->json)
		print_json(&a, &done);
	else
		summarize(c, &a, &done, ovbd_progress_seconds(&progress));
	if (base)
		ovbd_source_note_fetched(c, base);
	return OVBD_EXIT_OK;
}

static int open_and_apply(const struct ovbd_cli *c, const struct request *q)
{
	static const struct ovbd_image_params how = {.format = OVBD_FORMAT_AUTO};
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *base = NULL;
	struct ovbd_error err;
	int status, r = ovbd_dst_check(c->operands[1], q->out.force, &err);

	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	if (q->out.nbases > 0 &&
	    ovbd_source_open(c, q->out.bases, q->out.nbases, &how, &base, &status) < 0)
		return status;
	return apply(c, q, base);
}

static int run(struct ovbd_cli *c)
{
	AUTO_FREE const char **bases = calloc((size_t)c->argc, sizeof(bases[0]));
	struct request q = {.out = {.out = OVBD_FORMAT_OVBD,
	                            .codec_id = OVBD_CODEC_LZ4,
	                            .compress = true,
	                            .bases = bases}};
	int id;

	if (!bases) {
		ovbd_cli_error(c, "out of memory");
		return OVBD_EXIT_FAILURE;
	}
	while ((id = ovbd_cli_next(c)) > 0)
		if (parse_option(c, id, &q) != 0)
			return c->status;
	if (id < 0 || check(c, &q) != 0)
		return c->status;
	ovbd_interrupt_catch();
	return open_and_apply(c, &q);
}

const struct ovbd_verb ovbd_verb_apply = {
	.name = "apply",
	.summary = "Make a layer of a tar: a file system with its files",
	.usage = "TAR DST",
	.text = "TAR (ustar, pax or GNU; as it is, or compressed by gzip or zstd; '-' is standard "
		"input) is applied as a layer of a container image is, whiteouts included, to a "
		"new "
		"ext4 or to that of BASE. DST holds what that changes; it appears when it is "
		"complete, or not at all. Needs no privileges and no mount; the same TAR and BASE "
		"give the same bytes everywhere.",
	.options = options,
	.examples = examples,
	.exits = "0 done; 1 failed; 2 wrong usage; a BASE over the network: 65 bad data, 69 not "
		 "available, 74 I/O error, 75 try again later, 77 denied; 128 + N after signal N.",
	.run = run,
};
