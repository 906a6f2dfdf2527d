// SPDX-License-Identifier: Apache-2.0
/* A whole object, in memory. */
#include "remote/http.h"

#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "remote/http_impl.h"

static void take(struct http_got *got, char *take_body, struct ovbd_http_document *ret)
{
	char *less = realloc(take_body, got->verdict.len + 1);

	ret->body = less ? less : take_body;
	ret->len = (size_t)got->verdict.len;
	ret->body[ret->len] = '\0';
	memcpy(ret->type, got->answer.field[HTTP_CONTENT_TYPE], sizeof(ret->type));
	memcpy(ret->digest, got->answer.field[HTTP_DIGEST], sizeof(ret->digest));
}

static void release_object(struct http_object **o)
{
	if (*o)
		http_object_clear(*o);
	free(*o);
}

int ovbd_http_get(const char *url, const struct ovbd_http_params *p, const char *accept, size_t max,
                  struct ovbd_http_document *ret, struct ovbd_error *err)
{
	OVBD_AUTO(release_object) struct http_object *o = calloc(1, sizeof(*o));
	const struct http_want want = {.whole = true, .len = max};
	AUTO_FREE char *body = malloc(max + 1);
	struct http_got got = {.nrequests = 0};
	int r;

	if (!o || !body)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = http_object_init(o, url, p, err);
	if (r == 0)
		r = http_object_get(o, &want, accept, body, &got, err);
	if (r == 0)
		take(&got, OVBD_MOVE(body), ret);
	return r;
}
