/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For image/ and oci/: what images in registries are called, and what their manifests say (OCI's,
 * and docker's of version 2). Pure: bytes in, checked values out.
 */
#ifndef OVBD_IMAGE_MANIFEST_H
#define OVBD_IMAGE_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define OVBD_MANIFEST_SIZE_MAX (4u << 20) /* as registries have it */
#define OVBD_DIGEST_SIZE       160        /* of a digest's text, with its NUL */

/* Whether text is ALGORITHM:HEX, fit to be a part of a URL. */
bool ovbd_digest_is_valid(const char *text);

struct ovbd_platform {
	char os[32], arch[32], variant[32]; /* "" for any variant */
};

/* OS/ARCH[/VARIANT]. -EINVAL. */
int ovbd_platform_parse(const char *text, struct ovbd_platform *ret, struct ovbd_error *err);

/* Of this machine. */
void ovbd_platform_here(struct ovbd_platform *ret);

/* docker://[HOST[:PORT]/]NAME[:TAG][@DIGEST] */
struct ovbd_registry_name {
	char host[256]; /* with the port; docker.io is so called here */
	char repository[256];
	char tag[129];                 /* "latest" if there is neither tag nor digest; or "" */
	char digest[OVBD_DIGEST_SIZE]; /* or "" */
};

/* As docker and skopeo read it: without a host, or with a word in its place that cannot be one, it
 * is docker.io's; and there a name of one part is in library/. -EINVAL: no name. */
int ovbd_registry_name_parse(const char *text, struct ovbd_registry_name *ret,
                             struct ovbd_error *err);

enum ovbd_layer_kind {
	OVBD_LAYER_BLOCKS, /* ours, or perhaps: what it has shows when it is opened */
	OVBD_LAYER_TURBO,  /* turboOCI: names files of another */
	OVBD_LAYER_TRACE,  /* what a start reads, and no blocks */
	OVBD_LAYER_FILES,  /* an ordinary one */
	OVBD_LAYER_OTHER,
};

/* A layer of a manifest, or a manifest of an index. */
struct ovbd_descriptor {
	char digest[OVBD_DIGEST_SIZE];
	uint64_t size;
	char type[128];
	enum ovbd_layer_kind kind;     /* of a layer */
	struct ovbd_platform platform; /* of a manifest; os "" if it is not said */
};

struct ovbd_manifest {
	bool index;                  /* of manifests; otherwise one of layers */
	struct ovbd_descriptor *all; /* layers: bottom first */
	size_t n;
};

/* -EBADMSG: it is neither. name is for messages. *ret is to be freed. */
int ovbd_manifest_parse(const char *text, size_t len, const char *name, struct ovbd_manifest *ret,
                        struct ovbd_error *err);
void ovbd_manifest_free(struct ovbd_manifest *m);

/* The one of an index that is for a platform. -ENOENT: there is none. */
int ovbd_manifest_choose(const struct ovbd_manifest *m, const struct ovbd_platform *p,
                         const char *name, const struct ovbd_descriptor **ret,
                         struct ovbd_error *err);

#endif
