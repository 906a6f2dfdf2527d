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

static int set_creds(struct ovbd_cli *c, char *value, const char *option, char ret[OVBD_CREDS_SIZE])
{
	const size_t len = strlen(value);

	if (len == 0 || len >= OVBD_CREDS_SIZE || value[0] == ':') {
		ovbd_cli_usage(c, "%s: it is USER or USER:PASSWORD", option);
		return -1;
	}
	memcpy(ret, value, len + 1);
	memset(value, 'x', len);
	return 0;
}

static int set_verify(struct ovbd_cli *c, const char *value, const char *option, bool *ret)
{
	*ret = strcmp(value, "true") == 0;
	if (*ret || strcmp(value, "false") == 0)
		return 0;
	ovbd_cli_usage(c, "%s %s: it is true or false", option, value);
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

/* Those of one side. */
static bool take_side(struct ovbd_cli *c, int id, char *value, int *ret_r)
{
	const bool dest = id >= OVBD_OPTION_DEST_CREDS;
	struct ovbd_remote_side *side = &c->remote.sides[dest ? OVBD_SIDE_DEST : OVBD_SIDE_SRC];

	switch (id) {
	case OVBD_OPTION_SRC_CREDS:
	case OVBD_OPTION_DEST_CREDS:
		*ret_r = set_creds(c, value, dest ? "--dest-creds" : "--src-creds", side->creds);
		return true;
	case OVBD_OPTION_SRC_AUTHFILE:
	case OVBD_OPTION_DEST_AUTHFILE:
		side->authfile = value;
		return true;
	case OVBD_OPTION_SRC_CERT_DIR:
	case OVBD_OPTION_DEST_CERT_DIR:
		side->cert_dir = value;
		return true;
	case OVBD_OPTION_SRC_TLS_VERIFY:
	case OVBD_OPTION_DEST_TLS_VERIFY:
		side->verify_said = true;
		*ret_r = set_verify(c, value, dest ? "--dest-tls-verify" : "--src-tls-verify",
		                    &side->verify);
		return true;
	default:
		return false;
	}
}

bool ovbd_remote_options_take(struct ovbd_cli *c, int id, char *value, int *ret_r)
{
	struct ovbd_remote_options *o = &c->remote;
	bool verify = true;

	*ret_r = 0;
	switch (id) {
	case OVBD_OPTION_CREDS:
		*ret_r = set_creds(c, value, "--creds", o->creds);
		return true;
	case OVBD_OPTION_AUTHFILE:
		o->authfile = value;
		return true;
	case OVBD_OPTION_CERT_DIR:
		o->cert_dir = value;
		return true;
	case OVBD_OPTION_TLS_VERIFY:
		*ret_r = set_verify(c, value, "--tls-verify", &verify);
		o->skip_verify = !verify;
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
		return take_side(c, id, value, ret_r);
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
static void find_files(const char *authfile, struct files *ret)
{
	const char *said = authfile ? authfile : env("REGISTRY_AUTH_FILE");
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

static int open_registry(const struct ovbd_remote_options *o, const struct ovbd_remote_side *side,
                         struct ovbd_registry **ret, struct ovbd_http_params *ret_http,
                         struct ovbd_error *err)
{
	OVBD_AUTO(free_files) struct files files = {0};
	struct ovbd_registry_params p = {
		.creds = side->creds[0] ? side->creds : NULL,
		.hosts_dir = o->hosts_dir,
		.cert_dir = side->cert_dir ? side->cert_dir : o->cert_dir,
		.cert_file = o->cert_file,
		.key_file = o->key_file,
		.skip_verify = side->verify_said ? !side->verify : o->skip_verify,
		.plain_http = o->plain_http,
		.proxy = o->proxy,
		.prefix = o->p2p,
		.platform = o->platform,
	};

	*ret_http = (struct ovbd_http_params){.deadline_ms = o->deadline_s * 1000};
	if (o->params)
		return ovbd_registry_open(o->params, ret, err);
	find_files(side->authfile ? side->authfile : o->authfile, &files);
	p.authfiles = (const char *const *)files.list;
	p.authfile_must_exist = files.must_exist;
	return ovbd_registry_open(&p, ret, err);
}

int ovbd_remote_options_open(const struct ovbd_cli *c, struct ovbd_registry **ret,
                             struct ovbd_http_params *ret_http, struct ovbd_error *err)
{
	struct ovbd_remote_side side = {.authfile = NULL};

	memcpy(side.creds, c->remote.creds, sizeof(side.creds));
	return open_registry(&c->remote, &side, ret, ret_http, err);
}

int ovbd_remote_options_open_side(const struct ovbd_cli *c, enum ovbd_side side, bool same,
                                  struct ovbd_registry **ret, struct ovbd_http_params *ret_http,
                                  struct ovbd_error *err)
{
	const struct ovbd_remote_options *o = &c->remote;
	struct ovbd_remote_side all = o->sides[side];
	const char *src =
		o->sides[OVBD_SIDE_SRC].creds[0] ? o->sides[OVBD_SIDE_SRC].creds : o->creds;

	/* who we are to the one is not told to the other, unless it is the same */
	if (!all.creds[0] && (side == OVBD_SIDE_SRC || same))
		memcpy(all.creds, src, sizeof(all.creds));
	return open_registry(o, &all, ret, ret_http, err);
}

bool ovbd_remote_options_has_sides(const struct ovbd_cli *c)
{
	bool has = false;

	for (size_t i = 0; i < OVBD_NSIDES; i++) {
		const struct ovbd_remote_side *side = &c->remote.sides[i];

		has |= side->creds[0] || side->authfile || side->cert_dir || side->verify_said;
	}
	return has;
}
