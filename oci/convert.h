/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of files become images of blocks: each layer's tar is applied over those before it, in one
 * pass (fs/fs.h), and what that changes in the file system is the layer that overlaybd's
 * snapshotter expects in its place. docs/oci.md says what becomes of the rest.
 */
#ifndef OVBD_OCI_CONVERT_H
#define OVBD_OCI_CONVERT_H

#include "base/progress.h"
#include "image/manifest.h"
#include "oci/layout.h"
#include "oci/transport.h"
#include "zfile/zfile.h"

struct ovbd_oci_told_layer {
	const char *platform; /* "linux/arm64/v8", of its image */
	const char *source, *chain_id;
	const char *digest; /* of what it has become; NULL: not known, with dry_run */
	uint64_t source_size, size;
	size_t number, n; /* 1 .. n, of its image */
	bool there;       /* it was in the target, or was made for another image */
	uint64_t nlarge;  /* blocks overlaybd could not read */
};

/* What there is to do, before it is done. */
struct ovbd_oci_told_plan {
	size_t nimages, nlayers, nthere;
	uint64_t total; /* bytes of the source's layers that are to be made: as progress has it */
};

struct ovbd_oci_told_image {
	const char *platform;
	const char *source, *digest; /* of the manifests; digest NULL with dry_run */
	size_t nlayers, nthere;
	uint64_t source_size, size; /* of its layers */
};

/* What happens, as it does. Any may be NULL. */
struct ovbd_oci_tell {
	void (*plan)(void *arg, const struct ovbd_oci_told_plan *p);
	/* One is made from now on: digest and size are not known. */
	void (*begin)(void *arg, const struct ovbd_oci_told_layer *l);
	void (*layer)(void *arg, const struct ovbd_oci_told_layer *l);
	void (*image)(void *arg, const struct ovbd_oci_told_image *i); /* after its layers */
	/* All of an image's layers are made, n of so many bytes are not in the target yet;
	 * often. */
	void (*waiting)(void *arg, size_t n, uint64_t size);
	/* Something of the source is not in the target, or not as one might think. */
	void (*warning)(void *arg, const char *text);
	void *arg;
};

struct ovbd_oci_convert {
	const char *src, *dst; /* names of images: oci/transport.h */
	struct ovbd_oci_access src_access, dst_access;
	const char *temp_dir; /* where targets make files that have no name; NULL: /tmp */
	const struct ovbd_platform *platforms; /* which images of an index */
	size_t nplatforms;                     /* 0: all */
	bool attestations;                     /* are kept */
	bool dry_run;                          /* nothing is written */
	bool skip_existing; /* nothing is done if dst means already what would come out; layers are
	                     * not read for that */
	bool referrer; /* what is made has what it was made of as its subject, and is found by it */
	const char *dedup; /* a database of layers that were made: "sqlite:PATH"; or NULL */
	const char *const *annotations; /* "key=value", for each manifest and index made */
	size_t nannotations;
	uint64_t fs_size; /* of file systems: fs/fs.h */
	int64_t now;
	bool compress; /* layers, as zfile says */
	struct ovbd_zfile_params zfile;
	struct ovbd_oci_tell tell;
	ovbd_progress_fn progress; /* of bytes of the source; may be NULL */
	void *arg;
};

struct ovbd_oci_converted {
	char digest[OVBD_OCI_DIGEST_SIZE]; /* of what the target's name now means; "" with
	                                    * dry_run */
	char type[128];
	size_t nimages, nlayers, nthere;
	size_t nattestations, ndropped; /* kept, and not */
	bool skipped;                   /* it was there: skip_existing */
};

/* If it fails, *ret_local says whether that was in writing the target rather than in the source.
 * Then there may be blobs in the target that nothing names: they are whole. */
int ovbd_oci_convert(const struct ovbd_oci_convert *c, struct ovbd_oci_converted *ret,
                     bool *ret_local, struct ovbd_error *err);

#endif
