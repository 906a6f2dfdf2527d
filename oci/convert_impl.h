/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to oci/convert*.c.
 *
 *     convert_plan.c   all documents are read, and say what is to be done
 *     convert_known.c  which layers are there already
 *     convert_dedup.c  which are elsewhere, and can be had
 *     convert_skip.c   whether all of it is
 *     convert_layer.c  a layer
 *     convert_image.c  a manifest and its config
 *     convert.c        indexes, and all of it
 */
#ifndef OVBD_OCI_CONVERT_IMPL_H
#define OVBD_OCI_CONVERT_IMPL_H

#include "oci/convert.h"
#include "oci/dedup.h"
#include "oci/place.h"

#define OCI_OVERLAYBD "containerd.io/snapshot/overlaybd/"
/* What a layer was made of, so that it need not be made again. */
#define OCI_NOTE_FROM "io.ovbd.convert.chain-id"
#define OCI_NOTE_HOW  "io.ovbd.convert.parameters"

/* A digest of sha256 is enough here. */
#define OCI_ID_SIZE 72

struct oci_layer {
	struct oci_ref src;
	char diff_id[OVBD_OCI_DIGEST_SIZE];
	char chain_id[OCI_ID_SIZE];
	struct oci_ref made; /* "" as digest until it is */
	uint64_t nlarge;
};

/* Layers that are there, bottom first: those of an image of the target. */
struct oci_known {
	struct oci_known *next;
	struct oci_layer *layers; /* src is not known */
	size_t n;
};

enum oci_kind {
	OCI_IMAGE,
	OCI_INDEX,
	OCI_COPY, /* kept as it is */
};

/* A document of the source, and what becomes of it. */
struct oci_node {
	enum oci_kind kind;
	struct oci_ref src, made;
	json_t *doc;    /* of the source */
	json_t *config; /* of an IMAGE */
	struct oci_ref config_ref;
	char platform[112]; /* of an IMAGE */
	struct oci_layer *layers;
	size_t nlayers;
	struct oci_node *kids; /* of an INDEX; those that are dropped are not in doc any more */
	size_t nkids;
	/* Its lowest layers, which are not made: what they are is known, or is made for an earlier
	 * image. */
	const struct oci_node *earlier;
	size_t nthere;
};

struct oci_work {
	const struct ovbd_oci_convert *c;
	struct oci_source *src;
	struct oci_target *dst; /* NULL: there is nothing yet, and will not be */
	struct oci_node root;
	struct oci_node **images; /* all IMAGEs of root, in their order */
	size_t nimages;
	struct oci_known *known;
	struct oci_dedup *dedup; /* or NULL */
	char how[96];            /* OCI_NOTE_HOW */
	uint64_t done, total;    /* bytes of layers to be made */
	size_t nattestations, ndropped;
	/* Nothing is made or told: only what documents would be put is found out, and whether what
	 * they name is there. */
	bool probing, missing;
	bool remote; /* the target is: its failures are not local */
	bool local;  /* the last failure was in the target */
};

/* r, which is of the target. */
static inline int oci_target(struct oci_work *w, int r)
{
	w->local = r < 0 && !w->remote;
	return r;
}

void oci_tell_warning(const struct oci_work *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* 0, or -ECANCELED: so many bytes more are done of a layer. */
int oci_progress(struct oci_work *w, uint64_t done, struct ovbd_error *err);
/* No step of the way: only whether to go on. arg: struct oci_work. */
int oci_is_stopped(void *arg, uint64_t done, uint64_t total);

/* Fills w->root and w->images. */
int oci_plan(struct oci_work *w, const struct oci_ref *ref, struct ovbd_error *err);
void oci_node_free(struct oci_node *n);

/* Finds what of the target's images can be used, and w->total. What cannot be read there is as if
 * it were not. */
int oci_known_load(struct oci_work *w, struct ovbd_error *err);
int oci_known_use(struct oci_work *w, struct ovbd_error *err);
/* The same for one image, but that nothing is verified. */
void oci_known_match(const struct oci_work *w, struct oci_node *n);
void oci_known_free(struct oci_known *take_k);

/* Finds more of an image's layers. */
int oci_dedup_use(struct oci_work *w, struct oci_node *n, struct ovbd_error *err);
/* Layers [from, to) of an image are in the target now. */
void oci_dedup_note(struct oci_work *w, const struct oci_node *n, size_t from, size_t to);
/* What is wrong with the database, once. */
void oci_dedup_tell(const struct oci_work *w);

/* 1: the target's name means already what is to be made, and all of that is there; 0: not so. */
int oci_skip(struct oci_work *w, struct ovbd_error *err);
/* Finds out whether a document is there. */
void oci_document_ask(struct oci_work *w, const struct oci_ref *ref);
/* Puts a document; or, if that is all that is to be known, says what ret would be. */
int oci_document_put_or_probe(struct oci_work *w, enum oci_put kind, const json_t *v,
                              struct oci_ref *ret, struct ovbd_error *err);

/* Makes n, with all that it names. */
int oci_node_make(struct oci_work *w, struct oci_node *n, struct ovbd_error *err);

/* Makes layer i of an image, over those before it. */
int oci_layer_make(struct oci_work *w, struct oci_node *n, size_t i, struct ovbd_error *err);

/* Makes an IMAGE, with its layers. */
int oci_image_make(struct oci_work *w, struct oci_node *n, struct ovbd_error *err);
/* Puts doc as n's document, whose parts are made: with the annotations that the user wants. */
int oci_document_finish(struct oci_work *w, struct oci_node *n, json_t *doc,
                        struct ovbd_error *err);

#endif
