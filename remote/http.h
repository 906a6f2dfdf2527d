/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blob over a URL: ranged GETs with libcurl. The size and the ETag are pinned at open; an answer
 * that is not exactly the range asked for, of the object that was opened, is an error and never data.
 */
#ifndef OVBD_REMOTE_HTTP_H
#define OVBD_REMOTE_HTTP_H

#include <stdint.h>

#include "base/blob.h"

/* 0 in any field means its default. */
struct ovbd_http_params {
	unsigned connect_timeout_ms; /* default 10000 */
	unsigned stall_timeout_ms;   /* no byte for so long: the attempt has failed; default 5000 */
	unsigned deadline_ms;        /* of a whole read with all its attempts; default 30000 */
	unsigned max_attempts;       /* of a read; default 5 */
	unsigned
		backoff_ms; /* before the second attempt, doubled each time, +-50 % ; default 100 */
	const char *user_agent; /* default "ovbd/VERSION" */
};

struct ovbd_http_stats {
	uint64_t requests; /* sent, retries included */
	uint64_t retries;
	uint64_t bytes; /* of bodies received */
};

/* Opens url (http:// or https://) with one ranged GET, which also must show that the server does
 * ranges. p may be NULL. Errors: -ENOENT 404/410, -EACCES 401/403, -EAGAIN asked to come back later
 * (429, 503), -ETIMEDOUT deadline, -ESTALE size or ETag has changed since open, -ENOTSUP no ranges
 * or scheme, -EIO all else; the sentence has the URL, the range, and what was answered. */
int ovbd_http_open(const char *url, const struct ovbd_http_params *p, struct ovbd_blob **ret,
                   struct ovbd_error *err);

/* Counters of a blob from ovbd_http_open(). Any thread. */
struct ovbd_http_stats ovbd_http_stats(struct ovbd_blob *b);

/* Whether name begins like a URL this module opens. */
bool ovbd_http_is_url(const char *name);

#endif
