/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to oci/push*.c.
 *
 *     push.c           a blob, in as many uploads as it takes
 *     push_requests.c  the requests that are whole in themselves
 *     push_range.c     what an upload's headers say             (pure)
 */
#ifndef OVBD_OCI_PUSH_IMPL_H
#define OVBD_OCI_PUSH_IMPL_H

#include "oci/push.h"

#define OCI_PUSH_SESSIONS_MAX 5u
#define OCI_PUSH_CHUNK_LEAST  (1u << 20) /* what is smaller goes in one request */
#define OCI_PUSH_ANSWER_MS    300000u    /* a registry may read all of a blob before it answers */

struct oci_pusher {
	struct ovbd_http_client *client;
	char *base; /* "SCHEME://HOST/v2/NAME/" */
	struct oci_push_params params;
	char *spare; /* an upload that has begun, for the next blob; or NULL */
	uint64_t spare_min;
};

uint64_t oci_push_now_ms(void);
/* Before the next try, after n failures in a row; at least least_ms. -ECANCELED: nobody waits. */
int oci_push_wait(unsigned n, uint64_t least_ms, struct ovbd_error *err);

/* A new upload, or the spare one: its URL, to be freed, and what its chunks must have at least. */
int oci_push_begin(struct oci_pusher *p, char **ret, uint64_t *ret_min, struct ovbd_error *err);
/* Ends an upload that is not gone on with, if the registry listens. NULL is fine. */
void oci_push_cancel(struct oci_pusher *p, char *take_session);

#endif
