// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/auto.h"
#include "base/size.h"
#include "image/overlaybd_json.h"
#include "image/image.h"

#define WORKERS_MAX     1024
#define IMAGE_WAIT_MAX  86400
#define DM_USER_DIR_MAX 63
#define CACHE_SIZE_MIN  (UINT64_C(16) << 20)
#define DROP_IN         "overlaybd-tcmu"

enum {
	SOCKET = 256,
	STATE_DIR,
	CONFIG,
	CHECK,
	DRAIN,
	LEVEL,
	METRICS,
	ORIGINAL,
	FOREGROUND,
	NO_SECCOMP,
	TRANSPORTS,
	SNAPUSERD,
	SNAPUSERD_MODE,
	DM_USER_DIR,
	CACHE,
	CACHE_SIZE,
	CACHE_MARKS,
	PREFETCH,
};

static const struct option longs[] = {
	{"socket", required_argument, NULL, SOCKET},
	{"state-dir", required_argument, NULL, STATE_DIR},
	{"config", required_argument, NULL, CONFIG},
	{"check-config", no_argument, NULL, CHECK},
	{"drain-on-exit", no_argument, NULL, DRAIN},
	{"log-level", required_argument, NULL, LEVEL},
	{"metrics", required_argument, NULL, METRICS},
	{"metrics-original", no_argument, NULL, ORIGINAL},
	{"foreground", no_argument, NULL, FOREGROUND},
	{"transports", required_argument, NULL, TRANSPORTS},
	{"snapuserd-socket", required_argument, NULL, SNAPUSERD},
	{"snapuserd-mode", required_argument, NULL, SNAPUSERD_MODE},
	{"dm-user-dir", required_argument, NULL, DM_USER_DIR},
	{"cache", required_argument, NULL, CACHE},
	{"cache-size", required_argument, NULL, CACHE_SIZE},
	{"cache-marks", required_argument, NULL, CACHE_MARKS},
	{"prefetch", required_argument, NULL, PREFETCH},
	OVBD_OPTIONS_REGISTRY_LONGS,
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
	"      --metrics ADDRESS   Serve /metrics at HOST:PORT too, for anyone to read.\n"
	"      --metrics-original  Also by the names that overlaybd has for them.\n"
	"      --foreground        Stay in the foreground (the default, and the only way).\n"
	"      --transports LIST   Only these, and only the privileges that they need.\n"
	"      --snapuserd-socket PATH\n"
	"                          Take the orders of Android's libsnapshot there.\n"
	"      --snapuserd-mode MODE\n"
	"                          Its mode, in octal (default: as the other socket's).\n"
	"      --dm-user-dir DIR   Where the channels of dm-user are (default: /dev/dm-user).\n"
	"      --cache DIR         Keep what is fetched of remote layers there.\n"
	"      --cache-size SIZE   How much of it (default: 4G).\n"
	"      --cache-marks HIGH,LOW\n"
	"                          Evict when HIGH percent are used, until LOW are left\n"
	"                          (default: 90,80).\n"
	"      --prefetch MODE     What is fetched before it is read: none, trace (what a\n"
	"                          trace names, if there is one: the default) or "
	"all.\n" OVBD_OPTIONS_REGISTRY_HELP
	"      --no-seccomp        Do not filter system calls.\n"
	"  -h, --help              Show this help.\n"
	"  -V, --version           Show the version.\n\n"
	"See also: ovbdd(8), ovbd-attach(1)\n";

const char ovbd_options_help_drop_in[] =
	"Usage: overlaybd-tcmu [OPTION]... [CONFIG]\n"
	"ovbdd in the place of overlaybd's daemon, for the container snapshotter.\n\n"
	"CONFIG is an overlaybd.json (default: " OVBD_OVERLAYBD_JSON_PATH ").\n\n"
	"      --check-config      Say what is wrong with it, and which of its keys have no\n"
	"                          effect, and end.\n"
	"  -h, --help              Show this help.\n"
	"  -V, --version           Show the version.\n\n"
	"All options of ovbdd but --config can be given too.\n\n"
	"See also: overlaybd-tcmu(8), ovbdd(8)\n";

static int set_level(struct ovbd_options *o, const char *name, struct ovbd_error *err)
{
	if (ovbd_log_parse(name, &o->level) < 0)
		return ovbd_fail(err, -EINVAL,
		                 "log level '%.40s': must be error, warning, info or debug", name);
	return 0;
}

static int check_prefetch(const struct ovbd_options *o, struct ovbd_error *err)
{
	enum ovbd_prefetch_mode mode;

	if (o->prefetch[0] && ovbd_prefetch_mode_parse(o->prefetch, &mode) < 0)
		return ovbd_fail(err, -EINVAL, "prefetch '%.40s': must be none, trace or all",
		                 o->prefetch);
	return 0;
}

static int check_cache_size(uint64_t size, struct ovbd_error *err)
{
	if (size < CACHE_SIZE_MIN)
		return ovbd_fail(err, -EINVAL, "cache-size %llu: must be 16 MiB at least",
		                 (unsigned long long)size);
	return 0;
}

static int check_marks(const struct ovbd_options *o, struct ovbd_error *err)
{
	const uint64_t high = o->cache_high ? o->cache_high : 90;
	const uint64_t low = o->cache_low ? o->cache_low : high * 8 / 9;

	if (high > 100 || low >= high)
		return ovbd_fail(err, -EINVAL,
		                 "cache-marks: %llu and %llu: must be percents, the lower one last",
		                 (unsigned long long)high, (unsigned long long)low);
	return 0;
}

static int parse_marks(struct ovbd_options *o, struct ovbd_error *err)
{
	char end;

	if (sscanf(optarg, "%3" SCNu64 ",%3" SCNu64 "%c", &o->cache_high, &o->cache_low, &end) != 2)
		return ovbd_fail(err, -EINVAL, "cache-marks '%.40s': must be HIGH,LOW", optarg);
	return check_marks(o, err);
}

static int parse_flag(int id, struct ovbd_options *o)
{
	switch (id) {
	case CHECK:
		o->check = true;
		break;
	case DRAIN:
		o->drain_on_exit = true;
		break;
	case ORIGINAL:
		o->metrics_original = true;
		break;
	case NO_SECCOMP:
		o->no_seccomp = true;
		break;
	case 'h':
		o->help = true;
		break;
	case 'V':
		o->version = true;
		break;
	default: /* --foreground */
		break;
	}
	return 0;
}

static int parse_option(int id, struct ovbd_options *o, struct ovbd_error *err)
{
	int r;

	switch (id) {
	case SOCKET:
		o->socket = optarg;
		return 0;
	case SNAPUSERD:
		o->snapuserd = optarg;
		return 0;
	case SNAPUSERD_MODE:
		o->snapuserd_mode = optarg;
		return 0;
	case DM_USER_DIR:
		o->dm_user_dir = optarg;
		return 0;
	case TRANSPORTS:
		o->transports = optarg;
		return 0;
	case STATE_DIR:
		o->state_dir = optarg;
		return 0;
	case CONFIG:
		o->config = optarg;
		return 0;
	case CACHE:
		o->cache_dir = optarg;
		return 0;
	case CACHE_SIZE:
		if (ovbd_size_parse(optarg, &o->cache_size) < 0)
			return ovbd_fail(err, -EINVAL, "cache-size '%.40s': must be a size",
			                 optarg);
		return check_cache_size(o->cache_size, err);
	case CACHE_MARKS:
		return parse_marks(o, err);
	case PREFETCH:
		o->prefetch = optarg;
		return check_prefetch(o, err);
	case LEVEL:
		return set_level(o, optarg, err);
	case METRICS:
		o->metrics = optarg;
		return 0;
	default:
		if (ovbd_options_registry_take(&o->registry, id, optarg, &r, err))
			return r;
		return parse_flag(id, o);
	}
}

static bool is_drop_in(const char *name)
{
	const char *slash = strrchr(name, '/');

	return strcmp(slash ? slash + 1 : name, DROP_IN) == 0;
}

/* A mode, and a path that a socket's address has room for. */
static int check_snapuserd(const struct ovbd_options *o, struct ovbd_error *err)
{
	const char *mode = o->snapuserd_mode;

	if (mode[strspn(mode, "01234567")] || strlen(mode) > 4)
		return ovbd_fail(err, -EINVAL, "snapuserd-mode '%.40s': must be octal", mode);
	if (strlen(o->dm_user_dir) > DM_USER_DIR_MAX)
		return ovbd_fail(err, -EINVAL, "dm-user-dir '%.80s': must have at most %d bytes",
		                 o->dm_user_dir, DM_USER_DIR_MAX);
	return 0;
}

/* The words that are left, and what follows from all of them. */
static int parse_rest(int argc, char **argv, struct ovbd_options *o, struct ovbd_error *err)
{
	struct stat st;

	if (o->drop_in && o->config)
		return ovbd_fail(err, -EINVAL,
		                 "--config: " DROP_IN " takes the path of its "
		                 "configuration without an option");
	if (o->drop_in)
		o->config = optind < argc ? argv[optind++] : OVBD_OVERLAYBD_JSON_PATH;
	if (optind < argc)
		return ovbd_fail(err, -EINVAL, "unexpected word '%s'", argv[optind]);
	if (o->check && !o->config)
		return ovbd_fail(err, -EINVAL, "--check-config needs --config");
	if (o->drop_in && strcmp(o->config, OVBD_OVERLAYBD_JSON_PATH) == 0)
		o->config_missing = stat(o->config, &st) < 0 && errno == ENOENT;
	return 0;
}

int ovbd_options_parse(int argc, char **argv, struct ovbd_options *ret, struct ovbd_error *err)
{
	struct ovbd_options o = {
		.drop_in = argc > 0 && is_drop_in(argv[0]),
		.state_dir = "/run/ovbd",
		.level = OVBD_LOG_INFO,
		.snapuserd = "",
		.snapuserd_mode = "",
		.dm_user_dir = "",
		.registry = {.tls_verify = true},
		.transports = "",
		.log_file = "",
		.log_file_size = 10u << 20,
		.nlog_files = 3,
		.audit_file = "",
		.cache_dir = "",
		.prefetch = "",
		.metrics = "",
		.service = "",
		.metrics_path = "/metrics",
		.metrics_interval_ms = 60000,
	};
	int id, r = 0;

	opterr = 0;
	while (r == 0 && (id = getopt_long(argc, argv, ":hV", longs, NULL)) != -1) {
		if (id == ':')
			return ovbd_fail(err, -EINVAL, "option %s needs a value", argv[optind - 1]);
		if (id == '?')
			return ovbd_fail(err, -EINVAL, "unknown option %s", argv[optind - 1]);
		r = parse_option(id, &o, err);
	}
	if (r == 0)
		r = parse_rest(argc, argv, &o, err);
	if (r == 0)
		*ret = o;
	return r;
}

#define AT(field) offsetof(struct own, field)

/* Our own file; a level is a word in it. */
struct own {
	struct ovbd_options o;
	const char *level;
};

static const struct ovbd_setting own_table[] = {
	{"workers", OVBD_SETTING_NUMBER, AT(o.nworkers), 1, WORKERS_MAX},
	{"image-wait", OVBD_SETTING_NUMBER, AT(o.image_wait_s), 1, IMAGE_WAIT_MAX},
	{"log-level", OVBD_SETTING_TEXT, AT(level)},
	{"drain-on-exit", OVBD_SETTING_BOOL, AT(o.drain_on_exit)},
	{"transports", OVBD_SETTING_TEXT, AT(o.transports)},
	{"snapuserd-socket", OVBD_SETTING_TEXT, AT(o.snapuserd)},
	{"snapuserd-mode", OVBD_SETTING_TEXT, AT(o.snapuserd_mode)},
	{"dm-user-dir", OVBD_SETTING_TEXT, AT(o.dm_user_dir)},
	{"log-file", OVBD_SETTING_TEXT, AT(o.log_file)},
	{"log-file-size", OVBD_SETTING_NUMBER, AT(o.log_file_size), 4096, INT64_MAX},
	{"log-files", OVBD_SETTING_NUMBER, AT(o.nlog_files), 0, 1000},
	{"audit-file", OVBD_SETTING_TEXT, AT(o.audit_file)},
	{"credentials", OVBD_SETTING_TEXT, AT(o.registry.credentials)},
	{"credential-service.url", OVBD_SETTING_TEXT, AT(o.registry.p.service.url)},
	{"credential-service.socket", OVBD_SETTING_TEXT, AT(o.registry.p.service.unix_socket)},
	{"credential-service.timeout", OVBD_SETTING_NUMBER, AT(o.registry.service_timeout_s), 1,
         3600},
	{"credential-service.client-cert", OVBD_SETTING_TEXT, AT(o.registry.p.service.cert_file)},
	{"credential-service.client-key", OVBD_SETTING_TEXT, AT(o.registry.p.service.key_file)},
	{"credential-service.ca", OVBD_SETTING_TEXT, AT(o.registry.p.service.ca_file)},
	{"registry-config", OVBD_SETTING_TEXT, AT(o.registry.p.hosts_dir)},
	{"cert-dir", OVBD_SETTING_TEXT, AT(o.registry.p.cert_dir)},
	{"tls-verify", OVBD_SETTING_BOOL, AT(o.registry.tls_verify)},
	{"plain-http", OVBD_SETTING_BOOL, AT(o.registry.p.plain_http)},
	{"http-proxy", OVBD_SETTING_TEXT, AT(o.registry.p.proxy)},
	{"p2p", OVBD_SETTING_TEXT, AT(o.registry.p.prefix)},
	{"deadline", OVBD_SETTING_NUMBER, AT(o.registry.deadline_s), 1, OVBD_DEADLINE_MAX},
	{"metrics", OVBD_SETTING_TEXT, AT(o.metrics)},
	{"cache", OVBD_SETTING_TEXT, AT(o.cache_dir)},
	{"cache-size", OVBD_SETTING_NUMBER, AT(o.cache_size), CACHE_SIZE_MIN, INT64_MAX},
	{"cache-high", OVBD_SETTING_NUMBER, AT(o.cache_high), 1, 100},
	{"cache-low", OVBD_SETTING_NUMBER, AT(o.cache_low), 1, 100},
	{"prefetch", OVBD_SETTING_TEXT, AT(o.prefetch)},
	{"prefetch-concurrency", OVBD_SETTING_NUMBER, AT(o.prefetch_concurrency), 1,
         OVBD_PREFETCH_CONCURRENCY_MAX},
	{"prefetch-rate", OVBD_SETTING_NUMBER, AT(o.prefetch_rate), 1, INT64_MAX},
	{"metrics-original", OVBD_SETTING_BOOL, AT(o.metrics_original)},
};

static int load_own(struct ovbd_options *o, struct ovbd_error *err)
{
	static const struct ovbd_settings settings = {
		.table = own_table,
		.n = sizeof(own_table) / sizeof(own_table[0]),
		.strict = true,
	};
	struct own own = {.o = *o};
	int r = ovbd_settings_load(o->config, &settings, &own, own.o.ignored, &own.o.file, err);

	if (r < 0)
		return r;
	r = check_marks(&own.o, err);
	if (r == 0)
		r = check_prefetch(&own.o, err);
	if (r == 0 && own.level)
		r = set_level(&own.o, own.level, err);
	if (r < 0) {
		json_decref(own.o.file);
		return ovbd_fail_within(err, r, "%s", o->config);
	}
	if (own.o.registry.p.service.unix_socket && !own.o.registry.p.service.url)
		own.o.registry.p.service.url = OVBD_CREDENTIALS_SERVICE_LOCAL;
	*o = own.o;
	return 0;
}

/* The level of overlaybd: 0 debug, 1 info, 2 warning; above that there are only errors. */
static enum ovbd_log_level level_of(uint64_t level)
{
	static const enum ovbd_log_level levels[] = {OVBD_LOG_DEBUG, OVBD_LOG_INFO,
	                                             OVBD_LOG_WARNING};

	return level < 3 ? levels[level] : OVBD_LOG_ERROR;
}

static int load_drop_in(struct ovbd_options *o, struct ovbd_error *err)
{
	struct ovbd_overlaybd_json j;
	int r = 0;

	if (o->config_missing)
		ovbd_overlaybd_json_default(&j);
	else
		r = ovbd_overlaybd_json_load(o->config, &j, err);
	if (r < 0)
		return r;
	if (j.exporter_enable)
		snprintf(o->metrics_port, sizeof(o->metrics_port), ":%u",
		         (unsigned)j.exporter_port);
	o->level = level_of(j.log_level);
	o->log_file = j.log_path;
	o->log_file_size = j.log_size_mb << 20;
	o->nlog_files = j.log_rotate_num;
	o->audit_file = j.enable_audit ? j.audit_path : "";
	o->metrics_path = j.exporter_uri_prefix;
	o->service = j.service_enable ? j.service_address : "";
	o->metrics_original = true;
	o->metrics_interval_ms = j.exporter_interval_us / 1000;
	o->user_agent = j.user_agent;
	o->cache_dir = j.cache_dir;
	o->cache_size = j.cache_size_gb << 30;
	o->cache_chunk_size = j.cache_chunk_size;
	o->prefetch_concurrency = j.prefetch_concurrency;
	ovbd_options_registry_settle(&o->registry, &j.registry);
	memcpy(o->ignored, j.ignored, sizeof(o->ignored));
	o->file = j.file;
	return 0;
}

int ovbd_options_load(const struct ovbd_options *said, struct ovbd_options *o,
                      struct ovbd_error *err)
{
	struct ovbd_options new = *said;
	int r = 0;

	if (new.drop_in)
		r = load_drop_in(&new, err);
	else if (new.config)
		r = load_own(&new, err);
	if (r == 0)
		r = check_snapuserd(&new, err);
	if (r < 0)
		return r;
	json_decref(o->file);
	*o = new;
	return 0;
}

void ovbd_options_free(struct ovbd_options *o)
{
	json_decref(o->file);
}
