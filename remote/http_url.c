// SPDX-License-Identifier: Apache-2.0
/*
 * What may be shown of a URL is decided without parsing it fully, so that one that is refused can
 * be shown too: user and password end at the last '@' before the path, secrets of signed URLs are
 * in the query. The path stays: without it no message would be of use.
 */
#include "remote/http_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/auto.h"

bool ovbd_http_is_url(const char *name)
{
	return strncasecmp(name, "http://", 7) == 0 || strncasecmp(name, "https://", 8) == 0;
}

/* The parts of a URL that matter here, as offsets: scheme "://" user "@" host path "?" query */
struct url_parts {
	size_t host, path, query;
};

static struct url_parts url_split(const char *url)
{
	const char *mark = strstr(url, "://");
	struct url_parts u = {.host = mark ? (size_t)(mark - url) + 3 : 0};

	u.path = u.host + strcspn(url + u.host, "/?#");
	u.query = u.path + strcspn(url + u.path, "?#");
	for (size_t i = u.host; i < u.path; i++)
		if (url[i] == '@')
			u.host = i + 1;
	return u;
}

void ovbd_http_show(const char *url, char ret[OVBD_HTTP_SHOWN_SIZE])
{
	const struct url_parts u = url_split(url);
	const char *mark = strstr(url, "://");
	const size_t scheme_len = mark ? (size_t)(mark - url) + 3 : 0;
	const size_t len = u.query - u.host;
	const size_t room = OVBD_HTTP_SHOWN_SIZE - 16;
	size_t n = 0;

	if (scheme_len < 16) {
		memcpy(ret, url, scheme_len);
		n = scheme_len;
	}
	for (size_t i = 0; i < len && n < room; i++) {
		const unsigned char ch = (unsigned char)url[u.host + i];

		ret[n++] = ch < 0x20 || ch == 0x7f ? '?' : (char)ch;
	}
	snprintf(ret + n, OVBD_HTTP_SHOWN_SIZE - n, "%s%s", n == room ? "…" : "",
	         url[u.query] == '?' ? "?…" : "");
}

/* A part of a URL, to be freed with curl_free(); NULL: it has none, or no memory. */
static char *get_part(CURLU *u, CURLUPart part, unsigned flags)
{
	char *text = NULL;

	return curl_url_get(u, part, &text, flags) ? NULL : text;
}

static void release_part(char **text)
{
	curl_free(*text);
}
#define AUTO_PART OVBD_AUTO(release_part) char

static void release_url(CURLU **u)
{
	curl_url_cleanup(*u);
}
#define AUTO_URL OVBD_AUTO(release_url) CURLU

bool http_url_origin(const char *url, char ret[HTTP_ORIGIN_SIZE])
{
	AUTO_URL *u = curl_url();
	int n = -1;

	ret[0] = '\0';
	if (u && !curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME)) {
		AUTO_PART *scheme = get_part(u, CURLUPART_SCHEME, 0);
		AUTO_PART *host = get_part(u, CURLUPART_HOST, 0);
		AUTO_PART *port = get_part(u, CURLUPART_PORT, CURLU_DEFAULT_PORT);

		if (scheme && host)
			n = snprintf(ret, HTTP_ORIGIN_SIZE, "%s://%s:%s", scheme, host,
			             port ? port : "");
	}
	if (n < 0 || n >= HTTP_ORIGIN_SIZE) {
		ret[0] = '\0';
		return false;
	}
	for (char *at = ret; *at; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
	return true;
}

bool http_url_same_origin(const char *a, const char *b)
{
	char at_a[HTTP_ORIGIN_SIZE], at_b[HTTP_ORIGIN_SIZE];

	return http_url_origin(a, at_a) && http_url_origin(b, at_b) && strcmp(at_a, at_b) == 0;
}

uint64_t http_url_hash(const char *url)
{
	const struct url_parts u = url_split(url);
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

	for (size_t i = 0; i < u.path; i++)
		hash = (hash ^ (unsigned char)url[i]) * 0x100000001b3;
	return hash;
}

bool http_url_is_secure(const char *url)
{
	return strncasecmp(url, "https://", 8) == 0;
}

size_t http_url_space(const char *url)
{
	static const char *const marks[] = {"/blobs/", "/manifests/", "/referrers/"};
	const struct url_parts u = url_split(url);
	size_t end = u.path;

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		for (const char *at = url + u.path; (at = strstr(at, marks[i])); at++)
			if ((size_t)(at - url) < u.query && (size_t)(at - url) + 1 > end)
				end = (size_t)(at - url) + 1;
	if (end > u.path)
		return end;
	for (size_t i = u.path; i < u.query; i++)
		if (url[i] == '/')
			end = i + 1;
	return end;
}

int http_url_take_user(const char *url, char **ret_url, char **ret_user, char **ret_password)
{
	AUTO_URL *u = curl_url();
	int r = 0;

	if (!u || curl_url_set(u, CURLUPART_URL, url, 0)) /* it has been checked */
		return -ENOMEM;
	{
		AUTO_PART *user = get_part(u, CURLUPART_USER, CURLU_URLDECODE);
		AUTO_PART *password = get_part(u, CURLUPART_PASSWORD, CURLU_URLDECODE);
		AUTO_PART *bare = NULL;

		if (user || password) {
			if (curl_url_set(u, CURLUPART_USER, NULL, 0) ||
			    curl_url_set(u, CURLUPART_PASSWORD, NULL, 0))
				return -ENOMEM;
			bare = get_part(u, CURLUPART_URL, 0);
			*ret_user = strdup(user ? user : "");
			*ret_password = strdup(password ? password : "");
			*ret_url = bare ? strdup(bare) : NULL;
			if (!*ret_user || !*ret_password)
				r = -ENOMEM;
		} else {
			*ret_url = strdup(url);
		}
	}
	return *ret_url ? r : -ENOMEM;
}

int http_url_check(const char *url, struct ovbd_error *err)
{
	char shown[OVBD_HTTP_SHOWN_SIZE];
	CURLUcode code;
	CURLU *u;

	ovbd_http_show(url, shown);
	if (!ovbd_http_is_url(url))
		return ovbd_fail(err, -ENOTSUP, "%s: only http:// and https:// URLs can be opened",
		                 shown);
	if (strchr(url, '#'))
		return ovbd_fail(err, -EINVAL,
		                 "%s: a fragment (#...) is not part of what a server can be asked",
		                 shown);
	u = curl_url();
	if (!u)
		return ovbd_fail(err, -ENOMEM, "%s: out of memory", shown);
	code = curl_url_set(u, CURLUPART_URL, url, 0);
	curl_url_cleanup(u);
	if (code)
		return ovbd_fail(err, code == CURLUE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL,
		                 "%s: not a URL: %s", shown, curl_url_strerror(code));
	return 0;
}
