/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to oci/: layouts, and what is in them; place.h has where else it can be.
 *
 *     layout.c    the directory
 *     index.c     its index.json: images found, and put there
 *     document.c  manifests, indexes, configs: JSON that is verified and small
 *     stream.c    a blob that is read once, from its beginning, and verified
 *     blob.c      a blob that is written
 *     referrers.c what refers to a manifest
 *
 * All return 0 or -errno and have said why in err.
 */
#ifndef OVBD_OCI_IMPL_H
#define OVBD_OCI_IMPL_H

#include <jansson.h>
#include <openssl/evp.h>

#include "base/progress.h"
#include "base/sink.h"
#include "oci/layout.h"

#define OCI_DOCUMENT_MAX (8u << 20) /* bytes of a manifest, index or config */
#define OCI_ENTRIES_MAX  4096u      /* of a document */
#define OCI_DEPTH_MAX    8u         /* of indexes in indexes */

#define OCI_REF_NAME "org.opencontainers.image.ref.name"

/* What a descriptor says. */
struct oci_ref {
	char digest[OVBD_OCI_DIGEST_SIZE];
	uint64_t size;
	char type[128]; /* the media type; "" if it is not said */
};

/* ---- name.c ---- */

/* As ovbd_oci_name_parse(), of another transport: "oci-archive:". */
int oci_name_parse(const char *text, const char *prefix, struct ovbd_oci_name *ret,
                   struct ovbd_error *err);

/* ---- layout.c ---- */

struct oci_layout {
	char *dir;
};

/* -ENOENT: there is none. */
int oci_layout_open(const char *dir, struct oci_layout **ret, struct ovbd_error *err);
/* Makes what of it is not there. */
int oci_layout_create(const char *dir, struct oci_layout **ret, struct ovbd_error *err);
void oci_layout_close(struct oci_layout *take_l);

static inline void oci_layout_closep(struct oci_layout **l)
{
	oci_layout_close(*l);
}

/* Whether the oci-layout in text is of a version that we know; path: for messages. */
int oci_layout_check(const char *text, size_t len, const char *path, struct ovbd_error *err);
#define OCI_LAYOUT_VERSION "{\"imageLayoutVersion\":\"1.0.0\"}"

/* Of a digest that is valid. *ret is to be freed. */
int oci_blob_path(const struct oci_layout *l, const char *digest, char **ret,
                  struct ovbd_error *err);
/* Whether the blob is there with its size. */
bool oci_blob_is_there(const struct oci_layout *l, const struct oci_ref *ref);
/* All of path, at most max bytes, and a NUL behind it. *ret is to be freed. */
int oci_read_file(const char *path, size_t max, char **ret, size_t *ret_len,
                  struct ovbd_error *err);

/* ---- stream.c ---- */

static inline void oci_json_freep(json_t **v)
{
	json_decref(*v);
}
#define AUTO_JSON OVBD_AUTO(oci_json_freep) json_t

static inline void oci_md_freep(EVP_MD_CTX **md)
{
	EVP_MD_CTX_free(*md);
}
#define AUTO_MD OVBD_AUTO(oci_md_freep) EVP_MD_CTX

/* A digest to be computed, of the algorithm that digest begins with. -ENOTSUP: another than sha256
 * and sha512. */
int oci_md_open(const char *digest, EVP_MD_CTX **ret, struct ovbd_error *err);
int oci_md_update(EVP_MD_CTX *md, const void *buf, size_t len, struct ovbd_error *err);
/* "sha256:..." of what md has taken. Ends md. */
void oci_md_text(EVP_MD_CTX *md, char ret[OVBD_OCI_DIGEST_SIZE]);
/* "sha256:..." of buf. */
int oci_digest_of(const void *buf, size_t len, char ret[OVBD_OCI_DIGEST_SIZE],
                  struct ovbd_error *err);
/* The same of len bytes of a file that was just written; what names it in messages. */
int oci_digest_of_fd(int fd, uint64_t off, uint64_t len, const char *what,
                     char ret[OVBD_OCI_DIGEST_SIZE], struct ovbd_error *err);

/* Bytes in their order, from somewhere. */
struct oci_reader;

struct oci_reader_ops {
	/* How many bytes, at most len; 0 at the end. */
	ssize_t (*read)(struct oci_reader *r, void *buf, size_t len, struct ovbd_error *err);
	void (*close)(struct oci_reader *take_r);
};

struct oci_reader {
	const struct oci_reader_ops *ops;
};

struct oci_stream {
	struct oci_reader *in;
	const struct oci_ref *ref;
	EVP_MD_CTX *md;
	uint64_t done; /* bytes read */
};

/* What in gives is to be what ref says, which outlives it. */
int oci_stream_start(struct oci_reader *take_in, const struct oci_ref *ref, struct oci_stream *ret,
                     struct ovbd_error *err);
/* Of a layout. -ENOENT: the blob is not there; -EBADMSG: it has another size. */
int oci_reader_open(const struct oci_layout *l, const struct oci_ref *ref, struct oci_reader **ret,
                    struct ovbd_error *err);
/* The same, of any file. */
int oci_reader_open_file(const char *path, const struct oci_ref *ref, struct oci_reader **ret,
                         struct ovbd_error *err);
/* Of a layout, and to be what ref says. */
int oci_stream_open(const struct oci_layout *l, const struct oci_ref *ref, struct oci_stream *ret,
                    struct ovbd_error *err);
/* How many bytes, at most len; 0 at the end. */
ssize_t oci_stream_read(struct oci_stream *s, void *buf, size_t len, struct ovbd_error *err);
/* Reads what is left, and says whether all of it was what its digest says. */
int oci_stream_verify(struct oci_stream *s, ovbd_progress_fn progress, void *arg,
                      struct ovbd_error *err);
