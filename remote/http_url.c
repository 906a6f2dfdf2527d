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

uint64_t http_url_origin(const char *url)
{
	const struct url_parts u = url_split(url);
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */

	for (size_t i = 0; i < u.path; i++)
		hash = (hash ^ (unsigned char)url[i]) * 0x100000001b3;
	return hash;
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
