/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blob over a URL: ranged GETs with libcurl. The size and the validator (ETag, or failing that
 * Last-Modified) are pinned at open; an answer that is not exactly the range asked for, of the
 * object that was opened, is an error and never data. docs/remote.md has the rules in a table.
 *
 * Any number of threads may read; each read in progress has a connection of its own, and idle
 * connections are shared by all blobs of the process. Do not fork() between open and close.
 * Proxies come from the environment, as curl does it. http:// may redirect to https://, never the
 * other way round.
 */
#ifndef OVBD_REMOTE_HTTP_H
#define OVBD_REMOTE_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"

/* 0 or NULL in any field means its default. Strings are copied. */
struct ovbd_http_params {
	unsigned connect_timeout_ms; /* name, TCP and TLS; default 10000 */
	unsigned stall_timeout_ms;   /* no byte for so long: the attempt failed; default 5000 */
	unsigned deadline_ms;        /* of a read with all its attempts and waits; default 30000.
	                              * A read of more than 4 MiB is several, each with its own */
	unsigned max_attempts;       /* of a read; default 12: enough to use up the deadline */
	unsigned open_attempts;      /* of open; default 3: a wrong URL is soon noticed */
	unsigned backoff_ms;         /* before the second attempt, doubled each time up to 5 s,
	                              * all +-50 %; Retry-After makes it longer; default 100 */
	const char *user_agent;      /* default "ovbd/VERSION" */
	const char *ca_file;         /* PEM of who is trusted for https; default the system's */
};

struct ovbd_http_stats {
	uint64_t requests; /* sent, retries and followed redirects included */
	uint64_t retries;
	uint64_t bytes; /* of bodies received, also of answers that were refused */
};

/* Opens url (http:// or https://) with one GET of its first 4 KiB, which must show that the server
 * does ranges; these bytes are kept, and reads within them send nothing. p may be NULL.
 *
 * Errors, of open and of every pread: -ENOENT 404, 410 · -EACCES 401, 403, 407 · -EAGAIN asked to
 * come back later (429, 503) · -ETIMEDOUT nothing came in time · -ESTALE another size or validator
 * than at open · -ENOTSUP no ranges, no size, or not our kind of URL · -EINVAL not a URL ·
 * -ENOMEM · -EIO all else. Where retrying can help it has been tried. The sentence has the URL
 * (without user, password and query), the range, and what came last. */
int ovbd_http_open(const char *url, const struct ovbd_http_params *p, struct ovbd_blob **ret,
                   struct ovbd_error *err);

/* Counters of a blob from ovbd_http_open(). Any thread. */
struct ovbd_http_stats ovbd_http_stats(struct ovbd_blob *b);

/* Whether name begins like a URL this module opens. */
bool ovbd_http_is_url(const char *name);

#define OVBD_HTTP_SHOWN_SIZE 384

/* Writes url as it may be shown: no user, no password, "?…" for the query, cut if it is long. */
void ovbd_http_show(const char *url, char ret[OVBD_HTTP_SHOWN_SIZE]);

#endif
