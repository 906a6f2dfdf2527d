// SPDX-License-Identifier: Apache-2.0
/* The request and the answer are those of overlaybd's daemon: GET URL?remote_url=BLOB. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "image/credentials.h"
#include "image/registry.h"

#define ANSWER_MAX (1u << 20)
#define TIMEOUT_MS 1000

static void release_jsonp(json_t **v)
{
	json_decref(*v);
}

/* Of a URL only what would end the query, or is none of a query, is escaped, as there. */
static char *make_request(const char *service, const char *url)
{
	static const char question[] = "?remote_url=", hex[] = "0123456789ABCDEF";
	char *text = malloc(strlen(service) + sizeof(question) + 3 * strlen(url)), *to = text;

	if (!text)
		return NULL;
	to += sprintf(to, "%s%s", service, question);
	for (; *url; url++) {
		const unsigned char c = (unsigned char)*url;

		if (c > ' ' && c < 0x7f && !strchr("&#%+\"<>", c)) {
			*to++ = (char)c;
		} else {
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
		}
	}
	*to = '\0';
	return text;
}

static int read_answer(const struct ovbd_http_document *d, const char *service, const char *url,
                       struct ovbd_http_login *ret, struct ovbd_error *err)
{
	OVBD_AUTO(release_jsonp) json_t *root = json_loadb(d->body, d->len, 0, NULL);
	const char *trace = json_string_value(json_object_get(root, "traceId"));
	const json_t *data = json_object_get(root, "data");

	if (!json_is_object(root))
		return ovbd_fail(err, -EBADMSG, "credentials from %s: the answer is no JSON",
		                 service);
	if (!json_is_true(json_object_get(root, "success")))
		return ovbd_fail(err, -EACCES, "credentials from %s: it had no success%s%.80s",
		                 service, trace ? ", traceId " : "", trace ? trace : "");
	return data ? ovbd_credentials_find(data, false, service, url, ret, err) : 0;
}

int ovbd_credentials_fetch(const struct ovbd_credentials_service *s, const char *url,
                           struct ovbd_http_login *ret, struct ovbd_error *err)
{
	const struct ovbd_http_params p = {
		.deadline_ms = s->timeout_ms ? s->timeout_ms : TIMEOUT_MS,
		.connect_timeout_ms = s->timeout_ms ? s->timeout_ms : TIMEOUT_MS,
		.unix_socket = s->unix_socket,
		.proxy = "",
		.tls = {.ca_file = s->ca_file, .cert_file = s->cert_file, .key_file = s->key_file},
	};
	AUTO_FREE char *request = make_request(s->url, url);
	struct ovbd_http_document d = {0};
	char shown[OVBD_HTTP_SHOWN_SIZE];
	struct ovbd_error why;
	int r;

	if (!request)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	ovbd_http_show(s->url, shown);
	r = ovbd_http_get(request, &p, "application/json", ANSWER_MAX, &d, &why);
	if (r < 0)
		return ovbd_fail(err, r, "credentials from %s%s%s: %s", shown,
		                 s->unix_socket ? " at " : "", s->unix_socket ? s->unix_socket : "",
		                 why.msg);
	r = read_answer(&d, shown, url, ret, err);
	explicit_bzero(d.body, d.len);
	free(d.body);
	return r;
}
