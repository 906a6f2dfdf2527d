// SPDX-License-Identifier: Apache-2.0
#include "tools/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "tools/text.h"

/* No half of an object has been printed, so this is a clean end. */
static void must(int r)
{
	if (r == 0)
		return;
	fputs("ovbd: out of memory\n", stderr);
	exit(OVBD_EXIT_FAILURE);
}

void ovbd_json_set(json_t *obj, const char *key, json_t *take_v)
{
	must(json_object_set_new(obj, key, take_v));
}

void ovbd_json_append(json_t *array, json_t *take_v)
{
	must(json_array_append_new(array, take_v));
}

void ovbd_json_set_size(json_t *obj, const char *key, uint64_t v)
{
	ovbd_json_set(obj, key, json_integer((json_int_t)v));
}

void ovbd_json_set_bool(json_t *obj, const char *key, bool v)
{
	ovbd_json_set(obj, key, json_boolean(v));
}

void ovbd_json_set_text(json_t *obj, const char *key, const char *v)
{
	AUTO_FREE char *escaped = ovbd_text_escape(v);

	ovbd_json_set(obj, key, escaped ? json_string(escaped) : NULL);
}

json_t *ovbd_json_create(const char *name)
{
	json_t *obj = json_object();

	ovbd_json_set(obj, "schema", json_sprintf("ovbd.%s.v1", name));
	return obj;
}

void ovbd_json_print(json_t *take_obj)
{
	AUTO_FREE char *text = json_dumps(take_obj, JSON_INDENT(2));

	must(text ? 0 : -1);
	puts(text);
	json_decref(take_obj);
}

json_t *ovbd_json_event(const char *name)
{
	json_t *obj = json_object();

	ovbd_json_set(obj, "event", json_string(name));
	return obj;
}

void ovbd_json_print_event(json_t *take_obj)
{
	AUTO_FREE char *text = json_dumps(take_obj, JSON_COMPACT);

	must(text ? 0 : -1);
	fprintf(stderr, "%s\n", text); /* one write: standard error has no buffer of its own */
	json_decref(take_obj);
}

int ovbd_json_wanted(struct ovbd_cli *c, const char *value, bool *ret)
{
	if (strcmp(value, "json") != 0 && strcmp(value, "human") != 0) {
		ovbd_cli_usage(c, "--output is human or json, not '%s'", value);
		return -1;
	}
	*ret = value[0] == 'j';
	return 0;
}
