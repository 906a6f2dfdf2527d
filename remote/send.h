/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that are no reads: what a registry is asked and sent when an image is put there. One
 * client is one place at one server, at which we are somebody: what is asked of other servers,
 * where an answer led, is asked as nobody. No mirrors, no P2P proxies. Any thread.
 */
#ifndef OVBD_REMOTE_SEND_H
#define OVBD_REMOTE_SEND_H

#include "base/blob.h"
#include "remote/http.h"

struct ovbd_http_client;

/* url: SCHEME://HOST/v2/NAME/blobs/ or the like, of what is asked; p as ovbd_http_open(), without
 * its hosts. scope: what tokens are bought for, whatever a server says, as in
 * "repository:NAME:pull,push"; NULL: what it says. */
int ovbd_http_client_open(const char *url, const struct ovbd_http_params *p, const char *scope,
                          struct ovbd_http_client **ret, struct ovbd_error *err);
void ovbd_http_client_close(struct ovbd_http_client *take_c); /* NULL is fine */

struct ovbd_http_request {
	const char *method;     /* "HEAD", "GET", "POST", "PUT", "PATCH" or "DELETE" */
	const char *url;        /* whole */
	const char *accept;     /* or NULL */
	const char *type;       /* Content-Type, or NULL */
	const char *range;      /* Content-Range, or NULL */
	struct ovbd_blob *body; /* its bytes [off, off + len) are sent; NULL: none */
	uint64_t off, len;
	unsigned answer_ms; /* how long the answer may take once all is sent; 0: as with a read */
	unsigned within_ms; /* the deadline of all of it; 0: as long as it takes, as p says */
	bool once;          /* whatever comes of it, it is not tried again */
};

#define OVBD_HTTP_REASON_SIZE 320

struct ovbd_http_reply {
	unsigned status;
	char *location;                     /* whole, or NULL; to be freed */
	char range[256];                    /* Range: of an upload, what is there of it; or "" */
	char digest[256];                   /* Docker-Content-Digest, or "" */
	uint64_t length;                    /* Content-Length; UINT64_MAX: not said */
	uint64_t chunk_min;                 /* OCI-Chunk-Min-Length, or 0 */
	char reason[OVBD_HTTP_REASON_SIZE]; /* "403 Forbidden: DENIED: ..." */
	/* Of a failure: it may not be one the next time; not before wait_ms from now. */
	bool passes;
	uint64_t wait_ms;
};

/* 0: it was answered, by the server that it is about, and not with what passes (408, 425, 429,
 * 5xx): what the status means is the caller's affair. Redirects (307, 308; of GET and HEAD any)
 * have been followed, and a login was got where one was wanted. Otherwise as ovbd_http_open(),
 * after as many tries and as long as p allows for a read; what is sent, and the answer to it, has
 * longer. ret is filled in in either case. */
int ovbd_http_send(struct ovbd_http_client *c, const struct ovbd_http_request *q,
                   struct ovbd_http_reply *ret, struct ovbd_error *err);

/* The error that an answer is: -EACCES, -ENOENT, -EAGAIN, or -EIO; with url and reason. */
int ovbd_http_reply_fail(const struct ovbd_http_reply *reply, const char *url,
                         struct ovbd_error *err);

#endif
