/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to remote/http*.c (and their tests). http.c is the blob, http_document.c a whole object,
 * http_send.c what is asked of a server besides; they stand on
 *
 *     http_object.c        attempts at all hosts of an object until one is good
 *     http_story.c         what was tried, in one sentence                              (pure)
 *     http_retry.c         whether and when to try again                                (pure)
 *     http_host.c          other hosts of an object, and which have failed lately
 *     http_route.c         one attempt at one host: redirects, login, the same object
 *     http_auth.c          who we are to a part of a server, shared by all blobs there
 *     http_login.c         what one says who he is with
 *     http_token.c         tokens bought from token servers, shared by the process
 *     http_token_answer.c  what a token server said                                     (pure)
 *     http_challenge.c     what a server wants to know                                  (pure)
 *     http_send.c          a request that is no read, at one server
 *     http_get.c           one request over one connection, watched by the clock
 *     http_body.c          what a request sends
 *     http_answer.c        what the server said, and whether it is what was asked for   (pure)
 *     http_url.c           URLs: which are taken, and how they are shown                (pure)
 *     http_pool.c          the idle connections of the process
 *     http_params.c        a copy of the parameters
 *     http_clock.c         the clock of all deadlines
 */
#ifndef OVBD_REMOTE_HTTP_IMPL_H
#define OVBD_REMOTE_HTTP_IMPL_H

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "remote/http.h"

/* --- http_answer.c --- */

#define HTTP_FIELD_SIZE     256  /* longest header value that is understood, with its NUL */
#define HTTP_CHALLENGE_SIZE 2048 /* the same, of all WWW-Authenticate together */

enum http_field {
	HTTP_REASON,    /* of the status line */
	HTTP_CHUNK_MIN, /* OCI-Chunk-Min-Length */
	HTTP_CONTENT_ENCODING,
	HTTP_CONTENT_LENGTH,
	HTTP_CONTENT_RANGE,
	HTTP_CONTENT_TYPE,
	HTTP_DIGEST, /* Docker-Content-Digest */
	HTTP_ETAG,
	HTTP_LAST_MODIFIED,
	HTTP_RANGE, /* of an upload: what is there of it */
	HTTP_RETRY_AFTER,
	HTTP_NFIELDS
};

