// SPDX-License-Identifier: Apache-2.0
/*
 * A request at one server: the attempts that it takes, each with its redirects and its login.
 *
 *     at the origin of the client's URL   with our pass
 *     anywhere else                       as nobody
 *
 * Where a read has a deadline for all of it, what sends much has one that grows with it: what
 * counts is that bytes go on flowing. Nothing is known of the protocol that the requests belong to.
 */
#include "remote/send.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/bytes.h"
#include "remote/http_impl.h"
#include "remote/metrics.h"
#include "remote/patience.h"

#define HOPS_MAX   8
#define LOGINS_MAX 5
#define ANSWER_MAX 4096
#define SLOWEST    32 /* bytes in a millisecond, below which it is no use */

struct ovbd_http_client {
	struct ovbd_http_params *p;
	char *url; /* without user */
	struct http_auth *auth;
	uint64_t hash;
	bool entered; /* the pool */
	atomic_uint_fast64_t random;
};

static void release_secret(char **text)
{
	http_secret_free(*text);
}
#define AUTO_SECRET OVBD_AUTO(release_secret) char

/* --- to and from --- */

static int enter(struct ovbd_http_client *c, const char *url, const char *scope,
                 struct ovbd_error *err)
{
	AUTO_SECRET *user = NULL;
	AUTO_SECRET *password = NULL;
	uint64_t seed;
	int r = http_pool_enter(err);

