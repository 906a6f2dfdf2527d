// SPDX-License-Identifier: Apache-2.0
#include "daemon/api_json.h"

#include <errno.h>
#include <string.h>

#include "daemon/api_bow.h"
#include "daemon/confine.h"
#include "daemon/transports.h"

static json_int_t as_int(uint64_t v)
{
	return v > INT64_MAX ? INT64_MAX : (json_int_t)v;
}

static json_int_t counter(const _Atomic uint64_t *v)
{
	return as_int(atomic_load_explicit(v, memory_order_relaxed));
}

/* Images as they may be shown: a URL without user, password and query. */
static json_t *images_of(const struct ovbd_spec *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->nimages; i++) {
		char shown[OVBD_HTTP_SHOWN_SIZE];
		const char *name = s->images[i];

		if (ovbd_http_is_url(name)) {
			ovbd_http_show(name, shown);
			name = shown;
		}
		json_array_append_new(list, json_string(name));
	}
	return list;
}

static json_t *stats_of(const struct ovbd_device_view *v)
{
	const struct ovbd_serve_stats *st = v->stats;

	return json_pack("{sI, sI, sI, sI, sI, sI, sI, sI, sI}", "reads", counter(&st->reads),
	                 "read-bytes", counter(&st->bytes), "writes", counter(&st->writes),
	                 "written-bytes", counter(&st->written_bytes), "flushes",
	                 counter(&st->flushes), "failed", counter(&st->failed), "http-requests",
	                 as_int(v->requests), "http-retries", as_int(v->retries), "http-bytes",
	                 as_int(v->fetched));
}

/* What "auto" has looked at, and why it was not, or was, taken. */
static json_t *considered_of(const struct ovbd_transport_verdict *v)
{
	json_t *list = json_array();

	for (; v->kind; v++)
		json_array_append_new(list,
		                      json_pack("{ss, sb, s:s*}", "transport", v->kind->name,
		                                "taken", v->reason == NULL, "reason", v->reason));
	return list;
}

json_t *ovbd_api_json_device(const struct ovbd_device_view *v)
{
	const struct ovbd_spec *s = v->spec;
	json_t *d =
		json_pack("{ss, ss, ss, ss, s:s*, so, ss, sb, s:s*}", "schema", "ovbd.device.v1",
	                  "id", s->id, "state", ovbd_device_state_name(v->state), "transport",
	                  s->transport, "path", v->path, "images", images_of(s), "format",
	                  ovbd_format_name(s->format), "writable", s->writable, "update",
	                  ovbd_update_name(s->update));

	if (!d)
		return NULL;
	if (v->path) {
		json_object_set_new(d, "size", json_integer(as_int(v->size)));
		json_object_set_new(d, "layers", json_integer(as_int(v->nlayers)));
	}
	if (v->path && v->adopted)
		json_object_set_new(d, "uio", json_string(v->path));
	if (v->error)
		json_object_set_new(d, "error", json_string(v->error));
	if (v->bow.on)
		json_object_set_new(d, "bow", ovbd_api_json_bow(v));
	if (v->considered)
		json_object_set_new(d, "considered", considered_of(v->considered));
	json_object_set_new(d, "stats", stats_of(v));
	return d;
}

static void put_place(void *arg, const char *id, const char *path)
{
	json_t *device;
	size_t i;

	json_array_foreach(arg, i, device)
	{
		const char *has = json_string_value(json_object_get(device, "id"));

		if (json_object_get(device, "uio") && has && strcmp(has, id) == 0)
			json_object_set_new(device, "path", json_string(path));
	}
}

void ovbd_api_json_put_places(json_t *devices)
{
	bool any = false;
	json_t *device;
	size_t i;

	json_array_foreach(devices, i, device) any |= json_object_get(device, "uio") != NULL;
	if (any)
		ovbd_transport_kind_tcmu_adopted.places(put_place, devices);
}

/* What to do about what runs out, whoever noticed it; "" for all else. */
static const char *advice(int code)
{
	switch (-code) {
	case EMFILE:
		return "; let ovbdd open more files (LimitNOFILE= of its unit)";
	case ENFILE:
		return "; let this host open more files (sysctl fs.file-max)";
	case ENOSPC:
	case EDQUOT:
		return "; make room there";
	default:
		return "";
	}
}

json_t *ovbd_api_json_error(int code, const char *message)
{
	const char *name = strerrorname_np(-code);
	json_t *text = json_sprintf("%s%s", message, advice(code));

	if (!text) /* a name that is no UTF-8 */
		text = json_string(strerror(-code));
	return json_pack("{s{ss, so}}", "error", "code", name ? name : "EIO", "message", text);
}

json_t *ovbd_api_json_transports(void)
{
	json_t *list = json_array();
	const struct ovbd_transport_kind *k;

	for (unsigned i = 0; (k = ovbd_transport_kind_at(i)); i++) {
		struct ovbd_error why;
		const int r = k->available(&why);

		json_array_append_new(list, json_pack("{ss, sb, sb, sb, s:s*}", "name", k->name,
		                                      "available", r == 0, "writable", k->writable,
		                                      "auto", k->only_by_name == NULL, "reason",
		                                      r < 0 ? why.msg : NULL));
	}
	return list;
}

json_t *ovbd_api_json_confinement(void)
{
	json_t *caps = json_array(), *all;
	struct ovbd_confinement now;
	const char *first;
	const uint64_t nrefused = ovbd_confine_refused(&first);

	if (ovbd_confinement_read(&now, NULL) < 0) {
		json_decref(caps);
		return json_object();
	}
	for (unsigned cap = 0; cap < 64; cap++)
		if ((now.caps >> cap & 1) != 0 && ovbd_confine_cap_name(cap))
			json_array_append_new(caps, json_string(ovbd_confine_cap_name(cap)));
	all = json_pack("{so, sb, sb, sI, s:s*}", "capabilities", caps, "no-new-privileges",
	                now.no_new_privs, "system-call-filter", now.filtered, "refused-calls",
	                as_int(nrefused), "first-refused-call", first);
	return all;
}

unsigned ovbd_api_http_status(int code)
{
	switch (-code) {
	case EINVAL:
		return 400;
	case EACCES:
	case EPERM:
		return 403;
	case ENOENT:
		return 404;
	case EBUSY:
	case EEXIST:
	case ECANCELED:
		return 409;
	case E2BIG:
		return 413;
	case EBADMSG:
	case ENOTSUP:
		return 422;
	case EAGAIN:
	case ESHUTDOWN:
		return 503;
	case ETIMEDOUT:
		return 504;
	default:
		return 500;
	}
}
