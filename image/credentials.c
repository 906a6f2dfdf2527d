// SPDX-License-Identifier: Apache-2.0
/* The file is read each time: what refreshes it is another program. */
#include "image/credentials.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"

#define USER_SIZE 1024 /* of user and password */

static void release_jsonp(json_t **v)
{
	json_decref(*v);
}

/* SCHEME://HOST/v2/NAME/blobs/DIGEST: where the host begins, and how much of what follows, without
 * "/v2", is the repository's name. */
struct repository {
	const char *host, *name;
	size_t host_len, name_len;
};

static bool parse_url(const char *url, struct repository *ret)
{
	const char *host = strstr(url, "://"), *path, *end;

	if (!host)
		return false;
	host += strlen("://");
	path = strchr(host, '/');
	if (!path || memchr(host, '@', (size_t)(path - host)))
		return false;
	*ret = (struct repository){.host = host, .host_len = (size_t)(path - host)};
	end = strstr(path, "/blobs/");
	if (strncmp(path, "/v2/", 4) == 0 && end && end >= path + 4) {
		ret->name = path + 4;
		ret->name_len = (size_t)(end - ret->name);
	}
	return true;
}

/* How much of the repository the key names: 0 none, 1 the host, more the more of the name. */
static size_t match(const char *key, const struct repository *r)
{
	const char *scheme = strstr(key, "://");
	size_t len;

	if (scheme)
		key = scheme + strlen("://");
	len = strlen(key);
	while (len > 0 && key[len - 1] == '/')
		len--;
	if (len < r->host_len || strncmp(key, r->host, r->host_len) != 0)
		return 0;
	key += r->host_len;
	len -= r->host_len;
	if (len == 0)
		return 1;
	key++;
	len--;
	if (key[-1] != '/' || len > r->name_len || strncmp(key, r->name, len) != 0 ||
	    (len < r->name_len && r->name[len] != '/'))
		return 0;
	return 1 + len;
}

/* 0, or -EBADMSG: no Base64, or too long. */
static int decode(const char *text, char ret[USER_SIZE])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, nbits = 0;
	size_t n = 0;

	for (; *text && *text != '='; text++) {
		const char *digit = strchr(digits, *text);

		if (!digit || n + 1 >= USER_SIZE)
			return -EBADMSG;
		bits = bits << 6 | (unsigned)(digit - digits);
		nbits += 6;
		if (nbits >= 8) {
			nbits -= 8;
			ret[n++] = (char)(bits >> nbits & 0xff);
		}
	}
	ret[n] = '\0';
	return strlen(ret) == n && text[strspn(text, "=")] == '\0' ? 0 : -EBADMSG;
}

/* USER:PASSWORD of an entry. */
static int read_entry(const json_t *entry, char ret[USER_SIZE])
{
	const char *auth = json_string_value(json_object_get(entry, "auth"));
	const char *user = json_string_value(json_object_get(entry, "username"));
	const char *password = json_string_value(json_object_get(entry, "password"));

	if (auth && auth[0])
		return decode(auth, ret) < 0 || !strchr(ret, ':') ? -EBADMSG : 0;
	if (!user || !password || strchr(user, ':') ||
	    snprintf(ret, USER_SIZE, "%s:%s", user, password) >= USER_SIZE)
		return -EBADMSG;
	return 0;
}

static char *escape(char *to, const char *from, size_t n)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < n; i++) {
		const unsigned char c = (unsigned char)from[i];

		if (c < 0x80 && isalnum(c)) {
			*to++ = (char)c;
		} else {
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
		}
	}
	return to;
}

static int insert_user(const char *url, const struct repository *r, const char *user,
                       char **ret_url, struct ovbd_error *err)
{
	const char *colon = strchr(user, ':');
	const size_t scheme = (size_t)(r->host - url);
	char *text = malloc(strlen(url) + 3 * strlen(user) + 2), *to = text;

	if (!text)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	memcpy(to, url, scheme);
	to = escape(to + scheme, user, (size_t)(colon - user));
	*to++ = ':';
	to = escape(to, colon + 1, strlen(colon + 1));
	*to++ = '@';
	memcpy(to, r->host, strlen(r->host) + 1);
	*ret_url = text;
	return 0;
}

static int find(const char *file, const json_t *root, const struct repository *r,
                char ret_user[USER_SIZE], struct ovbd_error *err)
{
	json_t *auths = json_object_get(root, "auths"), *entry, *best = NULL;
	const char *key, *best_key = "";
	size_t best_match = 0;

	if (auths && !json_is_object(auths))
		return ovbd_fail(err, -EBADMSG, "%s: auths must be an object", file);
	json_object_foreach(auths, key, entry)
	{
		const size_t n = match(key, r);

		if (n > best_match) {
			best_match = n;
			best_key = key;
			best = entry;
		}
	}
	ret_user[0] = '\0';
	if (best && read_entry(best, ret_user) < 0)
		return ovbd_fail(err, -EBADMSG,
		                 "%s: auths.%s: has neither auth, the Base64 of USER:PASSWORD, nor "
		                 "username and password",
		                 file, best_key);
	return 0;
}

int ovbd_credentials_apply(const char *file, const char *url, char **ret_url,
                           struct ovbd_error *err)
{
	OVBD_AUTO(release_jsonp) json_t *root = NULL;
	char user[USER_SIZE] = "";
	struct repository r;
	json_error_t why;
	FILE *f = NULL;
	int code = 0;

	if (parse_url(url, &r)) {
		f = fopen(file, "re");
		if (!f && errno != ENOENT && errno != ENOTDIR)
			return ovbd_fail_errno(err, -errno, "%s", file);
	}
	if (f) {
		root = json_loadf(f, 0, &why);
		fclose(f);
		if (!root)
			return ovbd_fail(err, -EBADMSG, "%s: line %d, column %d: %s", file,
			                 why.line, why.column, why.text);
		code = find(file, root, &r, user, err);
	}
	if (code < 0)
		return code;
	if (user[0])
		return insert_user(url, &r, user, ret_url, err);
	*ret_url = strdup(url);
	return *ret_url ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}
