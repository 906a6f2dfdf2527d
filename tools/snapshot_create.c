// SPDX-License-Identifier: Apache-2.0
/* snapshot create: a client of POST /v1/devices/ID/snapshot. */
#include "tools/snapshot_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "tools/control.h"

/* As the daemon wants it, which has another directory. */
static int put_path(json_t *body, const char *key, const char *path, struct ovbd_error *err)
{
	AUTO_FREE char *here = NULL, *absolute = NULL;

	if (!path)
		return 0;
	if (path[0] != '/') {
		here = realpath(".", NULL);
		if (!here || asprintf(&absolute, "%s/%s", here, path) < 0) {
			absolute = NULL;
			return ovbd_fail(err, -ENOMEM, "out of memory");
		}
	}
	if (json_object_set_new(body, key, json_string(absolute ? absolute : path)) < 0)
		return ovbd_fail(err, -EINVAL, "%s is no UTF-8", key);
	return 0;
}

static void print(const json_t *done)
{
	AUTO_FREE char *layer = ovbd_control_text(done, "layer");
	AUTO_FREE char *data = ovbd_control_text(done, "data");
	const json_int_t us = json_integer_value(json_object_get(done, "pause-us"));

	printf("%s is a layer now, beneath %s; writes waited %lld.%03lld ms\n", layer ? layer : "-",
	       data ? data : "-", (long long)us / 1000, (long long)us % 1000);
}

int ovbd_snapshot_create(struct ovbd_cli *c, const struct ovbd_snapshot_create *s)
{
	OVBD_AUTO(ovbd_control_releasep) json_t *body = json_object(), *done = NULL;
	AUTO_FREE char *path = NULL;
	struct ovbd_error err;
	int status, r = put_path(body, "data", s->data, &err);

	if (r == 0)
		r = put_path(body, "index", s->index, &err);
	if (r == 0 && asprintf(&path, "/v1/devices/%s/snapshot", s->id) < 0) {
		path = NULL;
		r = ovbd_fail(&err, -ENOMEM, "out of memory");
	}
	if (r < 0) {
		ovbd_cli_error(c, "%s: %s", s->id, err.msg);
		return OVBD_EXIT_FAILURE;
	}
	if (ovbd_control_ask(c, s->socket, "POST", path, body, &done, &status) < 0)
		return status;
	if (s->json)
		json_dumpf(done, stdout, JSON_INDENT(2));
	if (s->json)
		putchar('\n');
	else if (!c->quiet)
		print(done);
	return OVBD_EXIT_OK;
}
