/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to image/: who we are to a registry. What is looked through is of docker's kind:
 *
 *   {"auths": {"HOST[/NAMESPACE...]": {"auth": BASE64 of USER:PASSWORD}, or {"username",
 *    "password"}, or {"identitytoken"}, or {"registrytoken"}},
 *    "credHelpers": {"HOST": "NAME"}, "credsStore": "NAME"}
 *
 * where NAME stands for the program docker-credential-NAME. Nothing is kept: whoever refreshes it
 * is another program. No sentence has a secret, nor a piece of a file in which there may be one.
 *
 * All return 1 if there is a login, 0 if there is none.
 */
#ifndef OVBD_IMAGE_CREDENTIALS_H
#define OVBD_IMAGE_CREDENTIALS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "remote/http.h"

struct ovbd_credentials_service;

/* Of a document. Of auths the longest key counts that is the host of url and none or more of the
 * first parts of its repository; docker.io goes by all its names. name is for messages. programs:
 * credHelpers and credsStore go before auths; otherwise they do not exist. -EBADMSG: it is not as
 * above. */
int ovbd_credentials_find(const json_t *root, bool programs, const char *name, const char *url,
                          struct ovbd_http_login *ret, struct ovbd_error *err);

/* Of a file. must_exist: otherwise one that is not there has none. */
int ovbd_credentials_read(const char *file, bool must_exist, const char *url,
                          struct ovbd_http_login *ret, struct ovbd_error *err);

/* Of docker-credential-NAME, which is given 30 seconds, for server as it knows it. -EPERM: this
 * process may not start programs. */
int ovbd_credentials_ask(const char *name, const char *server, struct ovbd_http_login *ret,
                         struct ovbd_error *err);

/* Of what such a program has answered. Pure. */
int ovbd_credentials_answer(const char *text, size_t len, const char *name,
                            struct ovbd_http_login *ret, struct ovbd_error *err);

/* Of a service. */
int ovbd_credentials_fetch(const struct ovbd_credentials_service *s, const char *url,
                           struct ovbd_http_login *ret, struct ovbd_error *err);

/* Of USER[:PASSWORD]. */
int ovbd_credentials_split(const char *text, struct ovbd_http_login *ret, struct ovbd_error *err);

/* What a login has is overwritten and freed. */
void ovbd_credentials_wipe(struct ovbd_http_login *l);

/* The host (and port) of a URL without a user in it, and its length; NULL: it has none. */
const char *ovbd_credentials_host(const char *url, size_t *ret_len);

/* Whether both are one registry: the same host, or both are names of docker.io. */
bool ovbd_credentials_same_host(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
