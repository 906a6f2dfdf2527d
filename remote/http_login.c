// SPDX-License-Identifier: Apache-2.0
/* What is secret is wiped before its memory is given back. */
#include "remote/http_impl.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

void http_secret_free(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void http_login_clear(struct ovbd_http_login *l)
{
	http_secret_free(l->bearer);
	http_secret_free(l->refresh_token);
	http_secret_free(l->user);
	http_secret_free(l->password);
	memset(l, 0, sizeof(*l));
}

static bool is_same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool http_login_is_same(const struct ovbd_http_login *a, const struct ovbd_http_login *b)
{
	return is_same(a->bearer, b->bearer) && is_same(a->refresh_token, b->refresh_token) &&
	       is_same(a->user, b->user) && is_same(a->password, b->password);
}

char *http_login_header(const char *kind, const char *text)
{
	char *line;

	return asprintf(&line, "Authorization: %s %s", kind, text) < 0 ? NULL : line;
}

char *http_login_basic(const struct ovbd_http_login *l)
{
	char *plain, *coded, *line = NULL;
	int len;

	len = asprintf(&plain, "%s:%s", l->user ? l->user : "", l->password ? l->password : "");
	if (len < 0)
		return NULL;
	coded = malloc((size_t)len / 3 * 4 + 5);
	if (coded) {
		EVP_EncodeBlock((unsigned char *)coded, (unsigned char *)plain, len);
		line = http_login_header("Basic", coded);
	}
	http_secret_free(plain);
	http_secret_free(coded);
	return line;
}
