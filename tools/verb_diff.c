// SPDX-License-Identifier: Apache-2.0
/*
 * diff: the ranges in which two devices differ, and the layer that makes the one of the other. The
 * ranges may be many, so they are printed as they are found, and never held.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
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
#include "tools/size.h"
#include "tools/source.h"
#include "tools/verbs.h"

#define BLOCK          4096u
#define READERS_REMOTE 8u

enum { EXIT_SAME = 0, EXIT_DIFFER = 1, EXIT_TROUBLE = 2 };

enum { OPT_BLOCK_SIZE = OVBD_OPTION_LONG, OPT_REFERENCES, OPT_TAR, OPT_FORCE };

static const struct ovbd_option options[] = {
	{'f', "format", "FMT",
         "What A is: auto (default), raw, lsmt, zfile, ovbd, image, android-cow, dm-update or "
         "dm-snapshot."},
	{'F', "format-b", "FMT", "What B is."},
	OVBD_OPTION_OUTPUT_ENTRY,
	{'O', "output-format", "FMT", "What DST is: ovbd (default), or lsmt: not compressed."},
	{'c', "compress", "CODEC", "lz4 (default), zstd, or zstd:LEVEL (1 to 22, default 3)."},
	{OPT_BLOCK_SIZE, "block-size", "SIZE",
         "Bytes that are compressed together: 4K (default), 8K, 16K, 32K or 64K."},
	{OPT_REFERENCES, "references", NULL,
         "Blocks that have moved become references to where they were in A, which only ovbd can "
         "read."},
	{OPT_TAR, "tar", NULL, "Wrap DST in a tar, the way registries store it."},
	{OPT_FORCE, "force", NULL, "Replace DST if it exists."},
	{'j', "jobs", "N", "Threads; default: one per processor. DST is the same for any N."},
	{'p', "progress", NULL,
         "Show progress also if standard error is no terminal: a line per 10 %."},
	OVBD_CACHE_OPTIONS,
	OVBD_REMOTE_OPTIONS,
	{0},
};

static const struct ovbd_example examples[] = {
	{"ovbd diff old.json new.json", "Which ranges of the device differ."},
	{"ovbd diff -q old.ovbd new.raw", "Whether any does: the exit status says it."},
	{"ovbd diff old.ovbd new.raw delta.ovbd", "And the layer that makes new.raw of old.ovbd."},
	{NULL},
};

struct diff {
	const struct ovbd_cli *cli;
	struct ovbd_convert_request how; /* codec, block_size, njobs */
	enum ovbd_format formats[2];
	bool bare, references, tar, force, progress, json;
	bool stops; /* at the first difference */
	/* what was found */
	uint64_t start, end; /* the range that is not printed yet */
	bool zero;           /* it is zeros in B */
	uint64_t nranges, nbytes, nzero;
	bool stopped;
};

/* ---- the ranges ---- */

static void print_range(struct diff *q)
{
	const char *kind = q->zero ? "zero" : "data";

	if (q->end == q->start)
		return;
	q->nbytes += q->end - q->start;
	q->nzero += q->zero ? q->end - q->start : 0;
	if (q->json)
		printf("%s\n    {\"start\": %" PRIu64 ", \"length\": %" PRIu64
		       ", \"kind\": \"%s\"}",
		       q->nranges > 0 ? "," : "", q->start, q->end - q->start, kind);
	else if (!q->cli->quiet)
		printf("%16" PRIu64 " %16" PRIu64 "  %s\n", q->start, q->end - q->start, kind);
	q->nranges++;
	q->start = q->end;
}

static void add_block(struct diff *q, uint64_t off, size_t len, bool zero)
{
	if (off != q->end || zero != q->zero) {
		print_range(q);
		q->start = off;
		q->zero = zero;
	}
	q->end = off + len;
}

static int diff_piece(void *ctx, uint64_t off, size_t len, const uint8_t *a, const uint8_t *b,
                      struct ovbd_error *err)
{
	struct diff *q = ctx;

