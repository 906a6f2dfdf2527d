/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image configuration: the JSON of overlaybd's config.v1.json (docs/image-config.md). Unknown
 * keys are ignored, values of a wrong type are an error that names them.
 */
#ifndef OVBD_IMAGE_CONFIG_H
#define OVBD_IMAGE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"
#include "bow/bow.h"
#include "remote/download.h"

/* Bytes of JSON. 255 layers take about 100 KiB; read, a hostile one takes 80 times as many. */
#define OVBD_CONFIG_SIZE_MAX (1u << 19)

#define OVBD_CONFIG_DEADLINE_MAX 86400 /* seconds */

/* A layer of the stack. Strings are "" if not given, never NULL. */
struct ovbd_layer_ref {
	char *file;    /* wins if it exists */
	char *dir;     /* where a download of the layer may be */
	char *url;     /* ours: the layer's own URL */
	char *digest;  /* with repoBlobUrl: the layer's URL */
	uint64_t size; /* bytes of the file or object; 0: not given */
	/* ours: file is a writable layer that a snapshot has frozen, and may have to be sealed yet;
	 * its index file, and the bytes of what it lies over */
	bool sealing;
	char *sealing_index;
	uint64_t beneath;
	char *verity_root; /* ours: "sha256:..."; what the layer's bytes must be proven to be */
	char *verity_file; /* the Merkle tree; wins if it exists */
	char *verity_url;
};

/* What a configuration may ask for that has no effect yet; the bytes read are the same. */
enum ovbd_config_ignored {
	OVBD_CONFIG_RECORD_TRACE, /* beside an acceleration layer */
	OVBD_CONFIG_UPPER,
	OVBD_CONFIG_NIGNORED,
};

/* The key, for a message. */
const char *ovbd_config_ignored_name(enum ovbd_config_ignored key);

struct ovbd_config {
	char *repo_blob_url;
	char *result_file;
	struct ovbd_layer_ref *lowers; /* bottom first; there may be none beneath an upper */
	size_t nlowers;
	char *upper_data, *upper_index; /* the writable layer, as in image/upper.h; "": none */
	/* What is fetched before it is read. Paths as they are given, "" if they are not. */
	char *record_path; /* recordTracePath */
	char *trace_dir;   /* of the acceleration layer, which is no lower */
	char *trace;       /* ours */
	char *prefetch;    /* ours: "", "none", "trace" or "all" */
	bool has_download; /* it says how layers are to be fetched in the background: */
	struct ovbd_download_params download;
	uint64_t deadline_s; /* ours: of a read over the network; 0: not given */
	/* ours: no image at all, but a device with backup on write (image/bow.h), and how; "": it
	 * is an image */
	char *bow;
	struct ovbd_bow_params bow_params;
	unsigned ignored; /* bits 1 << OVBD_CONFIG_... of what was asked for */
};

/* Parses len bytes of JSON; name is for messages. -EBADMSG: no JSON, or wrong types; -ENOTSUP: says
 * something that we cannot do yet (turboOCI). */
int ovbd_config_parse(const char *text, size_t len, const char *name, struct ovbd_config **ret,
                      struct ovbd_error *err);

/* Whether the text of a whole file is meant to be a configuration: it begins with a brace and is
 * text. What it says may still be wrong. */
bool ovbd_config_probe(const char *text, size_t len);

/* NULL is fine. */
void ovbd_config_free(struct ovbd_config *c);

static inline void ovbd_config_freep(struct ovbd_config **c)
{
	ovbd_config_free(*c);
}

#endif
