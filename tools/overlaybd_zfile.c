// SPDX-License-Identifier: Apache-2.0
/* overlaybd-zfile: bytes become a ZFile, and back; or one is verified. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/tar.h"
#include "tools/check.h"
#include "tools/convert.h"
#include "tools/dst.h"
#include "tools/interrupt.h"
#include "tools/overlaybd.h"
#include "tools/progress.h"
#include "tools/scan.h"
#include "tools/spool.h"

enum { OPT_VERIFY = OVBD_OPTION_OWN };

static const struct ovbd_option options[] = {
	{'t', "tar", NULL, "Wrap DST in a tar, as registries store it."},
	{'x', "extract", NULL, "Decompress SRC, which may be wrapped in a tar."},
	{OPT_VERIFY, "verify", NULL, "Hold the blocks of SRC against their checksums."},
	{'f', "force", NULL, "Replace DST if it exists."},
	OVBD_OVERLAYBD_ZFILE_OPTIONS,
	{0},
};

struct request {
	bool tar, extract, verify, force;
	struct ovbd_zfile_params zfile;
	const char *src, *dst; /* src NULL: standard input */
};

/* ---- the command line ---- */

static int take_option(struct ovbd_cli *c, int id, struct request *q)
{
	switch (id) {
	case 't':
		q->tar = true;
		return 0;
	case 'x':
		q->extract = true;
		return 0;
	case OPT_VERIFY:
		q->verify = true;
		return 0;
	case 'f':
		q->force = true;
		return 0;
	default:
		return ovbd_overlaybd_option(c, id, &q->zfile);
	}
}

static int parse(struct ovbd_cli *c, struct request *q)
{
	static const char *const names[] = {"SRC", "DST", NULL}, *const one[] = {"SRC", NULL};
	int id;

	while ((id = ovbd_cli_next(c)) > 0)
		if (take_option(c, id, q) < 0)
			return -1;
	if (id < 0 || ovbd_overlaybd_operands(c, 1, q->verify ? one : names) < 0)
		return -1;
	q->src = c->operands[0];
	q->dst = c->operands[1];
	if (q->verify)
		return 0;
	if (!q->dst) {
		q->dst = q->src;
		q->src = NULL;
	}
	if (q->extract && !q->src)
		ovbd_cli_usage(c, "DST is missing: standard input cannot be decompressed");
	else if (q->extract && (q->zfile.codec || q->zfile.block_size))
		ovbd_cli_usage(c, "-x: --algorithm and --bs are for compressing");
	else
		return 0;
	return -1;
}

/* ---- verify ---- */

/* 1, 0 or -errno: whether the file, or what the tar in it holds, begins like a ZFile. */
static int is_zfile(const char *path, struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL;
	uint64_t off, len;
	int r = ovbd_blob_open_file(path, &b, err);

	if (r == 0)
		r = ovbd_tar_member(b, &off, &len, err);
	if (r == 1)
		r = ovbd_blob_open_slice(OVBD_MOVE(b), off, len, &b, err);
	return r < 0 ? r : ovbd_zfile_probe(b, err);
}

static int verify_all(const struct ovbd_cli *c, const struct request *q, struct ovbd_error *err)
{
	static const struct ovbd_image_params how = {.format = OVBD_FORMAT_ZFILE};
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	struct ovbd_check_result res;
	struct ovbd_progress progress;
	int r = ovbd_image_open(&q->src, 1, &how, &img, err);

	if (r < 0)
		return r;
	ovbd_progress_start(&progress, c, false);
	ovbd_check_image(c, img, ovbd_progress_update, &progress, &res);
	ovbd_progress_end(&progress);
	*err = res.err;
	if (res.code == 0 && !res.checksum)
		return ovbd_fail(err, -EBADMSG, "%s: its blocks have no checksums", q->src);
	return res.code < 0 ? ovbd_fail_named(err, res.code, q->src) : 0;
}

