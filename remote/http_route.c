// SPDX-License-Identifier: Apache-2.0
/*
 * One attempt at one host: from the object's URL over redirects to an answer, logged in where that
 * is asked for. libcurl follows no redirect, because what is sent depends on where it leads:
 *
 *     at the origin (scheme, host, port) of the URL   with our pass
 *     anywhere else, and wherever that leads          as nobody
 *
 * Where it ended is kept and asked directly the next time, until that is refused (a signed URL
 * whose time is over) or fails; then the attempt begins at the URL again. Only what comes of that
 * counts, so there is one try more for each attempt, and no loop.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "remote/http_impl.h"

#define HOPS_MAX   8
#define LOGINS_MAX 5 /* of which two are new; others have come from other readers meanwhile */

static void set_name(struct http_route *r)
{
	const char *host = strstr(r->url, "://");

	host = host ? host + 3 : r->url;
	snprintf(r->name, sizeof(r->name), "%.*s", (int)strcspn(host, "/?#"), host);
}

int http_route_init(struct http_route *r, const char *url, const char *login_url,
                    const struct ovbd_http_logins *logins, const char *user, const char *password)
{
	pthread_mutex_init(&r->lock, NULL);
	r->url = strdup(url);
	if (!r->url)
		return -ENOMEM;
	set_name(r);
	r->hash = http_url_hash(url);
	r->auth = http_auth_enter(url, login_url, logins, user, password, NULL);
	return r->auth ? 0 : -ENOMEM;
}

void http_route_clear(struct http_route *r)
{
	if (!r->url)
		return;
	http_auth_leave(r->auth);
	http_secret_free(r->target);
	free(r->url);
	pthread_mutex_destroy(&r->lock);
}

/* --- where it redirects to --- */

/* False: no memory. */
static bool get_target(struct http_route *r, char **ret, bool *ret_away)
{
	bool ok;

	pthread_mutex_lock(&r->lock);
	*ret = r->target ? strdup(r->target) : NULL;
	*ret_away = r->target_is_away;
	ok = *ret || !r->target;
	pthread_mutex_unlock(&r->lock);
	return ok;
}

static void set_target(struct http_route *r, const char *target, bool away)
{
	pthread_mutex_lock(&r->lock);
	http_secret_free(r->target);
	r->target = strdup(target); /* without memory it is found again */
	r->target_is_away = away;
	pthread_mutex_unlock(&r->lock);
}

/* Unless another reader has found another one. */
static void forget_target(struct http_route *r, const char *target)
{
	pthread_mutex_lock(&r->lock);
	if (r->target && strcmp(r->target, target) == 0) {
		http_secret_free(r->target);
		r->target = NULL;
	}
	pthread_mutex_unlock(&r->lock);
}

static bool is_target_refused(const struct http_got *got)
{
	const unsigned s = got->answer.status;

	return got->redirect ||
	       (s >= 400 && s < 500 && s != 408 && s != 416 && s != 425 && s != 429);
}

/* --- one attempt --- */

struct attempt {
	struct http_route *route;
	const struct http_way *way;
	struct http_get get;
	struct http_pass pass;
	unsigned *nlogins;
	struct http_got *got;
};

/* Whether from may lead to where it does, as the n-th redirect. */
static int check_redirect(const char *from, unsigned n, struct http_got *got)
{
	const char *to = got->redirect;
	const char *why = NULL;
	char shown[OVBD_HTTP_SHOWN_SIZE];

	if (n > HOPS_MAX)
		why = "it is the ninth";
	else if (!ovbd_http_is_url(to))
		why = "only http:// and https:// are";
	else if (http_url_is_secure(from) && !http_url_is_secure(to))
		why = "it leads away from https://";
	if (!why)
		return 0;
	ovbd_http_show(to, shown);
	got->where[0] = '\0';
	return http_verdict(&got->verdict, -EIO, HTTP_NEVER,
	                    "a redirect to %.120s was not followed: %s", shown, why);
}

