// SPDX-License-Identifier: Apache-2.0
/*
 * An object and all hosts that have it. A read goes round: it asks each host that may still help,
 * the own one last, and those that have failed lately or do not have it behind the others, until
 * one gives the bytes; then it waits and goes round again.
 *
 *     a host whose answer will be the same    is not asked again in this read
 *     a host that has asked to be left alone  is not asked before that (Retry-After)
 *     the own host's answer will be the same  ends the read after this round
 *
 * An attempt always asks for the whole range again: what a broken one left in the buffer is not
 * built upon. While others are left, one host has half of the remaining time, so that one that
 * trickles does not use it up.
 */
#include "remote/http_impl.h"
#include "remote/metrics.h"
#include "remote/patience.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/auto.h"
#include "base/bytes.h"

#define USELESS_MS 30000
#define LEAST_MS   1000 /* of a deadline */

/* --- to and from --- */

static int no_memory(const struct http_object *o, struct ovbd_error *err)
{
	return ovbd_fail(err, -ENOMEM, "%s: out of memory", o->shown);
}

/* Adds the way over url, if that is one; user and password, if url has none itself. */
static int add_route(struct http_object *o, const char *url, const char *login_url,
                     const char *user, const char *password)
{
	AUTO_FREE char *bare = NULL;
	AUTO_FREE char *own_user = NULL;
	AUTO_FREE char *own_password = NULL;
	int r;

	r = http_url_take_user(url, &bare, &own_user, &own_password);
	if (r < 0)
		return r;
	return http_route_init(&o->routes[o->nroutes++], bare, login_url ? login_url : bare,
	                       &o->p->logins, own_user ? own_user : user,
	                       own_user ? own_password : password);
}

static int add_host(struct http_object *o, const struct ovbd_http_host *h, const char *url,
                    const char *user, const char *password, struct ovbd_error *err)
{
	AUTO_FREE char *there = NULL;
	struct http_route *route = &o->routes[o->nroutes];
	int r;

	r = http_url_check(h->base, err);
	if (r < 0)
		return r;
	r = http_host_url(h, url, &there);
	if (r < 0 || !there)
		return r < 0 ? no_memory(o, err) : 0;
	route->tls = &h->tls;
	route->headers = h->headers;
	r = add_route(o, there, h->prefix ? url : NULL, h->prefix ? user : NULL,
	              h->prefix ? password : NULL);
	return r < 0 ? no_memory(o, err) : 0;
}

static void release_secret(char **text)
{
	http_secret_free(*text);
}

static int add_routes(struct http_object *o, const char *url, struct ovbd_error *err)
{
	AUTO_FREE char *bare = NULL;
	OVBD_AUTO(release_secret) char *user = NULL;
	OVBD_AUTO(release_secret) char *password = NULL;
	struct http_route *own;
	int r;

	if (http_url_take_user(url, &bare, &user, &password) < 0)
		return no_memory(o, err);
	for (size_t i = 0; i < o->p->nhosts; i++) {
		r = add_host(o, &o->p->hosts[i], bare, user, password, err);
		if (r < 0)
			return r;
	}
	o->has_login = user || o->p->logins.get;
	own = &o->routes[o->nroutes];
	own->tls = &o->p->tls;
	own->headers = o->p->headers;
	return add_route(o, bare, NULL, user, password) < 0 ? no_memory(o, err) : 0;
}

int http_object_init(struct http_object *o, const char *url, const struct ovbd_http_params *p,
                     struct ovbd_error *err)
{
	uint64_t seed;
	int r;

	r = http_url_check(url, err);
	if (r < 0)
		return r;
	ovbd_http_show(url, o->shown);
	if (p && p->nhosts > HTTP_HOSTS_MAX)
		return ovbd_fail(err, -E2BIG, "%s: %zu other hosts, more than %d", o->shown,
		                 p->nhosts, HTTP_HOSTS_MAX);
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = http_now_ms();
	atomic_init(&o->random, seed);
	o->p = http_params_copy(p);
	if (!o->p)
		return no_memory(o, err);
	r = http_pool_enter(err);
	if (r < 0)
		return r;
	o->entered = true;
	return add_routes(o, url, err);
}

void http_object_clear(struct http_object *o)
{
	for (size_t i = 0; i < o->nroutes; i++)
		http_route_clear(&o->routes[i]);
	if (o->entered)
		http_pool_leave();
	free(o->p);
}

