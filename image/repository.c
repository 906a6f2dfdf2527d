// SPDX-License-Identifier: Apache-2.0
#include "image/repository.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/auto.h"
#include "base/blob.h"
#include "image/digest.h"
#include "image/registry_impl.h"

#define ACCEPT                                                                                     \
	"application/vnd.oci.image.manifest.v1+json, "                                             \
	"application/vnd.docker.distribution.manifest.v2+json, "                                   \
	"application/vnd.oci.image.index.v1+json, "                                                \
	"application/vnd.docker.distribution.manifest.list.v2+json"

char *ovbd_repository_url(const struct ovbd_repository *r, const char *kind, const char *reference)
{
	const char *host =
		strcmp(r->name.host, "docker.io") == 0 ? "registry-1.docker.io" : r->name.host;
	char *url;

	return asprintf(&url, "%s://%s/v2/%s/%s/%s", r->scheme, host, r->name.repository, kind,
	                reference) < 0
	               ? NULL
	               : url;
}

static bool is_loopback(const char *host)
{
	static const char *const names[] = {"localhost", "[::1]"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const size_t n = strlen(names[i]);

		if (strncasecmp(host, names[i], n) == 0 && (host[n] == '\0' || host[n] == ':'))
			return true;
	}
	return strncmp(host, "127.", 4) == 0 && strchr(":", host[strspn(host, "0123456789.")]);
}

int ovbd_repository_route(const struct ovbd_repository *r, const char *url, bool resolve,
                          struct ovbd_route *ret, struct ovbd_error *err)
{
	int code = ovbd_registry_note(r->g, url, err);

	if (code == 0)
		code = ovbd_route_find(r->g, url, resolve, &r->base, ret, err);
	if (code == 0 && r->direct)
		ret->http.nhosts = 0;
	return code;
}

static int fetch(const struct ovbd_repository *r, const char *reference,
                 struct ovbd_http_document *ret, struct ovbd_error *err)
{
	AUTO_FREE char *url = ovbd_repository_url(r, "manifests", reference);
	struct ovbd_route route;
	int code;

	if (!url)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	code = ovbd_repository_route(r, url, !ovbd_digest_is_valid(reference), &route, err);
	if (code < 0)
		return code;
	code = ovbd_http_get(route.url, &route.http, ACCEPT, OVBD_MANIFEST_SIZE_MAX, ret, err);
	ovbd_route_free(&route);
	return code;
}

/* By https. Where http would do it is tried next if there is no talking https with the host. */
static int fetch_first(struct ovbd_repository *r, const char *reference,
                       struct ovbd_http_document *ret, struct ovbd_error *err)
{
	const struct ovbd_registry_params *p = &r->g->p;
	const bool either = is_loopback(r->name.host) || p->skip_verify;
	struct ovbd_repository quick = *r;
	struct ovbd_error first, second;
	int code;

	r->scheme = quick.scheme = p->plain_http ? "http" : "https";
	if (p->plain_http || !either)
		return fetch(r, reference, ret, err);
	quick.base.open_attempts = 1;
	code = fetch(&quick, reference, ret, &first);
	if (code != -EIO)
		return code < 0 ? ovbd_fail(err, code, "%s", first.msg) : 0;
	r->scheme = "http";
	code = fetch(r, reference, ret, &second);
	if (code == -EIO || code == -ETIMEDOUT) {
		r->scheme = NULL;
		return ovbd_fail(err, code, "%s; and without TLS: %s", first.msg, second.msg);
	}
	return code < 0 ? ovbd_fail(err, code, "%s", second.msg) : 0;
}

static int check(const struct ovbd_http_document *d, const char *digest, struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL;
	int r = ovbd_blob_open_mem(d->body, d->len, &b, err);

	return r < 0 ? r : ovbd_digest_check(b, digest, NULL, NULL, err);
}

int ovbd_repository_manifest(struct ovbd_repository *r, const char *reference,
                             struct ovbd_http_document *ret, struct ovbd_error *err)
{
	struct ovbd_http_document d = {0};
	struct ovbd_error why;
	int code = r->scheme ? fetch(r, reference, &d, err) : fetch_first(r, reference, &d, err);

	if (code < 0)
		return code;
	if (ovbd_digest_is_valid(reference)) {
		code = check(&d, reference, &why);
		if (code < 0) {
			free(d.body);
			return ovbd_fail(err, code, "the manifest: %s", why.msg);
		}
	}
	*ret = d;
	return 0;
}