	(void)err;
	if (memcmp(a, b, len) == 0)
		return 0;
	for (size_t at = 0; at < len; at += BLOCK) {
		const size_t n = (size_t)ovbd_min(BLOCK, len - at);

		if (memcmp(a + at, b + at, n) != 0)
			add_block(q, off + at, n, ovbd_is_zero(b + at, n));
	}
	q->stopped = q->stops && q->end > 0;
	return q->stopped ? -ECANCELED : 0;
}

static void print_begin(const struct diff *q, const struct ovbd_image *const img[2])
{
	if (q->json)
		printf("{\n  \"schema\": \"ovbd.diff.v1\",\n  \"virtual-size-a\": %" PRIu64
		       ",\n  \"virtual-size-b\": %" PRIu64 ",\n  \"block-size\": %u,\n"
		       "  \"ranges\": [",
		       img[0]->blob->size, img[1]->blob->size, BLOCK);
	else if (!q->cli->quiet)
		printf("%16s %16s  %s\n", "start", "length", "in B");
}

static void print_end(const struct diff *q, const struct ovbd_image *const img[2], bool same)
{
	char bytes[OVBD_SIZE_FULL], zeros[OVBD_SIZE_TEXT], ranges[OVBD_COUNT_TEXT];
	char a[OVBD_SIZE_FULL], b[OVBD_SIZE_FULL];

	if (q->json) {
		printf("%s],\n  \"differing-bytes\": %" PRIu64 ",\n  \"zero-bytes\": %" PRIu64
		       ",\n  \"same\": %s\n}\n",
		       q->nranges > 0 ? "\n  " : "", q->nbytes, q->nzero, same ? "true" : "false");
		return;
	}
	if (q->cli->quiet)
		return;
	printf("%s in %s, of them %s zeros\n", ovbd_size_full(bytes, q->nbytes),
	       ovbd_count_text(ranges, q->nranges, "range"), ovbd_size_text(zeros, q->nzero));
	if (img[0]->blob->size != img[1]->blob->size)
		printf("A has %s, B %s\n", ovbd_size_full(a, img[0]->blob->size),
		       ovbd_size_full(b, img[1]->blob->size));
}

static unsigned threads(const struct diff *q, bool remote)
{
	const unsigned n = q->how.njobs ? q->how.njobs : ovbd_cpus();

	return remote && n < READERS_REMOTE ? READERS_REMOTE : n;
}

static int trouble(int status)
{
	return status == OVBD_EXIT_FAILURE ? EXIT_TROUBLE : status;
}

static int list(struct diff *q, const struct ovbd_image *const img[2], bool remote)
{
	const uint64_t size = ovbd_max(img[0]->blob->size, img[1]->blob->size);
	struct ovbd_progress progress;
	const struct ovbd_scan_params p = {
		.nthreads = threads(q, remote),
		.progress = ovbd_progress_update,
		.arg = &progress,
	};
	struct ovbd_error err;
	bool same;
	int r;

	print_begin(q, img);
	ovbd_progress_start(&progress, q->cli, q->progress);
	r = ovbd_scan_pair(img[0]->blob, img[1]->blob, size, &p, diff_piece, q, &err);
	ovbd_progress_end(&progress);
	if (q->stopped)
		return EXIT_DIFFER;
	if (r < 0)
		return trouble(ovbd_cli_fail(q->cli, r, remote, &err));
	print_range(q);
	same = q->nbytes == 0 && img[0]->blob->size == img[1]->blob->size;
	print_end(q, img, same);
	return same ? EXIT_SAME : EXIT_DIFFER;
}

/* ---- the layer ---- */

static const char *uuid_of(const struct ovbd_image *img)
{
	return img->stack ? ovbd_layer_info(img->layers[img->nlayers - 1].layer)->uuid : NULL;
}

