// SPDX-License-Identifier: Apache-2.0
/*
 * Tokens are bought where a challenge says (its realm), in the ways of docker's and the OCI's
 * registries: with GET realm?service=…&scope=…, and Basic where there is a user and password; or
 * with a POSTed form where there is a refresh token. They are kept for the process, by a digest of
 * all that they were bought with, so that an image's layers and the next image of the same
 * repository do with one. Who asks for one that is being bought waits for it.
 *
 * The password goes to whom the registry names, since that is how it is done; the caller has seen
 * to it that this is not in plain text where the registry is not.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/auto.h"
#include "remote/http_impl.h"

#define NKEPT      64
#define KEY_SIZE   32
#define ANSWER_MAX (64 * 1024)

struct kept {
	uint8_t key[KEY_SIZE];
	bool busy;  /* somebody is buying it; who that is changes it then */
	char *line; /* NULL: none */
	uint64_t fresh_ms, end_ms;
	uint64_t used; /* the greater, the later */
};

static struct {
	pthread_mutex_t lock; /* guards all of this; nothing else is locked within */
	pthread_cond_t bought;
	uint64_t now;
	struct kept kept[NKEPT];
} tokens = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void tokens_start(void)
{
	http_cond_init(&tokens.bought);
}

/* --- what is sent --- */

static void release_curl(char **text)
{
	curl_free(*text);
}

static void release_secret(char **text)
{
	http_secret_free(*text);
}
#define AUTO_SECRET OVBD_AUTO(release_secret) char

/* Appends "&name=value", escaped, of len bytes; "" has none. *text becomes NULL: no memory. */
static void add(char **text, const char *name, const char *value, size_t len)
{
	OVBD_AUTO(release_curl) char *escaped = NULL;
	char *longer = NULL;

	if (!*text || len == 0)
		return;
	escaped = curl_easy_escape(NULL, value, (int)len);
	if (!escaped ||
	    asprintf(&longer, "%s%s%s=%s", *text, (*text)[0] ? "&" : "", name, escaped) < 0)
		longer = NULL;
	http_secret_free(*text);
	*text = longer;
}

/* The parameters that are the same for both ways. */
static char *make_query(const struct http_token_want *w)
{
	char *query = strdup("");

	add(&query, "service", w->service, strlen(w->service));
	for (const char *at = w->scope + strspn(w->scope, " "); *at; at += strspn(at, " ")) {
		const size_t len = strcspn(at, " ");

		add(&query, "scope", at, len);
		at += len;
	}
	return query;
}

/* One form has one scope, with spaces in it. */
static char *make_form(const struct http_token_want *w)
{
	char *form = strdup("grant_type=refresh_token&client_id=ovbd");

	add(&form, "service", w->service, strlen(w->service));
	add(&form, "scope", w->scope, strlen(w->scope));
	add(&form, "refresh_token", w->login->refresh_token, strlen(w->login->refresh_token));
	return form;
}

/* --- buying --- */

static int no_memory(struct http_got *got)
{
	return http_verdict(&got->verdict, -ENOMEM, HTTP_NEVER, "out of memory");
}

/* What a token server refuses is no word about the object. */
static int failed(const struct http_token_want *w, struct http_got *got)
{
	const struct http_verdict why = got->verdict;
	const unsigned status = got->answer.status;
	char shown[OVBD_HTTP_SHOWN_SIZE];
	int code = why.code;

	if (code == -ENOMEM) /* perhaps before anybody was asked: then the answer is an older one */
		return code;
	ovbd_http_show(w->realm, shown);
	if (got->redirect) {
		free(got->redirect);
		got->redirect = NULL;
		return http_verdict(&got->verdict, -EIO, HTTP_NEVER,
		                    "the token server %.100s redirects, which is not followed",
		                    shown);
	}
	if (status == 400 || status == 401 || status == 403)
		code = -EACCES;
	else if (code != -ETIMEDOUT && code != -EAGAIN)
		code = -EIO;
	return http_verdict(&got->verdict, code, why.retry, "the token server %.100s: %.250s",
	                    shown, why.text);
}

static int ask(const struct http_way *way, const struct http_token_want *w, char *answer,
               struct http_got *got)
{
	const bool post = w->login->refresh_token;
	AUTO_SECRET *form = post ? make_form(w) : NULL;
	AUTO_SECRET *basic = !post && w->login->user ? http_login_basic(w->login) : NULL;
	AUTO_FREE char *query = post ? strdup("") : make_query(w);
	AUTO_FREE char *url = NULL;
	struct http_get get = {
		.authorization = basic,
		.accept = "application/json",
		.want = {.whole = true, .len = ANSWER_MAX},
		.buf = answer,
	};

	if (w->login->user && !post)
		add(&query, "account", w->login->user, strlen(w->login->user));
	if (!query || (post && !form) || (!post && w->login->user && !basic))
		return no_memory(got);
	if (asprintf(&url, "%s%s%s", w->realm,
	             !query[0]               ? ""
	             : strchr(w->realm, '?') ? "&"
	                                     : "?",
	             query) < 0)
		return no_memory(got);
	get.url = url;
	get.form = form;
	return http_get(way, &get, got);
}

