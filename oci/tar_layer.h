/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar becomes a layer in one pass:
 *
 *     tar ─► unpack ─► digest ─► fs ─► layer writer ─► the caller's sinks
 *
 * over what lies beneath. docs/apply.md.
 */
#ifndef OVBD_OCI_TAR_LAYER_H
#define OVBD_OCI_TAR_LAYER_H

#include "fs/fs.h"
#include "image/image.h"
#include "oci/layout.h"

struct ovbd_tar_layer_params {
	const char *name;     /* of the tar, for what is said of it; NULL: others know */
	ovbd_fs_read_fn read; /* the tar as it is, compressed or not */
	/* Where the layer goes: called once, when it is known that there will be one. */
	int (*open)(void *arg, struct ovbd_sink **ret, struct ovbd_error *err);
	/* All of the tar has been read: 0 if it is what the caller expects. diff_id: of it
	 * unpacked; "" if it was not packed and params.diff_id is NULL. Before anything is
	 * finished. */
	int (*check)(void *arg, const char *diff_id, struct ovbd_error *err);
	void *arg;
	const struct ovbd_image *below; /* what it is applied to; NULL: a new file system */
	uint64_t fs_size;               /* of a new one: fs/fs.h */
	int64_t now;                    /* likewise */
	const char *diff_id;            /* a digest of the kind that is to be computed, or NULL */
	const char *uuid, *parent_uuid, *tag; /* lsmt/lsmt.h */
};

struct ovbd_tar_layer_done {
	struct ovbd_layer_writer *writer; /* finished; the caller's. Sinks live as long as it */
	struct ovbd_fs_applied applied;
	const char *compression; /* "gzip", "zstd", "none" */
	uint64_t device_size;
	uint64_t data_size; /* bytes that were put */
};

/* If it fails, *ret_local says whether that was in writing the layer; nothing is left of that. */
int ovbd_tar_layer_make(const struct ovbd_tar_layer_params *p, struct ovbd_tar_layer_done *ret,
                        bool *ret_local, struct ovbd_error *err);

#endif