	if (r < 0)
		return r;
	c->entered = true;
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = http_now_ms();
	atomic_init(&c->random, seed);
	if (http_url_take_user(url, &c->url, &user, &password) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	c->hash = http_url_hash(c->url);
	c->auth = http_auth_enter(c->url, c->url, &c->p->logins, user, password, scope);
	return c->auth ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

int ovbd_http_client_open(const char *url, const struct ovbd_http_params *p, const char *scope,
                          struct ovbd_http_client **ret, struct ovbd_error *err)
{
	struct ovbd_http_client *c;
	int r = http_url_check(url, err);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (c)
		c->p = http_params_copy(p);
	r = c && c->p ? enter(c, url, scope, err) : ovbd_fail(err, -ENOMEM, "out of memory");
	if (r < 0)
		ovbd_http_client_close(c);
	else
		*ret = c;
	return r;
}

void ovbd_http_client_close(struct ovbd_http_client *take_c)
{
	if (!take_c)
		return;
	http_auth_leave(take_c->auth);
	if (take_c->entered)
		http_pool_leave();
	free(take_c->url);
	free(take_c->p);
	free(take_c);
}

/* --- one attempt --- */

struct sending {
	struct ovbd_http_client *c;
	const struct ovbd_http_request *q;
	struct http_way way;
	struct http_get get;
	struct http_pass pass;
	struct http_got got;
	const char *headers[8];
	char *range;
	unsigned nlogins;
	char answer[ANSWER_MAX + 1];
};

static bool may_follow(const struct sending *s)
{
	const unsigned status = s->got.answer.status;

	return status == 307 || status == 308 || strcmp(s->q->method, "HEAD") == 0 ||
	       strcmp(s->q->method, "GET") == 0;
}

static int check_redirect(struct sending *s, const char *from, unsigned n)
{
	const char *to = s->got.redirect;
	const char *why = NULL;
	char shown[OVBD_HTTP_SHOWN_SIZE];

	if (n > HOPS_MAX)
		why = "it is the ninth";
	else if (!ovbd_http_is_url(to))
		why = "only http:// and https:// are";
	else if (http_url_is_secure(from) && !http_url_is_secure(to))
		why = "it leads away from https://";
	else if (!may_follow(s))
		why = "it would be another request there";
	if (!why)
		return 0;
	ovbd_http_show(to, shown);
	return http_verdict(&s->got.verdict, -EIO, HTTP_NEVER,
	                    "a redirect to %.120s (%u) was not followed: %s", shown,
	                    s->got.answer.status, why);
}

/* Over all redirects; *url is the last. */
static int follow(struct sending *s, char **url, bool *away)
{
	int r;

	for (unsigned hops = 0;; hops++) {
		*away = *away || !http_url_same_origin(s->c->url, *url);
		s->get.url = *url;
		s->get.authorization = *away ? NULL : s->pass.line;
		s->get.headers = s->headers;
		if (!*away && s->c->p->headers)
			for (size_t i = 0; s->c->p->headers[i] && i < 6; i++)
				s->headers[(s->range != NULL) + i] = s->c->p->headers[i];
		else
			s->headers[s->range != NULL] = NULL;
		r = http_get(&s->way, &s->get, &s->got);
		if (!s->got.redirect)
			return r;
		r = check_redirect(s, *url, hops + 1);
		if (r < 0)
			return r;
		ovbd_http_show(s->got.redirect, s->got.where);
		http_secret_free(*url);
		*url = OVBD_MOVE(s->got.redirect);
	}
}

/* Location, which may be relative, as a whole URL. */
static int take_location(struct sending *s, const char *url)
{
	const char *raw = s->got.location ? s->got.location + strspn(s->got.location, " \t") : NULL;
	AUTO_FREE char *text = raw ? strndup(raw, strcspn(raw, "\r\n")) : NULL;
	CURLU *u = text ? curl_url() : NULL;
	char *whole = NULL;

	free(s->got.location);
	s->got.location = NULL;
	if (!text)
		return 0;
	if (u && !curl_url_set(u, CURLUPART_URL, url, 0) &&
	    !curl_url_set(u, CURLUPART_URL, text, 0) &&
	    !curl_url_get(u, CURLUPART_URL, &whole, 0)) {
		s->got.location = strdup(whole);
		curl_free(whole);
	}
	curl_url_cleanup(u);
	if (!s->got.location || !ovbd_http_is_url(s->got.location))
		return http_verdict(&s->got.verdict, -EIO, HTTP_NEVER,
		                    "the answer leads to '%.80s', which is no URL", text);
	if (http_url_is_secure(url) && !http_url_is_secure(s->got.location))
		return http_verdict(&s->got.verdict, -EIO, HTTP_NEVER,
		                    "the answer leads away from https://");
	return 0;
}

static int attempt(struct sending *s)
{
	int r = http_auth_pass(s->c->auth, &s->way, &s->pass, &s->got);

	for (unsigned i = 0; r == 0 && i < LOGINS_MAX; i++) {
		AUTO_SECRET *url = strdup(s->q->url);
		bool away = false;

		s->got.where[0] = '\0';
		if (!url)
			return http_verdict(&s->got.verdict, -ENOMEM, HTTP_NEVER, "out of memory");
		memset(s->answer, 0, sizeof(s->answer));
		r = follow(s, &url, &away);
		if (r < 0)
			return r;
		if (s->got.answer.status != 401 || away)
			return take_location(s, url);
		r = http_auth_refused(s->c->auth, &s->way, &s->pass, &s->nlogins, &s->got);
		if (r == 0)
			r = http_auth_pass(s->c->auth, &s->way, &s->pass, &s->got);
	}
	return r;
}

/* --- what came of it --- */

/* "DENIED: requested access to the resource is denied": what registries say in JSON. */
static void tell_errors(const char *body, char *ret, size_t size)
{
	json_t *v = json_loads(body, JSON_DISABLE_EOF_CHECK, NULL);
	const json_t *first = json_array_get(json_object_get(v, "errors"), 0);
	const char *code = json_string_value(json_object_get(first, "code"));
	const char *message = json_string_value(json_object_get(first, "message"));

	ret[0] = '\0';
	if (code || message)
		snprintf(ret, size, ": %.60s%s%.160s", code ? code : "",
		         code && message ? ": " : "", message ? message : "");
	for (char *c = ret; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
	json_decref(v);
}

static void take_reply(struct sending *s, struct ovbd_http_reply *ret)
{
	const struct http_answer *a = &s->got.answer;
	char errors[240] = "";
	char *end;

	*ret = (struct ovbd_http_reply){.status = a->status, .length = UINT64_MAX};
	if (a->status >= 400)
		tell_errors(s->answer, errors, sizeof(errors));
	snprintf(ret->reason, sizeof(ret->reason), "%u%s%.60s%s", a->status,
	         a->field[HTTP_REASON][0] ? " " : "", a->field[HTTP_REASON], errors);
	memcpy(ret->range, a->field[HTTP_RANGE], sizeof(ret->range));
	memcpy(ret->digest, a->field[HTTP_DIGEST], sizeof(ret->digest));
	if (a->field[HTTP_CONTENT_LENGTH][0]) {
		ret->length = strtoull(a->field[HTTP_CONTENT_LENGTH], &end, 10);
		if (*end)
			ret->length = UINT64_MAX;
	}
	ret->chunk_min = strtoull(a->field[HTTP_CHUNK_MIN], NULL, 10);
	ret->wait_ms = http_retry_after_ms(a->field[HTTP_RETRY_AFTER], time(NULL));
	ret->location = OVBD_MOVE(s->got.location);
}

/* An answer that is none yet. */
static int judge(struct sending *s, const struct ovbd_http_reply *reply)
{
	const unsigned n = reply->status;
	const bool later = n == 429 || n == 503;

	if (n == 408 || n == 425 || n == 429 || (n >= 500 && n != 501 && n != 505))
		return http_verdict(&s->got.verdict, later ? -EAGAIN : -EIO, HTTP_ALWAYS,
		                    "the answer was %.300s", reply->reason);
	return 0;
}

int ovbd_http_reply_fail(const struct ovbd_http_reply *reply, const char *url,
                         struct ovbd_error *err)
{
	const unsigned n = reply->status;
	const int code = n == 401 || n == 403 || n == 407 ? -EACCES
	                 : n == 404 || n == 410           ? -ENOENT
	                 : n == 429 || n == 503           ? -EAGAIN
	                                                  : -EIO;
	char shown[OVBD_HTTP_SHOWN_SIZE];

	ovbd_http_show(url, shown);
	return ovbd_fail(err, code, "%s: the answer was %s", shown, reply->reason);
}

/* --- all attempts --- */

static void clear(struct sending *s)
{
	http_pool_give(s->way.conn);
	http_pass_clear(&s->pass);
	free(s->got.redirect);
	free(s->got.location);
	free(s->range);
}

static int prepare(struct sending *s)
{
	const struct ovbd_http_request *q = s->q;

	s->way = (struct http_way){
		.conn = http_pool_take(s->c->hash),
		.p = s->c->p,
		.tls = &s->c->p->tls,
		.stop = ovbd_patience().stop,
	};
	s->get = (struct http_get){
		.accept = q->accept,
		.method = q->method,
		.type = q->type,
		.body = q->body,
		.body_off = q->off,
		.body_len = q->body ? q->len : 0,
		.answer_ms = q->answer_ms,
		.want = {.whole = true, .any = true, .len = ANSWER_MAX},
		.buf = s->answer,
	};
	if (q->range && asprintf(&s->range, "Content-Range: %s", q->range) < 0) {
		s->range = NULL;
		return -ENOMEM;
	}
	s->headers[0] = s->range;
	return s->way.conn ? 0 : -ENOMEM;
}

static uint64_t time_for(const struct ovbd_http_client *c, const struct ovbd_http_request *q)
{
	if (q->within_ms)
		return q->within_ms;
	return c->p->deadline_ms + q->answer_ms + (q->body ? q->len / SLOWEST : 0);
}

static int fail(const struct sending *s, const struct http_story *story, uint64_t start,
                struct ovbd_error *err)
{
	char text[HTTP_STORY_SIZE], shown[OVBD_HTTP_SHOWN_SIZE];

	if (s->got.verdict.code == -ECANCELED)
		return ovbd_fail(err, -ECANCELED, "interrupted");
	ovbd_http_show(s->q->url, shown);
	http_story_tell(story, http_now_ms() - start, false, text);
	return ovbd_fail(err, s->got.verdict.code, "%s: %s", shown, text);
}

/* How long to wait before the next one; < 0: there is none. */
static int64_t wait_after(struct sending *s, unsigned n, uint64_t deadline, uint64_t asked_ms)
{
	const uint64_t now = http_now_ms();
	const struct http_retry_state state = {
		.nattempts = n,
		.max_attempts = s->q->once ? 1 : s->c->p->max_attempts,
		.backoff_ms = s->c->p->backoff_ms,
		.left_ms = deadline > now ? deadline - now : 0,
		.random = atomic_fetch_add(&s->c->random, 0x9e3779b97f4a7c15),
	};

	if (!http_retry_helps(&s->got.verdict, n))
		return -1;
	return http_retry_wait(&state, asked_ms);
}

int ovbd_http_send(struct ovbd_http_client *c, const struct ovbd_http_request *q,
                   struct ovbd_http_reply *ret, struct ovbd_error *err)
{
	OVBD_AUTO(clear) struct sending s = {.c = c, .q = q};
	const uint64_t start = http_now_ms(), deadline = start + time_for(c, q);
	struct http_story story = {.nattempts = 0};
	int r = prepare(&s);

	*ret = (struct ovbd_http_reply){.status = 0};
	if (r < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s.way.deadline_ms = deadline;
	for (unsigned n = 1;; n++) {
		int64_t wait;

		s.nlogins = 0;
		r = attempt(&s);
		ovbd_remote_count_status(s.got.answer.status);
		free(ret->location);
		take_reply(&s, ret);
		if (r == 0)
			r = judge(&s, ret);
		if (r == 0)
			return 0;
		http_story_add(&story, NULL, &s.got);
		ret->passes = http_retry_helps(&s.got.verdict, 1);
		wait = wait_after(&s, n, deadline, ret->wait_ms);
		if (wait < 0)
			return fail(&s, &story, start, err);
		ovbd_remote_count(OVBD_COUNT_RETRIES, 1);
		http_sleep_until(http_now_ms() + (uint64_t)wait, s.way.stop);
	}
}
