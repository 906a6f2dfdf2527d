/* SPDX-License-Identifier: Apache-2.0 */
/* The options of all verbs that read images: who we are to registries, whom to ask, how long. */
#ifndef OVBD_TOOLS_REMOTE_OPTIONS_H
#define OVBD_TOOLS_REMOTE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define OVBD_CREDS_SIZE    1024
#define OVBD_PLATFORMS_MAX 64

enum {
	OVBD_OPTION_CREDS = 256 + 120, /* from OVBD_OPTION_LONG on */
	OVBD_OPTION_AUTHFILE,
	OVBD_OPTION_CERT_DIR,
	OVBD_OPTION_TLS_VERIFY,
	OVBD_OPTION_PLAIN_HTTP,
	OVBD_OPTION_REGISTRY_CONFIG,
	OVBD_OPTION_HTTP_PROXY,
	OVBD_OPTION_P2P,
	OVBD_OPTION_PLATFORM,
	OVBD_OPTION_DEADLINE,
};

#define OVBD_REMOTE_OPTIONS                                                                        \
	{OVBD_OPTION_CREDS, "creds", "USER[:PASSWORD]",                                            \
	 "Who we are to the first server that SRC names."},                                        \
		{OVBD_OPTION_AUTHFILE, "authfile", "FILE",                                         \
	         "A file of users of registries, of docker's kind (default: those of skopeo and "  \
	         "docker)."},                                                                      \
		{OVBD_OPTION_CERT_DIR, "cert-dir", "DIR",                                          \
	         "Certificates for all servers: *.crt of who is trusted too, NAME.cert and "       \
	         "NAME.key of who we are."},                                                       \
		{OVBD_OPTION_TLS_VERIFY, "tls-verify", "BOOL",                                     \
	         "false: believe whoever answers, also without TLS (default true)."},              \
		{OVBD_OPTION_PLAIN_HTTP, "plain-http", NULL, "No TLS for docker://... images."},   \
		{OVBD_OPTION_REGISTRY_CONFIG, "registry-config", "DIR",                            \
	         "Mirrors and certificates of registries: containerd's certs.d."},                 \
		{OVBD_OPTION_HTTP_PROXY, "http-proxy", "URL",                                      \
	         "The proxy for all that is fetched (default: of the environment)."},              \
		{OVBD_OPTION_P2P, "p2p", "URL",                                                    \
	         "A proxy that takes the whole URL of what is fetched behind its own."},           \
		{OVBD_OPTION_PLATFORM, "platform", "OS/ARCH",                                      \
	         "Which image of a docker://... or oci:... that has several (default: for this "   \
	         "machine)."},                                                                     \
	{                                                                                          \
		OVBD_OPTION_DEADLINE, "deadline", "SECONDS",                                       \
			"How long a read over the network may take, with all its retries "         \
			"(default 30)."                                                            \
	}

struct ovbd_cli;
struct ovbd_http_params;
struct ovbd_registry;
struct ovbd_registry_params;

struct ovbd_remote_options {
	char creds[OVBD_CREDS_SIZE]; /* wiped from the command line, which anybody may read */
	const char *authfile, *cert_dir, *hosts_dir, *proxy, *p2p, *platform;
	const char *platforms[OVBD_PLATFORMS_MAX]; /* all of them; platform is the last */
	size_t nplatforms;
	bool skip_verify, plain_http;
	unsigned deadline_s;                       /* 0: default */
	const struct ovbd_registry_params *params; /* what a file says, instead; or NULL */
};

/* Takes option id, if it is one of these; false: it is not. A mistake is told, and *ret_r -1. */
bool ovbd_remote_options_take(struct ovbd_cli *c, int id, char *value, int *ret_r);

/* What the options say, and the files that they do not name. */
int ovbd_remote_options_open(const struct ovbd_cli *c, struct ovbd_registry **ret,
                             struct ovbd_http_params *ret_http, struct ovbd_error *err);

#endif
