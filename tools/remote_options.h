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
	OVBD_OPTION_SRC_CREDS,
	OVBD_OPTION_SRC_AUTHFILE,
	OVBD_OPTION_SRC_CERT_DIR,
	OVBD_OPTION_SRC_TLS_VERIFY,
	OVBD_OPTION_DEST_CREDS,
	OVBD_OPTION_DEST_AUTHFILE,
	OVBD_OPTION_DEST_CERT_DIR,
	OVBD_OPTION_DEST_TLS_VERIFY,
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

/* What is otherwise for one of two registries, as skopeo names it. */
#define OVBD_SIDE_OPTIONS                                                                          \
	{OVBD_OPTION_SRC_CREDS, "src-creds", "USER[:PASSWORD]",                                    \
	 "Who we are to the registry of SRC, an image (default: --creds)."},                       \
		{OVBD_OPTION_DEST_CREDS, "dest-creds", "USER[:PASSWORD]",                          \
	         "Who we are to that of DST (default: as to SRC's, if it is the same)."},          \
		{OVBD_OPTION_SRC_AUTHFILE, "src-authfile", "FILE", "--authfile for SRC."},         \
		{OVBD_OPTION_DEST_AUTHFILE, "dest-authfile", "FILE", "--authfile for DST."},       \
		{OVBD_OPTION_SRC_CERT_DIR, "src-cert-dir", "DIR", "--cert-dir for SRC."},          \
		{OVBD_OPTION_DEST_CERT_DIR, "dest-cert-dir", "DIR", "--cert-dir for DST."},        \
		{OVBD_OPTION_SRC_TLS_VERIFY, "src-tls-verify", "BOOL", "--tls-verify for SRC."},   \
	{                                                                                          \
		OVBD_OPTION_DEST_TLS_VERIFY, "dest-tls-verify", "BOOL", "--tls-verify for DST."    \
	}

struct ovbd_cli;
struct ovbd_http_params;
struct ovbd_registry;
struct ovbd_registry_params;

enum ovbd_side { OVBD_SIDE_SRC, OVBD_SIDE_DEST, OVBD_NSIDES };

struct ovbd_remote_side {
	char creds[OVBD_CREDS_SIZE];
	const char *authfile, *cert_dir; /* NULL: not given, as creds "" */
	bool verify, verify_said;
};

struct ovbd_remote_options {
	char creds[OVBD_CREDS_SIZE]; /* wiped from the command line, which anybody may read */
	const char *authfile, *cert_dir, *hosts_dir, *proxy, *p2p, *platform;
	const char *platforms[OVBD_PLATFORMS_MAX]; /* all of them; platform is the last */
	size_t nplatforms;
	bool skip_verify, plain_http;
	unsigned deadline_s;              /* 0: default */
	const char *cert_file, *key_file; /* who we are by TLS, of tools that have options for it */
	const struct ovbd_registry_params *params; /* what a file says, instead; or NULL */
	struct ovbd_remote_side sides[OVBD_NSIDES];
};

/* Takes option id, if it is one of these; false: it is not. A mistake is told, and *ret_r -1. */
bool ovbd_remote_options_take(struct ovbd_cli *c, int id, char *value, int *ret_r);

/* What the options say, and the files that they do not name. */
int ovbd_remote_options_open(const struct ovbd_cli *c, struct ovbd_registry **ret,
                             struct ovbd_http_params *ret_http, struct ovbd_error *err);

/* The same for one of two sides: what is said of it goes before. same: the destination is at the
 * host of the source. */
int ovbd_remote_options_open_side(const struct ovbd_cli *c, enum ovbd_side side, bool same,
                                  struct ovbd_registry **ret, struct ovbd_http_params *ret_http,
                                  struct ovbd_error *err);

/* Whether any option of a side was given. */
bool ovbd_remote_options_has_sides(const struct ovbd_cli *c);

#endif
