// SPDX-License-Identifier: Apache-2.0
/*
 * Who we are to a part of a server: that is one thing for all blobs of a repository, so that what
 * the first has learned (that a token is wanted, and the token) the others begin with.
 *
 *     as nobody ─ 401 ─► renew: a login from its source, a token if one is wanted ─► a pass
 *         a pass ─ 401, or its end is near ─► renew
 *
 * Whoever comes while a pass is being renewed waits, and takes what came of it, also if that is a
 * failure; so a pass is renewed once however many readers wait. Each pass has a number, its
 * generation: a reader who is refused with an older one than there is now just takes the new one.
 *
 * A source is asked again, and told so, when what it gave is not accepted; if it gives the same
 * once more, that is the end. So a read makes at most two tokens of one challenge.
 */
#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "remote/http_impl.h"

struct http_auth {
	struct http_auth *next; /* these two are guarded by the list's lock */
	unsigned nusers;
	char *space; /* these do not change */
	char *login_url;
	char *scope; /* or NULL */
	struct ovbd_http_logins logins;
	struct ovbd_http_login own; /* the URL's user */
	bool has_own;
	pthread_mutex_t lock; /* guards what follows; of others only tokens' is locked within */
	pthread_cond_t renewed;
	bool busy;
	unsigned nflights; /* renewals that have ended */
	unsigned generation;
	char *line;                      /* Authorization, or NULL */
	uint64_t fresh_ms, end_ms;       /* 0: it has no end */
	struct http_challenge challenge; /* the last */
	struct http_verdict failure;     /* of the last flight, if it failed */
};

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct http_auth *list;

/* --- the list --- */

static bool is_same(const struct http_auth *a, const char *url, const char *login_url,
                    const struct ovbd_http_logins *logins, const struct ovbd_http_login *own,
                    const char *scope)
{
	const size_t len = strlen(a->space);

	return strcmp(a->scope ? a->scope : "", scope ? scope : "") == 0 &&
	       len == http_url_space(url) && strncmp(a->space, url, len) == 0 &&
	       a->logins.get == logins->get && a->logins.ctx == logins->ctx &&
	       http_login_is_same(&a->own, own) &&
	       strncmp(a->login_url, login_url, http_url_space(login_url)) == 0;
}

