// SPDX-License-Identifier: Apache-2.0
#include "tools/upper_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sink.h"
#include "image/image.h"

json_t *ovbd_upper_layer_json(const char *name, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	bool upper;
	json_t *layer;

	if (strstr(name, "://"))
		return json_pack("{s:s}", "url", name);
	if (ovbd_image_is_config(name, &upper, err) > 0) {
		ovbd_fail(err, -EINVAL,
		          "-B %s is a configuration: name its layers one by one, or write one that "
		          "names all of the image",
		          name);
		return NULL;
	}
	path = realpath(name, NULL);
	layer = path ? json_pack("{s:s}", "file", path) : NULL;
	if (!layer)
		ovbd_fail_errno(err, path ? -ENOMEM : -errno, "%s", name);
	return layer;
}

static int write_text(const char *path, const char *text, struct ovbd_error *err)
{
	static const struct ovbd_sink_file_params how = {.overwrite = true};
	AUTO_SINK *s = NULL;
	int r = ovbd_sink_create_file(path, &how, &s, err);

	if (r == 0)
		r = ovbd_sink_append(s, text, strlen(text), err);
	if (r == 0)
		r = ovbd_sink_append(s, "\n", 1, err);
	return r < 0 ? r : ovbd_sink_finish(s, err);
}

int ovbd_upper_config_set_lowers(const char *config, const char *const *names, size_t n,
                                 struct ovbd_error *err)
{
	json_error_t why;
	json_t *obj = json_load_file(config, 0, &why), *lowers = json_array();
	AUTO_FREE char *text = NULL;
	int r = 0;

	if (!obj)
		r = ovbd_fail(err, -EBADMSG, "%s: %s", config, why.text);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (json_array_append_new(lowers, ovbd_upper_layer_json(names[i], err)) < 0)
			r = -EINVAL;
	if (r == 0 && json_object_set(obj, "lowers", lowers) == 0)
		text = json_dumps(obj, JSON_INDENT(2));
	if (r == 0)
		r = text ? write_text(config, text, err) : ovbd_fail(err, -ENOMEM, "out of memory");
	json_decref(lowers);
	json_decref(obj);
	return r;
}
