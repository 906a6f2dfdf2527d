/* SPDX-License-Identifier: Apache-2.0 */
/* What `ovbd convert` has been asked for, and how it is done. */
#ifndef OVBD_TOOLS_CONVERT_H
#define OVBD_TOOLS_CONVERT_H

#include "base/progress.h"
#include "image/image.h"
#include "remote/verity.h"

struct ovbd_convert {
	struct ovbd_blob *src;        /* what is converted: a whole device, or any bytes */
	const struct ovbd_image *img; /* src is its blob; NULL: src is standard input */
	const struct ovbd_image
		*base;           /* what src lies on (img->part), or is compared with; or NULL */
	const char *dst;         /* a path, or "-" */
	enum ovbd_format format; /* of dst: any that can be written */
	bool references;         /* a layer may refer to what lies beneath it */
	bool tar, force;
	/* A layer of src, which is part of a stack, for exactly its place there: its size is this,
	 * wherever src ends, and nothing is said of what lies beneath. */
	bool exact;
	uint64_t virtual_size;
	const char *verity;             /* where the Merkle tree of dst goes; NULL: nowhere */
	struct ovbd_zfile_params zfile; /* for ZFILE and OVBD; its level also for DM_UPDATE */
	enum ovbd_dm_update_codec update_codec; /* for DM_UPDATE */
	uint32_t update_chunk;                  /* bytes compressed at once */
	const char *uuid, *parent_uuid, *tag;
	unsigned nreaders;         /* that read ahead */
	ovbd_progress_fn progress; /* may be NULL */
	void *arg;
};

/* What may help where something of what lies below is needed, and it is not known. */
#define OVBD_CONVERT_HINT                                                                          \
	"name it with -B, and as the first SRC too if the next is a layer; or say --whole if "     \
	"nothing lies there"

struct ovbd_converted {
	uint64_t raw_size;            /* bytes, before they were compressed */
	uint64_t stored_size;         /* bytes of dst */
	uint64_t data_size;           /* bytes of dst that are no hole; raw output */
	uint64_t nsegments;           /* of a layer */
	uint64_t nblocks;             /* of a dm-update */
	uint64_t ref_size;            /* bytes of the device that it refers to what is below for */
	uint64_t nlarge;              /* blocks the original cannot read */
	struct ovbd_verity_root root; /* with verity */
};

/* Warnings, and a summary; or JSON. The root of a Merkle tree is a result: it is printed with -q
 * too. */
struct ovbd_cli;
void ovbd_convert_tell(const struct ovbd_cli *c, bool json, const struct ovbd_convert *v,
                       const struct ovbd_converted *done, double seconds);

/* Makes dst. If it fails, *ret_local says whether that was here rather than in reading the
 * source. */
int ovbd_convert_run(const struct ovbd_convert *c, struct ovbd_converted *ret, bool *ret_local,
                     struct ovbd_error *err);

#endif
