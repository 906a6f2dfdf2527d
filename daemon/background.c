// SPDX-License-Identifier: Apache-2.0
#include "daemon/background.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/log.h"
#include "image/overlaybd_json.h"
#include "image/image.h"
#include "remote/cache.h"

struct ovbd_background {
	struct ovbd_downloads *downloads;
	struct ovbd_cache *cache; /* NULL: nothing that is fetched is kept */
	const char *config;       /* an overlaybd.json; NULL: there is none */
};

static void told(void *arg, bool bad, const char *sentence)
{
	(void)arg;
	ovbd_log(bad ? OVBD_LOG_WARNING : OVBD_LOG_INFO, "%s", sentence);
}

static void cache_told(void *arg, const char *sentence)
{
	(void)arg;
	ovbd_log(OVBD_LOG_WARNING, "%s; goes on without keeping (told once)", sentence);
}

static void cache_told_wrong(void *arg, const char *sentence)
{
	(void)arg;
	ovbd_log(OVBD_LOG_WARNING, "%s", sentence);
}

/* Without it devices are served all the same. */
static void start_cache(struct ovbd_background *bg, const struct ovbd_options *o,
                        struct ovbd_devices *ds)
{
	const struct ovbd_cache_params p = {
		.size_max = o->cache_size,
		.chunk_size = (uint32_t)o->cache_chunk_size,
		.high_percent = (unsigned)o->cache_high,
		.low_percent = (unsigned)o->cache_low,
		.told = cache_told,
		.told_wrong = cache_told_wrong,
	};
	struct ovbd_error err;

	if (o->cache_dir[0] && ovbd_cache_open(o->cache_dir, &p, &bg->cache, &err) < 0)
		ovbd_log(OVBD_LOG_WARNING, "%s; goes on without a cache", err.msg);
	ovbd_devices_set_cache(ds, bg->cache);
}

/* What is said here holds for images that do not say it themselves. */
static void tune(void *arg, struct ovbd_image_params *p)
{
	const struct ovbd_background *bg = arg;
	struct ovbd_overlaybd_json j;
	struct ovbd_error err;

	p->downloads = bg->downloads;
	p->download = ovbd_download_defaults();
	if (!bg->config || access(bg->config, F_OK) < 0)
		return;
	if (ovbd_overlaybd_json_load(bg->config, &j, &err) < 0) {
		ovbd_log(OVBD_LOG_WARNING, "nothing is downloaded: %s", err.msg);
		return;
	}
	p->download = j.download;
	json_decref(j.file);
}

int ovbd_background_start(const struct ovbd_options *o, struct ovbd_devices *ds,
                          struct ovbd_background **ret, struct ovbd_error *err)
{
	struct ovbd_background *bg = calloc(1, sizeof(*bg));
	int r;

	if (!bg)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	bg->config = o->drop_in ? o->config : NULL; /* of the command line: it stays */
	r = ovbd_downloads_create(told, NULL, &bg->downloads, err);
	if (r < 0) {
		free(bg);
		return r;
	}
	start_cache(bg, o, ds);
	ovbd_devices_set_tune(ds, tune, bg);
	*ret = bg;
	return 0;
}

struct ovbd_cache *ovbd_background_cache(const struct ovbd_background *bg)
{
	return bg->cache;
}

void ovbd_background_close(struct ovbd_background *take_bg)
{
	if (!take_bg)
		return;
	ovbd_downloads_close(take_bg->downloads);
	ovbd_cache_close(take_bg->cache);
	free(take_bg);
}
