/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to oci/: docker://HOST/REPOSITORY:TAG.
 *
 *     place_registry.c         a source
 *     reader_ahead.c           what it streams
 *     place_registry_target.c  a target
 *     temp.c                   a layer that is being made, or waits to be pushed
 *     push_queue.c             pushes while others are made
 *     push.c                   one blob: the registry's protocol of uploads
 *     push_range.c             what a registry says that it has of one            (pure)
 *     registry_referrers.c     what refers to a manifest
 */
#ifndef OVBD_OCI_REGISTRY_H
#define OVBD_OCI_REGISTRY_H

#include <stdatomic.h>

#include "image/repository.h"
#include "oci/place.h"

/* ---- place_registry.c ---- */

/* What both a source and a target are. */
struct oci_registry {
	struct ovbd_repository repo;
	const atomic_bool *stop; /* or NULL */
	char *text;              /* "docker://..." */
};

int oci_registry_init(struct oci_registry *g, const char *name, const struct oci_how *how,
                      struct ovbd_error *err);
void oci_registry_clear(struct oci_registry *g);
/* What a manifest or index that was fetched is. */
int oci_registry_ref(const struct ovbd_http_document *d, struct oci_ref *ret,
                     struct ovbd_error *err);
/* As an oci_source's. */
int oci_registry_document(struct oci_registry *g, const struct oci_ref *ref, char **ret,
                          size_t *ret_len, struct ovbd_error *err);

/* ---- place_registry_target.c ---- */

/* As an oci_transport's. */
int oci_registry_open_target(const char *name, const struct oci_how *how, struct oci_target **ret,
                             struct ovbd_error *err);

/* The repository that s is read from; NULL: it is no registry's. */
const struct ovbd_repository *oci_registry_of(const struct oci_source *s);

/* ---- registry_referrers.c ---- */

struct oci_pusher;

/* As an oci_target's. */
int oci_registry_referrers(struct oci_registry *g, const struct oci_ref *subject,
                           oci_found_fn found, void *arg, struct ovbd_error *err);
int oci_registry_refer(struct oci_registry *g, struct oci_pusher *p, const struct oci_ref *subject,
                       json_t *entry, struct ovbd_error *err);

/* ---- temp.c ---- */

/* A file in dir that has no name. The descriptor, or -errno. */
int oci_temp_open(const char *dir, struct ovbd_error *err);

struct oci_push_queue;

/* A sink into such a file, which finish() hands to q. */
int oci_temp_create(const char *dir, struct oci_push_queue *q, struct ovbd_sink **ret,
                    struct ovbd_error *err);
/* After finish(). */
void oci_temp_ref(const struct ovbd_sink *s, struct oci_ref *ret);

/* ---- push_queue.c ---- */

int oci_push_queue_open(const struct ovbd_repository *repo, const atomic_bool *stop,
                        struct oci_push_queue **ret, struct ovbd_error *err);
/* What is being pushed is given up. NULL is fine. */
void oci_push_queue_close(struct oci_push_queue *take_q);
/* Whether we may push at all, and that what was pushed so far was: otherwise why not. */
int oci_push_queue_check(struct oci_push_queue *q, struct ovbd_error *err);
/* The same, without asking anybody. */
bool oci_push_queue_works(struct oci_push_queue *q);
/* A blob's file is to be pushed. */
int oci_push_queue_add(struct oci_push_queue *q, int take_fd, const struct oci_ref *ref,
                       struct ovbd_error *err);
/* The file of one that was added since settle(), which stays q's; or -1. */
int oci_push_queue_find(struct oci_push_queue *q, const char *digest);
/* Returns when all are pushed, or one cannot be; the files are gone then. waiting may be NULL. */
int oci_push_queue_settle(struct oci_push_queue *q, oci_waiting_fn waiting, void *arg,
                          struct ovbd_error *err);

/* ---- reader_ahead.c ---- */

/* Once *stop, which may be NULL, is true, reads are -ECANCELED. */
int oci_reader_ahead(struct ovbd_blob *take_b, const atomic_bool *stop, struct oci_reader **ret,
                     struct ovbd_error *err);

#endif
