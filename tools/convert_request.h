/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line of `ovbd convert` says. */
#ifndef OVBD_TOOLS_CONVERT_REQUEST_H
#define OVBD_TOOLS_CONVERT_REQUEST_H

#include "image/image.h"
#include "tools/cli.h"

#define OVBD_CONVERT_THREADS_MAX 256u

/* Of images: convert_oci.h. */
struct ovbd_convert_images {
	const char **annotations; /* "key=value"; the caller's, as bases below */
	size_t nannotations;
	const char *digestfile; /* NULL: not given */
	const char *dedup;      /* --dedup-db; NULL: not given */
	uint64_t fs_size;       /* 0: not given */
	bool attestations, dry_run, skip_existing, referrer;
};

struct ovbd_convert_request {
	enum ovbd_format in, out;
	struct ovbd_cow_params cow;
	const char **bases; /* the caller's: room for as many as there are arguments */
	size_t nbases;
	const char *codec; /* NULL: not given */
	enum ovbd_codec_id codec_id;
	bool deflate; /* instead of codec_id; for dm-update */
	int level;
	uint64_t block_size; /* 0: not given */
	unsigned njobs;
	bool compress, progress, tar, force;
	bool events; /* --progress=json */
	bool verity, json;
	const char *verity_file;       /* NULL: not given */
	bool whole;                    /* nothing lies beneath SRC */
	bool references, materialised; /* the one or the other was asked for */
	const char *uuid, *parent_uuid, *tag;
	struct ovbd_convert_images images;
	char uuid_text[OVBD_UUID_SIZE], parent_text[OVBD_UUID_SIZE];
};

extern const struct ovbd_option ovbd_convert_options[];

/* Whether text is a UUID, 8-4-4-4-12 hexadecimal digits; *ret has them in upper case, as layers
 * do. */
bool ovbd_convert_uuid(const char *text, char ret[OVBD_UUID_SIZE]);

/* The value of -c ("lz4", "zstd:19", ...) and of --block-size. 0; a mistake is told, and not 0. */
int ovbd_convert_codec(struct ovbd_cli *c, struct ovbd_convert_request *q);

/* Of verbs that make a layer: "ovbd" or "lsmt", which is bare, without a ZFile around it; and a
 * codec that a layer may have: none is bare, too. */
int ovbd_convert_layer_format(struct ovbd_cli *c, bool *ret_bare);
int ovbd_convert_layer_codec(struct ovbd_cli *c, struct ovbd_convert_request *q, bool *bare);
int ovbd_convert_block_size(struct ovbd_cli *c, struct ovbd_convert_request *q);

/* The value of -j. 0; a mistake is told, and not 0. */
int ovbd_convert_jobs(struct ovbd_cli *c, unsigned *ret);

/* Whether DST is an image, and not a file. */
bool ovbd_convert_is_images(const struct ovbd_cli *c);

/* Parses and checks all of it; *ret holds the defaults already. 0, or -1: the verb shall return
 * c->status, what there is to say has been said. */
int ovbd_convert_parse(struct ovbd_cli *c, struct ovbd_convert_request *ret);

#endif
