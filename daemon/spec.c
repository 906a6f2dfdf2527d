// SPDX-License-Identifier: Apache-2.0
#include "daemon/spec.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "image/registry.h"
#include "remote/http.h"

static const char *const keys[] = {
	"schema",   "id",     "images", "format",   "transport", "path",
	"writable", "update", "bow",    "prefetch", "trace",     "leaving",
};

int ovbd_spec_check_id(const char *id, struct ovbd_error *err)
{
	const size_t n = strlen(id);
	bool good = n >= 1 && n <= OVBD_SPEC_ID_MAX && id[0] != '.' && id[0] != '-';

	for (size_t i = 0; good && i < n; i++)
		good = (isascii(id[i]) && isalnum(id[i])) || strchr("._-", id[i]);
	if (!good)
		return ovbd_fail(err, -EINVAL,
		                 "id '%.80s': must be 1 to %d letters, digits, dots, underscores "
		                 "and dashes, and begin with a letter, a digit or an underscore",
		                 id, OVBD_SPEC_ID_MAX);
	return 0;
}

static int check_keys(const json_t *object, struct ovbd_error *err)
{
	/* jansson's iterators do not change what they walk; their prototype does not say so. */
	json_t *o = (json_t *)(uintptr_t)object;

	for (void *at = json_object_iter(o); at; at = json_object_iter_next(o, at)) {
		const char *key = json_object_iter_key(at);
		bool known = false;

		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			known |= strcmp(key, keys[i]) == 0;
		if (!known)
			return ovbd_fail(err, -EINVAL, "unknown key \"%.80s\"", key);
	}
	return 0;
}

/* A copy of the string at key, or of fallback (may be NULL) if there is none. */
static int get_string(const json_t *object, const char *key, const char *fallback, char **ret,
                      struct ovbd_error *err)
{
	const json_t *v = json_object_get(object, key);
	const char *text = fallback;

	if (v && !json_is_string(v))
		return ovbd_fail(err, -EINVAL, "\"%s\" must be a string", key);
	if (v)
		text = json_string_value(v);
	if (text && !(*ret = strdup(text)))
		return ovbd_fail(err, -ENOMEM, "out of memory");
	return 0;
}

static int get_bool(const json_t *object, const char *key, bool *ret, struct ovbd_error *err)
{
	const json_t *v = json_object_get(object, key);

	if (v && !json_is_boolean(v))
		return ovbd_fail(err, -EINVAL, "\"%s\" must be true or false", key);
	*ret = json_is_true(v);
	return 0;
}

