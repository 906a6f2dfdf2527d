// SPDX-License-Identifier: Apache-2.0
#include "tools/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/registry.h"
#include "oci/layout.h"
#include "remote/cache.h"
#include "tools/interrupt.h"
#include "tools/json.h"
#include "tools/size.h"
#include "remote/lazy.h"

#define CONFIG_MAX (1u << 20)

uint64_t ovbd_source_size(const struct ovbd_image *img)
{
	return img->blob->size < OVBD_BLOB_SIZE_UNKNOWN ? img->blob->size : 0;
}

bool ovbd_source_is_remote(const struct ovbd_image *img)
{
	for (size_t i = 0; i < img->nlayers; i++)
		if (img->layers[i].http)
			return true;
	return false;
}

static void note_cache(const struct ovbd_cli *c, struct ovbd_cache *cache)
{
	const struct ovbd_cache_stats s = ovbd_cache_stats(cache);
	char hit[OVBD_SIZE_FULL], bad[OVBD_COUNT_TEXT];
	struct ovbd_error why;

	if (c->verbose > 0)
		ovbd_cli_note(c, "cache: %s came from it; %s in it were wrong, and fetched again",
		              ovbd_size_full(hit, s.hit_bytes),
		              ovbd_count_text(bad, s.nbad, "chunk"));
	if (ovbd_cache_trouble(cache, &why))
		ovbd_cli_warning(c, "%s", why.msg);
}

void ovbd_source_note_fetched(const struct ovbd_cli *c, const struct ovbd_image *img)
{
	char bytes[OVBD_SIZE_FULL], requests[OVBD_COUNT_TEXT];

	for (size_t i = 0; img && c->verbose > 0 && i < img->nlayers; i++) {
		struct ovbd_http_stats s;

		if (!img->layers[i].http)
			continue;
		s = ovbd_lazy_stats(img->layers[i].http);
		ovbd_cli_note(c, "%s: fetched %s in %s, %" PRIu64 " of them again",
		              img->layers[i].shown, ovbd_size_full(bytes, s.bytes),
		              ovbd_count_text(requests, s.requests, "request"), s.retries);
	}
	if (img && img->cache)
		note_cache(c, img->cache);
}

/* Whether the file is an image configuration that speaks of a URL. */
static bool config_with_url(const char *path)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	AUTO_FREE char *text = calloc(1, CONFIG_MAX + 1); /* ends with a NUL */
	ssize_t n;

	if (fd < 0 || !text)
		return false;
	n = read(fd, text, CONFIG_MAX);
	return n > 0 && n < (ssize_t)CONFIG_MAX && text[strspn(text, " \t\r\n")] == '{' &&
	       (memmem(text, (size_t)n, "http://", 7) || memmem(text, (size_t)n, "https://", 8));
}

bool ovbd_source_maybe_remote(const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ovbd_http_is_url(names[i]) || ovbd_registry_is_name(names[i]) ||
		    ovbd_oci_is_name(names[i]) || config_with_url(names[i]))
			return true;
	return false;
}

/* What an update has merged is read from what lies beneath, which nothing tells from another. */
static void warn_of_merged(const struct ovbd_cli *c, const struct ovbd_image *img)
{
	for (size_t i = 0; i < img->nlayers; i++) {
		const struct ovbd_image_layer *l = &img->layers[i];
		const uint64_t n = l->cow ? ovbd_cow_info(l->cow)->nmerged : 0;

		if (n > 0 && (i > 0 || img->part))
			ovbd_cli_warning(c,
			                 "%s: %" PRIu64 " of %" PRIu32
			                 " operations have been merged: their blocks are read from "
			                 "its base, which must be the one they were merged into",
			                 l->shown, n, ovbd_cow_count(l->cow));
	}
}

int ovbd_source_image(const struct ovbd_cli *c, const char *const *names, size_t n,
                      const struct ovbd_image_params *p, struct ovbd_image **ret,
                      struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_registry_closep) struct ovbd_registry *registry = NULL;
	OVBD_AUTO(ovbd_source_names_free) struct ovbd_source_names all = {0};
	struct ovbd_image_params how = *p;
	struct ovbd_http_params http;
	int r;

	r = ovbd_source_names(c, names, n, &all, err);
	if (r < 0)
		return r;
	r = ovbd_remote_options_open(c, &registry, &http, err);
	if (r < 0)
		return r;
	how.registry = registry;
	how.http = &http;
	r = ovbd_image_open((const char *const *)all.all, all.n, &how, ret, err);
	if (r == 0)
		(*ret)->registry = OVBD_MOVE(registry);
	return r;
}