/* The head of an answer. Zeroed is the state before its first line. */
struct http_answer {
	unsigned status; /* 0: no status line yet */
	bool complete;   /* the empty line has come */
	const char *bad; /* a field that came twice, with another value, or is too long */
	char field[HTTP_NFIELDS][HTTP_FIELD_SIZE]; /* "": not there */
	char challenge[HTTP_CHALLENGE_SIZE];       /* WWW-Authenticate, with commas between */
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
	bool whole; /* all of the object, which has at most len bytes; off and pin are not used */
	bool any;   /* whatever the answer says, it is one; of its body the first len bytes. With
	             * whole */
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

/* --- http_challenge.c --- */

struct http_challenge {
	bool basic, bearer; /* is asked for */
	char realm[1024];   /* of Bearer: the token server's URL, not yet looked at */
	char service[256];  /* of Bearer; "": not given */
	char scope[1024];   /* of Bearer, with spaces between; "": not given */
	char other[32];     /* another way that is asked for, or "" */
};

/* Any text; what it does not hold is false and "". */
void http_challenge_parse(const char *text, struct http_challenge *ret);

/* A scope that has what is asked for and what is wanted, "repository:NAME:ACTIONS", which takes the
 * place of what is asked for of the same NAME. Where it does not fit, what is asked for. */
void http_scope_add(char scope[1024], const char *wanted);

/* --- http_token_answer.c --- */

struct http_token {
	char *text;
	uint64_t life_ms, fresh_ms; /* valid, and better used than renewed, from now on */
};

/* A token server's body; now is the wall clock. Fills in v where it fails; ret->text is for
 * free(). */
int http_token_parse(const char *body, size_t len, time_t now, struct http_token *ret,
                     struct http_verdict *v);

/* --- http_retry.c --- */

struct http_retry_state {
	unsigned nattempts; /* made so far, > 0 */
	unsigned max_attempts;
	uint64_t backoff_ms;
	uint64_t left_ms; /* until the deadline */
	uint64_t random;
};

/* Whether v may be another one after n attempts. */
bool http_retry_helps(const struct http_verdict *v, unsigned nattempts);

/* Milliseconds to wait before the next attempt, at least asked_ms; < 0: give up. */
int64_t http_retry_wait(const struct http_retry_state *s, uint64_t asked_ms);

/* A Retry-After value (seconds, or a date) in milliseconds from now; 0 if there is none. */
uint64_t http_retry_after_ms(const char *text, time_t now);

/* --- http_url.c --- */

/* 0 if url is one that we open. */
int http_url_check(const char *url, struct ovbd_error *err);

/* A hash of scheme, host and port, as they are written. */
uint64_t http_url_hash(const char *url);

#define HTTP_ORIGIN_SIZE 300

/* "scheme://host:port", in small letters and with the default's number; false: it has none. */
bool http_url_origin(const char *url, char ret[HTTP_ORIGIN_SIZE]);

/* False also if one has none. */
bool http_url_same_origin(const char *a, const char *b);

bool http_url_is_secure(const char *url);

/* How much of url names the part of the server that is for the same people: up to a repository's
 * name, or the folder (RFC 7617, 2.2). */
size_t http_url_space(const char *url);

/* url without user and password, and these, decoded, if it has one of them. All to be freed, also
 * after -ENOMEM, the only error. */
int http_url_take_user(const char *url, char **ret_url, char **ret_user, char **ret_password);

/* --- http_host.c --- */

/* Where the object at url (without user) is at h, to be freed; NULL: not there. 0 or -ENOMEM. */
int http_host_url(const struct ovbd_http_host *h, const char *url, char **ret);

/* Hosts by their http_url_hash(). Suspect is who has failed lately; asking may let the caller alone
 * try it again. */
void http_host_works(uint64_t hash, bool works);
bool http_host_is_suspect(uint64_t hash);

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

/* How a request is made, whatever it asks for. */
struct http_way {
	struct http_conn *conn;
	const struct ovbd_http_params *p; /* without defaults left to fill in */
	const struct ovbd_http_tls *tls;
	uint64_t deadline_ms;    /* on the clock of http_now_ms() */
	const atomic_bool *stop; /* once true it is given up: -ECANCELED; may be NULL */
};

struct http_get {
	const char *url;
	const char *authorization;  /* a header line, or NULL */
	const char *accept;         /* a header value, or NULL */
	const char *const *headers; /* more of them, or NULL */
	const char *form;           /* POSTed, or NULL: GET */
	const char *method;         /* "HEAD", "PUT", ...; NULL: GET, or of form */
	const char *type;           /* Content-Type of body, or NULL */
	struct ovbd_blob *body;     /* what is sent: body_len of its bytes; NULL: none */
	uint64_t body_off, body_len;
	unsigned answer_ms; /* the stall timeout once all is sent; 0: that of way */
	struct http_want want;
	void *buf; /* want.len bytes */
};

struct http_got {
	struct http_answer answer;
	struct http_verdict verdict;
	unsigned nrequests;
	uint64_t nbytes;                  /* of body, wanted or not */
	char where[OVBD_HTTP_SHOWN_SIZE]; /* the last redirect led there; or "" */
	char *redirect;                   /* where it leads, if it is one; to be freed */
	char *location; /* Location as it came, of a request with a method; to be freed */
};

/* One request; redirects are not followed. Returns ret->verdict.code; with 0, ret->verdict.len
 * bytes are in buf. nrequests and nbytes are added to, and where is left as it is. */
int http_get(const struct http_way *way, const struct http_get *g, struct http_got *ret);

/* --- http_body.c --- */

/* What has been sent of a request's body. */
struct http_body {
	const struct http_get *get;
	uint64_t done;
	uint64_t *active_ms; /* set when something is sent */
	int code;            /* why it could not be read, and the sentence; 0 */
	struct ovbd_error err;
};

/* For a request that has a method. False: no memory. b outlives the transfer. */
bool http_body_set(CURL *easy, struct http_body *b);

/* --- http_clock.c --- */

#define HTTP_STOP_MS 100u /* how often what may be stopped is looked at */

uint64_t http_now_ms(void);
/* Less long if *stop (which may be NULL) becomes true. */
void http_sleep_until(uint64_t ms, const atomic_bool *stop);

/* Of a condition that is waited for by this clock. False: until_ms has come. */
void http_cond_init(pthread_cond_t *c);
bool http_cond_wait(pthread_cond_t *c, pthread_mutex_t *lock, uint64_t until_ms);

/* --- http_login.c --- */

void http_login_clear(struct ovbd_http_login *l); /* wipes, and frees */
bool http_login_is_same(const struct ovbd_http_login *a, const struct ovbd_http_login *b);

/* "Authorization: KIND TEXT", to be freed with http_secret_free(); NULL: no memory. */
char *http_login_header(const char *kind, const char *text);
char *http_login_basic(const struct ovbd_http_login *l);

void http_secret_free(char *text); /* NULL is fine */

/* --- http_token.c --- */

struct http_token_want {
	const char *realm, *service, *scope; /* of the challenge */
	const struct ovbd_http_login *login;
	const char *refused; /* an Authorization line with a token that is not good any more */
};

/* A token, as an Authorization line for http_secret_free(), and until when it is valid and better
 * used than renewed. One that is kept, or a new one; threads that want the same wait for one.
 * Fills in got->verdict if it fails, and counts requests in got. */
int http_token_take(const struct http_way *way, const struct http_token_want *w, char **ret_line,
                    uint64_t *ret_fresh_ms, uint64_t *ret_end_ms, struct http_got *got);

/* --- http_auth.c --- */

struct http_auth;

/* What a request goes with. */
struct http_pass {
	char *line;          /* Authorization, or NULL: as nobody */
	unsigned generation; /* of what has been said there */
};

/* Who we are at url. user and password are those of a URL, or NULL; logins.get gets login_url.
 * scope: what tokens are bought for besides what is asked for, or NULL. NULL: no memory. The same
 * for all who say the same, until the last has left. */
struct http_auth *http_auth_enter(const char *url, const char *login_url,
                                  const struct ovbd_http_logins *logins, const char *user,
                                  const char *password, const char *scope);
void http_auth_leave(struct http_auth *a); /* NULL is fine */

/* The pass to go with, renewed if its end is near. Returns got->verdict.code. */
int http_auth_pass(struct http_auth *a, const struct http_way *way, struct http_pass *ret,
                   struct http_got *got);

/* After got->answer was 401 to pass: 0 if there is another one to try now, otherwise
 * got->verdict.code. *nlogins counts the new ones of this read, of which there is one; a second
 * only of a source of logins that has been told. What another reader has got may be tried any
 * time. */
int http_auth_refused(struct http_auth *a, const struct http_way *way, const struct http_pass *pass,
                      unsigned *nlogins, struct http_got *got);

void http_pass_clear(struct http_pass *p);

/* --- http_route.c --- */

/* The way to the object at one host. */
struct http_route {
	char *url;                       /* without user */
	char name[64];                   /* of the host, as it is shown */
	uint64_t hash;                   /* of its origin */
	const struct ovbd_http_tls *tls; /* these two are of the parameters */
	const char *const *headers;
	struct http_auth *auth;
	atomic_uint_fast64_t useless_until_ms; /* a mirror that did not help */
	pthread_mutex_t lock;                  /* guards what follows */
	bool pinned;
	struct http_pin pin;
	char *target;        /* where it redirects to, or NULL; is good until it is refused */
	bool target_is_away; /* at another origin, where nobody is told who we are */
};

/* url as http_host_url() makes it; login_url, user and password as http_auth_enter(). -ENOMEM. */
int http_route_init(struct http_route *r, const char *url, const char *login_url,
                    const struct ovbd_http_logins *logins, const char *user, const char *password);
void http_route_clear(struct http_route *r);

/* One attempt. want->pin has the size if that is known; with it the answer is compared with what
 * this host has said first. *nlogins as http_auth_refused(). Returns got->verdict.code; got->answer
 * is the last. */
int http_route_ask(struct http_route *r, const struct http_way *way, const struct http_want *want,
                   const char *accept, void *buf, unsigned *nlogins, struct http_got *got);

/* --- http_story.c --- */

#define HTTP_STORY_SIZE 400

/* What was tried and what came of it, the same only once. Zeroed is empty. */
struct http_story {
	unsigned nattempts;
	unsigned nkinds; /* may be more than there is room for */
	struct {
		const struct http_route *route;
		unsigned n;
		char text[HTTP_FIELD_SIZE + 128];
	} kinds[4];
};

void http_story_add(struct http_story *s, const struct http_route *r, const struct http_got *got);

/* "TEXT", or "gave up after 3 attempts in 1.2 s: TEXT (2x); TEXT"; each with the host's name if
 * several is set. */
void http_story_tell(const struct http_story *s, uint64_t took_ms, bool several,
                     char ret[HTTP_STORY_SIZE]);

/* --- http_object.c --- */

#define HTTP_HOSTS_MAX 16

/* An object, and all ways to it: its own host's is the last. */
struct http_object {
	struct ovbd_http_params *p;
	char shown[OVBD_HTTP_SHOWN_SIZE];
	size_t nroutes;
	struct http_route routes[HTTP_HOSTS_MAX + 1];
	bool entered;   /* the pool */
	bool has_login; /* of some kind, good or not */
	atomic_uint_fast64_t random;
	atomic_uint_fast64_t requests, retries, bytes;
};

/* o is zeroed; it is to be cleared also if this fails. */
int http_object_init(struct http_object *o, const char *url, const struct ovbd_http_params *p,
                     struct ovbd_error *err);
void http_object_clear(struct http_object *o);

/* Gets what is wanted into buf, in as many attempts as it takes and may take. */
int http_object_get(struct http_object *o, const struct http_want *w, const char *accept, void *buf,
                    struct http_got *ret, struct ovbd_error *err);

/* What a caller sees as the object's own URL: without user. */
const char *http_object_url(const struct http_object *o);

#endif
