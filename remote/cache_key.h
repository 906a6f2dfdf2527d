/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of what a server has by its digest (remote/cache.h). */
#ifndef OVBD_REMOTE_CACHE_KEY_H
#define OVBD_REMOTE_CACHE_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "remote/http.h"

/* *ret, to be freed: the key of url, whose content somebody says has this digest and size. NULL:
 * the URL does not name it by that digest, and so may have something else tomorrow. 0 or -ENOMEM.
 *
 * That somebody may lie, and images that lie share a cache with those that do not. So a key is
 * bound to who answers: at a registry, SCHEME://HOST/v2/NAME/blobs/DIGEST, to the host, which
 * promises that what it has there has this digest, under any NAME; elsewhere to the URL. */
int ovbd_cache_key(const char *url, const char *digest, uint64_t size, char **ret,
                   struct ovbd_error *err);

/* The same of a URL that says so itself: one of a registry's, with a sha256. *ret is NULL if url is
 * not that. */
int ovbd_cache_key_registry(const char *url, uint64_t size, char **ret, struct ovbd_error *err);

/* The key of what has other validators, with the digest that somebody says it has: of its own, so
 * that who says something else is not believed by others. 0 or -ENOMEM. */
int ovbd_cache_key_add(const char *key, const char *digest, char **ret, struct ovbd_error *err);

#define OVBD_CACHE_SHA256_SIZE 72 /* "sha256:", 64 digits, and the NUL */

/* Whether all of what has this key has a sha256, and which. */
bool ovbd_cache_key_sha256(const char *key, char ret[OVBD_CACHE_SHA256_SIZE]);

#define OVBD_CACHE_DIGEST_SIZE 160

/* What any key says, as it may be shown: where it is from, and its digest, "" where it has none. */
void ovbd_cache_key_show(const char *key, char ret_url[OVBD_HTTP_SHOWN_SIZE],
                         char ret_digest[OVBD_CACHE_DIGEST_SIZE]);

#endif
