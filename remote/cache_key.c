// SPDX-License-Identifier: Apache-2.0
/*
 * The URL is taken apart by who will also send it, libcurl, so that the host in the key is the one
 * that is asked. What a server could take for another path than it looks like (escapes, "..") is no
 * registry's.
 */
#include "remote/cache_key.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

/* As libcurl has them: normal, and to be freed by it. */
struct parts {
	CURLU *u;
	char *scheme, *host, *port, *path, *query;
};

static void parts_free(struct parts *p)
{
	curl_free(p->scheme);
	curl_free(p->host);
	curl_free(p->port);
	curl_free(p->path);
	curl_free(p->query);
	curl_url_cleanup(p->u);
}

/* False: out of memory, or no URL, which opening it will say. */
static bool split(const char *url, struct parts *ret)
{
	struct parts *p = ret;

	p->u = curl_url();
	if (!p->u || curl_url_set(p->u, CURLUPART_URL, url, 0))
		return false;
	curl_url_get(p->u, CURLUPART_QUERY, &p->query, 0);
	if (curl_url_get(p->u, CURLUPART_HOST, &p->host, 0))
		return false;
	for (char *c = p->host; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return !curl_url_get(p->u, CURLUPART_SCHEME, &p->scheme, 0) &&
	       !curl_url_get(p->u, CURLUPART_PORT, &p->port, CURLU_DEFAULT_PORT) &&
	       !curl_url_get(p->u, CURLUPART_PATH, &p->path, 0);
}

/* Whether path ends with "/" and digest; and where that begins. */
static bool ends_with(const char *path, const char *digest, size_t *ret_at)
{
	const size_t len = strlen(path), n = strlen(digest);

	if (len < n + 1 || strcmp(path + len - n, digest) != 0 || path[len - n - 1] != '/')
		return false;
	*ret_at = len - n - 1;
	return true;
}

/* Whether it is "/v2/NAME/blobs", of at bytes. */
static bool is_registry(const char *path, size_t at)
{
	static const char before[] = "/v2/", after[] = "/blobs";
	const size_t nbefore = sizeof(before) - 1, nafter = sizeof(after) - 1;

	if (at < nbefore + nafter + 1 || strncmp(path, before, nbefore) != 0 ||
	    strncmp(path + at - nafter, after, nafter) != 0)
		return false;
	for (size_t i = nbefore; i < at - nafter; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789._-/", path[i]) ||
		    (path[i] == '.' && path[i - 1] == '.'))
			return false;
	return true;
}

static bool is_sha256(const char *text, size_t len)
{
	return len == OVBD_CACHE_SHA256_SIZE - 1 && strncmp(text, "sha256:", 7) == 0 &&
	       strspn(text + 7, "0123456789abcdef") >= len - 7;
}

int ovbd_cache_key(const char *url, const char *digest, uint64_t size, char **ret,
                   struct ovbd_error *err)
{
	OVBD_AUTO(parts_free) struct parts p = {0};
	size_t at;
	int n;

	*ret = NULL;
	if (!split(url, &p) || !ends_with(p.path, digest, &at))
		return 0;
	if (!p.query && is_registry(p.path, at))
		n = asprintf(ret, "%s://%s:%s %s %" PRIu64, p.scheme, p.host, p.port, digest, size);
	else
		n = asprintf(ret, "%s://%s:%s%s%s%s %s %" PRIu64, p.scheme, p.host, p.port, p.path,
		             p.query ? "?" : "", p.query ? p.query : "", digest, size);
	if (n >= 0)
		return 0;
	*ret = NULL;
	return ovbd_fail(err, -ENOMEM, "out of memory");
}

int ovbd_cache_key_registry(const char *url, uint64_t size, char **ret, struct ovbd_error *err)
{
	OVBD_AUTO(parts_free) struct parts p = {0};
	const char *digest;
	size_t at;

	*ret = NULL;
	if (!split(url, &p) || p.query)
		return 0;
	digest = strrchr(p.path, '/');
	if (!digest || !is_sha256(digest + 1, strlen(digest + 1)) ||
	    !ends_with(p.path, digest + 1, &at) || !is_registry(p.path, at))
		return 0;
	return ovbd_cache_key(url, digest + 1, size, ret, err);
}

int ovbd_cache_key_add(const char *key, const char *digest, char **ret, struct ovbd_error *err)
{
	const size_t url_len = strcspn(key, " ");

	if (asprintf(ret, "%.*s %s%s", (int)url_len, key, digest, key + url_len) >= 0)
		return 0;
	*ret = NULL;
	return ovbd_fail(err, -ENOMEM, "out of memory");
}

bool ovbd_cache_key_sha256(const char *key, char ret[OVBD_CACHE_SHA256_SIZE])
{
	const char *end = strchr(key, ' ');
	const size_t len = end ? strcspn(end + 1, " ") : 0;

	/* a root (remote/verity.h) looks like it, but is the digest of something else */
	if (!end || !memmem(key, (size_t)(end - key), "://", 3) || !is_sha256(end + 1, len))
		return false;
	snprintf(ret, OVBD_CACHE_SHA256_SIZE, "%.*s", (int)len, end + 1);
	return true;
}

void ovbd_cache_key_show(const char *key, char ret_url[OVBD_HTTP_SHOWN_SIZE],
                         char ret_digest[OVBD_CACHE_DIGEST_SIZE])
{
	const size_t url_len = strcspn(key, " ");
	const char *second = key[url_len] ? key + url_len + 1 : "";
	const size_t len = strcspn(second, " ");
	char *url = strndup(key, url_len);

	ret_url[0] = ret_digest[0] = '\0';
	if (url)
		ovbd_http_show(url, ret_url);
	free(url);
	if (memchr(second, ':', len))
		snprintf(ret_digest, OVBD_CACHE_DIGEST_SIZE, "%.*s", (int)len, second);
}