static int verify(const struct ovbd_cli *c, const struct request *q)
{
	struct ovbd_error err;
	int r = is_zfile(q->src, &err);

	if (r == 0) {
		fprintf(stderr, "format error! <source_file> should be a zfile.\n");
		return OVBD_EXIT_FAILURE;
	}
	if (r == 1)
		r = verify_all(c, q, &err);
	if (r == 0) {
		printf("%s is a valid zfile blob.\n", q->src);
		return OVBD_EXIT_OK;
	}
	if (r == -EBADMSG)
		printf("%s is not a valid zfile blob or checksum can't be found.\n", q->src);
	return ovbd_cli_fail(c, r, false, &err);
}

/* ---- compress, decompress ---- */

static int spool(const char *dst, struct ovbd_blob **ret, struct ovbd_error *err)
{
	const char *slash = strrchr(dst, '/');
	AUTO_FREE char *dir =
		slash ? strndup(dst, slash == dst ? 1 : (size_t)(slash - dst)) : strdup(".");

	return dir ? ovbd_spool_stdin(dir, ret, err) : ovbd_fail(err, -ENOMEM, "out of memory");
}

static int convert(const struct ovbd_cli *c, const struct request *q, struct ovbd_error *err)
{
	const struct ovbd_image_params how = {.format = q->extract ? OVBD_FORMAT_ZFILE
	                                                           : OVBD_FORMAT_RAW};
	OVBD_AUTO(ovbd_image_closep) struct ovbd_image *img = NULL;
	AUTO_BLOB *piped = NULL;
	struct ovbd_progress progress;
	struct ovbd_converted done;
	struct ovbd_convert v = {
		.dst = q->dst,
		.format = q->extract ? OVBD_FORMAT_RAW : OVBD_FORMAT_ZFILE,
		.tar = q->tar && !q->extract,
		.force = q->force,
		.zfile = q->zfile,
		.nreaders = ovbd_cpus(),
		.progress = ovbd_progress_update,
		.arg = &progress,
	};
	bool local;
	int r = ovbd_dst_check(q->dst, q->force, err);

	if (r == 0)
		r = q->src ? ovbd_image_open(&q->src, 1, &how, &img, err)
		           : spool(q->dst, &piped, err);
	if (r < 0)
		return r;
	v.src = img ? img->blob : piped;
	v.img = img;
	ovbd_overlaybd_zfile_settle(&v.zfile);
	ovbd_progress_start(&progress, c, false);
	r = ovbd_convert_run(&v, &done, &local, err);
	ovbd_progress_end(&progress);
	if (r == 0 && done.nlarge > 0)
		ovbd_cli_warning(c,
		                 "%s: %llu blocks grew beyond 64 KiB when compressed, which "
		                 "overlaybd cannot read",
		                 q->dst, (unsigned long long)done.nlarge);
	return r;
}

static int run(struct ovbd_cli *c)
{
	struct request q = {.tar = false};
	const char *what;
	struct ovbd_error err;
	int r;

	if (parse(c, &q) < 0)
		return c->status;
	ovbd_interrupt_catch();
	if (q.verify)
		return verify(c, &q);
	what = q.extract ? "decompress" : "compress";
	printf("%s file %s as %s\n", what, q.src ? q.src : "", q.dst);
	r = convert(c, &q, &err);
	if (r < 0)
		return ovbd_cli_fail(c, r, false, &err);
	printf("%s file done.\n", what);
	return OVBD_EXIT_OK;
}

static const struct ovbd_example examples[] = {
	{"overlaybd-zfile disk.raw disk.zfile", "Compress."},
	{"overlaybd-zfile -x disk.zfile disk.raw", "Decompress."},
	{"overlaybd-zfile --verify disk.zfile", "Whether it is as it was."},
	{NULL},
};

const struct ovbd_verb ovbd_overlaybd_zfile = {
	.name = "zfile",
	.program = "overlaybd-zfile",
	.summary = "Compress any bytes into a ZFile, or decompress one",
	.usage = "[SRC] DST",
	.text = "Compresses SRC (standard input, if only DST is named) in blocks, each with a "
		"checksum, "
		"so that any part can be read. In the place of overlaybd's program.",
	.options = options,
	.examples = examples,
	.exits = "0 done, or valid; 1 failed, or not valid; 2 wrong usage; 128 + N after signal N.",
	.run = run,
};