static int get_images(const json_t *object, struct ovbd_spec *s, struct ovbd_error *err)
{
	const json_t *list = json_object_get(object, "images");
	const size_t n = json_array_size(list);

	if (n == 0)
		return ovbd_fail(err, -EINVAL,
		                 "\"images\" must be an array of at least one path or URL");
	s->images = calloc(n, sizeof(*s->images));
	if (!s->images)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (; s->nimages < n; s->nimages++) {
		const char *name = json_string_value(json_array_get(list, s->nimages));

		if (!name ||
		    (name[0] != '/' && !ovbd_http_is_url(name) && !ovbd_registry_is_name(name)))
			return ovbd_fail(err, -EINVAL,
			                 "\"images\"[%zu]: '%.200s' is no absolute path and no URL",
			                 s->nimages, name ? name : "");
		/* after a restart it must be the same image, whatever its users have open */
		if (ovbd_registry_is_name(name) && !strchr(name, '@'))
			return ovbd_fail(
				err, -EINVAL,
				"%.200s: a tag may move while the device is attached: name the "
				"image by its digest, docker://HOST/REPOSITORY@DIGEST",
				name);
		s->images[s->nimages] = strdup(name);
		if (!s->images[s->nimages])
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return 0;
}

static int get_strings(const json_t *object, struct ovbd_spec *s, struct ovbd_error *err)
{
	AUTO_FREE char *format = NULL;
	int r = get_string(object, "id", NULL, &s->id, err);

	if (r == 0 && s->id)
		r = ovbd_spec_check_id(s->id, err);
	if (r == 0)
		r = get_string(object, "transport", "auto", &s->transport, err);
	if (r == 0)
		r = get_string(object, "path", NULL, &s->path, err);
	if (r == 0 && s->path && (s->path[0] != '/' || !strrchr(s->path, '/')[1]))
		r = ovbd_fail(err, -EINVAL, "\"path\": '%.200s' is not an absolute path of a file",
		              s->path);
	if (r == 0)
		r = get_string(object, "format", "auto", &format, err);
	if (r == 0 && ovbd_format_parse(format, &s->format) < 0)
		r = ovbd_fail(err, -EINVAL, "\"format\": '%.80s' is none", format);
	return r;
}

static int get_update(const json_t *object, struct ovbd_spec *s, struct ovbd_error *err)
{
	AUTO_FREE char *name = NULL;
	int r = get_string(object, "update", NULL, &name, err);

	if (r < 0 || !name)
		return r;
	if (ovbd_update_parse(name, &s->update) < 0)
		return ovbd_fail(err, -EINVAL, "\"update\": '%.80s' is none", name);
	if (s->nimages != 2 || s->images[0][0] != '/' || s->images[1][0] != '/')
		return ovbd_fail(err, -EINVAL,
		                 "\"update\": needs two images, files or block devices: the base, "
		                 "and the COW");
	if (s->update == OVBD_UPDATE_MERGE && s->writable)
		return ovbd_fail(err, -ENOTSUP,
		                 "\"update\": what is merged into its base takes no writes");
	return 0;
}

static int get_bow(const json_t *object, struct ovbd_spec *s, struct ovbd_error *err)
{
	const json_t *bow = json_object_get(object, "bow");
	int r = bow ? ovbd_spec_bow_decode(bow, &s->bow, err) : 0;

	if (r < 0 || !s->bow.on)
		return r;
	s->writable = true;
	if (s->nimages != 1 || s->images[0][0] != '/' || s->update != OVBD_UPDATE_NONE)
		return ovbd_fail(err, -EINVAL, "\"bow\": needs one image, a file or block device");
	return 0;
}

static int get_prefetch(const json_t *object, struct ovbd_spec *s, struct ovbd_error *err)
{
	AUTO_FREE char *mode = NULL;
	int r = get_string(object, "prefetch", NULL, &mode, err);

	if (r == 0)
		r = get_string(object, "trace", NULL, &s->trace, err);
	if (r == 0 && mode && ovbd_prefetch_mode_parse(mode, &s->prefetch) < 0)
		r = ovbd_fail(err, -EINVAL, "\"prefetch\": '%.80s' is none", mode);
	if (r == 0 && s->trace && s->trace[0] != '/')
		r = ovbd_fail(err, -EINVAL, "\"trace\": '%.200s' is not an absolute path",
		              s->trace);
	return r;
}

int ovbd_spec_decode(const json_t *object, struct ovbd_spec **ret, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_spec_freep) struct ovbd_spec *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (!json_is_object(object))
		return ovbd_fail(err, -EINVAL, "not a JSON object");
	r = check_keys(object, err);
	if (r == 0)
		r = get_bool(object, "writable", &s->writable, err);
	if (r == 0)
		r = get_bool(object, "leaving", &s->leaving, err);
	if (r == 0)
		r = get_strings(object, s, err);
	if (r == 0)
		r = get_images(object, s, err);
	if (r == 0)
		r = get_update(object, s, err);
	if (r == 0)
		r = get_bow(object, s, err);
	if (r == 0)
		r = get_prefetch(object, s, err);
	if (r == 0 && s->writable && s->nimages != 1 && s->update == OVBD_UPDATE_NONE)
		r = ovbd_fail(err, -ENOTSUP, "a stack of several images cannot be writable");
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(s);
	return 0;
}

json_t *ovbd_spec_encode(const struct ovbd_spec *s)
{
	json_t *images = json_array(), *object;

	for (size_t i = 0; i < s->nimages; i++)
		if (json_array_append_new(images, json_string(s->images[i])) < 0) {
			json_decref(images);
			return NULL;
		}
	object = json_pack("{ss, s:s*, so, ss, ss, s:s*, sb, s:s*, s:o*, s:s*, s:s*, sb}", "schema",
	                   "ovbd.device-state.v1", "id", s->id, "images", images, "format",
	                   ovbd_format_name(s->format), "transport", s->transport, "path", s->path,
	                   "writable", s->writable, "update", ovbd_update_name(s->update), "bow",
	                   ovbd_spec_bow_encode(&s->bow), "prefetch",
	                   ovbd_prefetch_mode_name(s->prefetch), "trace", s->trace, "leaving",
	                   s->leaving);
	return object;
}

bool ovbd_spec_fits(const struct ovbd_spec *have, const struct ovbd_spec *asked)
{
	if (have->nimages != asked->nimages || have->writable != asked->writable ||
	    have->update != asked->update || !ovbd_spec_bow_fits(&have->bow, &asked->bow))
		return false;
	if (asked->format != OVBD_FORMAT_AUTO && have->format != asked->format)
		return false;
	if (strcmp(asked->transport, "auto") != 0 && strcmp(have->transport, asked->transport) != 0)
		return false;
	if (asked->path && (!have->path || strcmp(have->path, asked->path) != 0))
		return false;
	for (size_t i = 0; i < have->nimages; i++)
		if (strcmp(have->images[i], asked->images[i]) != 0)
			return false;
	return true;
}

void ovbd_spec_free(struct ovbd_spec *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->nimages; i++)
		free(s->images[i]);
	free(s->images);
	free(s->id);
	free(s->transport);
	free(s->path);
	free(s->trace);
	free(s->bow.device);
	free(s);
}
