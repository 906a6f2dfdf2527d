/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP object whose size is known, and whose server is not asked before something is read: below
 * a cache (remote/cache.h) that has it all, never.
 */
#ifndef OVBD_REMOTE_LAZY_H
#define OVBD_REMOTE_LAZY_H

#include "remote/http.h"

/* As ovbd_http_open(), when it is first read. An object of another size is -EBADMSG then. A server
 * that could not be asked is asked by the next read. */
int ovbd_lazy_open(const char *url, uint64_t size, const struct ovbd_http_params *p,
                   struct ovbd_blob **ret, struct ovbd_error *err);

/* Of a blob from here or from ovbd_http_open(). From now on a server that is away is waited for as
 * long as by any read; before, only as by an open, as somebody may be there to correct the URL. */
void ovbd_lazy_be_patient(struct ovbd_blob *b);

/* The counters of a blob from here or from ovbd_http_open(). */
struct ovbd_http_stats ovbd_lazy_stats(struct ovbd_blob *b);

#endif
