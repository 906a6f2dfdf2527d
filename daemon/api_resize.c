// SPDX-License-Identifier: Apache-2.0
#include "daemon/api_resize.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "base/auto.h"
#include "daemon/api_json.h"

static int decode(const json_t *body, uint64_t *ret, struct ovbd_error *err)
{
	const json_t *size = json_object_get(body, "size");
	const char *key;
	json_t *v;

	if (!json_is_object(body))
		return ovbd_fail(err, -EINVAL, "the request must be an object");
	json_object_foreach((json_t *)(uintptr_t)body, key,
	                    v) if (strcmp(key, "size") !=
	                           0) return ovbd_fail(err, -EINVAL,
	                                               "\"%.40s\" is no key of a resize", key);
	if (!json_is_integer(size) || json_integer_value(size) <= 0 ||
	    json_integer_value(size) % 512 != 0)
		return ovbd_fail(err, -EINVAL,
		                 "size must be a number of bytes, of whole sectors of 512");
	*ret = (uint64_t)json_integer_value(size);
	return 0;
}

unsigned ovbd_api_resize(struct ovbd_devices *ds, const char *id, const json_t *body, json_t **ret)
{
	struct ovbd_error err;
	uint64_t size = 0, before = 0;
	int r = decode(body, &size, &err);

	if (r == 0)
		r = ovbd_devices_grow(ds, id, size, &before, &err);
	if (r < 0) {
		*ret = ovbd_api_json_error(r, err.msg);
		return ovbd_api_http_status(r);
	}
	*ret = json_pack("{ss, ss, sI, sI}", "schema", "ovbd.resize.v1", "id", id, "before",
	                 (json_int_t)before, "size", (json_int_t)size);
	return MHD_HTTP_OK;
}
