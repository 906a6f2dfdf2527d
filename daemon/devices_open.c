// SPDX-License-Identifier: Apache-2.0
/* The bytes of a device: an image, a file or an update; in the device's own thread. */
#include <errno.h>
#include <stdio.h>

#include "base/auto.h"
#include "daemon/devices_impl.h"
#include "image/config.h"

/* What its configuration asks for in vain; once for all images, as they tend to be alike. */
static void tell_ignored(struct served *s, unsigned ignored)
{
	const unsigned old = atomic_fetch_or(&s->all->told_ignored, ignored);

	for (int key = 0; key < OVBD_CONFIG_NIGNORED; key++) {
		struct ovbd_error say;

		if (!(ignored & ~old & 1u << key))
			continue;
		ovbd_fail(&say, 0,
		          "its image configuration: %s has no effect in this version (told once)",
		          ovbd_config_ignored_name((enum ovbd_config_ignored)key));
		devices_tell(s->all, false, s->spec->id, say.msg);
	}
}

static int open_update(const struct ovbd_spec *spec, struct line *l, struct ovbd_error *err)
{
	const struct ovbd_update_params p = {
		.kind = spec->update,
		.base = spec->images[0],
		.cow = spec->images[1],
		.writable = spec->writable,
	};

	int r;

	if (spec->update != OVBD_UPDATE_MERGE)
		return ovbd_update_open(&p, &l->writable, err);
	r = ovbd_merger_open(p.base, p.cow, &l->merger, err);
	if (r == 0)
		l->read_only.blob = ovbd_merger_view(l->merger);
	return r;
}

static void tracer_told(void *arg, bool error, const char *sentence)
{
	const struct served *s = arg;

	devices_tell(s->all, error, s->spec->id, sentence);
}

/* Has what is read written down; without that it is served all the same. */
static void start_tracer(struct served *s, struct line *l)
{
	struct ovbd_error err;

	if (ovbd_tracer_open(l->img->recorder, l->img->record_path, tracer_told, s, &l->tracer,
	                     &err) < 0)
		devices_tell(s->all, true, s->spec->id, err.msg);
}

/* What takes writes: a raw file or block device, or the writable layer of a configuration. Found
 * out once: what is written to a raw file is not to decide what it is the next time. */
static int settle_format(struct served *s, struct ovbd_error *err)
{
	struct ovbd_spec *spec = s->spec;
	bool upper = false;
	int config = 0;

	if (spec->format != OVBD_FORMAT_AUTO)
		return 0;
	if (!s->kept)
		config = ovbd_image_is_config(spec->images[0], &upper, err);
	if (config < 0)
		return config;
	pthread_mutex_lock(&s->all->lock);
	spec->format = config ? OVBD_FORMAT_IMAGE : OVBD_FORMAT_RAW;
	pthread_mutex_unlock(&s->all->lock);
	return 0;
}

/* The image is open: what of it takes writes. A disk that others have made goes by what its
 * configuration has, as far as it was known when the disk was found. */
static int take_upper(struct served *s, struct line *l, struct ovbd_error *err)
{
	const struct ovbd_spec *spec = s->spec;

	if (spec->writable)
		l->upper = l->img->upper;
	if (!spec->writable || l->upper || s->adopted)
		return 0;
	return ovbd_fail(err, -ENOTSUP,
	                 "%s: has no writable layer: its configuration names no upper",
	                 spec->images[0]);
}

static void prefetch_told(void *arg, const char *sentence)
{
	tracer_told(arg, false, sentence);
}

int devices_open_blob(struct served *s, struct line *l, struct ovbd_error *err)
{
	const struct ovbd_spec *spec = s->spec;
	struct ovbd_image_params image = {
		.http = &s->all->http,
		.registry = s->all->registry,
		.shared = s->all->shared,
		.cache = s->all->cache,
		.metered = true,
		.prefetch =
			{
				.mode = spec->prefetch,
				.otherwise = s->all->prefetch,
				.trace = spec->trace,
				.told = prefetch_told,
				.arg = s,
				.params = s->all->prefetch_params,
				.configured = true,
			},
	};
	int r = 0;

	if (spec->update != OVBD_UPDATE_NONE)
		return open_update(spec, l, err);
	if (spec->writable && !s->adopted)
		r = devices_settle_bow(s, err);
	if (r == 0 && spec->bow.on)
		return devices_open_bow(s, l, err);
	if (r == 0 && spec->writable && !s->adopted)
		r = settle_format(s, err);
	if (r < 0)
		return r;
	if (spec->writable && !s->adopted && spec->format != OVBD_FORMAT_IMAGE)
		return ovbd_device_open_file(spec->images[0], &l->writable, err);
	image.format = spec->format;
	if (s->all->tune)
		s->all->tune(s->all->tune_arg, &image);
	r = ovbd_image_open((const char *const *)spec->images, spec->nimages, &image, &l->img, err);
	if (r < 0)
		return r;
	l->read_only.blob = l->img->blob;
	r = take_upper(s, l, err);
	if (r < 0)
		return r;
	tell_ignored(s, l->img->ignored);
	if (l->img->prefetch_trouble.msg[0])
		devices_tell(s->all, false, spec->id, l->img->prefetch_trouble.msg);
	if (l->img->recorder)
		start_tracer(s, l);
	return 0;
}
