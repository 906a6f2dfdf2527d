// SPDX-License-Identifier: Apache-2.0
#include "tools/convert_oci.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/sink.h"
#include "tools/scan.h"
#include "oci/convert.h"
#include "tools/interrupt.h"
#include "tools/fs_options.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/size.h"
#include "zfile/zfile.h"

struct run {
	const struct ovbd_cli *c;
	const struct ovbd_convert_request *q;
	struct ovbd_progress progress;
	char what[200];          /* progress.what */
	json_t *images, *layers; /* with --output=json; layers: of the next image */
	uint64_t nlarge;
};

/* ---- what is told on the way ---- */

static void add_json_layer(struct run *run, const struct ovbd_oci_told_layer *l)
{
	json_t *o = json_object();

	ovbd_json_set_text(o, "source", l->source);
	ovbd_json_set_size(o, "source-size", l->source_size);
	ovbd_json_set_text(o, "chain-id", l->chain_id);
	if (l->digest) {
		ovbd_json_set_text(o, "digest", l->digest);
		ovbd_json_set_size(o, "size", l->size);
	}
	ovbd_json_set_bool(o, "there", l->there);
	ovbd_json_append(run->layers, o);
}

static void on_layer(void *arg, const struct ovbd_oci_told_layer *l)
{
	struct run *run = arg;
	char from[OVBD_SIZE_TEXT], to[OVBD_SIZE_TEXT];

	run->nlarge += l->nlarge;
	if (run->q->json) {
		add_json_layer(run, l);
		return;
	}
	ovbd_size_text(from, l->source_size);
	ovbd_size_text(to, l->size);
	if (run->q->images.dry_run) {
		printf("%s: layer %zu of %zu: %s, %s: %s\n", l->platform, l->number, l->n,
		       l->source, from, l->there ? "is there" : "would be converted");
	} else if (run->c->verbose > 0) {
		ovbd_progress_end(&run->progress);
		ovbd_cli_note(run->c, "%s: layer %zu of %zu: %s, %s: %s, %s%s", l->platform,
		              l->number, l->n, l->source, from, l->digest, to,
		              l->there ? ", was there" : "");
	}
}

static void on_image(void *arg, const struct ovbd_oci_told_image *i)
{
	struct run *run = arg;
	char from[OVBD_SIZE_TEXT], to[OVBD_SIZE_TEXT], n[OVBD_COUNT_TEXT];

	if (run->q->json) {
		json_t *o = json_object();

		ovbd_json_set_text(o, "platform", i->platform);
		ovbd_json_set_text(o, "source", i->source);
		if (i->digest)
			ovbd_json_set_text(o, "digest", i->digest);
		ovbd_json_set(o, "layers", run->layers);
		ovbd_json_append(run->images, o);
		run->layers = json_array();
		return;
	}
	if (run->q->images.dry_run)
		return;
	ovbd_progress_end(&run->progress);
	ovbd_cli_note(run->c, "%s: %s of %s in %s; %zu of %zu %s there", i->platform,
	              ovbd_count_text(n, i->nlayers, "layer"), ovbd_size_text(from, i->source_size),
	              ovbd_size_text(to, i->size), i->nthere, i->nlayers,
	              i->nthere == 1 ? "was" : "were");
}

static void on_warning(void *arg, const char *text)
{
	struct run *run = arg;

	ovbd_progress_end(&run->progress);
	ovbd_cli_warning(run->c, "%s", text);
}

static void on_next(void *arg, const char *what)
{
	struct run *run = arg;

	snprintf(run->what, sizeof(run->what), "%s", what);
	run->progress.what = run->what;
}

/* ---- what is told at the end ---- */

static void print_json(struct run *run, const struct ovbd_oci_converted *done)
{
	json_t *o = ovbd_json_create("convert-image");

	ovbd_json_set_text(o, "source", run->c->operands[0]);
	ovbd_json_set_text(o, "target", run->c->operands[1]);
	ovbd_json_set_bool(o, "dry-run", run->q->images.dry_run);
	if (done->digest[0]) {
		ovbd_json_set_text(o, "digest", done->digest);
		ovbd_json_set_text(o, "media-type", done->type);
	}
	ovbd_json_set_size(o, "layers", done->nlayers);
	ovbd_json_set_size(o, "layers-there", done->nthere);
	ovbd_json_set_size(o, "attestations", done->nattestations);
	ovbd_json_set_size(o, "attestations-dropped", done->ndropped);
	ovbd_json_set(o, "images", OVBD_MOVE(run->images));
	ovbd_json_print(o);
}

