/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to oci/: where images are read from, and where they are written to. What a name begins
 * with says the transport, a row of the table in place.c:
 *
 *     oci:             place_layout.c
 *     oci-archive:     place_archive.c
 *     docker-archive:  place_docker_archive.c
 *     dir:             place_dir.c
 *     docker://       place_registry.c: registry.h
 *
 *     source    find ─► document ... ─► open ...
 *     target    images, document, has ─► begin
 *               ─► take | create ... made | put ... ─► settle ─► name
 *
 * Nobody calls the functions of the ops but those below: these verify what comes from a source, and
 * say what may be NULL. All return 0 or -errno and have said why in err; what a name cannot mean is
 * -EINVAL. A source or a target is used by one thread; one that has threads of its own tells what
 * has become of their work in the next call, in settle() at the latest.
 */
#ifndef OVBD_OCI_PLACE_H
#define OVBD_OCI_PLACE_H

#include "image/image.h"
#include "oci/impl.h"
#include "oci/transport.h"

struct oci_source;
struct oci_target;

/* Told by settle(), now and then, in its thread: n layers of so many bytes are not there yet. */
typedef void (*oci_waiting_fn)(void *arg, size_t n, uint64_t size);

/* How a name is opened. */
struct oci_how {
	struct ovbd_oci_access access;
	const char *temp_dir;   /* for files without a name, of what is being made */
	bool dry_run;           /* of a target: nothing is written */
	oci_waiting_fn waiting; /* of a target; or NULL */
	void *arg;
};

struct oci_transport {
	const char *prefix; /* "oci:" */
	/* *ret has no text yet. */
	int (*open_source)(const char *name, const struct oci_how *how, struct oci_source **ret,
	                   struct ovbd_error *err);
	/* NULL: it cannot be written to. With how->dry_run *ret may be NULL: nothing is there
	 * yet. */
	int (*open_target)(const char *name, const struct oci_how *how, struct oci_target **ret,
	                   struct ovbd_error *err);
	bool remote; /* its failures are those of a server */
	bool refers; /* a target has refer() */
};

extern const struct oci_transport oci_transport_layout;
extern const struct oci_transport oci_transport_archive;
extern const struct oci_transport oci_transport_docker_archive;
extern const struct oci_transport oci_transport_dir;
extern const struct oci_transport oci_transport_registry;

/* A target's place: prefix, and the directory's absolute path; to be freed. NULL: it has none, or
 * no memory. */
char *oci_place_of_dir(const char *prefix, const char *dir);

/* ---- reading ---- */

struct oci_source_ops {
	/* The one image that the name means. *ret_entry, to be released: all that is said of it
	 * there, of which its "platform" is kept. */
	int (*find)(struct oci_source *s, struct oci_ref *ret, json_t **ret_entry,
	            struct ovbd_error *err);
	/* A manifest, index or config, at most OCI_DOCUMENT_MAX bytes, and a NUL behind it. *ret is
	 * to be freed. Need not be verified. */
	int (*document)(struct oci_source *s, const struct oci_ref *ref, char **ret,
	                size_t *ret_len, struct ovbd_error *err);
	/* The bytes of a blob, from its beginning. Need not be verified. -EBADMSG: it has another
	 * size than ref says, if that is known already. */
	int (*open)(struct oci_source *s, const struct oci_ref *ref, struct oci_reader **ret,
	            struct ovbd_error *err);
	void (*close)(struct oci_source *take_s);
};

struct oci_source {
	const struct oci_source_ops *ops;
	char *text; /* the name as it was given, for messages; place.c's */
};

int oci_source_open(const char *name, const struct oci_how *how, struct oci_source **ret,
                    struct ovbd_error *err);
void oci_source_close(struct oci_source *take_s);
int oci_source_find(struct oci_source *s, struct oci_ref *ret, json_t **ret_entry,
                    struct ovbd_error *err);
/* Verified, and parsed. */
int oci_source_document(struct oci_source *s, const struct oci_ref *ref, json_t **ret,
                        struct ovbd_error *err);
/* To be verified at its end, by oci_stream_verify(). ref outlives it. */
int oci_source_stream(struct oci_source *s, const struct oci_ref *ref, struct oci_stream *ret,
                      struct ovbd_error *err);

/* ---- writing ---- */

/* What of a target is told: an image that may have layers of use. < 0 ends it. */
typedef int (*oci_found_fn)(void *arg, const struct oci_ref *ref, struct ovbd_error *err);

enum oci_put { OCI_PUT_CONFIG, OCI_PUT_MANIFEST };

