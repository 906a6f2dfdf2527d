/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to image/: who we are to a registry, from a file of docker's kind:
 *
 *   {"auths": {"HOST[/NAMESPACE...]": {"auth": BASE64 of USER:PASSWORD} or {"username",
 *   "password"}}}
 *
 * Only HTTP's Basic authentication: a registry that wants tokens refuses as if nothing had been
 * said.
 */
#ifndef OVBD_IMAGE_CREDENTIALS_H
#define OVBD_IMAGE_CREDENTIALS_H

#include "base/error.h"

/* url, that of a blob of a registry, with user and password in it, to be freed. The longest key
 * that is the host and none or more of the first parts of the repository's name counts; without
 * one, without a file, or with a user in the URL already, it is url as it is. -EBADMSG: the file is
 * not as above. */
int ovbd_credentials_apply(const char *file, const char *url, char **ret_url,
                           struct ovbd_error *err);

#endif