/* EXIT_SAME, or of a failure. */
static int make_layer(const struct diff *q, const struct ovbd_image *const img[2], bool remote)
{
	const struct ovbd_cli *c = q->cli;
	struct ovbd_progress progress;
	const struct ovbd_convert v = {
		.src = img[1]->blob,
		.img = img[1],
		.base = img[0],
		.dst = c->operands[2],
		.format = q->bare ? OVBD_FORMAT_LSMT : OVBD_FORMAT_OVBD,
		.references = q->references,
		.tar = q->tar,
		.force = q->force,
		.zfile = {.codec = q->how.codec_id,
	                  .level = q->how.level,
	                  .block_size = q->how.block_size ? (uint32_t)q->how.block_size
	                                                  : OVBD_ZFILE_BLOCK_MIN,
	                  .checksum = true,
	                  .nthreads = threads(q, false)},
		.parent_uuid = uuid_of(img[0]),
		.nreaders = threads(q, remote),
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
		return trouble(ovbd_cli_fail(c, r, remote && !local, &err));
	ovbd_convert_tell(c, false, &v, &done, ovbd_progress_seconds(&progress));
	return EXIT_SAME;
}

/* ---- the command line ---- */

static int take_option(struct ovbd_cli *c, int id, struct diff *q)
{
	switch (id) {
	case 'f':
	case 'F':
		return ovbd_source_format(c, c->value, &q->formats[id == 'F']);
	case OVBD_OPTION_OUTPUT:
		return ovbd_json_wanted(c, c->value, &q->json);
	case 'O':
		return ovbd_convert_layer_format(c, &q->bare);
	case 'c':
		return ovbd_convert_layer_codec(c, &q->how, &q->bare);
	case OPT_BLOCK_SIZE:
		return ovbd_convert_block_size(c, &q->how);
	case 'j':
		return ovbd_convert_jobs(c, &q->how.njobs);
	default:
		q->references |= id == OPT_REFERENCES;
		q->tar |= id == OPT_TAR;
		q->force |= id == OPT_FORCE;
		q->progress |= id == 'p';
		return 0;
	}
}

static int parse(struct ovbd_cli *c, struct diff *q)
{
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		if (take_option(c, id, q) != 0)
			return -1;
	if (id < 0)
		return -1;
	if (c->noperands < 2)
		return ovbd_cli_usage(c,
		                      c->noperands == 0 ? "A and B are missing" : "B is missing");
	if (ovbd_cli_at_most(c, 3) != 0)
		return -1;
	if (c->noperands == 3 && strcmp(c->operands[2], "-") == 0)
		return ovbd_cli_usage(c, "DST is a file: standard output has the ranges");
	q->stops = c->quiet && !q->json && c->noperands == 2;
	return 0;
}

static int run(struct ovbd_cli *c)
{
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *a = NULL;
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *b = NULL;
	struct diff q = {.cli = c, .how = {.codec_id = OVBD_CODEC_LZ4, .compress = true}};
	struct ovbd_image_params how = {0};
	const struct ovbd_image *img[2];
	struct ovbd_error err;
	int status, made = EXIT_SAME, r;
	bool remote;

	if (parse(c, &q) != 0)
		return c->status;
	r = c->noperands == 3 ? ovbd_dst_check(c->operands[2], q.force, &err) : 0;
	if (r < 0)
		return trouble(ovbd_cli_fail(c, r, false, &err));
	ovbd_interrupt_catch();
	how.format = q.formats[0];
	if (ovbd_source_open(c, c->operands, 1, &how, &a, &status) < 0)
		return trouble(status);
	how.format = q.formats[1];
	if (ovbd_source_open(c, c->operands + 1, 1, &how, &b, &status) < 0)
		return trouble(status);
	img[0] = a;
	img[1] = b;
	remote = ovbd_source_is_remote(a) || ovbd_source_is_remote(b);
	status = list(&q, img, remote);
	if (status <= EXIT_DIFFER && c->noperands == 3)
		made = make_layer(&q, img, remote);
	ovbd_source_note_fetched(c, a);
	ovbd_source_note_fetched(c, b);
	return made != EXIT_SAME ? made : status;
}

const struct ovbd_verb ovbd_verb_diff = {
	.name = "diff",
	.summary = "List where two images differ, and make the layer between them",
	.usage = "A B [DST]",
	.text = "A line for each range of the device in which B is another than A, in blocks of 4 "
		"KiB: start, length, and whether it is data or zeros in B. Beyond its end a device "
		"is zeros; but two of other sizes differ. DST becomes a layer that makes B of A, "
		"as convert -B A does. Several layers are named by an image configuration (JSON).",
	.options = options,
	.examples = examples,
	.exits = "0 the same; 1 different; 2 one could not be read, or DST not be made (over the "
		 "network: 65, 69, 74, 75, 77 as for convert).",
	.run = run,
};
