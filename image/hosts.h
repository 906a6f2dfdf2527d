/* SPDX-License-Identifier: Apache-2.0 */
/* Private to image/: whom to ask for what a registry has, and how: containerd's hosts.toml, and the
 * certificates that docker keeps in the same places. docs/remote.md has the keys. */
#ifndef OVBD_IMAGE_HOSTS_H
#define OVBD_IMAGE_HOSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define OVBD_HOSTS_SIZE_MAX (64u << 10) /* bytes of a hosts.toml */

/* NULL: not given. Paths are absolute, or relative to where we are. */
struct ovbd_host {
	char *base;         /* SCHEME://HOST[:PORT][/PATH], with the /v2 of registries */
	bool resolve, pull; /* it may be asked for tags; for contents */
	bool skip_verify;   /* whoever answers is believed */
	char **ca;          /* files of who is trusted besides the system's; until NULL */
	char *cert, *key;   /* files of who we are */
	char **headers;     /* "NAME: VALUE", until NULL */
};

struct ovbd_hosts {
	struct ovbd_host *hosts; /* in the order in which they are asked */
	size_t nhosts;
	struct ovbd_host server; /* last; without a base it is the registry itself */
};

/* *hosts is to be freed, also after a failure. dir: where paths in it begin. name is for messages.
 * -EBADMSG: it is not as it should be. -ENOTSUP: what we cannot. */
int ovbd_hosts_parse(const char *text, size_t len, const char *name, const char *dir,
                     struct ovbd_hosts *hosts, struct ovbd_error *err);

/* Of the first of DIR/HOST_PORT_, DIR/HOST:PORT and DIR/_default that is there: its hosts.toml, or
 * failing that its certificates. Where there is nothing, *hosts is empty. */
int ovbd_hosts_load(const char *dir, const char *host, struct ovbd_hosts *hosts,
                    struct ovbd_error *err);

/* The certificates in dir for one host: *.crt, and one pair NAME.cert, NAME.key. */
int ovbd_hosts_add_certificates(struct ovbd_host *h, const char *dir, struct ovbd_error *err);

void ovbd_hosts_free(struct ovbd_hosts *hosts);
void ovbd_host_clear(struct ovbd_host *h);

#endif
