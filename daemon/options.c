// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <string.h>

#include "base/auto.h"

#define WORKERS_MAX 1024

enum { SOCKET = 256, STATE_DIR, CONFIG, CHECK, DRAIN, LEVEL, FOREGROUND, NO_SECCOMP };

static const struct option longs[] = {
	{"socket", required_argument, NULL, SOCKET},
	{"state-dir", required_argument, NULL, STATE_DIR},
	{"config", required_argument, NULL, CONFIG},
	{"check-config", no_argument, NULL, CHECK},
	{"drain-on-exit", no_argument, NULL, DRAIN},
	{"log-level", required_argument, NULL, LEVEL},
	{"foreground", no_argument, NULL, FOREGROUND},
	{"no-seccomp", no_argument, NULL, NO_SECCOMP},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

const char ovbd_options_help[] =
	"Usage: ovbdd [OPTION]...\n"
	"Serve layered images as devices, as 'ovbd attach' and others ask on a socket.\n\n"
	"      --socket PATH       The socket (default: ovbdd.sock in the state directory).\n"
	"      --state-dir DIR     What must outlive this process (default: /run/ovbd).\n"
	"      --config FILE       A JSON file: see ovbdd(8).\n"
	"      --check-config      Say what is wrong with it, and end.\n"
	"      --drain-on-exit     Detach all devices at the end. Without it they are\n"
	"                          attached again when ovbdd is started again.\n"
	"      --log-level LEVEL   error, warning, info (default) or debug.\n"
	"      --foreground        Stay in the foreground (the default, and the only way).\n"
	"      --no-seccomp        Do not filter system calls.\n"
	"  -h, --help              Show this help.\n"
	"  -V, --version           Show the version.\n\n"
	"See also: ovbdd(8), ovbd-attach(1)\n";

static int set_level(struct ovbd_options *o, const char *name, struct ovbd_error *err)
{
	if (ovbd_log_parse(name, &o->level) < 0)
		return ovbd_fail(err, -EINVAL,
		                 "log level '%.40s': must be error, warning, info or debug", name);
	return 0;
}

static int parse_option(int id, struct ovbd_options *o, struct ovbd_error *err)
{
	switch (id) {
	case SOCKET:
		o->socket = optarg;
		return 0;
	case STATE_DIR:
		o->state_dir = optarg;
		return 0;
	case CONFIG:
		o->config = optarg;
		return 0;
	case CHECK:
		o->check = true;
		return 0;
	case DRAIN:
		o->drain_on_exit = true;
		return 0;
	case LEVEL:
		return set_level(o, optarg, err);
	case NO_SECCOMP:
		o->no_seccomp = true;
		return 0;
	case FOREGROUND:
		return 0;
	case 'h':
		o->help = true;
		return 0;
	default:
		o->version = true;
		return 0;
	}
}

int ovbd_options_parse(int argc, char **argv, struct ovbd_options *ret, struct ovbd_error *err)
{
	struct ovbd_options o = {.state_dir = "/run/ovbd", .level = OVBD_LOG_INFO};
	int id, r = 0;

	opterr = 0;
	while (r == 0 && (id = getopt_long(argc, argv, ":hV", longs, NULL)) != -1) {
		if (id == ':')
			return ovbd_fail(err, -EINVAL, "option %s needs a value", argv[optind - 1]);
		if (id == '?')
			return ovbd_fail(err, -EINVAL, "unknown option %s", argv[optind - 1]);
		r = parse_option(id, &o, err);
	}
	if (r == 0 && optind < argc)
		r = ovbd_fail(err, -EINVAL, "unexpected word '%s'", argv[optind]);
	if (r == 0 && o.check && !o.config)
		r = ovbd_fail(err, -EINVAL, "--check-config needs --config");
	if (r == 0 && o.config)
		r = ovbd_options_load(&o, err);
	if (r == 0)
		*ret = o;
	return r;
}

static int load_key(struct ovbd_options *o, const char *key, const json_t *v,
                    struct ovbd_error *err)
{
	if (strcmp(key, "workers") == 0) {
		const json_int_t n = json_integer_value(v); /* 0 if it is no number */

		if (n < 1 || n > WORKERS_MAX)
			return ovbd_fail(err, -EINVAL, "\"workers\" must be a number from 1 to %d",
			                 WORKERS_MAX);
		o->nworkers = (unsigned)n;
		return 0;
	}
	if (strcmp(key, "log-level") == 0)
		return set_level(o, json_is_string(v) ? json_string_value(v) : "", err);
	if (strcmp(key, "drain-on-exit") == 0 && json_is_boolean(v)) {
		o->drain_on_exit = json_is_true(v);
		return 0;
	}
	if (strcmp(key, "drain-on-exit") == 0)
		return ovbd_fail(err, -EINVAL, "\"drain-on-exit\" must be true or false");
	return ovbd_fail(err, -EINVAL, "unknown key \"%.80s\"", key);
}

int ovbd_options_load(struct ovbd_options *o, struct ovbd_error *err)
{
	struct ovbd_options new = *o;
	json_error_t why;
	json_t *object, *v;
	const char *key;
	int r = 0;

	if (!o->config)
		return 0;
	object = json_load_file(o->config, JSON_REJECT_DUPLICATES, &why);
	if (!object)
		return ovbd_fail(err, -EINVAL, "%s: line %d column %d: %s", o->config, why.line,
		                 why.column, why.text);
	if (!json_is_object(object))
		r = ovbd_fail(err, -EINVAL, "not a JSON object");
	json_object_foreach(object, key, v) if (r == 0) r = load_key(&new, key, v, err);
	json_decref(object);
	if (r < 0)
		return ovbd_fail_within(err, r, "%s", o->config);
	*o = new;
	return 0;
}
