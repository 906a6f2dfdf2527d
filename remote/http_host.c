// SPDX-License-Identifier: Apache-2.0
/*
 * Other hosts of an object: where it is there, and which of them have failed lately. That is known
 * to the whole process, in a small table of origins: a host that has failed is tried after the
 * others for SUSPECT_MS, and then by one reader alone, so that one that does not answer at all
 * costs one read in half a minute its time and not all of them. A lost entry (two origins in one
 * place) costs an attempt.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "remote/http_impl.h"

#define SUSPECT_MS 30000
#define NPLACES    64

static struct {
	pthread_mutex_t lock; /* guards all of this; nothing else is locked within */
	struct {
		uint64_t hash;
		uint64_t until_ms; /* 0: it works */
	} places[NPLACES];
} health = {.lock = PTHREAD_MUTEX_INITIALIZER};

void http_host_works(uint64_t hash, bool works)
{
	const size_t i = hash % NPLACES;

	pthread_mutex_lock(&health.lock);
	if (!works) {
		health.places[i].hash = hash;
		health.places[i].until_ms = http_now_ms() + SUSPECT_MS;
	} else if (health.places[i].hash == hash) {
		health.places[i].until_ms = 0;
	}
	pthread_mutex_unlock(&health.lock);
}

bool http_host_is_suspect(uint64_t hash)
{
	const size_t i = hash % NPLACES;
	const uint64_t now = http_now_ms();
	bool suspect;

	pthread_mutex_lock(&health.lock);
	suspect = health.places[i].hash == hash && health.places[i].until_ms != 0;
	if (suspect && now >= health.places[i].until_ms) { /* this reader tries it */
		health.places[i].until_ms = now + SUSPECT_MS;
		suspect = false;
	}
	pthread_mutex_unlock(&health.lock);
	return suspect;
}

static char *join(const char *a, const char *b, const char *query)
{
	const size_t len = strcspn(a, "?#");
	const bool slash = len > 0 && a[len - 1] == '/';
	char *url;

	if (asprintf(&url, "%.*s%s%s%s", (int)(slash ? len - 1 : len), a, b[0] == '/' ? "" : "/", b,
	             query) < 0)
		return NULL;
	return url;
}

int http_host_url(const struct ovbd_http_host *h, const char *url, char **ret)
{
	const char *path = strstr(url, "://");
	char query[300] = "";

	*ret = NULL;
	if (h->prefix) {
		*ret = join(h->base, url, "");
		return *ret ? 0 : -ENOMEM;
	}
	path = path ? strchr(path + 3, '/') : NULL;
	if (!path || strncmp(path, "/v2/", 4) != 0)
		return 0;
	if (h->ns)
		snprintf(query, sizeof(query), "%cns=%s", strchr(path, '?') ? '&' : '?', h->ns);
	*ret = join(h->base, path + 3, query);
	return *ret ? 0 : -ENOMEM;
}
