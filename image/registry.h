/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registries and other servers of images: who we are to them, whom to ask in their place, and what
 * their images are called. It makes the parameters with which remote/ opens a URL.
 *
 * Files are read when they are needed, each time: whoever changes them is another program. Any
 * thread.
 */
#ifndef OVBD_IMAGE_REGISTRY_H
#define OVBD_IMAGE_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "remote/http.h"

/* A service that is asked for credentials by GET of URL?remote_url=BLOB, and answers
 * {"success": true, "data": {"auths": ...}}. Zeroed: none. */
struct ovbd_credentials_service {
	const char *url;                  /* or NULL */
	const char *unix_socket;          /* then it is there, whatever host the URL names */
	const char *cert_file, *key_file; /* who we are to it; NULL: nobody */
	const char *ca_file;              /* who alone is trusted; NULL: the system's */
	unsigned timeout_ms;              /* 0: 1 s */
};

/* NULL or zero in any field: not given. All is copied. */
#define OVBD_CREDENTIALS_SERVICE_LOCAL "http://localhost/auth" /* what it is called on a socket */

struct ovbd_registry_params {
	/* Who we are. The first of these that knows the host counts. */
	const char *creds; /* USER[:PASSWORD], for the host of the first URL that is opened */
	struct ovbd_credentials_service service;
	const char *const *authfiles; /* files of docker's kind, until NULL */
	bool authfile_must_exist;     /* the first of them was asked for */

	/* Whom to ask. */
	const char *hosts_dir; /* containerd's certs.d: DIR/HOST/hosts.toml, DIR/_default */
	const char *cert_dir;  /* *.crt, NAME.cert and NAME.key for all servers */
	const char *cert_file, *key_file; /* the same by name */
	bool skip_verify;                 /* whoever answers is believed, and http does for https */
	bool plain_http;                  /* http for docker:// names */
	const char *proxy;                /* as in remote/http.h */
	const char *prefix;               /* URL of a P2P proxy, put before those of the objects */

	const char *platform; /* OS/ARCH[/VARIANT] of what is chosen from an index; NULL: ours */
};

struct ovbd_registry;

/* -EINVAL: creds or platform are not as above. */
int ovbd_registry_open(const struct ovbd_registry_params *p, struct ovbd_registry **ret,
                       struct ovbd_error *err);

/* After the last image that was opened with it. NULL is fine. */
void ovbd_registry_close(struct ovbd_registry *take_g);

static inline void ovbd_registry_closep(struct ovbd_registry **g)
{
	ovbd_registry_close(*g);
}

/* Whether name is that of an image in a registry: docker://... */
bool ovbd_registry_is_name(const char *name);

/* --- private to image/ --- */

/* The way to a URL. */
struct ovbd_route {
	const char *url; /* what to open: the one asked for, or that of who stands for its host */
	struct ovbd_http_params http;
	struct ovbd_route_parts *parts; /* what they point to */
};

/* resolve: url is that of a name which may move, a tag; otherwise that of a content. base: what is
 * not said here; may be NULL. g NULL: that is all. */
int ovbd_route_find(struct ovbd_registry *g, const char *url, bool resolve,
                    const struct ovbd_http_params *base, struct ovbd_route *ret,
                    struct ovbd_error *err);
void ovbd_route_free(struct ovbd_route *r);

/* url is the next one that will be opened: see creds above. */
int ovbd_registry_note(struct ovbd_registry *g, const char *url, struct ovbd_error *err);

/* A layer of an image in a registry, where it is. */
struct ovbd_registry_layer {
	char *url, *digest;
	uint64_t size;
};

struct ovbd_registry_image {
	struct ovbd_registry_layer *layers; /* bottom first, of those that have blocks */
	size_t nlayers;
};

/* The layers of docker://... -ENOTSUP: they are not what we read. *ret is to be freed. */
int ovbd_registry_find(struct ovbd_registry *g, const char *name,
                       const struct ovbd_http_params *base, struct ovbd_registry_image *ret,
                       struct ovbd_error *err);
void ovbd_registry_image_free(struct ovbd_registry_image *i);

#endif
