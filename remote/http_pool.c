// SPDX-License-Identifier: Apache-2.0
/*
 * The idle connections of the process, most recently used first. They are the one thing here that
 * blobs share: the layers of an image usually come from one server, and are opened one after the
 * other over the same connection. What is taken belongs to the taker alone, so nothing of libcurl
 * is ever used by two threads at a time.
 *
 * Each connection is an easy handle in a multi handle of its own; the multi handle keeps the open
 * sockets, and lets http_get.c wait with its own clock. HTTP/2 is used, but its streams are not
 * shared between reads: that would need a thread that owns them all.
 *
 * The last blob to close takes the idle connections with it. libcurl is never shut down, because
 * others in the process may use it as well.
 */
#include "remote/http_impl.h"

#include <errno.h>
#include <pthread.h>

#define IDLE_MAX    64
#define SOCKETS_MAX 8 /* kept by a connection: hosts, where they redirect to, token servers */

static struct {
	pthread_mutex_t lock; /* guards all of this; nothing else is locked within */
	unsigned nusers;
	unsigned nidle;
	struct http_conn *idle;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static CURLcode global_code;

static void global_start(void)
{
	global_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void conn_free(struct http_conn *c)
{
	curl_easy_cleanup(c->easy);
	curl_multi_cleanup(c->multi);
	free(c);
}

static struct http_conn *conn_create(void)
{
	struct http_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->easy = curl_easy_init();
	c->multi = curl_multi_init();
	if (!c->easy || !c->multi) {
		conn_free(c);
		return NULL;
	}
	curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)SOCKETS_MAX);
	return c;
}

int http_pool_enter(struct ovbd_error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, global_start);
	if (global_code)
		return ovbd_fail(err, -EIO, "libcurl does not start: %s",
		                 curl_easy_strerror(global_code));
	pthread_mutex_lock(&pool.lock);
	pool.nusers++;
	pthread_mutex_unlock(&pool.lock);
	return 0;
}

void http_pool_leave(void)
{
	struct http_conn *rest = NULL;

	pthread_mutex_lock(&pool.lock);
	if (--pool.nusers == 0) {
		rest = pool.idle;
		pool.idle = NULL;
		pool.nidle = 0;
	}
	pthread_mutex_unlock(&pool.lock);
	while (rest) {
		struct http_conn *c = rest;

		rest = c->next;
		conn_free(c);
	}
}

struct http_conn *http_pool_take(uint64_t origin)
{
	struct http_conn **at, *c;

	pthread_mutex_lock(&pool.lock);
	at = &pool.idle;
	while (*at && (*at)->origin != origin)
		at = &(*at)->next;
	if (!*at)
		at = &pool.idle;
	c = *at;
	if (c) {
		*at = c->next;
		pool.nidle--;
	}
	pthread_mutex_unlock(&pool.lock);
	if (!c)
		c = conn_create();
	if (c)
		c->origin = origin;
	return c;
}

void http_pool_give(struct http_conn *take_c)
{
	bool kept;

	if (!take_c)
		return;
	pthread_mutex_lock(&pool.lock);
	kept = pool.nidle < IDLE_MAX;
	if (kept) {
		take_c->next = pool.idle;
		pool.idle = take_c;
		pool.nidle++;
	}
	pthread_mutex_unlock(&pool.lock);
	if (!kept)
		conn_free(take_c);
}