/* Others wait for it too, so it is not given up. */
static int buy(const struct http_way *for_one, const struct http_token_want *w, struct kept *ret,
               struct http_got *got)
{
	AUTO_FREE char *answer = malloc(ANSWER_MAX);
	const uint64_t asked_ms = http_now_ms();
	struct http_token token = {0};
	struct http_way way = *for_one;
	int r;

	if (!answer)
		return no_memory(got);
	way.stop = NULL;
	r = ask(&way, w, answer, got);
	if (r == 0)
		r = http_token_parse(answer, got->verdict.len, time(NULL), &token, &got->verdict);
	explicit_bzero(answer, ANSWER_MAX);
	if (r == 0) {
		ret->line = http_login_header("Bearer", token.text);
		ret->fresh_ms = asked_ms + token.fresh_ms;
		ret->end_ms = asked_ms + token.life_ms;
		http_secret_free(token.text);
		return ret->line ? 0 : no_memory(got);
	}
	return failed(w, got);
}

/* --- keeping --- */

static bool make_key(const struct http_token_want *w, uint8_t ret[KEY_SIZE])
{
	const struct ovbd_http_login *l = w->login;
	const char *const parts[] = {w->realm,         w->service, w->scope,
	                             l->refresh_token, l->user,    l->password};
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL);

	for (size_t i = 0; ok && i < sizeof(parts) / sizeof(parts[0]); i++)
		ok = EVP_DigestUpdate(md, parts[i] ? parts[i] : "\xff",
		                      parts[i] ? strlen(parts[i]) + 1 : 2);
	ok = ok && EVP_DigestFinal_ex(md, ret, NULL);
	EVP_MD_CTX_free(md);
	return ok;
}

static struct kept *find(const uint8_t key[KEY_SIZE])
{
	for (size_t i = 0; i < NKEPT; i++)
		if ((tokens.kept[i].line || tokens.kept[i].busy) &&
		    memcmp(tokens.kept[i].key, key, KEY_SIZE) == 0)
			return &tokens.kept[i];
	return NULL;
}

/* The place of what was not used for longest; NULL: all are being bought. */
static struct kept *claim(const uint8_t key[KEY_SIZE])
{
	struct kept *oldest = NULL;

	for (size_t i = 0; i < NKEPT; i++)
		if (!tokens.kept[i].busy && (!oldest || tokens.kept[i].used < oldest->used))
			oldest = &tokens.kept[i];
	if (oldest) {
		http_secret_free(oldest->line);
		*oldest = (struct kept){.used = 0};
		memcpy(oldest->key, key, KEY_SIZE);
	}
	return oldest;
}

static bool is_good(const struct kept *k, const struct http_token_want *w)
{
	return k && k->line && http_now_ms() < k->fresh_ms &&
	       !(w->refused && strcmp(w->refused, k->line) == 0);
}

static bool copy(const struct kept *k, struct kept *ret)
{
	*ret = *k;
	ret->line = strdup(k->line);
	return ret->line;
}

/* With the lock held, which is left while it is bought. */
static int take(const struct http_way *way, const struct http_token_want *w,
                const uint8_t key[KEY_SIZE], struct kept *ret, struct http_got *got)
{
	struct kept *k = find(key);
	int r;

	while (k && k->busy) {
		if (!http_cond_wait(&tokens.bought, &tokens.lock, way->deadline_ms))
			return http_verdict(&got->verdict, -ETIMEDOUT, HTTP_NEVER,
			                    "the time was over, waiting for a token");
		k = find(key);
	}
	if (is_good(k, w)) {
		k->used = ++tokens.now;
		return copy(k, ret) ? 0 : no_memory(got);
	}
	if (!k)
		k = claim(key);
	if (k)
		k->busy = true;
	pthread_mutex_unlock(&tokens.lock);
	r = buy(way, w, ret, got);
	pthread_mutex_lock(&tokens.lock);
	if (k) {
		http_secret_free(k->line);
		k->line = NULL;
		if (r == 0 && copy(ret, k)) {
			memcpy(k->key, key, KEY_SIZE);
			k->used = ++tokens.now;
		}
		k->busy = false;
		pthread_cond_broadcast(&tokens.bought);
	}
	return r;
}

int http_token_take(const struct http_way *way, const struct http_token_want *w, char **ret_line,
                    uint64_t *ret_fresh_ms, uint64_t *ret_end_ms, struct http_got *got)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct kept k = {.used = 0};
	uint8_t key[KEY_SIZE];
	int r;

	pthread_once(&once, tokens_start);
	if (!make_key(w, key))
		return no_memory(got);
	pthread_mutex_lock(&tokens.lock);
	r = take(way, w, key, &k, got);
	pthread_mutex_unlock(&tokens.lock);
	if (r < 0)
		return r;
	*ret_line = k.line;
	*ret_fresh_ms = k.fresh_ms;
	*ret_end_ms = k.end_ms;
	return 0;
}
