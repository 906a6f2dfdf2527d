// SPDX-License-Identifier: Apache-2.0
/*
 * What was given is copied into an arena of strings that ends with the registry. Who we are is
 * asked of all sources anew for each login; nothing of it is kept but --creds, which came from
 * outside.
 *
 * The lock guards the host for which creds are, and the files of certificates (route.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/bytes.h"
#include "image/credentials.h"
#include "image/registry_impl.h"

static char *copy(struct ovbd_registry *g, const char *s)
{
	struct string *one;

	if (!s)
		return NULL;
	one = malloc(sizeof(*one) + strlen(s) + 1);
	if (!one) {
		g->out_of_memory = true;
		return NULL;
	}
	strcpy(one->text, s);
	one->next = g->strings;
	g->strings = one;
	return one->text;
}

static void copy_authfiles(struct ovbd_registry *g, const char *const *files)
{
	char **list;
	size_t n = 0;

	while (files && files[n])
		n++;
	list = ovbd_array_alloc(n + 1, sizeof(*list));
	g->out_of_memory |= !list;
	for (size_t i = 0; list && i < n; i++)
		list[i] = copy(g, files[i]);
	g->authfiles = list;
}

static int copy_params(struct ovbd_registry *g, const struct ovbd_registry_params *p)
{
	AUTO_FREE char *whole = NULL;
	const char *prefix = p->prefix;

	/* localhost:65001/dadip2p, as overlaybd has it */
	if (prefix && !strstr(prefix, "://")) {
		if (asprintf(&whole, "http://%s", prefix) < 0)
			return -ENOMEM;
		prefix = whole;
	}
	g->p = *p;
	g->p.creds = copy(g, p->creds);
	g->p.service.url = copy(g, p->service.url);
	g->p.service.unix_socket = copy(g, p->service.unix_socket);
	g->p.service.cert_file = copy(g, p->service.cert_file);
	g->p.service.key_file = copy(g, p->service.key_file);
	g->p.service.ca_file = copy(g, p->service.ca_file);
	g->p.hosts_dir = copy(g, p->hosts_dir);
	g->p.cert_dir = copy(g, p->cert_dir);
	g->p.cert_file = copy(g, p->cert_file);
	g->p.key_file = copy(g, p->key_file);
	g->p.proxy = copy(g, p->proxy);
	g->p.prefix = copy(g, prefix);
	g->p.platform = NULL;
	copy_authfiles(g, p->authfiles);
	g->p.authfiles = NULL;
	return g->out_of_memory ? -ENOMEM : 0;
}

/* As the makers of images call the machines. */
void ovbd_platform_here(struct ovbd_platform *ret)
{
	static const struct {
		const char *machine, *arch, *variant;
	} names[] = {
		{"x86_64", "amd64", ""},    {"aarch64", "arm64", ""},
		{"armv7l", "arm", "v7"},    {"armv6l", "arm", "v6"},
		{"i686", "386", ""},        {"i586", "386", ""},
		{"mips64", "mips64le", ""}, {"loongarch64", "loong64", ""},
	};
	struct utsname u;

	*ret = (struct ovbd_platform){.os = "linux"};
	if (uname(&u) < 0)
		return;
	memcpy(ret->arch, u.machine, ovbd_min(sizeof(ret->arch) - 1, strlen(u.machine)));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(u.machine, names[i].machine) == 0) {
			strcpy(ret->arch, names[i].arch);
			strcpy(ret->variant, names[i].variant);
		}
}

static int check_creds(const struct ovbd_registry *g, struct ovbd_error *err)
{
	struct ovbd_http_login l = {0};
	int r;

	if (!g->p.creds)
		return 0;
	r = ovbd_credentials_split(g->p.creds, &l, err);
	ovbd_credentials_wipe(&l);
	return r < 0 ? r : 0;
}

int ovbd_registry_open(const struct ovbd_registry_params *p, struct ovbd_registry **ret,
                       struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_registry_closep) struct ovbd_registry *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	pthread_mutex_init(&g->lock, NULL);
	if (copy_params(g, p) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	ovbd_platform_here(&g->platform);
	r = p->platform ? ovbd_platform_parse(p->platform, &g->platform, err) : 0;
	if (r == 0)
		r = check_creds(g, err);
	if (r == 0)
		*ret = OVBD_MOVE(g);
	return r;
}

void ovbd_registry_close(struct ovbd_registry *take_g)
{
	if (!take_g)
		return;
	for (struct string *s = take_g->strings, *next; s; s = next) {
		next = s->next;
		explicit_bzero(s->text, strlen(s->text));
		free(s);
	}
	for (struct bundle *b = take_g->bundles, *next; b; b = next) {
		next = b->next;
		close(b->fd);
		free(b->text);
		free(b);
	}
	free(take_g->first_host);
	free(take_g->authfiles);
	pthread_mutex_destroy(&take_g->lock);
	free(take_g);
}

int ovbd_registry_note(struct ovbd_registry *g, const char *url, struct ovbd_error *err)
{
	const char *host;
	size_t len;
	int r = 0;

	host = g ? ovbd_credentials_host(url, &len) : NULL;
	if (!host)
		return 0;
	pthread_mutex_lock(&g->lock);
	if (!g->first_host) {
		g->first_host = strndup(host, len);
		r = g->first_host ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
	}
	pthread_mutex_unlock(&g->lock);
	return r;
}

static bool is_first_host(struct ovbd_registry *g, const char *url)
{
	const char *host;
	size_t len;
	bool same;

	host = ovbd_credentials_host(url, &len);
	pthread_mutex_lock(&g->lock);
	same = host && g->first_host &&
	       ovbd_credentials_same_host(host, len, g->first_host, strlen(g->first_host));
	pthread_mutex_unlock(&g->lock);
	return same;
}

int ovbd_registry_login(void *ctx, const char *url, bool refused, struct ovbd_http_login *ret,
                        struct ovbd_error *err)
{
	struct ovbd_registry *g = ctx;
	int r = 0;

	(void)refused; /* nothing was kept */
	*ret = (struct ovbd_http_login){0};
	if (g->p.creds && is_first_host(g, url))
		return ovbd_credentials_split(g->p.creds, ret, err) < 0 ? -EINVAL : 0;
	if (g->p.service.url)
		r = ovbd_credentials_fetch(&g->p.service, url, ret, err);
	for (size_t i = 0; r == 0 && g->authfiles[i]; i++)
		r = ovbd_credentials_read(g->authfiles[i], i == 0 && g->p.authfile_must_exist, url,
		                          ret, err);
	return r < 0 ? r : 0;
}
