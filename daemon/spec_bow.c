// SPDX-License-Identifier: Apache-2.0
/* What a device's file, or its user, says of backup on write. */
#include <errno.h>
#include <string.h>

#include "base/auto.h"
#include "daemon/spec.h"
#include "image/bow.h"

static const char *const keys[] = {"blockSize", "onFull", "minFree", "device", "state"};

static int check_keys(const json_t *object, struct ovbd_error *err)
{
	/* jansson's iterators do not change what they walk; their prototype does not say so. */
	json_t *o = (json_t *)(uintptr_t)object;

	if (!json_is_object(object))
		return ovbd_fail(err, -EINVAL, "\"bow\" must be an object");
	for (void *at = json_object_iter(o); at; at = json_object_iter_next(o, at)) {
		const char *key = json_object_iter_key(at);
		bool known = false;

		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			known |= strcmp(key, keys[i]) == 0;
		if (!known)
			return ovbd_fail(err, -EINVAL, "\"bow\": unknown key \"%.80s\"", key);
	}
	return 0;
}

static int get_number(const json_t *object, const char *key, uint64_t *ret, struct ovbd_error *err)
{
	const json_t *v = json_object_get(object, key);

	if (v && (!json_is_integer(v) || json_integer_value(v) < 0))
		return ovbd_fail(err, -EINVAL, "\"bow\": \"%s\" must be a number of bytes", key);
	*ret = v ? (uint64_t)json_integer_value(v) : 0;
	return 0;
}

/* The string at key, or "". */
static int get_text(const json_t *object, const char *key, const char **ret, struct ovbd_error *err)
{
	const json_t *v = json_object_get(object, key);

	if (v && !json_is_string(v))
		return ovbd_fail(err, -EINVAL, "\"bow\": \"%s\" must be a string", key);
	*ret = v ? json_string_value(v) : "";
	return 0;
}

static int parse_state(const char *name, enum ovbd_bow_state *ret, struct ovbd_error *err)
{
	for (int i = 0; i <= OVBD_BOW_ABORTED; i++)
		if (!name[0] || strcmp(name, ovbd_bow_state_name((enum ovbd_bow_state)i)) == 0) {
			*ret = (enum ovbd_bow_state)i;
			return 0;
		}
	return ovbd_fail(err, -EINVAL, "\"bow\": \"state\": '%.40s' is none", name);
}

int ovbd_spec_bow_decode(const json_t *object, struct ovbd_spec_bow *ret, struct ovbd_error *err)
{
	const char *on_full = "", *device = "", *state = "";
	uint64_t block_size = 0;
	int r = check_keys(object, err);

	if (r == 0)
		r = get_number(object, "blockSize", &block_size, err);
	if (r == 0)
		r = get_number(object, "minFree", &ret->min_free, err);
	if (r == 0)
		r = get_text(object, "onFull", &on_full, err);
	if (r == 0)
		r = get_text(object, "device", &device, err);
	if (r == 0)
		r = get_text(object, "state", &state, err);
	if (r == 0)
		r = parse_state(state, &ret->state, err);
	if (r < 0)
		return r;
	if (on_full[0] && ovbd_bow_on_full_parse(on_full, &ret->on_full) < 0)
		return ovbd_fail(err, -EINVAL,
		                 "\"bow\": \"onFull\": '%.40s' is none of error, commit and abort",
		                 on_full);
	r = ovbd_image_bow_check_block_size(block_size, err);
	if (r < 0)
		return ovbd_fail_within(err, r, "\"bow\": \"blockSize\"");
	ret->block_size = (uint32_t)block_size;
	ret->on = true;
	if (device[0] && !(ret->device = strdup(device)))
		return ovbd_fail(err, -ENOMEM, "out of memory");
	return 0;
}

json_t *ovbd_spec_bow_encode(const struct ovbd_spec_bow *b)
{
	if (!b->on)
		return NULL;
	return json_pack("{sI, ss, sI, s:s*, ss}", "blockSize", (json_int_t)b->block_size, "onFull",
	                 ovbd_bow_on_full_name(b->on_full), "minFree", (json_int_t)b->min_free,
	                 "device", b->device, "state", ovbd_bow_state_name(b->state));
}

/* One that a configuration has made is asked for by that alone. */
bool ovbd_spec_bow_fits(const struct ovbd_spec_bow *have, const struct ovbd_spec_bow *asked)
{
	if (!asked->on)
		return !have->on || have->device;
	return have->on && !have->device && have->on_full == asked->on_full &&
	       have->min_free == asked->min_free &&
	       (asked->block_size == 0 || have->block_size == asked->block_size);
}

const char *ovbd_spec_bow_device(const struct ovbd_spec *s)
{
	return s->bow.device ? s->bow.device : s->images[0];
}