void oci_stream_close(struct oci_stream *s);

/* Reads all of a blob, and verifies it. */
int oci_blob_verify(const struct oci_layout *l, const struct oci_ref *ref,
                    ovbd_progress_fn progress, void *arg, struct ovbd_error *err);

/* ---- blob.c ---- */

/* A sink whose finish() gives the blob its name. patch() may be used. */
int oci_blob_create(const struct oci_layout *l, struct ovbd_sink **ret, struct ovbd_error *err);
/* The same in any directory: its name there is the digits of its digest. */
int oci_blob_create_in(const char *dir, struct ovbd_sink **ret, struct ovbd_error *err);
/* After finish(): what it is, but for its media type. */
void oci_blob_ref(const struct ovbd_sink *s, struct oci_ref *ret);
/* len bytes of buf as a blob; ret's type is left as it is. */
int oci_blob_put(const struct oci_layout *l, const void *buf, size_t len, struct oci_ref *ret,
                 struct ovbd_error *err);

/* ---- document.c ---- */

/* Media types, both OCI's and docker's; "" if there is none. */
bool oci_type_is_index(const char *type);
bool oci_type_is_manifest(const char *type);
bool oci_type_is_config(const char *type);
/* What is docker's becomes OCI's, which others take in a layout. */
void oci_type_to_oci(char *type, size_t size);

/* "" if obj has no such text. */
const char *oci_text(const json_t *obj, const char *key);
/* Sets key of obj. -ENOMEM. */
int oci_set(json_t *obj, const char *key, json_t *take_v, struct ovbd_error *err);
/* The object key of obj, made if there is none. NULL: no memory, or it is something else. */
json_t *oci_object(json_t *obj, const char *key);

/* what: "layers[3]", for messages. */
int oci_ref_parse(const json_t *obj, const char *what, struct oci_ref *ret, struct ovbd_error *err);
/* Makes obj, a descriptor, one of what ref says, and leaves what else it has. */
int oci_ref_set(json_t *obj, const struct oci_ref *ref, struct ovbd_error *err);

/* An object in JSON; what: for messages. */
int oci_json_parse(const char *text, size_t len, const char *what, json_t **ret,
                   struct ovbd_error *err);
/* *ret: compact, its keys in the order that they have; to be freed. */
int oci_json_text(const json_t *v, char **ret, struct ovbd_error *err);

/* The document that ref names, of len bytes; -EBADMSG: it is not this one. */
int oci_document_parse(const char *text, size_t len, const struct oci_ref *ref, json_t **ret,
                       struct ovbd_error *err);
/* All of the document that ref names, and a NUL behind it. *ret is to be freed. */
int oci_document_load(const struct oci_layout *l, const struct oci_ref *ref, char **ret,
                      size_t *ret_len, struct ovbd_error *err);
/* The two together. */
int oci_document_read(const struct oci_layout *l, const struct oci_ref *ref, json_t **ret,
                      struct ovbd_error *err);
/* 0: an object with an array of at most OCI_ENTRIES_MAX objects as key. */
int oci_document_array(const json_t *doc, const char *key, const char *what, json_t **ret,
                       struct ovbd_error *err);

/* ---- index.c ---- */

/* The index.json. */
int oci_index_read(const struct oci_layout *l, json_t **ret, struct ovbd_error *err);
/* What n names: by its tag or digest, or as the only one. *ret_entry, to be released: all that
 * index says of it. */
int oci_index_choose(const json_t *index, const struct ovbd_oci_name *n, struct oci_ref *ret,
                     json_t **ret_entry, struct ovbd_error *err);
/* The same in l's. */
int oci_index_find(const struct oci_layout *l, const struct ovbd_oci_name *n, struct oci_ref *ret,
                   json_t **ret_entry, struct ovbd_error *err);
/* A new one. NULL: no memory. */
json_t *oci_index_new(void);
/* Puts an entry into an index, in the place of one with the same tag, which may be NULL. */
int oci_index_place(json_t *index, json_t *entry, const char *tag, struct ovbd_error *err);
/* Has fn change l's, which nobody else changes meanwhile. */
typedef int (*oci_index_fn)(void *arg, json_t *index, struct ovbd_error *err);
int oci_index_change(const struct oci_layout *l, oci_index_fn fn, void *arg,
                     struct ovbd_error *err);
/* Puts an entry into l's, in the place of one with the same tag; tag NULL: without a name. */
int oci_index_put(const struct oci_layout *l, json_t *entry, const char *tag,
                  struct ovbd_error *err);

/* ---- referrers.c ---- */

#define OCI_REFERRERS_TAG_SIZE 80
/* What artifactType says of images of ours that refer to their sources: overlaybd's convertor has
 * it so. */
#define OCI_REFERRER_TYPE "application/vnd.containerd.overlaybd.native.v1+json"

/* The tag of the index of what refers to a manifest: "sha256-0123...", where there is no other way
 * to ask for that (distribution-spec, "Referrers Tag Schema"). */
void oci_referrers_tag(const char *digest, char ret[OCI_REFERRERS_TAG_SIZE]);
bool oci_is_referrers_tag(const char *tag);
/* What an index of referrers has of doc, whose subject is another; ref is doc's. */
int oci_referrers_entry(const json_t *doc, const struct oci_ref *ref, json_t **ret,
                        struct ovbd_error *err);
/* Adds entry to an index of referrers, unless it is there; *index NULL: there is none yet. */
int oci_referrers_add(json_t **index, json_t *entry, struct ovbd_error *err);
/* The same to that of a layout. */
int oci_layout_refer(const struct oci_layout *l, const struct oci_ref *subject, json_t *entry,
                     struct ovbd_error *err);

#endif
