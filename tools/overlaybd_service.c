// SPDX-License-Identifier: Apache-2.0
#include "tools/overlaybd_service.h"

#include <errno.h>
#include <unistd.h>

#include "image/overlaybd_json.h"
#include "remote/cache.h"

#define GIB (UINT64_C(1) << 30)

void ovbd_overlaybd_service_close(struct ovbd_overlaybd_service *s)
{
	ovbd_cache_close(s->cache);
	ovbd_registry_close(s->registry);
	json_decref(s->file);
}

static void open_cache(const struct ovbd_cli *c, const struct ovbd_overlaybd_json *j,
                       struct ovbd_overlaybd_service *s)
{
	const struct ovbd_cache_params p = {
		.size_max = j->cache_size_gb * GIB,
		.chunk_size = (uint32_t)j->cache_chunk_size,
	};
	struct ovbd_error err;

	if (j->cache_dir[0] && ovbd_cache_open(j->cache_dir, &p, &s->cache, &err) < 0)
		ovbd_cli_warning(c, "%s; goes on without a cache", err.msg);
}

int ovbd_overlaybd_service_open(const struct ovbd_cli *c, const char *path,
                                struct ovbd_overlaybd_service *ret, struct ovbd_error *err)
{
	struct ovbd_overlaybd_json j;
	int r;

	*ret = (struct ovbd_overlaybd_service){.registry = NULL};
	if (!path && access(OVBD_OVERLAYBD_JSON_PATH, F_OK) < 0 && errno == ENOENT)
		return ovbd_remote_options_open(c, &ret->registry, &ret->http, err);
	r = ovbd_overlaybd_json_load(path ? path : OVBD_OVERLAYBD_JSON_PATH, &j, err);
	if (r < 0)
		return r;
	ret->file = j.file;
	ret->http.user_agent = j.user_agent;
	ret->settings = j.registry;
	ret->said = ovbd_registry_settings_params(&ret->settings);
	ret->params = &ret->said;
	r = ovbd_registry_open(&ret->said, &ret->registry, err);
	if (r == 0)
		open_cache(c, &j, ret);
	return r;
}

int ovbd_overlaybd_image(const struct ovbd_overlaybd_service *s, const char *config,
                         struct ovbd_image **ret, struct ovbd_error *err)
{
	const struct ovbd_image_params how = {
		.http = &s->http,
		.registry = s->registry,
		.cache = s->cache,
	};
	bool upper;
	const int r = ovbd_image_is_config(config, &upper, err);

	if (r < 0)
		return r;
	if (r == 0)
		return ovbd_fail(err, -EBADMSG, "%s: is not an image configuration", config);
	return ovbd_image_open(&config, 1, &how, ret, err);
}
