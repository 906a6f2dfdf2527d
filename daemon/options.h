/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the daemon was called, and its configuration file: see ovbdd(8). Called as overlaybd-tcmu it
 * takes that program's only argument, and its configuration: see overlaybd-tcmu(8).
 */
#ifndef OVBD_DAEMON_OPTIONS_H
#define OVBD_DAEMON_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "daemon/log.h"
#include "daemon/options_registry.h"
#include "image/settings.h"

struct ovbd_options {
	bool drop_in;       /* called as overlaybd-tcmu */
	const char *socket; /* NULL: in the state directory */
	const char *state_dir;
	const char *config; /* NULL: none */
	bool drain_on_exit;
	bool no_seccomp;
	const char *snapuserd;      /* a socket; "": none */
	const char *snapuserd_mode; /* octal; "": as the other socket */
	const char *dm_user_dir;    /* "": the kernel's */
	const char *transports;     /* "": all that there are */
	bool check, help, version;
	enum ovbd_log_level level;
	uint64_t nworkers;     /* of a device; 0: default */
	uint64_t image_wait_s; /* see struct ovbd_devices_params; 0: default */

	const char *log_file; /* "": standard error only */
	uint64_t log_file_size;
	uint64_t nlog_files;    /* older ones that are kept */
	const char *audit_file; /* "": none */
	const char *metrics;    /* HOST:PORT; "": on the control socket only */
	char metrics_port[16];  /* ":PORT", instead of metrics; "": not given */
	const char *metrics_path;
	const char *service; /* where snapshots may be asked for as overlaybd has it; "": nowhere */
	bool metrics_original; /* also by the names that overlaybd has for them */
	uint64_t metrics_interval_ms;
	const char *user_agent;        /* NULL: default */
	const char *prefetch;          /* none, trace or all; "": trace, where there is one */
	uint64_t prefetch_concurrency; /* 0: default */
	uint64_t prefetch_rate;        /* bytes a second; 0: no limit */
	const char *cache_dir;         /* of what is fetched; "": nothing is kept */
	uint64_t cache_size;           /* bytes; 0: default */
	uint64_t cache_chunk_size;     /* the same */
	uint64_t cache_high;           /* percent; 0: default */
	uint64_t cache_low;            /* the same */
	struct ovbd_registry_settings registry;

	/* What is to be said of the configuration once there is a log: keys without effect, or
	 * "". */
	char ignored[OVBD_SETTINGS_IGNORED_SIZE];
	bool config_missing; /* the default one is not there: the defaults hold */
	json_t *file;        /* what strings live in; NULL: there was none */
};

/* The command line. -EINVAL: a mistake in it. */
int ovbd_options_parse(int argc, char **argv, struct ovbd_options *ret, struct ovbd_error *err);

/* What was said, and above that what the file says that was named, if any; also again. After a
 * failure *o stays as it is; after a success the strings that it had from the file are gone. */
int ovbd_options_load(const struct ovbd_options *said, struct ovbd_options *o,
                      struct ovbd_error *err);

void ovbd_options_free(struct ovbd_options *o);

extern const char ovbd_options_help[], ovbd_options_help_drop_in[];

#endif