const char *http_object_url(const struct http_object *o)
{
	return o->routes[o->nroutes - 1].url;
}

/* --- a read --- */

/* What this read knows of a host. */
struct
try {
	unsigned nattempts;
	uint64_t not_before_ms; /* it has asked to be left alone until then */
	bool over;              /* its answer will be the same */
	unsigned nlogins;       /* new ones, for it */
};

struct reading {
	struct http_object *o;
	const struct http_want *want;
	const char *accept;
	void *buf;
	uint64_t start_ms, deadline_ms;
	const atomic_bool *stop;
	struct http_conn *conn;
	struct try tries[HTTP_HOSTS_MAX + 1];
	struct http_verdict own; /* what the own host has said last, if it has */
	struct http_story story;
	struct http_got *got;
};

static bool is_own(const struct reading *r, size_t i)
{
	return i == r->o->nroutes - 1;
}

static bool is_host_failing(const struct http_got *got)
{
	const unsigned s = got->answer.status;

	return got->verdict.code < 0 && got->verdict.code != -ENOMEM &&
	       (s == 0 || s == 429 || s >= 500 || got->verdict.code == -ETIMEDOUT);
}

/* What came of an attempt at host i, for the rest of this read and for others. */
static void note(struct reading *r, size_t i)
{
	struct http_got *got = r->got;
	const uint64_t now = http_now_ms();
	struct try *t = &r->tries[i];

	ovbd_remote_count_status(got->answer.status);
	atomic_fetch_add(&r->o->requests, got->nrequests);
	atomic_fetch_add(&r->o->bytes, got->nbytes);
	if (r->o->nroutes > 1)
		http_host_works(r->o->routes[i].hash, !is_host_failing(got));
	if (got->verdict.code == 0 || got->verdict.code == -ECANCELED)
		return;
	if (got->verdict.code == -ETIMEDOUT && now < r->deadline_ms)
		got->verdict.retry = HTTP_ALWAYS; /* only its part of the time is over */
	t->nattempts++;
	t->over = !http_retry_helps(&got->verdict, t->nattempts);
	if (got->verdict.retry != HTTP_ALWAYS && !is_own(r, i))
		atomic_store(&r->o->routes[i].useless_until_ms, now + USELESS_MS);
	t->not_before_ms =
		now + http_retry_after_ms(got->answer.field[HTTP_RETRY_AFTER], time(NULL));
	if (is_own(r, i))
		r->own = got->verdict;
	http_story_add(&r->story, &r->o->routes[i], got);
}

static int ask(struct reading *r, size_t i, bool is_last)
{
	const uint64_t now = http_now_ms();
	const uint64_t left = now < r->deadline_ms ? r->deadline_ms - now : 0;
	const struct http_way way = {
		.conn = r->conn,
		.p = r->o->p,
		.tls = r->o->routes[i].tls,
		.deadline_ms = is_last ? r->deadline_ms : now + left / 2,
		.stop = r->stop,
	};

	r->got->nrequests = 0;
	r->got->nbytes = 0;
	http_route_ask(&r->o->routes[i], &way, r->want, r->accept, r->buf, &r->tries[i].nlogins,
	               r->got);
	note(r, i);
	return r->got->verdict.code;
}

/* The hosts to ask in this round, in their order; returns how many. */
static size_t plan(const struct reading *r, size_t ret[HTTP_HOSTS_MAX + 1])
{
	const uint64_t now = http_now_ms();
	bool suspect[HTTP_HOSTS_MAX + 1];
	size_t n = 0;

	for (size_t i = 0; i < r->o->nroutes; i++)
		suspect[i] = r->o->nroutes > 1 && r->tries[i].nattempts == 0 &&
		             (now < atomic_load(&r->o->routes[i].useless_until_ms) ||
		              http_host_is_suspect(r->o->routes[i].hash));
	for (unsigned second = 0; second < 2; second++)
		for (size_t i = 0; i < r->o->nroutes; i++)
			if (suspect[i] == second && !r->tries[i].over &&
			    r->tries[i].not_before_ms <= now)
				ret[n++] = i;
	return n;
}

