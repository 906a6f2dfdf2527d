/* SPDX-License-Identifier: Apache-2.0 */
/* Private to image/: the names a user gave, with configurations replaced by the layers they
 * name. */
#ifndef OVBD_IMAGE_REFS_H
#define OVBD_IMAGE_REFS_H

#include "image/bow.h"
#include "image/image.h"

struct ovbd_ref {
	char *name;    /* path or URL */
	uint64_t size; /* bytes it must have; 0: any */
	char *digest;  /* as the configuration has it; NULL: it has none */
	char *dir;     /* where it may be downloaded to; NULL: nowhere */
	struct ovbd_download_params download;
	char *root; /* of its Merkle tree, which must prove it; NULL: there is none */
	char *tree; /* path or URL of that; NULL: not given */
	/* A snapshot has frozen it, and it may have to be sealed yet: image/upper.h. */
	bool sealing;
	char *sealing_index;
	uint64_t beneath;
};

struct ovbd_refs {
	struct ovbd_ref *refs;
	size_t n;
	bool configured;     /* at least one name was a configuration */
	uint64_t deadline_s; /* the least of all configurations; 0: none says one */
	struct ovbd_download_params download; /* where a configuration says nothing */
	unsigned ignored;                     /* of all configurations: see image/config.h */
	/* What the last configuration says of it; NULL: nothing. */
	char *trace, *record;
	enum ovbd_prefetch_mode prefetch;
	/* The writable layer on top: image/upper.h. NULL: there is none. */
	char *upper_data, *upper_index, *upper_config;
	struct ovbd_image_bow bow; /* device NULL: it is none */
};

/* *refs is zero before; ovbd_refs_free() it also after a failure. */
int ovbd_refs_expand(struct ovbd_refs *refs, const char *const *names, size_t n,
                     const struct ovbd_image_params *p, struct ovbd_error *err);
/* Only those from number first to number last (SIZE_MAX: the last) are left. -EINVAL: there are not
 * so many. */
int ovbd_refs_cut(struct ovbd_refs *refs, size_t first, size_t last, struct ovbd_error *err);
void ovbd_refs_free(struct ovbd_refs *refs);

/* path as seen from the configuration config; to be freed. NULL: out of memory. */
char *ovbd_refs_resolve(const char *config, const char *path);

#endif
