/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blob over a URL: ranged GETs with libcurl. The size and the validator (ETag, or failing that
 * Last-Modified) are pinned at open; an answer that is not exactly the range asked for, of the
 * object that was opened, is an error and never data. docs/remote.md has the rules in a table.
 *
 * Any number of threads may read; each read in progress has a connection of its own, and idle
 * connections are shared by all blobs of the process. Do not fork() between open and close.
 * http:// may redirect to https://, never the other way round.
 */
#ifndef OVBD_REMOTE_HTTP_H
#define OVBD_REMOTE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"

/* Who is trusted, and who we are to TLS. Files are PEM. Used for a host, for where it redirects to,
 * and for the token server that it names. */
struct ovbd_http_tls {
	const char *ca_file;   /* who is trusted; default the system's */
	const char *ca_dir;    /* the same, a folder as c_rehash(1) makes it */
	const char *cert_file; /* our certificate, with those that lead to its root */
	const char *key_file;  /* default: it is in cert_file */
	bool skip_verify;      /* whoever answers is believed */
};

/* Who we are to a server that asks. Of bearer, refresh_token, and user with password the first that
 * is there counts; with none of them we go as nobody. Strings are malloc()ed by who fills it in;
 * who has asked wipes and frees them. */
struct ovbd_http_login {
	char *bearer;          /* a token that is sent as it is */
	char *refresh_token;   /* buys tokens from the token server ("identity token") */
	char *user, *password; /* is sent itself to who asks for Basic, otherwise buys tokens */
};

/* Where logins come from. */
struct ovbd_http_logins {
	/* A login for url (the object's, at the host that asks; of a host with prefix, the own
	 * one), as the source has it now.
	 * refused: what it gave last was not accepted. Called without a lock when a server
	 * asks and when a token ends, by one reader for all that wait; for different hosts or
	 * repositories perhaps by several threads at a time. What it takes counts towards the
	 * deadline, but nothing ends it. A negative return fails the read with it and its
	 * sentence. */
	int (*get)(void *ctx, const char *url, bool refused, struct ovbd_http_login *ret,
	           struct ovbd_error *err);
	void *ctx; /* outlives the blobs */
};

/* Another host that has the same objects: a mirror, or a proxy that is asked by URL. */
struct ovbd_http_host {
	/* "https://mirror/v2" stands for what is before "/NAME/blobs/..." in a registry's
	 * SCHEME://HOST/v2/NAME/blobs/...; for other URLs such a host is left out. With prefix it
	 * is put before the whole URL of whatever kind: http://localhost:9000/https://... */
	const char *base;
	bool prefix;
	const char *ns; /* without prefix: ns=… in the query says whose object it is, "docker.io" */
	struct ovbd_http_tls tls;
	const char *const *headers; /* NULL, or "Name: value" until NULL: sent to this host only */
};

/* 0 or NULL in any field means its default. All is copied, but what logins.ctx points to. */
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
	const char *proxy;           /* "http://host:port"; "": none; default: of the environment */
	const char *unix_socket;     /* connect to it, whatever host the URL names */
	struct ovbd_http_tls tls;    /* of the URL's own host */
	const char *const *headers;  /* as a host's, for the URL's own */
	struct ovbd_http_logins logins;     /* default: nobody. A user in the URL goes before */
	const struct ovbd_http_host *hosts; /* are tried in this order, and then the URL's own */
	size_t nhosts;
};

struct ovbd_http_stats {
	uint64_t requests; /* sent: also retries, followed redirects, and for tokens */
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

/* A whole object that is small: a manifest, what a service answers. */
struct ovbd_http_document {
	char *body; /* with a NUL behind it; to be freed */
	size_t len;
	char type[256];   /* Content-Type */
	char digest[256]; /* Docker-Content-Digest: what the server says, unchecked */
};

/* Gets all of url with one GET, tried again, logged in and with the hosts like open; accept (may be
 * NULL) is the Accept header. -E2BIG: it has more than max bytes. Other errors as open's. */
int ovbd_http_get(const char *url, const struct ovbd_http_params *p, const char *accept, size_t max,
                  struct ovbd_http_document *ret, struct ovbd_error *err);

/* Whether name begins like a URL this module opens. */
bool ovbd_http_is_url(const char *name);

#define OVBD_HTTP_SHOWN_SIZE 384

/* Writes url as it may be shown: no user, no password, "?…" for the query, cut if it is long. */
void ovbd_http_show(const char *url, char ret[OVBD_HTTP_SHOWN_SIZE]);

#endif