static void auth_free(struct http_auth *a)
{
	http_login_clear(&a->own);
	http_secret_free(a->line);
	free(a->space);
	free(a->login_url);
	free(a->scope);
	pthread_cond_destroy(&a->renewed);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static struct http_auth *auth_create(const char *url, const char *login_url,
                                     const struct ovbd_http_logins *logins,
                                     const struct ovbd_http_login *own, const char *scope)
{
	struct http_auth *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	pthread_mutex_init(&a->lock, NULL);
	http_cond_init(&a->renewed);
	a->nusers = 1;
	a->logins = *logins;
	a->space = strndup(url, http_url_space(url));
	a->login_url = strdup(login_url);
	a->scope = scope ? strdup(scope) : NULL;
	a->has_own = own->user || own->password;
	if (a->has_own) {
		a->own.user = strdup(own->user ? own->user : "");
		a->own.password = strdup(own->password ? own->password : "");
		a->line = http_login_basic(own); /* it is there to be sent */
	}
	if (!a->space || !a->login_url || (scope && !a->scope) ||
	    (a->has_own && !(a->own.user && a->own.password && a->line))) {
		auth_free(a);
		return NULL;
	}
	return a;
}

struct http_auth *http_auth_enter(const char *url, const char *login_url,
                                  const struct ovbd_http_logins *logins, const char *user,
                                  const char *password, const char *scope)
{
	const struct ovbd_http_login own = {.user = (char *)(uintptr_t)user,
	                                    .password = (char *)(uintptr_t)password};
	struct http_auth *a;

	pthread_mutex_lock(&list_lock);
	for (a = list; a && !is_same(a, url, login_url, logins, &own, scope);)
		a = a->next;
	if (a) {
		a->nusers++;
	} else {
		a = auth_create(url, login_url, logins, &own, scope);
		if (a) {
			a->next = list;
			list = a;
		}
	}
	pthread_mutex_unlock(&list_lock);
	return a;
}

void http_auth_leave(struct http_auth *a)
{
	struct http_auth **at;

	if (!a)
		return;
	pthread_mutex_lock(&list_lock);
	if (--a->nusers > 0) {
		a = NULL;
	} else {
		for (at = &list; *at != a;)
			at = &(*at)->next;
		*at = a->next;
	}
	pthread_mutex_unlock(&list_lock);
	if (a)
		auth_free(a);
}

/* --- a new pass --- */

/* What a flight makes. */
struct made {
	char *line;
	uint64_t fresh_ms, end_ms;
};

/* Somebody who may have another login. */
static bool has_source(const struct http_auth *a)
{
	return a->logins.get && !a->has_own;
}

static int get_login(const struct http_auth *a, bool refused, struct ovbd_http_login *ret,
                     struct http_got *got)
{
	struct ovbd_error err = {""};
	int r = 0;

	if (a->has_own) {
		ret->user = strdup(a->own.user);
		ret->password = strdup(a->own.password);
		return ret->user && ret->password
		               ? 0
		               : http_verdict(&got->verdict, -ENOMEM, HTTP_NEVER, "out of memory");
	}
	if (a->logins.get)
		r = a->logins.get(a->logins.ctx, a->login_url, refused, ret, &err);
	return r < 0 ? http_verdict(&got->verdict, r, HTTP_NEVER, "%.350s", err.msg) : 0;
}

/* What is sent is one line. */
static bool is_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static int buy(const struct http_auth *a, const struct http_way *way,
               const struct ovbd_http_login *l, const char *refused, struct made *ret,
               struct http_got *got)
{
	const struct http_token_want want = {.realm = a->challenge.realm,
	                                     .service = a->challenge.service,
	                                     .scope = a->challenge.scope,
	                                     .login = l,
	                                     .refused = refused};
	char shown[OVBD_HTTP_SHOWN_SIZE];

	ovbd_http_show(a->challenge.realm, shown);
	if (!ovbd_http_is_url(a->challenge.realm) || strchr(a->challenge.realm, '#'))
		return http_verdict(&got->verdict, -EACCES, HTTP_NEVER,
		                    "its token server '%.100s' is not a URL", shown);
	if (http_url_is_secure(a->space) && !http_url_is_secure(a->challenge.realm))
		return http_verdict(&got->verdict, -EACCES, HTTP_NEVER,
		                    "its token server %.100s is http:// for an https:// registry: "
		                    "nobody is told a password there",
		                    shown);
	return http_token_take(way, &want, &ret->line, &ret->fresh_ms, &ret->end_ms, got);
}

/* A pass of a login, of the kind that is asked for. */
static int make(const struct http_auth *a, const struct http_way *way,
                const struct ovbd_http_login *l, const char *refused, struct made *ret,
                struct http_got *got)
{
	const struct http_challenge *c = &a->challenge;
	const bool known = l->user || l->password;
	const bool silent = !c->basic && !c->bearer && !c->other[0]; /* as some proxies are */

	if (l->bearer) {
		if (!is_line(l->bearer))
			return http_verdict(&got->verdict, -EACCES, HTTP_NEVER,
			                    "the token for it has a character that no token has");
		ret->line = http_login_header("Bearer", l->bearer);
	} else if (c->bearer) {
		return buy(a, way, l, refused, ret, got);
	} else if ((c->basic || silent) && known) {
		ret->line = http_login_basic(l);
	} else if (c->basic && l->refresh_token) {
		return http_verdict(&got->verdict, -EACCES, HTTP_NEVER,
		                    "it asks for user and password, and there is a token for it");
	} else if (c->basic || silent) {
		return http_verdict(&got->verdict, -EACCES, HTTP_NEVER,
		                    "the answer was 401 Unauthorized; who may read it %s",
		                    a->logins.get ? "logs in there"
		                                  : "puts user and password into the URL");
	} else {
		return http_verdict(&got->verdict, -EACCES, HTTP_NEVER,
		                    "the answer was 401 Unauthorized: it asks for %s, which is not "
		                    "known here",
		                    c->other);
	}
	if (!ret->line)
		return http_verdict(&got->verdict, -ENOMEM, HTTP_NEVER, "out of memory");
	return 0;
}

static bool is_refused(const struct made *m, const char *refused)
{
	return m->line && refused && strcmp(m->line, refused) == 0;
}

/* The source is told that what it gave is not accepted. 0, with a pass in *ret, or
 * got->verdict.code. */
static int renew_told(const struct http_auth *a, const struct http_way *way,
                      const struct ovbd_http_login *before, const char *refused, struct made *ret,
                      struct http_got *got)
{
	OVBD_AUTO(http_login_clear) struct ovbd_http_login l = {NULL};
	const struct http_verdict why = got->verdict;
	int r;

	r = get_login(a, true, &l, got);
	if (r < 0)
		return r;
	if (before && http_login_is_same(before, &l)) {
		got->verdict = why;
		return why.code < 0 ? why.code : -EACCES;
	}
	return make(a, way, &l, refused, ret, got);
}

/* refused: a line that was answered with 401, or NULL; told: the source gave it in this read. */
static int renew(const struct http_auth *a, const struct http_way *way, const char *refused,
                 bool told, struct made *ret, struct http_got *got)
{
	OVBD_AUTO(http_login_clear) struct ovbd_http_login l = {NULL};
	int r;

	got->verdict = (struct http_verdict){.code = 0};
	if (told)
		r = renew_told(a, way, NULL, refused, ret, got);
	else
		r = get_login(a, false, &l, got);
	if (r == 0 && !told)
		r = make(a, way, &l, refused, ret, got);
	if ((r == -EACCES || is_refused(ret, refused)) && !told && has_source(a) &&
	    (l.bearer || l.refresh_token || l.user)) {
		http_secret_free(ret->line);
		*ret = (struct made){NULL};
		r = renew_told(a, way, &l, refused, ret, got);
	}
	if (r == 0 && !is_refused(ret, refused))
		return 0;
	http_secret_free(ret->line);
	ret->line = NULL;
	if (got->verdict.code < 0)
		return got->verdict.code;
	return http_verdict(&got->verdict, -EACCES, HTTP_NEVER,
	                    "the answer was 401 Unauthorized: who we are (%s) is not accepted",
	                    strncmp(refused, "Authorization: Bearer", 21) == 0
	                            ? "a token"
	                            : "user and password");
}

/* --- flights --- */

/* A new pass for all who have one older than generation seen, with the lock held; it is left while
 * it is made, or waited for. refused and told as renew(). *nmade counts those made here. */
static int fly(struct http_auth *a, const struct http_way *way, unsigned seen, const char *refused,
               bool told, unsigned *nmade, struct http_got *got)
{
	const unsigned flight = a->nflights;
	struct made made = {NULL};
	int r;

	while (a->busy && a->nflights == flight)
		if (!http_cond_wait(&a->renewed, &a->lock, way->deadline_ms))
			return http_verdict(&got->verdict, -ETIMEDOUT, HTTP_NEVER,
			                    "the time was over, waiting for a login");
	if (a->generation != seen)
		return 0;
	if (a->nflights != flight) {
		got->verdict = a->failure;
		return got->verdict.code;
	}
	a->busy = true;
	pthread_mutex_unlock(&a->lock);
	r = renew(a, way, refused, told, &made, got);
	pthread_mutex_lock(&a->lock);
	if (r == 0) {
		http_secret_free(a->line);
		a->line = made.line;
		a->fresh_ms = made.fresh_ms;
		a->end_ms = made.end_ms;
		a->generation++;
		++*nmade;
	} else {
		a->failure = got->verdict;
	}
	a->busy = false;
	a->nflights++;
	pthread_cond_broadcast(&a->renewed);
	return r;
}

static int copy_pass(const struct http_auth *a, struct http_pass *ret, struct http_got *got)
{
	http_pass_clear(ret);
	ret->generation = a->generation;
	if (!a->line)
		return 0;
	ret->line = strdup(a->line);
	return ret->line ? 0 : http_verdict(&got->verdict, -ENOMEM, HTTP_NEVER, "out of memory");
}

int http_auth_pass(struct http_auth *a, const struct http_way *way, struct http_pass *ret,
                   struct http_got *got)
{
	uint64_t now = http_now_ms();
	unsigned nmade = 0;
	int r = 0;

	pthread_mutex_lock(&a->lock);
	if (a->end_ms != 0 && now >= a->fresh_ms && (!a->busy || now >= a->end_ms)) {
		r = fly(a, way, a->generation, NULL, false, &nmade, got);
		now = http_now_ms();
		if (r < 0 && now < a->end_ms) { /* it is good for a while yet */
			a->fresh_ms = now + (a->end_ms - now) / 2 + 1;
			r = 0;
		}
	}
	if (r == 0)
		r = copy_pass(a, ret, got);
	pthread_mutex_unlock(&a->lock);
	return r;
}

int http_auth_refused(struct http_auth *a, const struct http_way *way, const struct http_pass *pass,
                      unsigned *nlogins, struct http_got *got)
{
	int r = 0;

	pthread_mutex_lock(&a->lock);
	if (a->generation == pass->generation) {
		/* a login that was old when it was given; a new token is not bought twice */
		const bool told = *nlogins == 1 && a->line && a->end_ms == 0 && has_source(a);

		if (*nlogins == 0 || told) {
			if (!a->busy) {
				http_challenge_parse(got->answer.challenge, &a->challenge);
				if (a->scope)
					http_scope_add(a->challenge.scope, a->scope);
			}
			r = fly(a, way, pass->generation, pass->line, told, nlogins, got);
		} else {
			r = http_verdict(
				&got->verdict, -EACCES, HTTP_NEVER,
				"the answer was 401 Unauthorized, again after a new login");
		}
	}
	pthread_mutex_unlock(&a->lock);
	return r;
}

void http_pass_clear(struct http_pass *p)
{
	http_secret_free(p->line);
	p->line = NULL;
}
