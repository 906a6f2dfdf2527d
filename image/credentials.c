// SPDX-License-Identifier: Apache-2.0
/* Which entry of a document is meant, and what it says. The file is read each time. */
#include "image/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/auto.h"

/* SCHEME://HOST/v2/NAME/blobs/DIGEST, or .../manifests/...: host and repository. */
struct repository {
	const char *host, *name;
	size_t host_len, name_len;
};

static void release_jsonp(json_t **v)
{
	json_decref(*v);
}

static void wipe_string(char **s)
{
	if (*s)
		explicit_bzero(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

void ovbd_credentials_wipe(struct ovbd_http_login *l)
{
	wipe_string(&l->bearer);
	wipe_string(&l->refresh_token);
	wipe_string(&l->user);
	wipe_string(&l->password);
}

const char *ovbd_credentials_host(const char *url, size_t *ret_len)
{
	const char *host = strstr(url, "://");
	size_t len;

	if (!host)
		return NULL;
	host += strlen("://");
	len = strcspn(host, "/?#");
	if (len == 0 || memchr(host, '@', len))
		return NULL;
	*ret_len = len;
	return host;
}

static bool is_hub(const char *host, size_t len)
{
	static const char *const names[] = {"docker.io", "index.docker.io", "registry-1.docker.io"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (len == strlen(names[i]) && strncasecmp(host, names[i], len) == 0)
			return true;
	return false;
}

bool ovbd_credentials_same_host(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return (a_len == b_len && strncasecmp(a, b, a_len) == 0) ||
	       (is_hub(a, a_len) && is_hub(b, b_len));
}

static bool parse_url(const char *url, struct repository *ret)
{
	static const char *const kinds[] = {"/blobs/", "/manifests/", "/referrers/"};
	const char *path;

	*ret = (struct repository){0};
	ret->host = ovbd_credentials_host(url, &ret->host_len);
	if (!ret->host)
		return false;
	path = ret->host + ret->host_len;
	if (strncmp(path, "/v2/", 4) != 0)
		return true;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *end = strstr(path + 3, kinds[i]);

		if (end && end >= path + 4) {
			ret->name = path + 4;
			ret->name_len = (size_t)(end - ret->name);
			return true;
		}
	}
	return true;
}

/* How much of the repository the key names: 0 none, 1 the host, more the more of the name. A key
 * that is a URL is one of docker's, which end in /v1/ or so; what is behind the host is no name. */
static size_t match(const char *key, const struct repository *r)
{
	const char *scheme = strstr(key, "://");
	size_t len, host;

	if (scheme)
		key = scheme + strlen("://");
	len = strlen(key);
	host = strcspn(key, "/");
	while (len > host && key[len - 1] == '/')
		len--;
	if (!ovbd_credentials_same_host(key, host, r->host, r->host_len))
		return 0;
	key += host;
	len -= host;
	if (len == 0 || (scheme && (strcmp(key, "/v1/") == 0 || strcmp(key, "/v2/") == 0 ||
	                            strcmp(key, "/v1") == 0 || strcmp(key, "/v2") == 0)))
		return 1;
	key++;
	len--;
	if (len > r->name_len || strncmp(key, r->name, len) != 0 ||
	    (len < r->name_len && r->name[len] != '/'))
		return 0;
	return 1 + len;
}

/* Base64 as text, to be freed; NULL: it is none, or has a NUL in it. */
static char *decode(const char *text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	AUTO_FREE char *out = malloc(strlen(text) + 1);
	unsigned bits = 0, nbits = 0;
	size_t n = 0;

	for (; out && *text && *text != '='; text++) {
		const char *digit = strchr(digits, *text);

		if (!digit)
			return NULL;
		bits = bits << 6 | (unsigned)(digit - digits);
		nbits += 6;
		if (nbits >= 8) {
			nbits -= 8;
			out[n++] = (char)(bits >> nbits & 0xff);
		}
	}
	if (!out || text[strspn(text, "=")])
		return NULL;
	out[n] = '\0';
	return strlen(out) == n ? OVBD_MOVE(out) : NULL;
}

/* The text at key; NULL: it is not there, or empty, or no text. */
static const char *text_at(const json_t *obj, const char *key)
{
	const char *v = json_string_value(json_object_get(obj, key));

	return v && v[0] ? v : NULL;
}

static int set_user(const char *user, size_t len, const char *password, struct ovbd_http_login *ret,
                    struct ovbd_error *err)
{
	ret->user = strndup(user, len);
	ret->password = strdup(password);
	if (ret->user && ret->password)
		return 1;
	ovbd_credentials_wipe(ret);
	return ovbd_fail(err, -ENOMEM, "out of memory");
}

int ovbd_credentials_split(const char *text, struct ovbd_http_login *ret, struct ovbd_error *err)
{
	const char *colon = strchr(text, ':');

	if (text[0] == '\0' || colon == text)
		return ovbd_fail(err, -EINVAL, "the user is missing: USER[:PASSWORD]");
	return set_user(text, colon ? (size_t)(colon - text) : strlen(text), colon ? colon + 1 : "",
	                ret, err);
}

/* A token as it is, or that buys others. 1, or -errno. */
static int set_token(const char *token, char **ret, struct ovbd_error *err)
{
	*ret = strdup(token);
	return *ret ? 1 : ovbd_fail(err, -ENOMEM, "out of memory");
}

/* What an entry of auths says; 0: nothing. */
static int read_entry(const json_t *entry, struct ovbd_http_login *ret, struct ovbd_error *err)
{
	const char *auth = text_at(entry, "auth");
	const char *user = text_at(entry, "username");
	const char *password = json_string_value(json_object_get(entry, "password"));
	OVBD_AUTO(wipe_string) char *plain = NULL;

	if (text_at(entry, "registrytoken"))
		return set_token(text_at(entry, "registrytoken"), &ret->bearer, err);
	if (text_at(entry, "identitytoken"))
		return set_token(text_at(entry, "identitytoken"), &ret->refresh_token, err);
	if (auth) {
		plain = decode(auth);
		return plain && strchr(plain, ':') ? ovbd_credentials_split(plain, ret, err)
		                                   : -EBADMSG;
	}
	if (user && password && !strchr(user, ':'))
		return set_user(user, strlen(user), password, ret, err);
	return user || password ? -EBADMSG : 0;
}

static int find_auth(const json_t *root, const char *name, const struct repository *r,
                     bool may_be_empty, struct ovbd_http_login *ret, struct ovbd_error *err)
{
	json_t *auths = json_object_get(root, "auths"), *entry, *best = NULL;
	const char *key, *best_key = "";
	size_t best_match = 0;
	int found;

	if (auths && !json_is_object(auths))
		return ovbd_fail(err, -EBADMSG, "%s: auths must be an object", name);
	json_object_foreach(auths, key, entry)
	{
		const size_t n = match(key, r);

		if (n > best_match) {
			best_match = n;
			best_key = key;
			best = entry;
		}
	}
	found = best ? read_entry(best, ret, err) : 0;
	if (found == -ENOMEM || found > 0 || !best || (found == 0 && may_be_empty))
		return found;
	return ovbd_fail(
		err, -EBADMSG,
		"%s: auths.%s: has neither auth, the Base64 of USER:PASSWORD, nor username "
		"and password, nor a token",
		name, best_key);
}

/* What the programs have, which docker names above. */
static int find_program(const json_t *root, const char *name, const struct repository *r,
                        struct ovbd_http_login *ret, struct ovbd_error *err)
{
	static const char index[] = "https://index.docker.io/v1/"; /* docker.io, as docker has it */
	AUTO_FREE char *host = strndup(r->host, r->host_len);
	json_t *helpers = json_object_get(root, "credHelpers"), *v;
	const char *program = text_at(root, "credsStore"), *key;

	if (helpers && !json_is_object(helpers))
		return ovbd_fail(err, -EBADMSG, "%s: credHelpers must be an object", name);
	json_object_foreach(helpers, key, v)
	{
		if (match(key, r) == 1)
			program = json_string_value(v);
	}
	if (!host)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (!program || program[0] == '\0')
		return 0;
	return ovbd_credentials_ask(program, is_hub(r->host, r->host_len) ? index : host, ret, err);
}

int ovbd_credentials_find(const json_t *root, bool programs, const char *name, const char *url,
                          struct ovbd_http_login *ret, struct ovbd_error *err)
{
	struct repository r;
	int found = 0;

	if (!json_is_object(root))
		return ovbd_fail(err, -EBADMSG, "%s: must be an object", name);
	if (!parse_url(url, &r))
		return 0;
	if (programs)
		found = find_program(root, name, &r, ret, err);
	return found ? found
	             : find_auth(root, name, &r, programs && text_at(root, "credsStore"), ret, err);
}

int ovbd_credentials_read(const char *file, bool must_exist, const char *url,
                          struct ovbd_http_login *ret, struct ovbd_error *err)
{
	OVBD_AUTO(release_jsonp) json_t *root = NULL;
	json_error_t why;
	FILE *f = fopen(file, "re");

	if (!f && !must_exist && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (!f)
		return ovbd_fail_errno(err, -errno, "%s", file);
	root = json_loadf(f, 0, &why);
	fclose(f);
	/* what jansson would say has a piece of the text in it */
	if (!root)
		return ovbd_fail(err, -EBADMSG, "%s: line %d, column %d: is no JSON", file,
		                 why.line, why.column);
	return ovbd_credentials_find(root, true, file, url, ret, err);
}
