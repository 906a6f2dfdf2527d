// SPDX-License-Identifier: Apache-2.0
/* One walk over the document; a key of the table may lie in an object, whose name is its prefix. */
#include "image/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"

#define KEY_SIZE  128
#define DEPTH_MAX 8

struct loading {
	const struct ovbd_settings *s;
	char *to;
	char *ignored;
	struct ovbd_error *err;
};

static void release_jsonp(json_t **v)
{
	json_decref(*v);
}

static const struct ovbd_setting *find(const struct ovbd_settings *s, const char *key)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->table[i].key, key) == 0)
			return &s->table[i];
	return NULL;
}

/* Whether a key of the table lies in the object key. */
static bool is_object(const struct ovbd_settings *s, const char *key)
{
	const size_t len = strlen(key);

	for (size_t i = 0; i < s->n; i++)
		if (strncmp(s->table[i].key, key, len) == 0 && s->table[i].key[len] == '.')
			return true;
	return false;
}

static void note_ignored(struct loading *l, const char *key)
{
	const size_t at = strlen(l->ignored);

	snprintf(l->ignored + at, OVBD_SETTINGS_IGNORED_SIZE - at, "%s%s", at ? ", " : "", key);
}

static int set_number(struct loading *l, const struct ovbd_setting *t, const json_t *v)
{
	const json_int_t n = json_integer_value(v); /* 0 if it is no number */
	const uint64_t max = t->max ? t->max : INT64_MAX;

	if (!json_is_integer(v) || n < 0 || (uint64_t)n < t->min || (uint64_t)n > max)
		return t->max ? ovbd_fail(l->err, -EINVAL,
		                          "\"%s\" must be a number from %" PRIu64 " to %" PRIu64,
		                          t->key, t->min, t->max)
		              : ovbd_fail(l->err, -EINVAL,
		                          "\"%s\" must be a whole number, not negative", t->key);
	if (t->offset != OVBD_SETTING_UNUSED)
		memcpy(l->to + t->offset, &(uint64_t){(uint64_t)n}, sizeof(uint64_t));
	return 0;
}

static int set_value(struct loading *l, const struct ovbd_setting *t, const json_t *v)
{
	const bool used = t->offset != OVBD_SETTING_UNUSED;

	if (!used)
		note_ignored(l, t->key);
	if (t->type == OVBD_SETTING_NUMBER)
		return set_number(l, t, v);
	if (t->type == OVBD_SETTING_BOOL) {
		if (!json_is_boolean(v))
			return ovbd_fail(l->err, -EINVAL, "\"%s\" must be true or false", t->key);
		if (used)
			memcpy(l->to + t->offset, &(bool){json_is_true(v)}, sizeof(bool));
		return 0;
	}
	if (!json_is_string(v))
		return ovbd_fail(l->err, -EINVAL, "\"%s\" must be a string", t->key);
	if (used)
		memcpy(l->to + t->offset, &(const char *){json_string_value(v)},
		       sizeof(const char *));
	return 0;
}

static int load_object(struct loading *l, json_t *object, const char *prefix, unsigned depth);

static int load_value(struct loading *l, const char *key, json_t *v, unsigned depth)
{
	const struct ovbd_setting *t = find(l->s, key);

	if (json_is_null(v) && (t || is_object(l->s, key)))
		return 0;
	if (t)
		return set_value(l, t, v);
	if (is_object(l->s, key)) {
		if (!json_is_object(v))
			return ovbd_fail(l->err, -EINVAL, "\"%s\" must be an object", key);
		return load_object(l, v, key, depth + 1);
	}
	if (l->s->strict)
		return ovbd_fail(l->err, -EINVAL, "unknown key \"%.80s\"", key);
	note_ignored(l, key);
	return 0;
}

static int load_object(struct loading *l, json_t *object, const char *prefix, unsigned depth)
{
	char key[KEY_SIZE];
	const char *name;
	json_t *v;
	int r = 0;

	if (depth > DEPTH_MAX)
		return ovbd_fail(l->err, -EINVAL, "\"%s\" lies too deep", prefix);
	json_object_foreach(object, name, v)
	{
		snprintf(key, sizeof(key), "%s%s%s", prefix, prefix[0] ? "." : "", name);
		r = load_value(l, key, v, depth);
		if (r < 0)
			break;
	}
	return r;
}

static int parse(const char *path, bool strict, json_t **ret, struct ovbd_error *err)
{
	json_error_t why;
	FILE *f = fopen(path, "re");

	if (!f)
		return ovbd_fail_errno(err, -errno, "%s", path);
	*ret = json_loadf(f, strict ? JSON_REJECT_DUPLICATES : 0, &why);
	fclose(f);
	if (!*ret)
		return ovbd_fail(err, -EINVAL, "%s: line %d column %d: %s", path, why.line,
		                 why.column, why.text);
	if (json_is_object(*ret))
		return 0;
	json_decref(*ret);
	*ret = NULL;
	return ovbd_fail(err, -EINVAL, "%s: not a JSON object", path);
}

int ovbd_settings_load(const char *path, const struct ovbd_settings *s, void *to,
                       char ret_ignored[OVBD_SETTINGS_IGNORED_SIZE], json_t **ret_file,
                       struct ovbd_error *err)
{
	OVBD_AUTO(release_jsonp) json_t *file = NULL;
	struct loading l = {.s = s, .to = to, .ignored = ret_ignored, .err = err};
	int r;

	ret_ignored[0] = '\0';
	r = parse(path, s->strict, &file, err);
	if (r < 0)
		return r;
	r = load_object(&l, file, "", 0);
	if (r < 0)
		return ovbd_fail_within(err, r, "%s", path);
	*ret_file = OVBD_MOVE(file);
	return 0;
}
