/* SPDX-License-Identifier: Apache-2.0 */
/* What `ovbd apply` has been asked for, and how it is done. */
#ifndef OVBD_TOOLS_APPLY_H
#define OVBD_TOOLS_APPLY_H

#include "fs/fs.h"
#include "tools/convert.h"
#include "tools/tar_file.h"

struct ovbd_apply {
	struct ovbd_convert
		out;        /* its dst, format, tar, force, zfile, uuid..., progress; base: what
	                          * the tar is applied to, or NULL */
	const char *tar;    /* a path, or "-" */
	const char *digest; /* that tar must have; or NULL */
	uint64_t fs_size;   /* of a new file system */
	int64_t now;
};

struct ovbd_apply_done {
	struct ovbd_converted converted;
	struct ovbd_fs_applied applied;
	char digest[OVBD_DIGEST_TEXT_SIZE];  /* of tar as it is */
	char diff_id[OVBD_DIGEST_TEXT_SIZE]; /* and decompressed */
	const char *compression;             /* "gzip", "zstd", "none" */
	uint64_t tar_size;                   /* bytes, as it is */
	uint64_t fs_size;                    /* of the device */
};

/* Makes the layer. */
int ovbd_apply_run(const struct ovbd_apply *a, struct ovbd_apply_done *ret, struct ovbd_error *err);

#endif
