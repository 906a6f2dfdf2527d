// SPDX-License-Identifier: Apache-2.0
#include "daemon/api_bow.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "base/auto.h"
#include "daemon/api_json.h"

static int decode(const json_t *body, enum ovbd_bow_state *ret, struct ovbd_error *err)
{
	static const struct {
		const char *name;
		enum ovbd_bow_state to;
	} words[] = {
		{"checkpoint", OVBD_BOW_CHECKPOINT},
		{"commit", OVBD_BOW_COMMITTED},
		{"abort", OVBD_BOW_ABORTED},
	};
	const char *said = json_string_value(json_object_get(body, "do"));

	for (size_t i = 0; said && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(said, words[i].name) == 0 && json_object_size(body) == 1) {
			*ret = words[i].to;
			return 0;
		}
	return ovbd_fail(err, -EINVAL,
	                 "the request must be {\"do\": ...}: checkpoint, commit or abort");
}

unsigned ovbd_api_bow(struct ovbd_devices *ds, const char *id, const json_t *body, json_t **ret)
{
	enum ovbd_bow_state to = OVBD_BOW_TRIM;
	struct ovbd_error err;
	int r = decode(body, &to, &err);

	if (r == 0)
		r = ovbd_devices_bow(ds, id, to, &err);
	if (r == 0)
		return MHD_HTTP_OK;
	*ret = ovbd_api_json_error(r, err.msg);
	if (r == -ENOSPC) /* room is not made as elsewhere: the sentence says enough */
		json_object_set_new(json_object_get(*ret, "error"), "message",
		                    json_string(err.msg));
	return ovbd_api_http_status(r);
}

json_t *ovbd_api_json_bow(const struct ovbd_device_view *v)
{
	const struct ovbd_spec_bow *b = &v->spec->bow;
	const struct ovbd_bow_status *s = &v->bow.status;
	const char *said = v->bow.said.msg[0] ? v->bow.said.msg : NULL;

	return json_pack("{ss, sI, ss, sI, sI, sI, sI, sI, sI, sI, sI, s:s*}", "state",
	                 ovbd_bow_state_name(s->state), "block-size", (json_int_t)s->block_size,
	                 "on-full", ovbd_bow_on_full_name(b->on_full), "min-free",
	                 (json_int_t)b->min_free, "free", (json_int_t)s->free_bytes, "free-extents",
	                 (json_int_t)s->free_extents, "backed-up", (json_int_t)s->backed_up,
	                 "log-blocks", (json_int_t)s->log_blocks, "log-entries",
	                 (json_int_t)s->log_entries, "log-writes", (json_int_t)s->log_writes,
	                 "memory", (json_int_t)s->memory, "policy", said);
}