/* 0: it has been read; otherwise more rounds may help, or nothing is left of the time. */
static int go_round(struct reading *r)
{
	size_t hosts[HTTP_HOSTS_MAX + 1];
	const size_t n = plan(r, hosts);

	for (size_t i = 0; i < n; i++) {
		if (i > 0 && http_now_ms() >= r->deadline_ms)
			break;
		if (ask(r, hosts[i], i == n - 1) == 0)
			return 0;
		if (r->got->verdict.code == -ENOMEM || r->got->verdict.code == -ECANCELED)
			break;
	}
	return r->got->verdict.code;
}

/* SplitMix64: a good enough number out of a counter. */
static uint64_t random_next(struct http_object *o)
{
	uint64_t z = atomic_fetch_add(&o->random, 0x9e3779b97f4a7c15) + 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* How long to wait after the n-th round, < 0: give up. */
static int64_t wait_after(struct reading *r, unsigned n, uint64_t now)
{
	const struct ovbd_http_params *p = r->o->p;
	const bool opening = r->want->whole || !r->want->pin;
	const struct http_retry_state state = {
		.nattempts = n,
		.max_attempts = opening ? p->open_attempts : p->max_attempts,
		.backoff_ms = p->backoff_ms,
		.left_ms = r->deadline_ms > now ? r->deadline_ms - now : 0,
		.random = random_next(r->o),
	};
	uint64_t until = UINT64_MAX;

	if (r->got->verdict.code == -ENOMEM || r->tries[r->o->nroutes - 1].over)
		return -1;
	for (size_t i = 0; i < r->o->nroutes; i++)
		if (!r->tries[i].over)
			until = ovbd_min(until, r->tries[i].not_before_ms);
	return http_retry_wait(&state, until > now ? until - now : 0);
}

/* The own host decides what it is, if it has been asked. */
static int fail(struct reading *r, struct ovbd_error *err)
{
	const char *hint = "; who may read it puts user and password into the URL";
	const struct http_want *w = r->want;
	const int code =
		r->own.code && r->got->verdict.code != -ENOMEM ? r->own.code : r->got->verdict.code;
	char story[HTTP_STORY_SIZE], range[64] = "";

	http_story_tell(&r->story, http_now_ms() - r->start_ms, r->o->nroutes > 1, story);
	if (!w->whole)
		snprintf(range, sizeof(range), "bytes %" PRIu64 "-%" PRIu64 ": ", w->off,
		         w->off + w->len - 1);
	if (code != -EACCES || strstr(story, "who may read it") || r->o->has_login)
		hint = "";
	return ovbd_fail(err, code, "%s: %s%s%s", r->o->shown, range, story, hint);
}

static void give_conn(struct http_conn **c)
{
	http_pool_give(*c);
}

/* What of the deadline the reader has not spent already. */
static uint64_t time_left(const struct http_object *o)
{
	const uint64_t all = o->p->deadline_ms, spent = ovbd_patience().spent_ms;

	return spent + LEAST_MS < all ? all - spent : ovbd_min(all, LEAST_MS);
}

int http_object_get(struct http_object *o, const struct http_want *w, const char *accept, void *buf,
                    struct http_got *ret, struct ovbd_error *err)
{
	OVBD_AUTO(give_conn) struct http_conn *c = http_pool_take(o->routes[0].hash);
	const uint64_t start = http_now_ms();
	struct reading r = {
		.o = o,
		.want = w,
		.accept = accept,
		.buf = buf,
		.start_ms = start,
		.deadline_ms = start + time_left(o),
		.stop = ovbd_patience().stop,
		.conn = c,
		.got = ret,
	};

	if (!c)
		return no_memory(o, err);
	for (unsigned n = 1;; n++) {
		const int code = go_round(&r);
		const uint64_t now = http_now_ms();
		int64_t wait;

		free(ret->redirect);
		ret->redirect = NULL;
		if (code == 0)
			return 0;
		if (code == -ECANCELED || (r.stop && atomic_load(r.stop)))
			return ovbd_fail(err, -ECANCELED, "%s: given up", o->shown);
		wait = wait_after(&r, n, now);
		if (wait < 0)
			return fail(&r, err);
		atomic_fetch_add(&o->retries, 1);
		ovbd_remote_count(OVBD_COUNT_RETRIES, 1);
		http_sleep_until(now + (uint64_t)wait, r.stop);
	}
}
