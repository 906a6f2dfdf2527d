// SPDX-License-Identifier: Apache-2.0
/*
 * Which hosts are asked for a URL, in which order, and how each is trusted. Certificates that are
 * trusted besides the system's must be one file with these for libcurl, whose connections may be
 * made at any later time: they are written into memory that looks like a file, and stay there until
 * the registry is closed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/bytes.h"
#include "image/credentials.h"
#include "image/hosts.h"
#include "image/registry_impl.h"

#define CERTIFICATES_MAX (8u << 20)

struct ovbd_route_parts {
	char *url;
	char host[256]; /* of the registry, as its settings are found by */
	struct ovbd_hosts hosts;
	struct ovbd_host certificates; /* --cert-dir */
	struct ovbd_http_host *list;
};

struct text {
	char *s;
	size_t n;
};

static void close_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

static int append_file(struct text *t, const char *path, struct ovbd_error *err)
{
	OVBD_AUTO(close_file) FILE *f = fopen(path, "re");
	struct stat st;
	size_t size;
	char *more;

	if (!f || fstat(fileno(f), &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > CERTIFICATES_MAX)
		return ovbd_fail(err, -EINVAL, "%s: is no file of certificates", path);
	size = (size_t)st.st_size;
	more = realloc(t->s, t->n + size + 1);
	if (!more)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	t->s = more;
	if (fread(t->s + t->n, 1, size, f) != size)
		return ovbd_fail(err, -EIO, "%s: cannot be read", path);
	t->n += size;
	t->s[t->n++] = '\n';
	return 0;
}

static int make_bundle(const struct text *t, struct bundle **ret)
{
	OVBD_AUTO(ovbd_freep) struct bundle *b = calloc(1, sizeof(*b));
	AUTO_FREE char *copy = malloc(t->n);
	AUTO_FD fd = memfd_create("certificates", MFD_CLOEXEC);
	size_t done = 0;

	if (!b || !copy)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	while (done < t->n) {
		const ssize_t n = write(fd, t->s + done, t->n - done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	memcpy(copy, t->s, t->n);
	*b = (struct bundle){.text = OVBD_MOVE(copy), .len = t->n, .fd = fd};
	fd = -1;
	snprintf(b->path, sizeof(b->path), "/proc/self/fd/%d", b->fd);
	*ret = OVBD_MOVE(b);
	return 0;
}

/* The path of a file that has these certificates; the same for the same. */
static int keep_bundle(struct ovbd_registry *g, const struct text *t, const char **ret,
                       struct ovbd_error *err)
{
	struct bundle *b;
	int r = 0;

	pthread_mutex_lock(&g->lock);
	for (b = g->bundles; b; b = b->next)
		if (b->len == t->n && memcmp(b->text, t->s, t->n) == 0)
			break;
	if (!b) {
		r = make_bundle(t, &b);
		if (r == 0) {
			b->next = g->bundles;
			g->bundles = b;
		}
	}
	if (r == 0)
		*ret = b->path;
	pthread_mutex_unlock(&g->lock);
	return r < 0 ? ovbd_fail_errno(err, r, "keeping certificates") : 0;
}

/* The system's certificates and those of files. */
static int trust(struct ovbd_registry *g, char *const *files, const char **ret,
                 struct ovbd_error *err)
{
	static const char *const system[] = {"/etc/ssl/certs/ca-certificates.crt",
	                                     "/etc/ssl/certs/ca-bundle.crt"};
	struct text t = {0};
	int r = 0;

	for (size_t i = 0; i < sizeof(system) / sizeof(system[0]) && t.n == 0; i++)
		if (access(system[i], R_OK) == 0)
			r = append_file(&t, system[i], err);
	for (size_t i = 0; r == 0 && files[i]; i++)
		r = append_file(&t, files[i], err);
	if (r == 0)
		r = keep_bundle(g, &t, ret, err);
	free(t.s);
	return r;
}

/* What is said of a host goes before what is said of all. */
static int set_tls(struct ovbd_registry *g, const struct ovbd_host *own,
                   const struct ovbd_host *all, struct ovbd_http_tls *tls, struct ovbd_error *err)
{
	char *const *ca = own->ca ? own->ca : all->ca;

	tls->skip_verify |= g->p.skip_verify || own->skip_verify;
	if (own->cert) {
		tls->cert_file = own->cert;
		tls->key_file = own->key;
	} else if (all->cert) {
		tls->cert_file = all->cert;
		tls->key_file = all->key;
	} else if (g->p.cert_file) {
		tls->cert_file = g->p.cert_file;
		tls->key_file = g->p.key_file;
	}
	return ca ? trust(g, ca, &tls->ca_file, err) : 0;
}

/* Whether base is that of the registry itself. */
static bool is_own(const char *base, const char *host)
{
	size_t len;
	const char *other = ovbd_credentials_host(base, &len);

	return other && ovbd_credentials_same_host(other, len, host, strlen(host));
}

/* The URL at the server that stands for the registry. */
static int replace_server(struct ovbd_route *r, const char *url, struct ovbd_error *err)
{
	struct ovbd_route_parts *parts = r->parts;
	const char *base = parts->hosts.server.base;
	size_t len;
	const char *path = ovbd_credentials_host(url, &len);
	const bool own = base && is_own(base, parts->host);

	if (!base || strncmp(path + len, "/v2/", 4) != 0)
		return 0;
	if (asprintf(&parts->url, "%s%s%s%s", base, path + len + 3,
	             own ? "" : "?ns=", own ? "" : parts->host) < 0) {
		parts->url = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	/* docker.io itself is no registry, but everybody says so */
	if (!own || strcmp(parts->host, "docker.io") != 0)
		r->url = parts->url;
	return 0;
}

/* Those that are asked before the registry itself. */
static int list_hosts(struct ovbd_registry *g, bool resolve, struct ovbd_route *r,
                      struct ovbd_error *err)
{
	struct ovbd_route_parts *parts = r->parts;
	struct ovbd_http_host *list =
		ovbd_array_alloc(parts->hosts.nhosts + 1, sizeof(parts->list[0]));
	size_t n = 0;
	int code = 0;

	parts->list = list;
	if (!list)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (g->p.prefix)
		list[n++] = (struct ovbd_http_host){.base = g->p.prefix, .prefix = true};
	for (size_t i = 0; code == 0 && i < parts->hosts.nhosts; i++) {
		const struct ovbd_host *h = &parts->hosts.hosts[i];

		if (resolve ? !h->resolve : !h->pull)
			continue;
		list[n] = (struct ovbd_http_host){
			.base = h->base,
			.ns = is_own(h->base, parts->host) ? NULL : parts->host,
			.headers = (const char *const *)h->headers,
		};
		code = set_tls(g, h, &parts->certificates, &list[n++].tls, err);
	}
	r->http.hosts = list;
	r->http.nhosts = n;
	return code;
}

static int load(struct ovbd_registry *g, const char *url, struct ovbd_route_parts *parts,
                struct ovbd_error *err)
{
	static const char hub[] = "docker.io";
	size_t len;
	const char *host = ovbd_credentials_host(url, &len);
	int r = 0;

	if (!host || len >= sizeof(parts->host))
		return 0;
	memcpy(parts->host, host, len);
	if (ovbd_credentials_same_host(host, len, hub, strlen(hub)))
		strcpy(parts->host, hub);
	if (g->p.hosts_dir)
		r = ovbd_hosts_load(g->p.hosts_dir, parts->host, &parts->hosts, err);
	if (r == 0 && g->p.cert_dir)
		r = ovbd_hosts_add_certificates(&parts->certificates, g->p.cert_dir, err);
	return r;
}

static int find(struct ovbd_registry *g, const char *url, bool resolve, struct ovbd_route *r,
                struct ovbd_error *err)
{
	struct ovbd_route_parts *parts = r->parts;
	const struct ovbd_host *server = &parts->hosts.server;
	int code = load(g, url, parts, err);

	if (code < 0)
		return code;
	r->http.logins = (struct ovbd_http_logins){.get = ovbd_registry_login, .ctx = g};
	if (g->p.proxy)
		r->http.proxy = g->p.proxy;
	if (server->headers)
		r->http.headers = (const char *const *)server->headers;
	code = set_tls(g, server, &parts->certificates, &r->http.tls, err);
	if (code == 0 && parts->host[0])
		code = replace_server(r, url, err);
	return code < 0 ? code : list_hosts(g, resolve, r, err);
}

int ovbd_route_find(struct ovbd_registry *g, const char *url, bool resolve,
                    const struct ovbd_http_params *base, struct ovbd_route *ret,
                    struct ovbd_error *err)
{
	struct ovbd_route r = {.url = url};
	int code;

	if (base)
		r.http = *base;
	if (g) {
		r.parts = calloc(1, sizeof(*r.parts));
		if (!r.parts)
			return ovbd_fail(err, -ENOMEM, "out of memory");
		code = find(g, url, resolve, &r, err);
		if (code < 0) {
			ovbd_route_free(&r);
			return code;
		}
	}
	*ret = r;
	return 0;
}

void ovbd_route_free(struct ovbd_route *r)
{
	struct ovbd_route_parts *parts = r->parts;

	if (!parts)
		return;
	ovbd_hosts_free(&parts->hosts);
	ovbd_host_clear(&parts->certificates);
	free(parts->list);
	free(parts->url);
	free(parts);
	r->parts = NULL;
}
