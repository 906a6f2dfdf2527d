/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to image/: the part of TOML in which containerd's hosts.toml is written, as JSON values:
 * tables are objects, whose keys keep the file's order. Strings on one line, whole numbers,
 * booleans, arrays, tables and inline tables; what else TOML has (floats, dates, strings of several
 * lines, arrays of tables) is refused, as is a key or table that is there twice.
 */
#ifndef OVBD_IMAGE_TOML_H
#define OVBD_IMAGE_TOML_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

/* -EBADMSG: with name and line. *ret is to be released. */
int ovbd_toml_parse(const char *text, size_t len, const char *name, json_t **ret,
                    struct ovbd_error *err);

#endif
