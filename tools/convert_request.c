// SPDX-License-Identifier: Apache-2.0
#include "tools/convert_request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oci/transport.h"
#include "tools/fs_options.h"
#include "tools/json.h"
#include "tools/size.h"
#include "tools/source.h"

#define ZSTD_LEVEL_MAX 22

enum {
	OPT_BLOCK_SIZE = OVBD_OPTION_LONG,
	OPT_TAR,
	OPT_FORCE,
	OPT_UUID,
	OPT_PARENT_UUID,
	OPT_WHOLE,
	OPT_REFERENCES,
	OPT_NO_REFERENCES,
	OPT_VERITY,
	OPT_FS_SIZE,
	OPT_ATTESTATIONS,
	OPT_DRY_RUN,
	OPT_SKIP_EXISTING,
	OPT_DEDUP_DB,
	OPT_REFERRER,
	OPT_ANNOTATION,
	OPT_DIGESTFILE,
};

const struct ovbd_option ovbd_convert_options[] = {
	OVBD_SOURCE_OPTIONS,
	OVBD_CACHE_OPTIONS,
	OVBD_SIDE_OPTIONS,
	{'O', "output-format", "FMT",
         "What DST becomes: ovbd (default: a compressed layer), lsmt (a layer, not "
         "compressed), raw (the whole device), zfile (SRC's bytes, compressed), android-cow (an "
         "update that makes SRC of BASE) or dm-update (another)."},
	{'B', "base", "BASE",
         "Make a delta: a layer of only the 4 KiB blocks in which SRC differs from BASE. Repeated, "
         "bottom first, the bases are a stack."},
	{OPT_WHOLE, "whole", NULL,
         "Nothing lies beneath SRC: what its layers leave open is zeros. Without it they may be "
         "any "
         "part of a stack."},
	{OPT_REFERENCES, "references", NULL,
         "With -B: blocks that have moved become references to where they were in BASE, which only "
         "ovbd can read."},
	{OPT_NO_REFERENCES, "no-references", NULL,
         "Store what an update has copied from below it, instead of referring to it."},
	{'c', "compress", "CODEC",
         "lz4 (default), zstd, zstd:LEVEL (1 to 22, default 3), deflate (dm-update only), or "
         "none."},
	{OPT_BLOCK_SIZE, "block-size", "SIZE",
         "Bytes that are compressed together: 4K (default), 8K, 16K, 32K or 64K (default for "
         "dm-update)."},
	{'j', "jobs", "N",
         "Threads; default: one per processor. The output is the same for any N."},
	{'p', "progress", "[=json]",
         "Show progress also if standard error is no terminal: a line per 10 %, for an image one "
         "per layer and every 15 s. =json: an image's as events, a line of JSON each."},
	{OPT_TAR, "tar", NULL, "Wrap the layer in a tar, the way registries store it."},
	{OPT_VERITY, "verity", "[=FILE]",
         "Write a Merkle tree of DST to FILE (default DST.verity), and print its root, which is "
         "that of fsverity(1)."},
	OVBD_OPTION_OUTPUT_ENTRY,
	{OPT_FORCE, "force", NULL, "Replace DST if it exists, or write to the block device DST."},
	{OPT_UUID, "uuid", "UUID", "The layer's UUID; default: the null UUID."},
	{OPT_PARENT_UUID, "parent-uuid", "UUID",
         "The UUID of the layer beneath; default: that of the topmost BASE."},
	{'m', "message", "TEXT", "A commit message of at most 256 bytes, kept in the layer."},
	{OPT_FS_SIZE, "fs-size", "SIZE",
         "Of an image's file system (default 64G); what is not used costs nothing."},
	{OPT_ATTESTATIONS, "attestations", NULL,
         "Keep an image's attestations, which are about SRC; without it they are left out."},
	{OPT_DRY_RUN, "dry-run", NULL,
         "Read an image's documents, say what would be done, write nothing."},
	{OPT_SKIP_EXISTING, "skip-existing", NULL,
         "Do nothing if DST names already what would come out of this image with these options."},
	{OPT_DEDUP_DB, "dedup-db", "sqlite:PATH",
         "Remember in a database what layers were made of, here or for others; do not make again "
         "what can be had."},
	{OPT_REFERRER, "referrer", NULL,
         "Make what comes out refer to what it was made of, so that it is found by that one's "
         "digest."},
	{OPT_ANNOTATION, "annotation", "KEY=VALUE",
         "For each manifest and index of the image that is made. Repeated: several."},
	{OPT_DIGESTFILE, "digestfile", "FILE",
         "Write the digest of the image that is made to FILE."},
	{0},
};

