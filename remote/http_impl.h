/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to remote/http*.c (and their tests). http.c is the blob and its attempts; it stands on
 *
 *     http_get.c     one attempt: a GET over one connection, watched by the clock
 *     http_answer.c  what the server said, and whether it is what was asked for     (pure)
 *     http_retry.c   whether and when to try again                                  (pure)
 *     http_url.c     URLs: which are taken, and how they are shown                  (pure)
 *     http_pool.c    the idle connections of the process
 *     http_params.c  a copy of the parameters
 */
#ifndef OVBD_REMOTE_HTTP_IMPL_H
#define OVBD_REMOTE_HTTP_IMPL_H

#include <curl/curl.h>

#include "remote/http.h"

/* --- http_answer.c --- */

#define HTTP_FIELD_SIZE 256 /* longest header value that is understood, with its NUL */

enum http_field {
	HTTP_REASON, /* of the status line */
	HTTP_CONTENT_ENCODING,
	HTTP_CONTENT_LENGTH,
	HTTP_CONTENT_RANGE,
	HTTP_CONTENT_TYPE,
	HTTP_ETAG,
	HTTP_LAST_MODIFIED,
	HTTP_RETRY_AFTER,
	HTTP_NFIELDS
};

/* The head of an answer. Zeroed is the state before its first line. */
struct http_answer {
	unsigned status; /* 0: no status line yet */
	bool complete;   /* the empty line has come */
	const char *bad; /* a field that came twice, with another value, or is too long */
	char field[HTTP_NFIELDS][HTTP_FIELD_SIZE]; /* "": not there */
};

/* Takes the next header line, with or without its end of line. A status line begins a new
 * answer. */
void http_answer_line(struct http_answer *a, const char *line, size_t len);

struct http_range {
	bool satisfied;       /* "bytes first-last/total"; otherwise "bytes * /total" */
	bool total_known;     /* otherwise the total is "*" */
	uint64_t first, last; /* first <= last, and last < total if that is known */
	uint64_t total;
};

/* A Content-Range value; false if it is not one, or not of bytes. */
bool http_range_parse(const char *text, struct http_range *ret);

/* What identifies the object that was opened. */
struct http_pin {
	uint64_t size;
	char etag[HTTP_FIELD_SIZE];
	char last_modified[HTTP_FIELD_SIZE];
};

struct http_want {
	uint64_t off;
	uint64_t len;               /* > 0 */
	const struct http_pin *pin; /* NULL: opening; there may be less than len */
};

enum http_retry {
	HTTP_NEVER,  /* the answer will be the same */
	HTTP_FEW,    /* a wrong answer: perhaps one bad server of many */
	HTTP_ALWAYS, /* trouble that passes */
};

struct http_verdict {
	int code; /* 0: the body is what was asked for */
	enum http_retry retry;
	char text[HTTP_FIELD_SIZE + 128]; /* what was wrong */
	uint64_t size;                    /* of the object   (both only if code is 0) */
	uint64_t len;                     /* of the body, <= the wanted len */
};

/* Fills in code, retry and text, and returns code. */
int http_verdict(struct http_verdict *v, int code, enum http_retry retry, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Whether a is the answer to w. Returns ret->code. */
int http_judge(const struct http_answer *a, const struct http_want *w, struct http_verdict *ret);

/* --- http_retry.c --- */

struct http_retry_state {
	unsigned nattempts; /* made so far, > 0 */
	unsigned max_attempts;
	uint64_t backoff_ms;
	uint64_t left_ms; /* until the deadline */
	uint64_t random;
};

/* Milliseconds to wait before the next attempt; < 0: give up. retry_after is a header's value, and
 * now the wall clock to which it is relative. */
int64_t http_retry_wait(const struct http_retry_state *s, const struct http_verdict *v,
                        const char *retry_after, time_t now);

/* A Retry-After value (seconds, or a date) in milliseconds from now; 0 if there is none. */
uint64_t http_retry_after_ms(const char *text, time_t now);

/* --- http_url.c --- */

/* 0 if url is one that we open. */
int http_url_check(const char *url, struct ovbd_error *err);

/* A hash of scheme, host and port. */
uint64_t http_url_origin(const char *url);

/* --- http_params.c --- */

/* With defaults filled in, and all that it points to (but logins.ctx) in it; for free(). p may be
 * NULL. NULL: no memory. */
struct ovbd_http_params *http_params_copy(const struct ovbd_http_params *p);

/* --- http_pool.c --- */

struct http_conn {
	CURL *easy;
	CURLM *multi;    /* holds the open sockets; used for one transfer at a time */
	uint64_t origin; /* where it has been last */
	struct http_conn *next;
};

/* Between enter and leave there is a pool. enter fails only if libcurl does not start. */
int http_pool_enter(struct ovbd_error *err);
void http_pool_leave(void);

/* An idle connection, preferably to origin; NULL: no memory. */
struct http_conn *http_pool_take(uint64_t origin);
void http_pool_give(struct http_conn *take_c); /* NULL is fine */

/* --- http_get.c --- */

struct http_get {
	const char *url;
	const struct ovbd_http_params *p; /* without defaults left to fill in */
	struct http_want want;
	void *buf;            /* want.len bytes */
	uint64_t deadline_ms; /* on the clock of http_now_ms() */
};

struct http_got {
	struct http_answer answer;
	struct http_verdict verdict;
	unsigned nrequests;               /* with those that were redirected */
	uint64_t nbytes;                  /* of body, wanted or not */
	char where[OVBD_HTTP_SHOWN_SIZE]; /* the last redirect led there; or "" */
};

/* One attempt. Returns ret->verdict.code; with 0, ret->verdict.len bytes are in buf. */
int http_get(struct http_conn *c, const struct http_get *g, struct http_got *ret);

uint64_t http_now_ms(void);

#endif
