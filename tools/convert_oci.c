// SPDX-License-Identifier: Apache-2.0
#include "tools/convert_oci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sink.h"
#include "oci/convert.h"
#include "tools/convert_told.h"
#include "tools/fs_options.h"
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

/* ---- the run ---- */

static int convert(struct ovbd_cli *c, const struct ovbd_convert_request *q,
                   const struct ovbd_platform *platforms)
{
	OVBD_AUTO(ovbd_convert_told_free) struct ovbd_convert_told told;
	const struct ovbd_oci_convert v = {
		.src = c->operands[0],
		.dst = c->operands[1],
		.temp_dir = getenv("TMPDIR"),
		.platforms = platforms,
		.nplatforms = c->remote.nplatforms,
		.attestations = q->images.attestations,
		.dry_run = q->images.dry_run,
		.skip_existing = q->images.skip_existing,
		.dedup = q->images.dedup,
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
	struct ovbd_platform platforms[OVBD_PLATFORMS_MAX];
	struct ovbd_error err;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->remote.nplatforms; i++)
		r = ovbd_platform_parse(c->remote.platforms[i], &platforms[i], &err);
	return r < 0 ? ovbd_cli_fail(c, r, false, &err) : convert(c, q, platforms);
}