int ovbd_convert_codec(struct ovbd_cli *c, struct ovbd_convert_request *q)
{
	const char *level = strchr(c->value, ':');
	const size_t len = level ? (size_t)(level - c->value) : strlen(c->value);
	char *end;

	q->codec = c->value;
	q->compress = true;
	q->deflate = false;
	q->level = 0;
	if (strcmp(c->value, "none") == 0) {
		q->compress = false;
	} else if (strcmp(c->value, "lz4") == 0) {
		q->codec_id = OVBD_CODEC_LZ4;
	} else if (strcmp(c->value, "deflate") == 0) {
		q->deflate = true;
	} else if (len == 4 && strncmp(c->value, "zstd", 4) == 0) {
		q->codec_id = OVBD_CODEC_ZSTD;
		if (!level)
			return 0;
		q->level = (int)strtol(level + 1, &end, 10);
		if (!isdigit((unsigned char)level[1]) || *end != '\0' || q->level < 1 ||
		    q->level > ZSTD_LEVEL_MAX)
			return ovbd_cli_usage(c, "-c %s: the level of zstd is 1 to %d", c->value,
			                      ZSTD_LEVEL_MAX);
	} else if (len == 3 && strncmp(c->value, "lz4", 3) == 0) {
		return ovbd_cli_usage(c, "-c %s: lz4 has no levels", c->value);
	} else {
		return ovbd_cli_usage(c, "-c %s: the codecs are lz4, zstd, deflate and none",
		                      c->value);
	}
	return 0;
}

int ovbd_convert_layer_format(struct ovbd_cli *c, bool *ret_bare)
{
	*ret_bare = strcmp(c->value, "lsmt") == 0;
	if (*ret_bare || strcmp(c->value, "ovbd") == 0)
		return 0;
	return ovbd_cli_usage(c, "--output-format %s: it is ovbd or lsmt", c->value);
}

int ovbd_convert_layer_codec(struct ovbd_cli *c, struct ovbd_convert_request *q, bool *bare)
{
	if (ovbd_convert_codec(c, q) != 0)
		return -1;
	if (q->deflate)
		return ovbd_cli_usage(c, "-c deflate is not for a layer");
	*bare |= !q->compress;
	return 0;
}

int ovbd_convert_block_size(struct ovbd_cli *c, struct ovbd_convert_request *q)
{
	const int r = ovbd_size_parse(c->value, &q->block_size);

	if (r < 0 || q->block_size < OVBD_ZFILE_BLOCK_MIN || q->block_size > OVBD_ZFILE_BLOCK_MAX ||
	    (q->block_size & (q->block_size - 1)) != 0)
		return ovbd_cli_usage(c, "--block-size %s: it is 4K, 8K, 16K, 32K or 64K",
		                      c->value);
	return 0;
}

int ovbd_convert_jobs(struct ovbd_cli *c, unsigned *ret)
{
	char *end;
	const unsigned long n = strtoul(c->value, &end, 10);

	if (!isdigit((unsigned char)c->value[0]) || *end != '\0' || n < 1 ||
	    n > OVBD_CONVERT_THREADS_MAX)
		return ovbd_cli_usage(c, "-j %s: it is 1 to %u", c->value,
		                      OVBD_CONVERT_THREADS_MAX);
	*ret = (unsigned)n;
	return 0;
}

bool ovbd_convert_uuid(const char *text, char ret[OVBD_UUID_SIZE])
{
	static const char form[OVBD_UUID_SIZE] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (strlen(text) != sizeof(form) - 1)
		return false;
	for (size_t i = 0; i < sizeof(form); i++) {
		const unsigned char c = (unsigned char)text[i];

		if (form[i] == 'x' ? !isxdigit(c) : c != (unsigned char)form[i])
			return false;
		ret[i] = (char)toupper(c);
	}
	return true;
}

static int parse_uuid(struct ovbd_cli *c, char text[OVBD_UUID_SIZE], const char **ret)
{
	if (!ovbd_convert_uuid(c->value, text))
		return ovbd_cli_usage(c, "'%s' is no UUID: 8-4-4-4-12 hexadecimal digits",
		                      c->value);
	*ret = text;
	return 0;
}