int ovbd_source_open(const struct ovbd_cli *c, const char *const *names, size_t n,
                     const struct ovbd_image_params *p, struct ovbd_image **ret, int *ret_status)
{
	struct ovbd_image_params how = p ? *p : (struct ovbd_image_params){0};
	const struct ovbd_cache_params size = {.size_max = c->cache_size};
	OVBD_AUTO(ovbd_cache_closep) struct ovbd_cache *cache = NULL;
	struct ovbd_error err;
	int r;

	r = c->cache_dir ? ovbd_cache_open(c->cache_dir, &size, &cache, &err) : 0;
	if (r < 0) {
		*ret_status = ovbd_cli_fail(c, r, false, &err);
		return r;
	}
	how.cache = cache;
	r = ovbd_source_image(c, names, n, &how, ret, &err);
	if (r < 0) {
		*ret_status = ovbd_cli_fail(c, r, ovbd_source_maybe_remote(names, n), &err);
		return r;
	}
	(*ret)->cache = OVBD_MOVE(cache);
	warn_of_merged(c, *ret);
	return 0;
}

int ovbd_source_format(struct ovbd_cli *c, const char *value, enum ovbd_format *ret)
{
	if (ovbd_format_parse(value, ret) == 0)
		return 0;
	ovbd_cli_usage(c,
	               "unknown format '%s': there are auto, raw, lsmt, zfile, ovbd, image, "
	               "android-cow, dm-update and dm-snapshot",
	               value);
	return -1;
}

static int parse_label(struct ovbd_cli *c, struct ovbd_cow_params *ret)
{
	char *end;

	ret->until = strcmp(c->value, "last") == 0 ? OVBD_COW_LAST_LABEL : OVBD_COW_LABEL;
	if (ret->until == OVBD_COW_LAST_LABEL)
		return 0;
	errno = 0;
	ret->label = strtoull(c->value, &end, 10);
	if (c->value[0] >= '0' && c->value[0] <= '9' && *end == '\0' && errno == 0)
		return 0;
	ovbd_cli_usage(c, "--label %s: it is a number, or last", c->value);
	return -1;
}

int ovbd_source_prefetch_option(struct ovbd_cli *c, int id, struct ovbd_image_prefetch *how)
{
	switch (id) {
	case OVBD_OPTION_TRACE:
		how->trace = c->value;
		return 1;
	case OVBD_OPTION_PREFETCH:
		if (ovbd_prefetch_mode_parse(c->value, &how->mode) == 0)
			return 1;
		ovbd_cli_usage(c, "--prefetch %s: it is none, trace or all", c->value);
		return -1;
	case OVBD_OPTION_PREFETCH_RATE:
		if (ovbd_size_parse(c->value, &how->params.rate) == 0 && how->params.rate > 0)
			return 1;
		ovbd_cli_usage(c, "--prefetch-rate %s: it is a size", c->value);
		return -1;
	default:
		return 0;
	}
}

int ovbd_source_prefetch_check(struct ovbd_cli *c, const struct ovbd_image_prefetch *how)
{
	if (how->mode != OVBD_PREFETCH_TRACE || how->trace)
		return 0;
	ovbd_cli_usage(c, "--prefetch trace goes with --trace FILE");
	return -1;
}

int ovbd_source_option(struct ovbd_cli *c, int id, struct ovbd_image_params *p)
{
	if (id == 'f')
		return ovbd_source_format(c, c->value, &p->format);
	return id == OVBD_OPTION_LABEL ? parse_label(c, &p->cow) : 0;
}

int ovbd_source_from_cli(struct ovbd_cli *c, struct ovbd_image **ret, bool *ret_json)
{
	struct ovbd_image_params p = {.format = OVBD_FORMAT_AUTO, .below = OVBD_BENEATH_UNSAID};
	int id;

	*ret_json = false;
	while ((id = ovbd_cli_next(c)) > 0)
		if (ovbd_source_option(c, id, &p) < 0)
			return -1;
		else if (id == OVBD_OPTION_OUTPUT && ovbd_json_wanted(c, c->value, ret_json) < 0)
			return -1;
	if (id < 0)
		return -1;
	if (c->noperands == 0) {
		ovbd_cli_usage(c, "SRC is missing");
		return -1;
	}
	ovbd_interrupt_catch();
	return ovbd_source_open(c, c->operands, c->noperands, &p, ret, &c->status) < 0 ? -1 : 0;
}
