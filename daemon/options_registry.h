/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line of the daemon says of registries. */
#ifndef OVBD_DAEMON_OPTIONS_REGISTRY_H
#define OVBD_DAEMON_OPTIONS_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "image/registry_settings.h"

#define OVBD_DEADLINE_MAX 86400 /* seconds */

enum {
	OVBD_OPTIONS_AUTHFILE = 300,
	OVBD_OPTIONS_HOSTS_DIR,
	OVBD_OPTIONS_CERT_DIR,
	OVBD_OPTIONS_TLS_VERIFY,
	OVBD_OPTIONS_PLAIN_HTTP,
	OVBD_OPTIONS_PROXY,
	OVBD_OPTIONS_P2P,
	OVBD_OPTIONS_DEADLINE,
};

/* Of getopt_long(). */
#define OVBD_OPTIONS_REGISTRY_LONGS                                                                \
	{"authfile", required_argument, NULL, OVBD_OPTIONS_AUTHFILE},                              \
		{"registry-config", required_argument, NULL, OVBD_OPTIONS_HOSTS_DIR},              \
		{"cert-dir", required_argument, NULL, OVBD_OPTIONS_CERT_DIR},                      \
		{"tls-verify", required_argument, NULL, OVBD_OPTIONS_TLS_VERIFY},                  \
		{"plain-http", no_argument, NULL, OVBD_OPTIONS_PLAIN_HTTP},                        \
		{"http-proxy", required_argument, NULL, OVBD_OPTIONS_PROXY},                       \
		{"p2p", required_argument, NULL, OVBD_OPTIONS_P2P},                                \
	{                                                                                          \
		"deadline", required_argument, NULL, OVBD_OPTIONS_DEADLINE                         \
	}

#define OVBD_OPTIONS_REGISTRY_HELP                                                                 \
	"      --authfile FILE     Who we are to registries: a file of docker's kind.\n"           \
	"      --registry-config DIR\n"                                                            \
	"                          Mirrors and certificates: containerd's certs.d.\n"              \
	"      --cert-dir DIR      Certificates for all servers: *.crt, *.cert and *.key.\n"       \
	"      --tls-verify BOOL   false: believe whoever answers.\n"                              \
	"      --plain-http        http for docker:// images.\n"                                   \
	"      --http-proxy URL    The proxy for all that is fetched.\n"                           \
	"      --p2p URL           A proxy that takes the whole URL behind its own.\n"             \
	"      --deadline SECONDS  How long a read over the network may take (default 30).\n"

/* Takes the option id; false: it is none of these. *ret_r is -EINVAL for a mistake. */
bool ovbd_options_registry_take(struct ovbd_registry_settings *o, int id, const char *value,
                                int *ret_r, struct ovbd_error *err);

/* What an overlaybd.json says goes before the command line; what it cannot say stays. */
void ovbd_options_registry_settle(struct ovbd_registry_settings *o,
                                  const struct ovbd_registry_settings *file);

#endif
