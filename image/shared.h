/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers that several images of one process have in common: what lies in a file or URL (the ZFile
 * with its jump table, the connection's state) is opened once for all of them, and closed with the
 * last. What is told apart is content, not names: see ovbd_blob_key().
 *
 * Any thread.
 */
#ifndef OVBD_IMAGE_SHARED_H
#define OVBD_IMAGE_SHARED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/blob.h"

struct ovbd_shared;

int ovbd_shared_create(struct ovbd_shared **ret, struct ovbd_error *err);

/* After the last image that has used it. NULL is fine. */
void ovbd_shared_close(struct ovbd_shared *take_s);

/* Open files and objects, for all who share them. */
size_t ovbd_shared_count(struct ovbd_shared *s);

/* --- private to image/ --- */

/* A file or object with its wrapping taken off. */
struct ovbd_bytes {
	struct ovbd_blob *blob;   /* what is in it */
	struct ovbd_blob *http;   /* a part of blob, where it is remote; else NULL */
	struct ovbd_blob *kept;   /* a part of blob, where a cache keeps its bytes; else NULL */
	struct ovbd_blob *verity; /* a part of blob, where it is proven; else NULL */
	struct ovbd_blob *zfile;  /* a part of blob, where it is compressed; else NULL */
	bool tar;                 /* it was wrapped in a tar */
	uint64_t tar_off;         /* then bytes before what was */
	struct ovbd_blob *ahead;  /* a part of blob, where it is remote: of remote/ahead.h */
};

/* What was put under key, if it is still open; ret->blob is to be closed like any other. */
bool ovbd_shared_get(struct ovbd_shared *s, const char *key, struct ovbd_bytes *ret);

/* Puts b under key and takes b->blob; if there is something already, that is returned instead. On
 * success b->blob is to be closed like any other, on failure there is none. */
int ovbd_shared_put(struct ovbd_shared *s, const char *key, struct ovbd_bytes *b,
                    struct ovbd_error *err);

#endif
