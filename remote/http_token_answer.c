// SPDX-License-Identifier: Apache-2.0
/*
 * What a token server answered: {"token" or "access_token", "expires_in", "issued_at"}. The token
 * becomes part of a header, so it must be of the characters that a header's word may have.
 *
 * Its life is counted from when it was issued, if that is said and can be: a clock that differs
 * from ours by more than the token lives says nothing. For the last tenth of its life (at most a
 * minute) it is renewed before it is used.
 */
#include "remote/http_impl.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "base/auto.h"

#define TOKEN_MAX         16384
#define LIFE_DEFAULT_S    60
#define LIFE_MAX_S        86400
#define LIFE_SPARED_MAX_S 60

static void release_jsonp(json_t **v)
{
	json_decref(*v);
}

/* "2026-11-30T12:00:00Z", with or without a fraction; 0: it is none. */
static time_t parse_time(const char *text)
{
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!rest)
		return 0;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0)
		return 0;
	return timegm(&tm);
}

static const char *find_token(const json_t *root, size_t *ret_len)
{
	static const char *const names[] = {"token", "access_token"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const json_t *v = json_object_get(root, names[i]);

		*ret_len = json_string_length(v);
		if (json_is_string(v) && *ret_len > 0)
			return json_string_value(v);
	}
	return NULL;
}

static uint64_t life_ms(const json_t *root, time_t now)
{
	const json_t *expires_in = json_object_get(root, "expires_in");
	const char *issued_at = json_string_value(json_object_get(root, "issued_at"));
	const time_t issued = issued_at ? parse_time(issued_at) : 0;
	double life = json_is_number(expires_in) ? json_number_value(expires_in) : 0;

	if (!(life >= 1))
		life = LIFE_DEFAULT_S;
	if (life > LIFE_MAX_S)
		life = LIFE_MAX_S;
	if (issued > 0 && issued < now && (double)(now - issued) < life)
		life -= (double)(now - issued);
	return (uint64_t)(life * 1000);
}

int http_token_parse(const char *body, size_t len, time_t now, struct http_token *ret,
                     struct http_verdict *v)
{
	OVBD_AUTO(release_jsonp) json_t *root = json_loadb(body, len, 0, NULL);
	const char *token;
	uint64_t spared;
	size_t token_len;

	token = json_is_object(root) ? find_token(root, &token_len) : NULL;
	if (!token)
		return http_verdict(v, -EIO, HTTP_FEW, "there is no token in its answer");
	if (token_len > TOKEN_MAX)
		return http_verdict(v, -EIO, HTTP_FEW, "its token has %zu bytes", token_len);
	for (size_t i = 0; i < token_len; i++)
		if (token[i] <= 0x20 || token[i] >= 0x7f)
			return http_verdict(v, -EIO, HTTP_FEW,
			                    "its token has a character that no token has");
	ret->text = strdup(token);
	if (!ret->text)
		return http_verdict(v, -ENOMEM, HTTP_NEVER, "out of memory");
	ret->life_ms = life_ms(root, now);
	spared = ret->life_ms / 10;
	if (spared > LIFE_SPARED_MAX_S * 1000)
		spared = LIFE_SPARED_MAX_S * 1000;
	ret->fresh_ms = ret->life_ms - spared;
	return 0;
}
