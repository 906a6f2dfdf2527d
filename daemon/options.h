/* SPDX-License-Identifier: Apache-2.0 */
/* How ovbdd was called, and its configuration file: see ovbdd(8). */
#ifndef OVBD_DAEMON_OPTIONS_H
#define OVBD_DAEMON_OPTIONS_H

#include <stdbool.h>

#include "base/error.h"
#include "daemon/log.h"

struct ovbd_options {
	const char *socket; /* NULL: in the state directory */
	const char *state_dir;
	const char *config; /* NULL: none */
	bool drain_on_exit;
	bool no_seccomp;
	bool check, help, version;
	enum ovbd_log_level level;
	unsigned nworkers; /* of a device; 0: default */
};

/* The command line, and the file it names. -EINVAL: a mistake in it. */
int ovbd_options_parse(int argc, char **argv, struct ovbd_options *ret, struct ovbd_error *err);

/* The file again; what the command line says has been said. *o stays as it is after a failure. */
int ovbd_options_load(struct ovbd_options *o, struct ovbd_error *err);

extern const char ovbd_options_help[];

#endif
