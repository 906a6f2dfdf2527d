// SPDX-License-Identifier: Apache-2.0
#include "image/config_snapshot.h"

#include <errno.h>
#include <jansson.h>

#include "base/auto.h"

#define AUTO_JSON OVBD_AUTO(json_decrefp) json_t

static int load(const char *text, json_t **ret, struct ovbd_error *err)
{
	json_error_t why;

	*ret = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	if (*ret && json_is_object(*ret))
		return 0;
	return ovbd_fail(err, -EBADMSG, "line %d column %d: %s", why.line, why.column, why.text);
}

static int dump(const json_t *root, char **ret, struct ovbd_error *err)
{
	*ret = json_dumps(root, JSON_INDENT(2));
	return *ret ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

/* Where a layer goes that lies on all others: what accelerates them is no layer, and the last. */
static size_t top_of(const json_t *root, const json_t *lowers)
{
	const size_t n = json_array_size(lowers);

	return json_is_true(json_object_get(root, "accelerationLayer")) && n > 0 ? n - 1 : n;
}

/* New reference. index may be NULL. */
static json_t *sealing(const char *index, uint64_t beneath)
{
	json_t *s = json_pack("{sI}", "beneath", (json_int_t)beneath);

	if (s && index && index[0])
		json_object_set_new(s, "index", json_string(index));
	return s;
}

static const char *text_at(const json_t *obj, const char *key)
{
	const char *v = json_string_value(json_object_get(obj, key));

	return v && v[0] ? v : NULL;
}

int ovbd_config_freeze(const char *text, const char *data, const char *index, uint64_t beneath,
                       char **ret_sealing, char **ret_sealed, struct ovbd_error *err)
{
	AUTO_JSON *root = NULL, *old_index = NULL;
	json_t *upper, *lowers, *lower;
	const char *file;
	int r = load(text, &root, err);

	if (r < 0)
		return r;
	upper = json_object_get(root, "upper");
	lowers = json_object_get(root, "lowers");
	if (!json_is_array(lowers)) {
		lowers = json_array();
		json_object_set_new(root, "lowers", lowers);
	}
	file = text_at(upper, index ? "data" : "file");
	if (!file)
		return ovbd_fail(err, -EINVAL, "names no writable layer of this format");
	old_index = json_incref(json_object_get(upper, "index"));
	for (size_t i = 0; i < json_array_size(lowers); i++) /* all are sealed */
		json_object_del(json_array_get(lowers, i), "sealing");
	lower = json_pack("{ss, so*}", "file", file, "sealing",
	                  sealing(index ? json_string_value(old_index) : NULL, beneath));
	if (json_array_insert_new(lowers, top_of(root, lowers), lower) < 0 ||
	    json_object_set_new(upper, index ? "data" : "file", json_string(data)) < 0 ||
	    (index && json_object_set_new(upper, "index", json_string(index)) < 0))
		return ovbd_fail(err, -ENOMEM, "out of memory for a configuration");
	r = dump(root, ret_sealing, err);
	json_object_del(lower, "sealing");
	return r < 0 ? r : dump(root, ret_sealed, err);
}

int ovbd_config_mark_sealing(const char *text, const char *index, uint64_t beneath,
                             char **ret_sealing, struct ovbd_error *err)
{
	AUTO_JSON *root = NULL;
	json_t *lowers;
	size_t n;
	int r = load(text, &root, err);

	if (r < 0)
		return r;
	lowers = json_object_get(root, "lowers");
	n = top_of(root, lowers);
	if (n == 0 || json_object_set_new(json_array_get(lowers, n - 1), "sealing",
	                                  sealing(index, beneath)) < 0)
		return ovbd_fail(err, -EBADMSG, "has no layer beneath the writable one");
	return dump(root, ret_sealing, err);
}
