// SPDX-License-Identifier: Apache-2.0
/*
 * Two doors to the same thing. The second is the original's: any method, everything in the query,
 * and its words in the answers; what went wrong is said in a key of our own.
 *
 * A configuration that is to take the place of a device's decides where its users' data go from now
 * on. So it must be a file that nobody but root (or whoever we are) can have written.
 */
#include "daemon/api_snapshot.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"
#include "daemon/api_json.h"

static int get_path(const json_t *body, const char *key, const char **ret, struct ovbd_error *err)
{
	const json_t *v = json_object_get(body, key);

	*ret = json_string_value(v);
	if (v && (!*ret || (*ret)[0] != '/'))
		return ovbd_fail(err, -EINVAL, "%s must be an absolute path", key);
	return 0;
}

static int decode(const json_t *body, struct ovbd_snapshot_params *ret, struct ovbd_error *err)
{
	static const char *const known[] = {"data", "index", "config"};
	const char *key;
	json_t *v;
	int r = json_is_object(body) ? 0 : ovbd_fail(err, -EINVAL, "the request must be an object");

	if (r < 0)
		return r;
	json_object_foreach((json_t *)(uintptr_t)body, key, v)
	{
		bool is_known = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			is_known |= strcmp(key, known[i]) == 0;
		if (!is_known)
			return ovbd_fail(err, -EINVAL, "\"%.40s\" is no key of a snapshot", key);
	}
	r = get_path(body, "data", &ret->data, err);
	if (r == 0)
		r = get_path(body, "index", &ret->index, err);
	if (r == 0)
		r = get_path(body, "config", &ret->config, err);
	if (r == 0 && ret->config && (ret->data || ret->index))
		r = ovbd_fail(err, -EINVAL, "config says what data and index would");
	return r;
}

static int check_owner(const char *config, struct ovbd_error *err)
{
	struct stat st;

	if (stat(config, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", config);
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || st.st_mode & (S_IWGRP | S_IWOTH))
		return ovbd_fail(err, -EACCES, "%s: others than root may have written it", config);
	return 0;
}

static int snapshot(struct ovbd_devices *ds, const char *id, const struct ovbd_snapshot_params *p,
                    struct ovbd_snapshot *ret, struct ovbd_error *err)
{
	const int r = p->config ? check_owner(p->config, err) : 0;

	return r < 0 ? r : ovbd_devices_snapshot(ds, id, p, ret, err);
}

unsigned ovbd_api_snapshot(struct ovbd_devices *ds, const char *id, const json_t *body,
                           json_t **ret)
{
	struct ovbd_snapshot_params p = {0};
	struct ovbd_snapshot done;
	struct ovbd_error err;
	int r = decode(body, &p, &err);

	if (r == 0)
		r = snapshot(ds, id, &p, &done, &err);
	if (r < 0) {
		*ret = ovbd_api_json_error(r, err.msg);
		return ovbd_api_http_status(r);
	}
	*ret = json_pack("{ss, ss, ss, ss, ss*, sI, sI}", "schema", "ovbd.snapshot.v1", "id", id,
	                 "layer", done.layer, "data", done.data, "index", done.index, "layers",
	                 (json_int_t)done.nlayers, "pause-us", (json_int_t)(done.pause_ns / 1000));
	ovbd_snapshot_release(&done);
	return MHD_HTTP_OK;
}

static unsigned say(unsigned status, const char *message, const char *why, json_t **ret)
{
	*ret = json_pack("{sb, ss, ss*}", "success", status == MHD_HTTP_OK, "message", message,
	                 "error", why);
	return status;
}

unsigned ovbd_api_snapshot_original(struct ovbd_devices *ds, const char *dev_id, const char *config,
                                    json_t **ret)
{
	const struct ovbd_snapshot_params p = {.config = config};
	struct ovbd_snapshot done;
	struct ovbd_error err;
	int r;

	if (!dev_id || !dev_id[0] || !config || !config[0])
		return say(MHD_HTTP_BAD_REQUEST, "Missing dev_id or config", NULL, ret);
	r = config[0] == '/' ? 0 : ovbd_fail(&err, -EINVAL, "config must be an absolute path");
	if (r == 0)
		r = snapshot(ds, dev_id, &p, &done, &err);
	if (r == 0) {
		ovbd_snapshot_release(&done);
		return say(MHD_HTTP_OK, "Snapshot created successfully", NULL, ret);
	}
	if (r == -ENOENT && !ovbd_devices_has(ds, dev_id))
		return say(MHD_HTTP_NOT_FOUND, "Image file not found", err.msg, ret);
	return say(MHD_HTTP_INTERNAL_SERVER_ERROR, "Failed to create snapshot", err.msg, ret);
}