static int parse_progress(struct ovbd_cli *c, struct ovbd_convert_request *q)
{
	if (c->value && strcmp(c->value, "json") != 0)
		return ovbd_cli_usage(c, "--progress=%s: what it may be is json", c->value);
	q->progress = true;
	q->events = c->value != NULL;
	return 0;
}

static int parse_source(struct ovbd_cli *c, int id, struct ovbd_convert_request *q)
{
	struct ovbd_image_params p = {.format = q->in, .cow = q->cow};
	const int r = ovbd_source_option(c, id, &p);

	q->in = p.format;
	q->cow = p.cow;
	return r;
}

static int parse_annotation(struct ovbd_cli *c, struct ovbd_convert_images *m)
{
	const char *equals = strchr(c->value, '=');

	if (!equals || equals == c->value)
		return ovbd_cli_usage(c, "--annotation %s: it is KEY=VALUE", c->value);
	m->annotations[m->nannotations++] = c->value;
	return 0;
}

/* Those that are for images. */
static int parse_images(struct ovbd_cli *c, int id, struct ovbd_convert_images *m)
{
	switch (id) {
	case OPT_FS_SIZE:
		return ovbd_fs_size_option(c, &m->fs_size);
	case OPT_ATTESTATIONS:
		m->attestations = true;
		return 0;
	case OPT_DRY_RUN:
		m->dry_run = true;
		return 0;
	case OPT_SKIP_EXISTING:
		m->skip_existing = true;
		return 0;
	case OPT_REFERRER:
		m->referrer = true;
		return 0;
	case OPT_DEDUP_DB:
		m->dedup = c->value;
		if (strncmp(m->dedup, "sqlite:", 7) != 0 || m->dedup[7] == '\0')
			return ovbd_cli_usage(c, "--dedup-db %s: it is sqlite:PATH", m->dedup);
		return 0;
	case OPT_ANNOTATION:
		return parse_annotation(c, m);
	default: /* OPT_DIGESTFILE */
		m->digestfile = c->value;
		return 0;
	}
}

static int parse_option(struct ovbd_cli *c, int id, struct ovbd_convert_request *q)
{
	if (id >= OPT_FS_SIZE && id <= OPT_DIGESTFILE)
		return parse_images(c, id, &q->images);
	switch (id) {
	case 'f':
	case OVBD_OPTION_LABEL:
		return parse_source(c, id, q);
	case 'O':
		return ovbd_source_format(c, c->value, &q->out);
	case 'B':
		q->bases[q->nbases++] = c->value;
		return 0;
	case 'c':
		return ovbd_convert_codec(c, q);
	case OPT_BLOCK_SIZE:
		return ovbd_convert_block_size(c, q);
	case 'j':
		return ovbd_convert_jobs(c, &q->njobs);
	case 'p':
		return parse_progress(c, q);
	case OPT_TAR:
		q->tar = true;
		return 0;
	case OPT_VERITY:
		q->verity = true;
		q->verity_file = c->value;
		return 0;
	case OVBD_OPTION_OUTPUT:
		return ovbd_json_wanted(c, c->value, &q->json);
	case OPT_FORCE:
		q->force = true;
		return 0;
	case OPT_WHOLE:
		q->whole = true;
		return 0;
	case OPT_REFERENCES:
		q->references = true;
		return 0;
	case OPT_NO_REFERENCES:
		q->materialised = true;
		return 0;
	case OPT_UUID:
		return parse_uuid(c, q->uuid_text, &q->uuid);
	case OPT_PARENT_UUID:
		return parse_uuid(c, q->parent_text, &q->parent_uuid);
	default: /* 'm' */
		q->tag = c->value;
		if (strlen(q->tag) >= OVBD_TAG_SIZE)
			return ovbd_cli_usage(c, "-m: %zu bytes; a message has at most %u",
			                      strlen(q->tag), OVBD_TAG_SIZE - 1);
		return 0;
	}
}

static bool makes_layer(const struct ovbd_convert_request *q)
{
	return q->out == OVBD_FORMAT_OVBD || q->out == OVBD_FORMAT_LSMT;
}

static int check_update(struct ovbd_cli *c, const struct ovbd_convert_request *q)
{
	if (q->references || q->uuid || q->parent_uuid || q->tag || q->tar)
		return ovbd_cli_usage(c, "a dm-update has no references, UUIDs, message or tar");
	return 0;
}

