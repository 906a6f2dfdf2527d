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
#include "image/manifest.h"
#include "image/registry.h"

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

char *ovbd_refs_resolve(const char *config, const char *path)
{
	const char *slash = strrchr(config, '/');

	if (path[0] == '/' || !slash || ovbd_http_is_url(config))
		return strdup(path);
	return join(config, (size_t)(slash - config) + 1, "", path);
}

/* Not there; what is there but cannot be reached is, and opening it will say why. */
static bool is_missing(const char *path)
{
	return access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* The downloaded layer in dir, if there is one: the names overlaybd's daemon looks for. NULL:
 * none. */
static char *find_in_dir(const char *config, const char *dir)
{
	static const char *const names[] = {"overlaybd.commit", ".commit", "overlaybd.sealed"};
	AUTO_FREE char *base = ovbd_refs_resolve(config, dir);

	for (size_t i = 0; base && i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = join(base, strlen(base), "/", names[i]);

		if (!path || !is_missing(path))
			return path;
		free(path);
	}
	return NULL;
}

/* The URL of a blob. The registry of docker.io has another name than its images. */
static char *blob_url(const char *repo, const char *digest)
{
	static const char *const hub[] = {"https://docker.io/", "http://docker.io/"};
	const size_t len = strlen(repo), slash = len > 0 && repo[len - 1] == '/';
	char *url;

	for (size_t i = 0; i < 2; i++) {
		const size_t n = strlen(hub[i]), scheme = n - strlen("docker.io/");

		if (strncmp(repo, hub[i], n) == 0)
			return asprintf(&url, "%.*sregistry-1.docker.io/%.*s/%s", (int)scheme, repo,
			                (int)(len - slash - n), repo + n, digest) < 0
			               ? NULL
			               : url;
	}
	return join(repo, len - slash, "/", digest);
}

static int add_blob(struct ovbd_refs *refs, const char *config, const struct ovbd_config *c,
                    const struct ovbd_layer_ref *l, struct ovbd_error *err)
{
	const size_t number = (size_t)(l - c->lowers);
	AUTO_FREE char *url = NULL;

	if (!ovbd_digest_is_valid(l->digest))
		return ovbd_fail(err, -EBADMSG,
		                 "%s: lowers[%zu].digest: '%.100s' is no digest: sha256: and 64 "
		                 "digits and letters a to f",
		                 config, number, l->digest);
	if (c->repo_blob_url[0] == '\0')
		return ovbd_fail(err, -EBADMSG,
		                 "%s: lowers[%zu] has a digest, but repoBlobUrl is not given",
		                 config, number);
	if (!ovbd_http_is_url(c->repo_blob_url))
		return ovbd_fail(err, -ENOTSUP, "%s: repoBlobUrl: %s is no http or https URL",
		                 config, c->repo_blob_url);
	url = blob_url(c->repo_blob_url, l->digest);
	return add_ref(refs, OVBD_MOVE(url), l->size, err);
}

static int add_remote(struct ovbd_refs *refs, const char *config, const struct ovbd_config *c,
                      const struct ovbd_layer_ref *l, struct ovbd_error *err)
{
	const size_t number = (size_t)(l - c->lowers);
	const char *place = l->file[0] ? l->file : l->dir;

	if (l->url[0] != '\0' && !ovbd_http_is_url(l->url))
		return ovbd_fail(err, -ENOTSUP, "%s: lowers[%zu].url: %s is no http or https URL",
		                 config, number, l->url);
	if (l->url[0] != '\0')
		return add_ref(refs, strdup(l->url), l->size, err);
	if (l->digest[0] != '\0')
		return add_blob(refs, config, c, l, err);
	if (place[0] == '\0')
		return ovbd_fail(err, -EBADMSG,
		                 "%s: lowers[%zu]: none of file, dir, url and digest is given",
		                 config, number);
	return ovbd_fail(err, -ENOENT,
	                 "%s: lowers[%zu]: %s %s, and neither url nor digest is given", config,
	                 number, place, l->file[0] ? "does not exist" : "holds no layer");
}

/* Where a layer of a configuration is: file, then dir, then the network. */
static int add_place(struct ovbd_refs *refs, const char *config, const struct ovbd_config *c,
                     const struct ovbd_layer_ref *l, struct ovbd_error *err)
{
	if (l->file[0] != '\0') {
		AUTO_FREE char *path = ovbd_refs_resolve(config, l->file);

		if (!path || !is_missing(path))
			return add_ref(refs, OVBD_MOVE(path), 0, err);
	}
	if (l->dir[0] != '\0') {
		AUTO_FREE char *path = find_in_dir(config, l->dir);

		if (path)
			return add_ref(refs, OVBD_MOVE(path), 0, err);
	}
	return add_remote(refs, config, c, l, err);
}

/* Where the Merkle tree of a layer is: file, then the network. */
static int add_tree(struct ovbd_ref *ref, const char *config, const struct ovbd_layer_ref *l,
                    size_t number, struct ovbd_error *err)
{
	AUTO_FREE char *path = l->verity_file[0] ? ovbd_refs_resolve(config, l->verity_file) : NULL;

	ref->root = strdup(l->verity_root);
	if (!ref->root || (l->verity_file[0] && !path))
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (l->verity_url[0] && !ovbd_http_is_url(l->verity_url))
		return ovbd_fail(err, -ENOTSUP,
		                 "%s: lowers[%zu].verity.url: %s is no http or https URL", config,
		                 number, l->verity_url);
	if (path && (!l->verity_url[0] || !is_missing(path)))
		ref->tree = OVBD_MOVE(path);
	else if (l->verity_url[0])
		ref->tree = strdup(l->verity_url);
	else
		return 0; /* one block needs none */
	return ref->tree ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

/* Whether, where to and how the layer is fetched in the background. */
static int add_download(const struct ovbd_refs *refs, struct ovbd_ref *ref, const char *config,
                        const struct ovbd_config *c, const struct ovbd_layer_ref *l,
                        struct ovbd_error *err)
{
	ref->download = c->has_download ? c->download : refs->download;
	if (!ref->download.enable || l->dir[0] == '\0' || !ovbd_http_is_url(ref->name) ||
	    ovbd_http_is_url(config))
		return 0;
	ref->dir = ovbd_refs_resolve(config, l->dir);
	return ref->dir ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

/* What a snapshot has left to be done. */
static int add_sealing(struct ovbd_ref *ref, const char *config, const struct ovbd_layer_ref *l,
                       struct ovbd_error *err)
{
	if (ovbd_http_is_url(config))
		return ovbd_fail(err, -ENOTSUP,
		                 "%s: sealing: a writable layer is in local files; so must be the "
		                 "configuration that names it",
		                 config);
	ref->sealing = true;
	ref->beneath = l->beneath;
	ref->sealing_index =
		l->sealing_index[0] ? ovbd_refs_resolve(config, l->sealing_index) : strdup("");
	return ref->sealing_index ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

static int add_lower(struct ovbd_refs *refs, const char *config, const struct ovbd_config *c,
                     const struct ovbd_layer_ref *l, struct ovbd_error *err)
{
	struct ovbd_ref *ref;
	int r = add_place(refs, config, c, l, err);

	if (r < 0)
		return r;
	ref = &refs->refs[refs->n - 1];
	if (l->digest[0] != '\0') {
		ref->digest = strdup(l->digest);
		if (!ref->digest)
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	r = add_download(refs, ref, config, c, l, err);
	if (r == 0 && l->verity_root[0] != '\0')
		r = add_tree(ref, config, l, (size_t)(l - c->lowers), err);
	if (r == 0 && l->sealing)
		r = add_sealing(ref, config, l, err);
	return r;
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
	r = ovbd_bytes_open(name, p, &b, &http, err);
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

/* What is to be fetched before it is read, and whether that is to be found out. */
static int note_prefetch(struct ovbd_refs *refs, const char *config, const struct ovbd_config *c,
                         struct ovbd_error *err)
{
	AUTO_FREE char *trace = NULL, *dir = NULL, *record = NULL;
	const char *at = c->trace_dir ? c->trace_dir : "";

	if (c->trace[0])
		trace = ovbd_refs_resolve(config, c->trace);
	else if (at[0] && (dir = ovbd_refs_resolve(config, at)))
		trace = join(dir, strlen(dir), "/", "trace");
	if (c->record_path[0] && !c->trace_dir)
		record = ovbd_refs_resolve(config, c->record_path);
	if ((!trace && (c->trace[0] || at[0])) || (!record && c->record_path[0] && !c->trace_dir))
		return ovbd_fail(err, -ENOMEM, "out of memory");
	free(refs->trace);
	free(refs->record);
	refs->trace = OVBD_MOVE(trace);
	refs->record = OVBD_MOVE(record);
	refs->prefetch = OVBD_PREFETCH_AUTO;
	if (c->prefetch[0])
		ovbd_prefetch_mode_parse(c->prefetch, &refs->prefetch);
	return 0;
}

/* The writable layer, which is on top of all. */
static int note_upper(struct ovbd_refs *refs, const char *config, const struct ovbd_config *c,
                      struct ovbd_error *err)
{
	if (!c->upper_data[0])
		return 0;
	if (ovbd_http_is_url(config))
		return ovbd_fail(err, -ENOTSUP,
		                 "%s: upper: a writable layer is in local files; so must be the "
		                 "configuration that names it",
		                 config);
	refs->upper_data = ovbd_refs_resolve(config, c->upper_data);
	refs->upper_index =
		c->upper_index[0] ? ovbd_refs_resolve(config, c->upper_index) : strdup("");
	refs->upper_config = strdup(config);
	if (!refs->upper_data || !refs->upper_index || !refs->upper_config)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	return 0;
}

/* A device that is no image: it is the only name. */
static int note_bow(struct ovbd_image_bow *ret, const char *config, const struct ovbd_config *c,
                    struct ovbd_error *err)
{
	if (ovbd_http_is_url(config))
		return ovbd_fail(err, -ENOTSUP,
		                 "%s: bow: the device is here; so must be the configuration that "
		                 "names it",
		                 config);
	ret->params = c->bow_params;
	ret->device = ovbd_refs_resolve(config, c->bow);
	return ret->device ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

int ovbd_image_bow_find(const char *name, struct ovbd_image_bow *ret, struct ovbd_error *err)
{
	static const struct ovbd_image_params p;
	OVBD_AUTO(ovbd_config_freep) struct ovbd_config *c = NULL;
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r = read_config(name, &p, &text, &len, err);

	*ret = (struct ovbd_image_bow){0};
	if (r > 0)
		r = ovbd_config_parse(text, len, name, &c, err);
	return r == 0 && c && c->bow[0] ? note_bow(ret, name, c, err) : r;
}

int ovbd_image_is_config(const char *name, bool *ret_upper, struct ovbd_error *err)
{
	static const struct ovbd_image_params p;
	OVBD_AUTO(ovbd_config_freep) struct ovbd_config *c = NULL;
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r = read_config(name, &p, &text, &len, err);

	if (r > 0)
		r = ovbd_config_parse(text, len, name, &c, err);
	if (r < 0)
		return r;
	*ret_upper = c && c->upper_data[0];
	return c != NULL;
}

int ovbd_image_upper_files(const char *config, char **ret_data, char **ret_index,
                           struct ovbd_error *err)
{
	static const struct ovbd_image_params p = {.format = OVBD_FORMAT_IMAGE};
	OVBD_AUTO(ovbd_config_freep) struct ovbd_config *c = NULL;
	OVBD_AUTO(ovbd_refs_free) struct ovbd_refs refs = {0};
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r = read_config(config, &p, &text, &len, err);

	if (r > 0)
		r = ovbd_config_parse(text, len, config, &c, err);
	if (r == 0)
		r = note_upper(&refs, config, c, err);
	if (r < 0)
		return r;
	*ret_data = OVBD_MOVE(refs.upper_data);
	*ret_index = OVBD_MOVE(refs.upper_index);
	return 0;
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
	if (r == 0)
		refs->ignored |= c->ignored;
	if (r == 0)
		r = note_prefetch(refs, name, c, err);
	if (r == 0)
		r = note_upper(refs, name, c, err);
	if (r == 0 && c->bow[0])
		r = note_bow(&refs->bow, name, c, err);
	if (r == 0 && c->deadline_s > 0 && (!refs->deadline_s || c->deadline_s < refs->deadline_s))
		refs->deadline_s = c->deadline_s;
	for (size_t i = 0; r == 0 && i < c->nlowers; i++)
		r = add_lower(refs, name, c, &c->lowers[i], err);
	return r;
}

/* The layers of an image in a registry. */
static int add_image(struct ovbd_refs *refs, const char *name, const struct ovbd_image_params *p,
                     struct ovbd_error *err)
{
	struct ovbd_registry_image image;
	int r;

	if (!p->registry)
		return ovbd_fail(err, -EINVAL, "%s: there is no registry here", name);
	r = ovbd_registry_find(p->registry, name, p->http, &image, err);
	if (r < 0)
		return r;
	refs->configured = true;
	for (size_t i = 0; r == 0 && i < image.nlayers; i++) {
		struct ovbd_registry_layer *l = &image.layers[i];

		r = add_ref(refs, OVBD_MOVE(l->url), l->size, err);
		if (r == 0)
			refs->refs[refs->n - 1].digest = OVBD_MOVE(l->digest);
	}
	ovbd_registry_image_free(&image);
	return r;
}

int ovbd_refs_expand(struct ovbd_refs *refs, const char *const *names, size_t n,
                     const struct ovbd_image_params *p, struct ovbd_error *err)
{
	int r = 0;

	refs->download = p->download;
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (refs->upper_data)
			return ovbd_fail(err, -EINVAL,
			                 "%s: has a writable layer, over which nothing can lie: "
			                 "name it last",
			                 names[i - 1]);
		if (ovbd_registry_is_name(names[i])) {
			r = add_image(refs, names[i], p, err);
			continue;
		}
		if (ovbd_http_is_url(names[i]))
			r = ovbd_registry_note(p->registry, names[i], err);
		if (r == 0)
			r = expand(refs, names[i], p, err);
	}
	if (r == 0 && refs->bow.device && n > 1)
		return ovbd_fail(err, -EINVAL,
		                 "%s: a device with backup on write is no layer of an image",
		                 refs->bow.device);
	for (size_t i = 0; r == 0 && i < refs->n; i++)
		r = ovbd_registry_note(p->registry, refs->refs[i].name, err);
	return r;
}

static void free_ref(struct ovbd_ref *ref)
{
	free(ref->name);
	free(ref->digest);
	free(ref->dir);
	free(ref->root);
	free(ref->tree);
	free(ref->sealing_index);
}

int ovbd_refs_cut(struct ovbd_refs *refs, size_t first, size_t last, struct ovbd_error *err)
{
	if (last == SIZE_MAX && refs->n > 0)
		last = refs->n - 1;
	if (first > last || last >= refs->n)
		return ovbd_fail(err, -EINVAL, "layers %zu to %zu of %zu: the lowest is number 0",
		                 first, last, refs->n);
	for (size_t i = 0; i < refs->n; i++)
		if (i < first || i > last)
			free_ref(&refs->refs[i]);
	refs->n = last - first + 1;
	memmove(refs->refs, refs->refs + first, refs->n * sizeof(refs->refs[0]));
	return 0;
}

void ovbd_refs_free(struct ovbd_refs *refs)
{
	for (size_t i = 0; i < refs->n; i++)
		free_ref(&refs->refs[i]);
	free(refs->refs);
	free(refs->trace);
	free(refs->record);
	free(refs->upper_data);
	free(refs->upper_index);
	free(refs->upper_config);
	ovbd_image_bow_release(&refs->bow);
}
