// SPDX-License-Identifier: Apache-2.0
#include "tools/convert_oci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sink.h"
#include "image/manifest.h"
#include "image/registry.h"
#include "oci/convert.h"
#include "remote/patience.h"
#include "tools/convert_told.h"
#include "tools/fs_options.h"
#include "tools/interrupt.h"
#include "tools/scan.h"
#include "zfile/zfile.h"

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

/* ---- who we are ---- */

/* To the registries of SRC and DST. */
struct sides {
	struct ovbd_registry *registry[OVBD_NSIDES];
	struct ovbd_http_params http[OVBD_NSIDES];
};

static void close_sides(struct sides *s)
{
	for (size_t i = 0; i < OVBD_NSIDES; i++)
		ovbd_registry_close(s->registry[i]);
}

/* Whether what is said of SRC's registry is meant for DST's too. */
static bool is_same(const char *src, const char *dst)
{
	struct ovbd_registry_name a, b;

	if (!ovbd_registry_is_name(src))
		return true;
	return ovbd_registry_name_parse(src, &a, NULL) == 0 && ovbd_registry_is_name(dst) &&
	       ovbd_registry_name_parse(dst, &b, NULL) == 0 && strcmp(a.host, b.host) == 0;
}

static int open_sides(const struct ovbd_cli *c, struct sides *s, struct ovbd_error *err)
{
	const bool same = is_same(c->operands[0], c->operands[1]);
	int r = 0;

	for (enum ovbd_side i = 0; r == 0 && i < OVBD_NSIDES; i++)
		r = ovbd_remote_options_open_side(c, i, same, &s->registry[i], &s->http[i], err);
	return r;
}

static struct ovbd_oci_access access_of(const struct sides *s, enum ovbd_side i)
{
	return (struct ovbd_oci_access){
		.registry = s->registry[i],
		.http = &s->http[i],
		.stop = ovbd_interrupt_flag(),
	};
}

/* ---- the run ---- */

static int convert(struct ovbd_cli *c, const struct ovbd_convert_request *q,
                   const struct ovbd_platform *platforms, const struct sides *sides)
{
	OVBD_AUTO(ovbd_convert_told_free) struct ovbd_convert_told told;
	const struct ovbd_oci_convert v = {
		.src = c->operands[0],
		.dst = c->operands[1],
		.src_access = access_of(sides, OVBD_SIDE_SRC),
		.dst_access = access_of(sides, OVBD_SIDE_DEST),
		.temp_dir = getenv("TMPDIR"),
		.platforms = platforms,
		.nplatforms = c->remote.nplatforms,
		.attestations = q->images.attestations,
		.dry_run = q->images.dry_run,
		.skip_existing = q->images.skip_existing,
		.dedup = q->images.dedup,
		.referrer = q->images.referrer,
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
		.tell = ovbd_convert_told_calls(&told),
		.progress = ovbd_convert_told_progress,
		.arg = &told,
	};
	struct ovbd_oci_converted done;
	struct ovbd_error err;
	bool local;
	int r;

	ovbd_convert_told_start(&told, c, q);
	r = ovbd_oci_convert(&v, &done, &local, &err);
	ovbd_convert_told_clear(&told);
	if (r < 0)
		return ovbd_cli_fail(c, r, !local, &err);
	if (q->images.digestfile && write_digest(q->images.digestfile, done.digest, &err) < 0)
		return ovbd_cli_fail(c, -EIO, false, &err);
	ovbd_convert_told_result(&told, &done);
	return OVBD_EXIT_OK;
}

int ovbd_convert_oci(struct ovbd_cli *c, const struct ovbd_convert_request *q)
{
	const struct ovbd_patience patience = {.stop = ovbd_interrupt_flag()};
	struct ovbd_platform platforms[OVBD_PLATFORMS_MAX];
	OVBD_AUTO(close_sides) struct sides sides = {.registry = {NULL}};
	struct ovbd_error err;
	int r = open_sides(c, &sides, &err);

	ovbd_patience_set(patience);
	for (size_t i = 0; r == 0 && i < c->remote.nplatforms; i++)
		r = ovbd_platform_parse(c->remote.platforms[i], &platforms[i], &err);
	return r < 0 ? ovbd_cli_fail(c, r, false, &err) : convert(c, q, platforms, &sides);
}