struct oci_target_ops {
	/* Tells of images that are there: those first that will most likely be of use. What cannot
	 * be read there is as if it were not. NULL: it never has any. */
	int (*images)(struct oci_target *t, oci_found_fn found, void *arg, struct ovbd_error *err);
	/* 1: what the target's name means now; 0: nothing. NULL: it is always made anew. */
	int (*current)(struct oci_target *t, struct oci_ref *ret, struct ovbd_error *err);
	/* As a source's. NULL, where images is. */
	int (*document)(struct oci_target *t, const struct oci_ref *ref, char **ret,
	                size_t *ret_len, struct ovbd_error *err);
	/* 1: the blob is there, with its size; 0: it is not. */
	int (*has)(struct oci_target *t, const struct oci_ref *ref, struct ovbd_error *err);
	/* Reads a blob that is there, and verifies it. NULL: the target has done that when it was
	 * put, and answers for it. */
	int (*verify)(struct oci_target *t, const struct oci_ref *ref, ovbd_progress_fn progress,
	              void *arg, struct ovbd_error *err);
	/* Takes a blob over from src without that we see it. 1: it is there now; 0: it cannot.
	 * NULL: it never can. */
	int (*take)(struct oci_target *t, struct oci_source *src, const struct oci_ref *ref,
	            struct ovbd_error *err);
	/* In words of its own where its blobs are: "oci:/absolute/path", without a tag. NULL, or it
	 * returns NULL: others cannot have them. */
	const char *(*place)(struct oci_target *t);
	/* Takes over a blob from another target of this transport, by its place, without that we
	 * see it. 1: it is there now; 0: it cannot. NULL: it never can. */
	int (*borrow)(struct oci_target *t, const char *place, const struct oci_ref *ref,
	              struct ovbd_error *err);
	/* Before the first create(): whether it may be written to, as far as can be known. NULL: it
	 * can, once it is open. */
	int (*begin)(struct oci_target *t, struct ovbd_error *err);
	/* A sink whose finish() makes a blob of it. patch() may be used. */
	int (*create)(struct oci_target *t, struct ovbd_sink **ret, struct ovbd_error *err);
	/* After finish(): what it is, but for its media type. */
	void (*made)(const struct ovbd_sink *s, struct oci_ref *ret);
	/* A document, whose digest, size and type ref says. What a manifest names has been put, in
	 * this run or ever. */
	int (*put)(struct oci_target *t, enum oci_put kind, const char *text,
	           const struct oci_ref *ref, struct ovbd_error *err);
	/* Layers, each of which is there or was made in this run, as a device: bottom first. */
	int (*stack)(struct oci_target *t, const struct oci_ref *layers, size_t n,
	             struct ovbd_image **ret, struct ovbd_error *err);
	/* A manifest or index that was put, of which entry has what an index of referrers says, is
	 * to be found by who knows subject. NULL: it cannot be. */
	int (*refer)(struct oci_target *t, const struct oci_ref *subject, json_t *entry,
	             struct ovbd_error *err);
	/* Tells of images that refer to subject and are there, beside those that images() tells.
	 * What cannot be read is as if it were not. NULL: that has told of all. */
	int (*referrers)(struct oci_target *t, const struct oci_ref *subject, oci_found_fn found,
	                 void *arg, struct ovbd_error *err);
	/* An image's layers are made: when it returns they are there. NULL: they always are after
	 * finish(). */
	int (*settle)(struct oci_target *t, struct ovbd_error *err);
	/* The last of all: what the target's name means is ref from now on, a manifest or index
	 * that was put. platform: of the source's entry; or NULL. */
	int (*name)(struct oci_target *t, const struct oci_ref *ref, json_t *platform,
	            struct ovbd_error *err);
	/* Without name() before it, what was made is dropped, or left whole and without a name. */
	void (*close)(struct oci_target *take_t);
};

struct oci_target {
	const struct oci_target_ops *ops;
	char *text; /* the name as it was given, for messages; place.c's */
};

bool oci_is_remote(const char *name);
/* Whether a target of this name has refer(). */
bool oci_can_refer(const char *name);
int oci_target_open(const char *name, const struct oci_how *how, struct oci_target **ret,
                    struct ovbd_error *err);
void oci_target_close(struct oci_target *take_t);
int oci_target_images(struct oci_target *t, oci_found_fn found, void *arg, struct ovbd_error *err);
/* Verified, and parsed. */
int oci_target_document(struct oci_target *t, const struct oci_ref *ref, json_t **ret,
                        struct ovbd_error *err);
int oci_target_verify(struct oci_target *t, const struct oci_ref *ref, ovbd_progress_fn progress,
                      void *arg, struct ovbd_error *err);
/* v; ret's type is given, what else it has comes out. */
int oci_target_put(struct oci_target *t, enum oci_put kind, const json_t *v, struct oci_ref *ret,
                   struct ovbd_error *err);
/* A blob of src as it is, and verified: taken over if that can be. */
int oci_target_copy(struct oci_target *t, struct oci_source *src, const struct oci_ref *ref,
                    ovbd_progress_fn progress, void *arg, struct ovbd_error *err);
/* 1: a blob that is at place, another target's, is in t now; 0: it cannot be had. -EBADMSG: it is
 * damaged there. */
int oci_target_borrow(struct oci_target *t, const char *place, const struct oci_ref *ref,
                      ovbd_progress_fn progress, void *arg, struct ovbd_error *err);
/* The same as oci_target_copy() for a document that is no layer. */
int oci_target_copy_document(struct oci_target *t, struct oci_source *src, enum oci_put kind,
                             const struct oci_ref *ref, struct ovbd_error *err);
int oci_target_begin(struct oci_target *t, struct ovbd_error *err);
int oci_target_settle(struct oci_target *t, struct ovbd_error *err);

#endif