/* From url, as nobody if it is away, to the end of all redirects; the last URL in *ret_url. */
static int follow(struct attempt *a, char **url, bool *away)
{
	struct http_got *got = a->got;
	int r;

	for (unsigned hops = 0;; hops++) {
		a->get.url = *url;
		a->get.authorization = *away ? NULL : a->pass.line;
		a->get.headers = *away ? NULL : a->route->headers;
		r = http_get(a->way, &a->get, got);
		if (!got->redirect)
			return r;
		r = check_redirect(*url, hops + 1, got);
		if (r < 0)
			return r;
		ovbd_http_show(got->redirect, got->where);
		*away |= !http_url_same_origin(a->route->url, got->redirect);
		http_secret_free(*url);
		*url = OVBD_MOVE(got->redirect);
	}
}

static void release_secret(char **text)
{
	http_secret_free(*text);
}
#define AUTO_SECRET OVBD_AUTO(release_secret) char

/* From the object's URL, with a login where one is asked for. */
static int ask_from_start(struct attempt *a)
{
	struct http_got *got = a->got;
	int r = -EACCES;

	for (unsigned i = 0; i < LOGINS_MAX; i++) {
		AUTO_SECRET *url = strdup(a->route->url);
		bool away = false;

		got->where[0] = '\0';
		if (!url)
			return http_verdict(&got->verdict, -ENOMEM, HTTP_NEVER, "out of memory");
		r = follow(a, &url, &away);
		if (r == 0 && strcmp(url, a->route->url) != 0)
			set_target(a->route, url, away);
		if (got->answer.status != 401 || away)
			return r;
		r = http_auth_refused(a->route->auth, a->way, &a->pass, a->nlogins, got);
		if (r == 0)
			r = http_auth_pass(a->route->auth, a->way, &a->pass, got);
		if (r < 0)
			return r;
	}
	return http_verdict(&got->verdict, -EACCES, HTTP_NEVER,
	                    "the answer was 401 Unauthorized, again and again");
}

static int ask(struct attempt *a)
{
	AUTO_SECRET *target = NULL;
	bool away;
	int r;

	if (!get_target(a->route, &target, &away))
		return http_verdict(&a->got->verdict, -ENOMEM, HTTP_NEVER, "out of memory");
	r = http_auth_pass(a->route->auth, a->way, &a->pass, a->got);
	if (r < 0)
		return r;
	if (!target)
		return ask_from_start(a);
	ovbd_http_show(target, a->got->where);
	a->get.url = target;
	a->get.authorization = away ? NULL : a->pass.line;
	a->get.headers = away ? NULL : a->route->headers;
	r = http_get(a->way, &a->get, a->got);
	if (r == 0)
		return 0;
	forget_target(a->route, target);
	return is_target_refused(a->got) ? ask_from_start(a) : r;
}

/* --- the same object --- */

/* The first answer of this host says what the object is there. */
static int pin(struct http_route *r, struct http_got *got)
{
	const struct http_answer *a = &got->answer;
	bool same;

	pthread_mutex_lock(&r->lock);
	if (!r->pinned) {
		r->pin.size = got->verdict.size;
		memcpy(r->pin.etag, a->field[HTTP_ETAG], HTTP_FIELD_SIZE);
		memcpy(r->pin.last_modified, a->field[HTTP_LAST_MODIFIED], HTTP_FIELD_SIZE);
		r->pinned = true;
	}
	same = strcmp(r->pin.etag, a->field[HTTP_ETAG]) == 0;
	pthread_mutex_unlock(&r->lock);
	return same ? 0
	            : http_verdict(&got->verdict, -ESTALE, HTTP_NEVER,
	                           "two answers have different ETags");
}

int http_route_ask(struct http_route *r, const struct http_way *way, const struct http_want *want,
                   const char *accept, void *buf, unsigned *nlogins, struct http_got *got)
{
	struct http_pin known = {.size = want->pin ? want->pin->size : 0};
	struct attempt a = {
		.route = r,
		.way = way,
		.get = {.accept = accept, .want = *want, .buf = buf},
		.nlogins = nlogins,
		.got = got,
	};
	bool pinned;
	int code;

	got->where[0] = '\0';
	pthread_mutex_lock(&r->lock);
	pinned = r->pinned;
	if (pinned)
		known = r->pin;
	pthread_mutex_unlock(&r->lock);
	if (want->pin)
		a.get.want.pin = &known;
	code = ask(&a);
	if (code == 0 && !want->whole && !(want->pin && pinned))
		code = pin(r, got);
	http_pass_clear(&a.pass);
	return code;
}
