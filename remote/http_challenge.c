// SPDX-License-Identifier: Apache-2.0
/*
 * What a server wants to know: WWW-Authenticate (RFC 9110, 11.6.1), a list of challenges with
 * commas between them and between their parameters too:
 *
 *     Basic realm="a, b", Bearer realm="https://auth/token",service="r",scope="repository:x:pull"
 *
 * A word with "=" behind it is a parameter of the challenge before it, any other begins one.
 * A challenge that breaks the grammar, says something twice or says more than we keep is dropped,
 * and so is what follows a break, since nobody knows where the next one begins. The first of each
 * kind counts.
 */
#include "remote/http_impl.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum kind { NO_KIND, BASIC, BEARER, OTHER };

/* The challenge that is being read. */
struct reading {
	enum kind kind;
	bool bad;
	char other[32];
	char realm[sizeof(((struct http_challenge *)0)->realm)];
	char service[sizeof(((struct http_challenge *)0)->service)];
	char scope[sizeof(((struct http_challenge *)0)->scope)];
};

static bool is_blank(char ch)
{
	return ch == ' ' || ch == '\t';
}

static const char *skip_blanks(const char *at)
{
	while (is_blank(*at))
		at++;
	return at;
}

static size_t token_len(const char *at)
{
	return strspn(at, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
	                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

static bool is_word(const char *at, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(at, word, len) == 0;
}

/* The end of a token68 that is all of a challenge's arguments, or NULL. */
static const char *skip_token68(const char *at)
{
	const size_t len = strspn(at, "-._~+/0123456789abcdefghijklmnopqrstuvwxyz"
	                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
	const char *end = at + len;

	if (len == 0)
		return NULL;
	end = skip_blanks(end + strspn(end, "="));
	return *end == '\0' || *end == ',' ? end : NULL;
}

/* A value at *at, which is moved behind it, into ret of the given size (NULL: dropped). False: not
 * in the grammar. *ret_fits is cleared if it is too long, or not text. */
static bool read_value(const char **at, char *ret, size_t size, bool *ret_fits)
{
	const char *p = *at;
	const bool quoted = *p == '"';
	const char *end = quoted ? NULL : p + token_len(p);
	size_t n = 0;

	if (end == p)
		return false;
	for (p += quoted; p != end && *p != '\0' && !(quoted && *p == '"'); p++) {
		if (quoted && *p == '\\' && *++p == '\0')
			return false;
		*ret_fits &= *p >= 0x20 && *p < 0x7f && (!ret || n + 1 < size);
		if (ret && *ret_fits)
			ret[n++] = *p;
	}
	if (quoted && *p != '"')
		return false;
	if (ret)
		ret[n] = '\0';
	*at = p + quoted;
	return true;
}

/* NAME = VALUE, with *at at the "=". False: not in the grammar. */
static bool read_param(struct reading *r, const char *name, size_t name_len, const char **at)
{
	char *ret = NULL;
	size_t size = 0;
	bool fits = true;

	*at = skip_blanks(*at + 1);
	if (is_word(name, name_len, "realm")) {
		ret = r->realm;
		size = sizeof(r->realm);
	} else if (is_word(name, name_len, "service")) {
		ret = r->service;
		size = sizeof(r->service);
	} else if (is_word(name, name_len, "scope")) {
		ret = r->scope;
		size = sizeof(r->scope);
	}
	if (ret && ret[0] != '\0')
		r->bad = true;
	if (!read_value(at, ret, size, &fits))
		return false;
	/* what Basic calls itself may be in any letters: nobody looks at it */
	r->bad |= ret && !fits && r->kind == BEARER;
	return true;
}

static void take(struct reading *r, struct http_challenge *ret)
{
	if (r->kind == BASIC && !r->bad)
		ret->basic = true;
	if (r->kind == BEARER && !r->bad && r->realm[0] != '\0' && !ret->bearer) {
		ret->bearer = true;
		memcpy(ret->realm, r->realm, sizeof(ret->realm));
		memcpy(ret->service, r->service, sizeof(ret->service));
		memcpy(ret->scope, r->scope, sizeof(ret->scope));
	}
	if (r->kind == OTHER && !r->bad && ret->other[0] == '\0')
		memcpy(ret->other, r->other, sizeof(ret->other));
	memset(r, 0, sizeof(*r));
}

static void begin(struct reading *r, const char *name, size_t len)
{
	r->kind = is_word(name, len, "Basic")    ? BASIC
	          : is_word(name, len, "Bearer") ? BEARER
	                                         : OTHER;
	r->bad = len >= sizeof(r->other);
	if (!r->bad)
		memcpy(r->other, name, len);
}

/* An item of the list: a parameter, or what begins a challenge (with its first parameter, if any).
 * False: not in the grammar. */
static bool read_item(struct reading *r, const char **at, struct http_challenge *ret)
{
	const char *name = *at, *next;
	size_t len = token_len(name);

	if (len == 0)
		return false;
	*at = skip_blanks(name + len);
	if (**at == '=')
		return r->kind != NO_KIND && read_param(r, name, len, at);
	take(r, ret);
	begin(r, name, len);
	if (**at == ',' || **at == '\0')
		return true;
	if (!is_blank(name[len]))
		return false;
	next = skip_token68(*at);
	if (next) {
		*at = next;
		return true;
	}
	name = *at;
	len = token_len(name);
	*at = skip_blanks(name + len);
	return len > 0 && **at == '=' && read_param(r, name, len, at);
}

void http_challenge_parse(const char *text, struct http_challenge *ret)
{
	struct reading r = {.kind = NO_KIND};

	memset(ret, 0, sizeof(*ret));
	for (const char *at = text; *at != '\0';) {
		if (is_blank(*at) || *at == ',') {
			at++;
			continue;
		}
		if (!read_item(&r, &at, ret))
			return;
		at = skip_blanks(at);
		if (*at != ',' && *at != '\0')
			return;
	}
	take(&r, ret);
}

void http_scope_add(char scope[1024], const char *wanted)
{
	const char *last = strrchr(wanted, ':');
	const size_t name = last ? (size_t)(last - wanted) + 1 : strlen(wanted);
	char all[1024];
	size_t n = 0;

	for (const char *at = scope + strspn(scope, " "); *at; at += strspn(at, " ")) {
		const size_t len = strcspn(at, " ");

		if (len < name || strncmp(at, wanted, name) != 0)
			n += (size_t)snprintf(all + n, sizeof(all) - n, "%.*s ", (int)len, at);
		at += len;
	}
	if (n + strlen(wanted) >= sizeof(all))
		return;
	strcpy(all + n, wanted);
	strcpy(scope, all);
}
