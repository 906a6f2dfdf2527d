/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON file of settings, read by a table of its keys into a struct. */
#ifndef OVBD_IMAGE_SETTINGS_H
#define OVBD_IMAGE_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum ovbd_setting_type {
	OVBD_SETTING_BOOL,   /* a bool */
	OVBD_SETTING_NUMBER, /* a uint64_t */
	OVBD_SETTING_TEXT,   /* a const char *, which lives as long as the file's json_t */
};

#define OVBD_SETTING_UNUSED SIZE_MAX /* as the offset: known, of no effect */

struct ovbd_setting {
	const char *key; /* "a.b": b of the object a */
	enum ovbd_setting_type type;
	size_t offset;     /* of the field */
	uint64_t min, max; /* of a NUMBER; both 0: any that is not negative */
};

#define OVBD_SETTINGS_IGNORED_SIZE 1024

struct ovbd_settings {
	const struct ovbd_setting *table;
	size_t n;
	bool strict; /* a key that is not in the table is a mistake; else it is ignored */
};

/* Fills the fields of *to whose keys are in the file; null is as if the key were not there. -ENOENT
 * and the like: there is no such file; -EINVAL: a mistake in it, and where. *to may have been
 * changed then. ret_ignored: the keys that have no effect, "a, b.c", cut if they are many; "" if
 * there are none. *ret_file is to be released. */
int ovbd_settings_load(const char *path, const struct ovbd_settings *s, void *to,
                       char ret_ignored[OVBD_SETTINGS_IGNORED_SIZE], json_t **ret_file,
                       struct ovbd_error *err);

#endif