static void tell(struct run *run, const struct ovbd_oci_converted *done)
{
	char n[OVBD_COUNT_TEXT];

	if (run->nlarge > 0)
		ovbd_cli_warning(run->c,
		                 "%s: %" PRIu64
		                 " blocks grew beyond 64 KiB when compressed, which overlaybd "
		                 "cannot read; use --block-size 32K if that matters",
		                 run->c->operands[1], run->nlarge);
	if (run->q->json)
		print_json(run, done);
	else if (run->q->images.dry_run)
		printf("%s: %s; %zu of %zu layers are there\n", run->c->operands[1],
		       ovbd_count_text(n, done->nimages, "image"), done->nthere, done->nlayers);
	else
		ovbd_cli_note(run->c, "%s: %s; %s, %zu of %zu layers were there; %.1f s",
		              run->c->operands[1], done->digest,
		              ovbd_count_text(n, done->nimages, "image"), done->nthere,
		              done->nlayers, ovbd_progress_seconds(&run->progress));
}

/* As skopeo's: without an end of line. */
static int write_digest(const char *path, const char *digest, struct ovbd_error *err)
{
	static const struct ovbd_sink_file_params how = {.overwrite = true};
	AUTO_SINK *s = NULL;
	int r = ovbd_sink_create_file(path, &how, &s, err);

	if (r == 0)
		r = ovbd_sink_append(s, digest, strlen(digest), err);
	return r < 0 ? r : ovbd_sink_finish(s, err);
}

/* ---- the run ---- */

static int convert(struct run *run, const struct ovbd_oci_name *src,
                   const struct ovbd_oci_name *dst, const struct ovbd_platform *platforms)
{
	const struct ovbd_convert_request *q = run->q;
	const struct ovbd_oci_convert v = {
		.src = src,
		.dst = dst,
		.platforms = platforms,
		.nplatforms = run->c->remote.nplatforms,
		.attestations = q->images.attestations,
		.dry_run = q->images.dry_run,
		.annotations = q->images.annotations,
		.nannotations = q->images.nannotations,
		.fs_size = q->images.fs_size ? q->images.fs_size : OVBD_FS_SIZE_DEFAULT,
		.now = ovbd_source_date(),
		.compress = q->compress,
		.zfile = {.codec = q->codec_id,
	                  .level = q->level,
	                  .block_size =
	                          q->block_size ? (uint32_t)q->block_size : OVBD_ZFILE_BLOCK_MIN,
	                  .checksum = true,
	                  .nthreads = q->njobs ? q->njobs : ovbd_cpus()},
		.tell = {on_layer, on_image, on_warning, on_next, run},
		.progress = ovbd_progress_update,
		.arg = &run->progress,
	};
	struct ovbd_oci_converted done;
	struct ovbd_error err;
	bool local;
	int r;

	ovbd_progress_start(&run->progress, run->c, q->progress);
	r = ovbd_oci_convert(&v, &done, &local, &err);
	ovbd_progress_end(&run->progress);
	if (r < 0)
		return ovbd_cli_fail(run->c, r, !local, &err);
	if (q->images.digestfile && write_digest(q->images.digestfile, done.digest, &err) < 0)
		return ovbd_cli_fail(run->c, -EIO, false, &err);
	tell(run, &done);
	return OVBD_EXIT_OK;
}

static int parse_and_convert(struct run *run, struct ovbd_oci_name *src, struct ovbd_oci_name *dst)
{
	struct ovbd_platform platforms[OVBD_PLATFORMS_MAX];
	struct ovbd_error err;
	int r = ovbd_oci_name_parse(run->c->operands[0], src, &err);

	if (r == 0)
		r = ovbd_oci_name_parse(run->c->operands[1], dst, &err);
	if (r == 0 && dst->digest)
		r = ovbd_fail(&err, -EINVAL, "%s: the target has the digest that comes out",
		              dst->text);
	for (size_t i = 0; r == 0 && i < run->c->remote.nplatforms; i++)
		r = ovbd_platform_parse(run->c->remote.platforms[i], &platforms[i], &err);
	return r < 0 ? ovbd_cli_fail(run->c, r, false, &err) : convert(run, src, dst, platforms);
}

int ovbd_convert_oci(struct ovbd_cli *c, const struct ovbd_convert_request *q)
{
	OVBD_AUTO(ovbd_oci_name_free) struct ovbd_oci_name src = {0}, dst = {0};
	struct run run = {.c = c, .q = q, .images = json_array(), .layers = json_array()};
	const int status = parse_and_convert(&run, &src, &dst);

	json_decref(run.images);
	json_decref(run.layers);
	return status;
}
