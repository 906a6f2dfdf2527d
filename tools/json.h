/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON that a verb prints: one object on standard output, "schema" first ("ovbd.info.v1"), bytes as
 * integers. Within a version of a schema keys are only ever added.
 */
#ifndef OVBD_TOOLS_JSON_H
#define OVBD_TOOLS_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/cli.h"

/* Each sets key in obj. Where there is no memory the program ends here: nothing has been
 * printed. */
void ovbd_json_set(json_t *obj, const char *key, json_t *take_v);
void ovbd_json_append(json_t *array, json_t *take_v);
void ovbd_json_set_size(json_t *obj, const char *key, uint64_t v);
void ovbd_json_set_bool(json_t *obj, const char *key, bool v);
void ovbd_json_set_text(json_t *obj, const char *key, const char *v); /* escaped: text.h */

/* A new object with its schema: "ovbd.NAME.v1". */
json_t *ovbd_json_create(const char *name);

/* Prints and frees take_obj. */
void ovbd_json_print(json_t *take_obj);

/* A line of JSON on standard error, where progress is told that way: "event" first. */
json_t *ovbd_json_event(const char *name);
void ovbd_json_print_event(json_t *take_obj);

/* The value of --output: true for "json". A mistake is told, and -1 returned. */
int ovbd_json_wanted(struct ovbd_cli *c, const char *value, bool *ret);

#define OVBD_OPTION_OUTPUT (OVBD_OPTION_LONG + 100)
#define OVBD_OPTION_OUTPUT_ENTRY                                                                   \
	{                                                                                          \
		OVBD_OPTION_OUTPUT, "output", "human|json",                                        \
			"How to print: for people (default), or as JSON."                          \
	}

#endif
