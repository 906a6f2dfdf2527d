// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "image/manifest.h"
#include "image/registry.h"

#define SCHEME "docker://"

static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789";

bool ovbd_registry_is_name(const char *name)
{
	return strncmp(name, SCHEME, strlen(SCHEME)) == 0;
}

bool ovbd_digest_is_valid(const char *text)
{
	static const char hex[] = "0123456789abcdef";
	const char *colon = strchr(text, ':');
	const size_t len = colon ? strspn(colon + 1, hex) : 0;

	if (len < 32 || colon == text || colon[1 + len] || strlen(text) >= OVBD_DIGEST_SIZE ||
	    (strncmp(text, "sha256:", 7) == 0 && len != 64))
		return false;
	for (const char *c = text; c < colon; c++)
		if (!strchr(lower, *c) && !strchr("+._-", *c))
			return false;
	return true;
}

/* text, as far as len, into a field; false: it is empty, or does not fit. */
static bool put(char *to, size_t size, const char *text, size_t len)
{
	if (len == 0 || len >= size)
		return false;
	memcpy(to, text, len);
	to[len] = '\0';
	return true;
}

static bool is_word(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("._-", s[i]))
			return false;
	return len > 0;
}

int ovbd_platform_parse(const char *text, struct ovbd_platform *ret, struct ovbd_error *err)
{
	struct ovbd_platform p = {0};
	char *const fields[] = {p.os, p.arch, p.variant};
	size_t n = 0;

	for (const char *c = text;; c++) {
		const size_t len = strcspn(c, "/");

		if (n == 3 || !is_word(c, len) || !put(fields[n++], sizeof(p.os), c, len))
			break;
		c += len;
		if (*c == '\0' && n >= 2) {
			*ret = p;
			return 0;
		}
		if (*c == '\0')
			break;
	}
	return ovbd_fail(err, -EINVAL,
	                 "platform '%.80s': must be OS/ARCH or OS/ARCH/VARIANT, as in "
	                 "linux/arm64",
	                 text);
}

/* What is before the first slash is a host if it looks like one. */
static size_t host_length(const char *s)
{
	const size_t len = strcspn(s, "/");

	if (s[len] == '\0')
		return 0;
	if (memchr(s, '.', len) || memchr(s, ':', len) || memchr(s, '[', len) ||
	    (len == 9 && strncmp(s, "localhost", 9) == 0))
		return len;
	for (size_t i = 0; i < len; i++)
		if (isupper((unsigned char)s[i]))
			return len;
	return 0;
}

static bool is_host(const char *s)
{
	const char *port = strrchr(s, ':');
	size_t len = strlen(s);

	if (s[0] == '[') { /* an address of version 6 */
		const char *end = strchr(s, ']');

		if (!end || strspn(s + 1, "0123456789abcdefABCDEF:.") != (size_t)(end - s - 1) ||
		    (end[1] && end[1] != ':'))
			return false;
		port = end[1] ? end + 1 : NULL;
		len = 0;
	} else if (port) {
		len = (size_t)(port - s);
	}
	if (port &&
	    (port[1] == '\0' || strlen(port) > 6 || port[1 + strspn(port + 1, "0123456789")]))
		return false;
	return s[0] == '[' || (is_word(s, len) && s[0] != '.' && s[0] != '-');
}

/* Parts of small letters and digits, with one of . _ __ -... between them. */
static bool is_repository(const char *s)
{
	for (;;) {
		const size_t n = strspn(s, lower);
		size_t dashes;

		if (n == 0)
			return false;
		s += n;
		if (*s == '\0')
			return true;
		dashes = strspn(s, "-");
		if (dashes > 0)
			s += dashes;
		else if (s[0] == '_' && s[1] == '_')
			s += 2;
		else if (strchr("/._", *s))
			s++;
		else
			return false;
	}
}

static bool is_tag(const char *s)
{
	return s[0] == '\0' || (is_word(s, strlen(s)) && s[0] != '.' && s[0] != '-');
}

/* Host and repository. */
static bool put_place(struct ovbd_registry_name *n, const char *s, size_t len)
{
	static const char hub[] = "docker.io", library[] = "library/";
	const size_t host = host_length(s);
	const size_t skip = host && host < len ? host + 1 : 0;
	const char *name = s + skip;
	size_t rest = len - skip, before = 0;

	if (!put(n->host, sizeof(n->host), skip ? s : hub, skip ? host : strlen(hub)))
		return false;
	if (strcmp(n->host, "index.docker.io") == 0 || strcmp(n->host, "registry-1.docker.io") == 0)
		strcpy(n->host, hub);
	if (strcmp(n->host, hub) == 0 && !memchr(name, '/', rest)) {
		strcpy(n->repository, library);
		before = strlen(library);
	}
	return put(n->repository + before, sizeof(n->repository) - before, name, rest);
}

int ovbd_registry_name_parse(const char *text, struct ovbd_registry_name *ret,
                             struct ovbd_error *err)
{
	struct ovbd_registry_name n = {0};
	const char *s = text + (ovbd_registry_is_name(text) ? strlen(SCHEME) : 0);
	const char *at = strchr(s, '@');
	size_t len = at ? (size_t)(at - s) : strlen(s);
	const char *slash = memrchr(s, '/', len);
	const char *tail = slash ? slash : s;
	const char *colon = memchr(tail, ':', len - (size_t)(tail - s));
	bool good = true;

	if (at)
		good = put(n.digest, sizeof(n.digest), at + 1, strlen(at + 1)) &&
		       ovbd_digest_is_valid(n.digest);
	if (good && colon) {
		good = put(n.tag, sizeof(n.tag), colon + 1, len - (size_t)(colon + 1 - s));
		len = (size_t)(colon - s);
	} else if (!at) {
		strcpy(n.tag, "latest");
	}
	if (!good || !put_place(&n, s, len) || !is_host(n.host) || !is_repository(n.repository) ||
	    !is_tag(n.tag))
		return ovbd_fail(
			err, -EINVAL,
			"'%.200s' is no name of an image: docker://HOST/REPOSITORY[:TAG] or "
			"docker://HOST/REPOSITORY@DIGEST",
			text);
	*ret = n;
	return 0;
}