static int check_verity(struct ovbd_cli *c, const struct ovbd_convert_request *q)
{
	const char *dst = c->operands[c->noperands - 1];

	if (q->json && (strcmp(dst, "-") == 0 || q->out == OVBD_FORMAT_ANDROID_COW))
		return ovbd_cli_usage(c, "--output=json is for what becomes a file, and not for "
		                         "android-cow, which ovbd cow makes");
	if (!q->verity)
		return 0;
	if (q->out == OVBD_FORMAT_ANDROID_COW)
		return ovbd_cli_usage(c, "--verity is not for android-cow: see ovbd verity create");
	if (strcmp(dst, "-") == 0)
		return ovbd_cli_usage(c,
		                      "--verity: DST is standard output, where its root is told");
	if (q->verity_file && (q->verity_file[0] == '\0' || strcmp(q->verity_file, dst) == 0))
		return ovbd_cli_usage(c, "--verity=%s: it is another file than DST",
		                      q->verity_file);
	return 0;
}

/* Options that contradict each other. */
static int check_options(struct ovbd_cli *c, struct ovbd_convert_request *q)
{
	const char *out = ovbd_format_name(q->out);

	if (q->out == OVBD_FORMAT_IMAGE || q->out == OVBD_FORMAT_AUTO ||
	    q->out == OVBD_FORMAT_DM_SNAPSHOT)
		return ovbd_cli_usage(c,
		                      "-O %s: the output is ovbd, lsmt, raw, zfile, android-cow or "
		                      "dm-update",
		                      out);
	if (q->deflate && q->out != OVBD_FORMAT_DM_UPDATE)
		return ovbd_cli_usage(c, "-c deflate is for -O dm-update");
	if (q->out == OVBD_FORMAT_OVBD && q->codec && !q->compress)
		q->out = OVBD_FORMAT_LSMT; /* a layer that is not compressed is just that */
	else if (q->out == OVBD_FORMAT_ZFILE && q->codec && !q->compress)
		return ovbd_cli_usage(c, "-O zfile -c none: a ZFile is always compressed");
	if ((q->out == OVBD_FORMAT_RAW || q->out == OVBD_FORMAT_LSMT) &&
	    ((q->codec && q->compress) || q->block_size != 0))
		return ovbd_cli_usage(c,
		                      "-O %s is not compressed: -c and --block-size are for "
		                      "ovbd and zfile",
		                      ovbd_format_name(q->out));
	if (q->references && q->materialised)
		return ovbd_cli_usage(c, "--references and --no-references contradict each other");
	if (q->whole && (q->nbases > 0 || q->references))
		return ovbd_cli_usage(c, "--whole: -B and --references are for what lies beneath");
	if (q->references && q->nbases == 0)
		return ovbd_cli_usage(c, "--references: -B names what they refer to");
	if (makes_layer(q))
		return 0;
	if (q->out == OVBD_FORMAT_DM_UPDATE)
		return check_update(c, q);
	if (q->whole || q->references || q->materialised)
		return ovbd_cli_usage(c, "--whole and references are for a layer, not for %s", out);
	if (q->nbases > 0 && q->out != OVBD_FORMAT_ANDROID_COW)
		return ovbd_cli_usage(c, "-B makes a layer: -O is ovbd or lsmt, not %s", out);
	if (q->uuid || q->parent_uuid || q->tag)
		return ovbd_cli_usage(c,
		                      "--uuid, --parent-uuid and -m are kept in a layer, not in %s",
		                      out);
	if (q->tar && q->out != OVBD_FORMAT_ZFILE)
		return ovbd_cli_usage(c, "--tar is not for %s", out);
	return 0;
}

