// SPDX-License-Identifier: Apache-2.0
#include "tools/remote_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"
#include "image/registry.h"
#include "tools/cli.h"

#define AUTHFILES    4
#define DEADLINE_MAX 86400 /* seconds */

static int set_creds(struct ovbd_cli *c, char *value)
{
	const size_t len = strlen(value);

	if (len == 0 || len >= sizeof(c->remote.creds) || value[0] == ':') {
		ovbd_cli_usage(c, "--creds: it is USER or USER:PASSWORD");
		return -1;
	}
	memcpy(c->remote.creds, value, len + 1);
	memset(value, 'x', len);
	return 0;
}

static int set_verify(struct ovbd_cli *c, const char *value)
{
	c->remote.skip_verify = strcmp(value, "false") == 0;
	if (c->remote.skip_verify || strcmp(value, "true") == 0)
		return 0;
	ovbd_cli_usage(c, "--tls-verify %s: it is true or false", value);
	return -1;
}

static int set_deadline(struct ovbd_cli *c, const char *value)
{
	char *end;
	const unsigned long n = strtoul(value, &end, 10);

	if (value[0] >= '0' && value[0] <= '9' && *end == '\0' && n >= 1 && n <= DEADLINE_MAX) {
		c->remote.deadline_s = (unsigned)n;
		return 0;
	}
	ovbd_cli_usage(c, "--deadline %s: it is a number of seconds, 1 to %d", value, DEADLINE_MAX);
	return -1;
}

static int add_platform(struct ovbd_cli *c, const char *value)
{
	struct ovbd_remote_options *o = &c->remote;

	if (o->nplatforms == OVBD_PLATFORMS_MAX) {
		ovbd_cli_usage(c, "--platform: at most %d of them", OVBD_PLATFORMS_MAX);
		return -1;
	}
	o->platform = o->platforms[o->nplatforms++] = value;
	return 0;
}

bool ovbd_remote_options_take(struct ovbd_cli *c, int id, char *value, int *ret_r)
{
	struct ovbd_remote_options *o = &c->remote;

	*ret_r = 0;
	switch (id) {
	case OVBD_OPTION_CREDS:
		*ret_r = set_creds(c, value);
		return true;
	case OVBD_OPTION_AUTHFILE:
		o->authfile = value;
		return true;
	case OVBD_OPTION_CERT_DIR:
		o->cert_dir = value;
		return true;
	case OVBD_OPTION_TLS_VERIFY:
		*ret_r = set_verify(c, value);
		return true;
	case OVBD_OPTION_PLAIN_HTTP:
		o->plain_http = true;
		return true;
	case OVBD_OPTION_REGISTRY_CONFIG:
		o->hosts_dir = value;
		return true;
	case OVBD_OPTION_HTTP_PROXY:
		o->proxy = value;
		return true;
	case OVBD_OPTION_P2P:
		o->p2p = value;
		return true;
	case OVBD_OPTION_PLATFORM:
		*ret_r = add_platform(c, value);
		return true;
	case OVBD_OPTION_DEADLINE:
		*ret_r = set_deadline(c, value);
		return true;
	default:
		return false;
	}
}

struct files {
	char *list[AUTHFILES + 1]; /* until NULL */
	size_t n;
	bool must_exist; /* the first one was asked for */
};

static void free_files(struct files *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->list[i]);
}

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && v[0] ? v : NULL;
}

static void add(struct files *f, const char *dir, const char *name)
{
	char *path;

	if (dir && f->n < AUTHFILES && asprintf(&path, "%s%s", dir, name) >= 0)
		f->list[f->n++] = path;
}

/* Where skopeo and docker look, in this order. */
static void find_files(const struct ovbd_cli *c, struct files *ret)
{
	const char *said = c->remote.authfile ? c->remote.authfile : env("REGISTRY_AUTH_FILE");
	char run[64];

	if (said) {
		add(ret, said, "");
		ret->must_exist = true;
		return;
	}
	snprintf(run, sizeof(run), "/run/containers/%u", (unsigned)getuid());
	if (env("XDG_RUNTIME_DIR"))
		add(ret, env("XDG_RUNTIME_DIR"), "/containers/auth.json");
	else
		add(ret, run, "/auth.json");
	if (env("XDG_CONFIG_HOME"))
		add(ret, env("XDG_CONFIG_HOME"), "/containers/auth.json");
	else
		add(ret, env("HOME"), "/.config/containers/auth.json");
	if (env("DOCKER_CONFIG"))
		add(ret, env("DOCKER_CONFIG"), "/config.json");
	else
		add(ret, env("HOME"), "/.docker/config.json");
}

int ovbd_remote_options_open(const struct ovbd_cli *c, struct ovbd_registry **ret,
                             struct ovbd_http_params *ret_http, struct ovbd_error *err)
{
	const struct ovbd_remote_options *o = &c->remote;
	OVBD_AUTO(free_files) struct files files = {0};
	struct ovbd_registry_params p = {
		.creds = o->creds[0] ? o->creds : NULL,
		.hosts_dir = o->hosts_dir,
		.cert_dir = o->cert_dir,
		.skip_verify = o->skip_verify,
		.plain_http = o->plain_http,
		.proxy = o->proxy,
		.prefix = o->p2p,
		.platform = o->platform,
	};

	*ret_http = (struct ovbd_http_params){.deadline_ms = o->deadline_s * 1000};
	if (o->params)
		return ovbd_registry_open(o->params, ret, err);
	find_files(c, &files);
	p.authfiles = (const char *const *)files.list;
	p.authfile_must_exist = files.must_exist;
	return ovbd_registry_open(&p, ret, err);
}
