// SPDX-License-Identifier: Apache-2.0
/*
 * A file is a configuration if its text is meant to be one, whatever it is called; a URL only if
 * its name ends in .json, since finding out costs a round trip. A layer's path that is relative is
 * so to the directory of the configuration.
 */
#include "image/refs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "image/config.h"
#include "image/layer_open.h"

static int add_ref(struct ovbd_refs *refs, char *take_name, uint64_t size, struct ovbd_error *err)
{
	AUTO_FREE char *name = take_name;
	struct ovbd_ref *more;

	if (!name)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	more = realloc(refs->refs, (refs->n + 1) * sizeof(*more));
	if (!more)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	refs->refs = more;
	more[refs->n++] = (struct ovbd_ref){.name = OVBD_MOVE(name), .size = size};
	return 0;
}

static char *join(const char *dir, size_t dir_len, const char *sep, const char *name)
{
	char *path;

	return asprintf(&path, "%.*s%s%s", (int)dir_len, dir, sep, name) < 0 ? NULL : path;
}

/* path as seen from the configuration config. */
static char *resolve(const char *config, const char *path)
{
	const char *slash = strrchr(config, '/');

	if (path[0] == '/' || !slash || ovbd_http_is_url(config))
		return strdup(path);
	return join(config, (size_t)(slash - config) + 1, "", path);
}

/* The downloaded layer in dir, if there is one: the names overlaybd's daemon looks for. NULL: none. */
static char *find_in_dir(const char *config, const char *dir)
{
	static const char *const names[] = {"overlaybd.commit", ".commit", "overlaybd.sealed"};
	AUTO_FREE char *base = resolve(config, dir);

	for (size_t i = 0; base && i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = join(base, strlen(base), "/", names[i]);

		if (!path || access(path, F_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

static int add_remote(struct ovbd_refs *refs, const char *config, const struct ovbd_config *c,
                      const struct ovbd_layer_ref *l, struct ovbd_error *err)
{
	const size_t number = (size_t)(l - c->lowers);

	if (l->url[0] != '\0' && !ovbd_http_is_url(l->url))
		return ovbd_fail(err, -ENOTSUP, "%s: lowers[%zu].url: %s is no http or https URL",
		                 config, number, l->url);
	if (l->url[0] != '\0')
		return add_ref(refs, strdup(l->url), l->size, err);
	if (l->digest[0] == '\0')
		return ovbd_fail(err, l->file[0] ? -ENOENT : -EBADMSG,
		                 "%s: lowers[%zu]: %s%s, and neither url nor digest is given",
		                 config, number, l->file[0] ? l->file : "no file",
		                 l->file[0] ? " does not exist" : "");
	if (c->repo_blob_url[0] == '\0')
		return ovbd_fail(err, -EBADMSG,
		                 "%s: lowers[%zu] has a digest, but repoBlobUrl is not given",
		                 config, number);
	if (!ovbd_http_is_url(c->repo_blob_url))
		return ovbd_fail(err, -ENOTSUP, "%s: repoBlobUrl: %s is no http or https URL",
		                 config, c->repo_blob_url);
	return add_ref(refs, join(c->repo_blob_url, strlen(c->repo_blob_url), "/", l->digest),
	               l->size, err);
}

/* Where a layer of a configuration is: file, then dir, then the network. */
static int add_lower(struct ovbd_refs *refs, const char *config, const struct ovbd_config *c,
                     const struct ovbd_layer_ref *l, struct ovbd_error *err)
{
	if (l->file[0] != '\0') {
		AUTO_FREE char *path = resolve(config, l->file);

		if (!path || access(path, F_OK) == 0)
			return add_ref(refs, OVBD_MOVE(path), 0, err);
	}
	if (l->dir[0] != '\0') {
		AUTO_FREE char *path = find_in_dir(config, l->dir);

		if (path)
			return add_ref(refs, OVBD_MOVE(path), 0, err);
	}
	return add_remote(refs, config, c, l, err);
}

/* 1 and the text (to be freed) if name is a configuration; 0 if not. */
static int read_config(const char *name, const struct ovbd_image_params *p, char **ret_text,
                       size_t *ret_len, struct ovbd_error *err)
{
	const bool forced = p->format == OVBD_FORMAT_IMAGE;
	const size_t name_len = strlen(name);
	AUTO_FREE char *text = NULL;
	AUTO_BLOB *b = NULL;
	struct ovbd_blob *http;
	int r;

	if (!forced && p->format != OVBD_FORMAT_AUTO)
		return 0;
	if (!forced && ovbd_http_is_url(name) &&
	    (name_len < 5 || strcmp(name + name_len - 5, ".json") != 0))
		return 0;
	r = ovbd_bytes_open(name, p->http, &b, &http, err);
	if (r < 0)
		return r;
	if (b->size > OVBD_CONFIG_SIZE_MAX)
		return forced ? ovbd_fail(err, -E2BIG,
		                          "%s: %" PRIu64 " bytes are no image configuration", name,
		                          b->size)
		              : 0;
	text = malloc((size_t)b->size + 1);
	if (!text)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_blob_pread(b, text, (size_t)b->size, 0, err);
	if (r < 0)
		return r;
	if (!forced && !ovbd_config_probe(text, (size_t)b->size))
		return 0;
	*ret_text = OVBD_MOVE(text);
	*ret_len = (size_t)b->size;
	return 1;
}

static int expand(struct ovbd_refs *refs, const char *name, const struct ovbd_image_params *p,
                  struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_config_freep) struct ovbd_config *c = NULL;
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r;

	r = read_config(name, p, &text, &len, err);
	if (r < 0)
		return r;
	if (r == 0)
		return add_ref(refs, strdup(name), 0, err);
	refs->configured = true;
	r = ovbd_config_parse(text, len, name, &c, err);
	for (size_t i = 0; r == 0 && i < c->nlowers; i++)
		r = add_lower(refs, name, c, &c->lowers[i], err);
	return r;
}

int ovbd_refs_expand(struct ovbd_refs *refs, const char *const *names, size_t n,
                     const struct ovbd_image_params *p, struct ovbd_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = expand(refs, names[i], p, err);
	return r;
}

void ovbd_refs_free(struct ovbd_refs *refs)
{
	for (size_t i = 0; i < refs->n; i++)
		free(refs->refs[i].name);
	free(refs->refs);
}