static int check_operands(struct ovbd_cli *c, const struct ovbd_convert_request *q)
{
	const char *dst;
	size_t nstdin = 0;

	if (c->noperands < 2)
		return ovbd_cli_usage(c, c->noperands == 0 ? "SRC and DST are missing"
		                                           : "DST is missing");
	dst = c->operands[c->noperands - 1];
	for (size_t i = 0; i + 1 < c->noperands; i++)
		nstdin += strcmp(c->operands[i], "-") == 0;
	for (size_t i = 0; i < q->nbases; i++)
		if (strcmp(q->bases[i], "-") == 0)
			return ovbd_cli_usage(c, "-B - : a base cannot come from standard input");
	if (nstdin > 0 && c->noperands > 2)
		return ovbd_cli_usage(c, "standard input must be the only SRC");
	if (nstdin > 0 && q->in != OVBD_FORMAT_AUTO && q->in != OVBD_FORMAT_RAW)
		return ovbd_cli_usage(c, "standard input is taken as raw, not as %s",
		                      ovbd_format_name(q->in));
	if (ovbd_http_is_url(dst))
		return ovbd_cli_usage(c, "DST %s: cannot write to a URL", dst);
	if (strcmp(dst, "-") == 0 && q->out == OVBD_FORMAT_ANDROID_COW)
		return ovbd_cli_usage(c, "-O android-cow cannot go to standard output: its "
		                         "operations, known at last, stand first; see ovbd cow");
	if (strcmp(dst, "-") == 0 && q->tar)
		return ovbd_cli_usage(c, "a tar cannot go to standard output: its size, known at "
		                         "last, stands first");
	if (strcmp(dst, "-") == 0 && q->out == OVBD_FORMAT_DM_UPDATE)
		return ovbd_cli_usage(c, "a dm-update cannot go to standard output: what is known "
		                         "at last stands first");
	if (strcmp(dst, "-") == 0 && isatty(STDOUT_FILENO))
		return ovbd_cli_usage(c, "standard output is a terminal");
	return 0;
}

bool ovbd_convert_is_images(const struct ovbd_cli *c)
{
	return c->noperands > 0 && ovbd_oci_is_image(c->operands[c->noperands - 1]);
}

static int check_images(struct ovbd_cli *c, const struct ovbd_convert_request *q)
{
	if (c->noperands < 2)
		return ovbd_cli_usage(c, "DST is missing");
	if (c->noperands > 2 || !ovbd_oci_is_image(c->operands[0]))
		return ovbd_cli_usage(c,
		                      "%s: an image is made of one image: SRC is the name of one, "
		                      "as oci:DIR[:TAG]",
		                      c->operands[c->noperands - 1]);
	if (q->in != OVBD_FORMAT_AUTO || q->out != OVBD_FORMAT_OVBD || q->cow.until ||
	    q->nbases > 0 || q->whole || q->references || q->materialised || q->tar || q->verity ||
	    q->uuid || q->parent_uuid || q->tag || q->force || q->deflate)
		return ovbd_cli_usage(c,
		                      "%s: of the options for layers, an image takes -c, "
		                      "--block-size, -j, -p and --output",
		                      c->operands[1]);
	if (q->codec && !q->compress && q->block_size)
		return ovbd_cli_usage(c, "--block-size: -c none has no blocks");
	if (q->images.dry_run && q->images.digestfile)
		return ovbd_cli_usage(c, "--digestfile: --dry-run makes nothing");
	return 0;
}

static int check_no_images(struct ovbd_cli *c, const struct ovbd_convert_request *q)
{
	const struct ovbd_convert_images *m = &q->images;

	if (ovbd_remote_options_has_sides(c))
		return ovbd_cli_usage(c, "--src-... and --dest-... are for images: DST is the name "
		                         "of one, as docker://HOST/NAME");
	if (m->nannotations || m->digestfile || m->fs_size || m->attestations || m->dry_run ||
	    m->skip_existing || m->dedup || m->referrer)
		return ovbd_cli_usage(
			c, "--fs-size, --attestations, --dry-run, --skip-existing, --dedup-db, "
			   "--referrer, --annotation and --digestfile are for an image: DST is the "
			   "name of "
			   "one, as oci:DIR[:TAG]");
	if (q->events)
		return ovbd_cli_usage(c, "--progress=json is for an image: DST is the name of one, "
		                         "as oci:DIR[:TAG]");
	return 0;
}

int ovbd_convert_parse(struct ovbd_cli *c, struct ovbd_convert_request *ret)
{
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		if (parse_option(c, id, ret) != 0)
			return -1;
	if (id < 0)
		return -1;
	if (ovbd_convert_is_images(c))
		return check_images(c, ret) != 0 ? -1 : 0;
	if (check_no_images(c, ret) != 0 || check_options(c, ret) != 0 ||
	    check_operands(c, ret) != 0 || check_verity(c, ret) != 0)
		return -1;
	return 0;
}
