// SPDX-License-Identifier: Apache-2.0
/*
 * docker-archive:FILE[:NAME[:TAG]|:@INDEX]: what `docker save` writes: a tar with manifest.json, an
 * array of images, each with the names of its config and layers in the tar.
 *
 * There are no manifests of our kind in it: one is made, as skopeo makes it. A layer is named by
 * its diff_id, if it is stored as it is; a compressed one by the digest that it has.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "image/manifest.h"
#include "lsmt/lsmt.h"
#include "oci/archive.h"
#include "oci/place.h"

#define PREFIX       "docker-archive:"
#define TYPE         "application/vnd.docker."
#define TYPE_IMAGE   TYPE "distribution.manifest.v2+json"
#define TYPE_CONFIG  TYPE "container.image.v1+json"
#define TYPE_LAYER   TYPE "image.rootfs.diff.tar"
#define CHUNK        (1u << 20)
#define NAMES_SHOWN  200u
#define IMAGE_IS_ONE SIZE_MAX /* no index was given */

struct stored_layer {
	struct oci_ref ref;
	uint64_t off;
};

struct docker_source {
	struct oci_source source;
	struct oci_archive *a;
	char *file, *name; /* name: of the image, or NULL */
	size_t number;     /* of the image, or IMAGE_IS_ONE */
	char *config;      /* its text */
	size_t config_size;
	char *manifest; /* that we have made */
	struct oci_ref config_ref, manifest_ref;
	struct stored_layer *layers;
	size_t nlayers;
	const atomic_bool *stop; /* or NULL */
};

static struct docker_source *source_of(struct oci_source *s)
{
	return OVBD_CONTAINER_OF(s, struct docker_source, source);
}

/* ---- names ---- */

/* As docker has it: of library/ on docker.io, and latest, if nothing else is said. */
static void normalise(const char *text, char *ret, size_t size)
{
	static const char *const prefixes[] = {"index.docker.io/", "docker.io/", "library/"};
	const char *slash;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0)
			text += strlen(prefixes[i]);
	slash = strrchr(text, '/');
	snprintf(ret, size, "%s%s", text, strchr(slash ? slash : text, ':') ? "" : ":latest");
}

static bool is_called(const json_t *image, const char *name)
{
	const json_t *tags = json_object_get(image, "RepoTags");
	char want[512], has[512];
	bool called = false;

	normalise(name, want, sizeof(want));
	for (size_t i = 0; i < json_array_size(tags); i++) {
		const char *tag = json_string_value(json_array_get(tags, i));

		normalise(tag ? tag : "", has, sizeof(has));
		called |= tag && strcmp(has, want) == 0;
	}
	return called;
}

static void list_names(const json_t *images, char *ret, size_t size)
{
	size_t at = 0;

	snprintf(ret, size, "none with a name");
	for (size_t i = 0; i < json_array_size(images); i++) {
		const json_t *tags = json_object_get(json_array_get(images, i), "RepoTags");

		for (size_t k = 0; k < json_array_size(tags) && at < size; k++) {
			const char *tag = json_string_value(json_array_get(tags, k));

			if (tag)
				at += (size_t)snprintf(ret + at, size - at, "%s%s", at ? ", " : "",
				                       tag);
		}
	}
}

static int parse_name(const char *text, struct docker_source *s, struct ovbd_error *err)
{
	const char *rest = text + strlen(PREFIX), *colon = strchr(rest, ':');
	char *end;

	s->number = IMAGE_IS_ONE;
	s->file = strndup(rest, colon ? (size_t)(colon - rest) : strlen(rest));
	if (!s->file)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (s->file[0] == '\0')
		return ovbd_fail(err, -EINVAL,
		                 "%s: is no name of an image: " PREFIX "FILE[:NAME[:TAG]]", text);
	if (!colon)
		return 0;
	if (colon[1] == '\0')
		return ovbd_fail(err, -EINVAL, "%s: the image's name is empty", text);
	if (colon[1] == '@') {
		s->number = strtoul(colon + 2, &end, 10);
		if (colon[2] < '0' || colon[2] > '9' || *end != '\0' ||
		    s->number >= OCI_ENTRIES_MAX)
			return ovbd_fail(err, -EINVAL, "%s: %s is no number of an image", text,
			                 colon + 1);
		return 0;
	}
	s->name = strdup(colon + 1);
	return s->name ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

static int choose(const struct docker_source *s, const json_t *images, const json_t **ret,
                  struct ovbd_error *err)
{
	char names[NAMES_SHOWN];
	size_t n = 0;

	list_names(images, names, sizeof(names));
	for (size_t i = 0; i < json_array_size(images); i++) {
		const json_t *image = json_array_get(images, i);

		if (s->number != IMAGE_IS_ONE ? s->number != i
		                              : s->name && !is_called(image, s->name))
			continue;
		*ret = image;
		n++;
	}
	if (n == 0)
		return ovbd_fail(err, -ENOENT, "%s: there is no such image; there are: %s",
		                 s->source.text, names);
	if (n > 1)
		return ovbd_fail(
			err, -EINVAL,
			"%s: there are %zu images: one must be named, by :NAME or :@INDEX; "
			"there are: %s",
			s->source.text, n, names);
	return 0;
}

/* ---- what is in it ---- */

static int read_manifest(const struct docker_source *s, json_t **ret, struct ovbd_error *err)
{
	AUTO_FREE char *text = NULL;
	AUTO_JSON *v = NULL;
	struct ovbd_error why;
	json_error_t wrong;
	size_t len;
	int r = oci_archive_read(s->a, "manifest.json", OCI_DOCUMENT_MAX, &text, &len, &why);

	if (r == -ENOENT)
		return ovbd_fail(
			err, r, "%s: has no image as docker saves them: manifest.json is not in it",
			s->file);
	if (r < 0)
		return ovbd_fail(err, r, "%s", why.msg);
	v = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &wrong);
	if (!v)
		return ovbd_fail(err, -EBADMSG,
		                 "%s: manifest.json: is no JSON: line %d, column %d: %s", s->file,
		                 wrong.line, wrong.column, wrong.text);
	if (!json_is_array(v))
		return ovbd_fail(err, -EBADMSG, "%s: manifest.json: is no array of images",
		                 s->file);
	if (json_array_size(v) > OCI_ENTRIES_MAX)
		return ovbd_fail(err, -E2BIG, "%s: manifest.json: %zu images; at most %u are taken",
		                 s->file, json_array_size(v), OCI_ENTRIES_MAX);
	*ret = OVBD_MOVE(v);
	return 0;
}

static int hash(const struct docker_source *s, struct stored_layer *l, struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(CHUNK);
	AUTO_MD *md = NULL;
	struct oci_reader *in = NULL;
	ssize_t n = 1;
	int r = oci_archive_reader(s->a, l->off, l->ref.size, &in, err);

	if (r == 0)
		r = buf ? oci_md_open("sha256:", &md, err)
		        : ovbd_fail(err, -ENOMEM, "out of memory");
	while (r == 0 && n > 0) {
		n = in->ops->read(in, buf, CHUNK, err);
		r = n < 0 ? (int)n : oci_md_update(md, buf, (size_t)n, err);
		if (s->stop && atomic_load(s->stop))
			r = ovbd_fail(err, -ECANCELED, "interrupted");
	}
	if (in)
		in->ops->close(in);
	if (r == 0)
		oci_md_text(md, l->ref.digest);
	return r;
}

/* Whether the first bytes are of a compressed stream. */
static int is_packed(const struct docker_source *s, const struct stored_layer *l,
                     struct ovbd_error *err)
{
	struct oci_reader *in = NULL;
	uint8_t begin[4] = {0};
	ssize_t n;
	int r = oci_archive_reader(s->a, l->off, l->ref.size, &in, err);

	if (r < 0)
		return r;
	n = in->ops->read(in, begin, sizeof(begin), err);
	in->ops->close(in);
	if (n < 0)
		return (int)n;
	return (begin[0] == 0x1f && begin[1] == 0x8b) || memcmp(begin, "\x28\xb5\x2f\xfd", 4) == 0;
}

static int take_layer(struct docker_source *s, size_t i, const char *name, const char *diff_id,
                      struct ovbd_error *err)
{
	struct stored_layer *l = &s->layers[i];
	struct ovbd_fs_member f;
	int r;

	if (!name)
		return ovbd_fail(err, -EBADMSG, "%s: manifest.json: layer %zu has no name", s->file,
		                 i + 1);
	if (!diff_id || !ovbd_digest_is_valid(diff_id) || strlen(diff_id) >= sizeof(l->ref.digest))
		return ovbd_fail(err, -EBADMSG, "%s: the config's diff_ids[%zu] is no digest",
		                 s->file, i);
	r = oci_archive_find(s->a, name, &f, err);
	if (r < 0)
		return r;
	l->off = f.off;
	l->ref.size = f.size;
	snprintf(l->ref.type, sizeof(l->ref.type), TYPE_LAYER);
	r = is_packed(s, l, err);
	if (r == 0)
		snprintf(l->ref.digest, sizeof(l->ref.digest), "%s", diff_id);
	return r == 1 ? hash(s, l, err) : r;
}

static int take_layers(struct docker_source *s, const json_t *names, const json_t *ids,
                       struct ovbd_error *err)
{
	int r = 0;

	if (!json_is_array(names))
		return ovbd_fail(err, -EBADMSG, "%s: manifest.json: an image has no array Layers",
		                 s->file);
	s->nlayers = json_array_size(names);
	if (s->nlayers > OVBD_LAYERS_MAX)
		return ovbd_fail(err, -E2BIG,
		                 "%s: the image has %zu layers; a stack has at most %u", s->file,
		                 s->nlayers, OVBD_LAYERS_MAX);
	if (json_array_size(ids) != s->nlayers)
		return ovbd_fail(err, -EBADMSG,
		                 "%s: the config has %zu diff_ids, manifest.json %zu layers",
		                 s->file, json_array_size(ids), s->nlayers);
	s->layers = calloc(s->nlayers + 1, sizeof(s->layers[0]));
	if (!s->layers)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < s->nlayers; i++)
		r = take_layer(s, i, json_string_value(json_array_get(names, i)),
		               json_string_value(json_array_get(ids, i)), err);
	return r;
}

static int take_config(struct docker_source *s, const json_t *image, json_t **ret,
                       struct ovbd_error *err)
{
	const char *name = oci_text(image, "Config");
	int r;

	if (!name[0])
		return ovbd_fail(err, -EBADMSG, "%s: manifest.json: an image has no Config",
		                 s->file);
	r = oci_archive_read(s->a, name, OCI_DOCUMENT_MAX, &s->config, &s->config_size, err);
	if (r == 0)
		r = oci_json_parse(s->config, s->config_size, name, ret, err);
	if (r == 0)
		r = oci_digest_of(s->config, s->config_size, s->config_ref.digest, err);
	s->config_ref.size = s->config_size;
	snprintf(s->config_ref.type, sizeof(s->config_ref.type), TYPE_CONFIG);
	return r;
}

static int make_manifest(struct docker_source *s, struct ovbd_error *err)
{
	AUTO_JSON *v = json_pack("{s:i, s:s, s:{}, s:[]}", "schemaVersion", 2, "mediaType",
	                         TYPE_IMAGE, "config", "layers");
	int r = v ? oci_ref_set(json_object_get(v, "config"), &s->config_ref, err)
	          : ovbd_fail(err, -ENOMEM, "out of memory");

	for (size_t i = 0; r == 0 && i < s->nlayers; i++) {
		json_t *layer = json_object();

		r = layer ? oci_ref_set(layer, &s->layers[i].ref, err) : -ENOMEM;
		if (json_array_append_new(json_object_get(v, "layers"), layer) < 0)
			r = ovbd_fail(err, -ENOMEM, "out of memory");
	}
	if (r == 0)
		r = oci_json_text(v, &s->manifest, err);
	if (r < 0)
		return r;
	s->manifest_ref.size = strlen(s->manifest);
	snprintf(s->manifest_ref.type, sizeof(s->manifest_ref.type), TYPE_IMAGE);
	return oci_digest_of(s->manifest, s->manifest_ref.size, s->manifest_ref.digest, err);
}

/* ---- a source ---- */

static int source_find(struct oci_source *src, struct oci_ref *ret, json_t **ret_entry,
                       struct ovbd_error *err)
{
	struct docker_source *s = source_of(src);
	AUTO_JSON *images = NULL, *config = NULL, *entry = json_object();
	const json_t *image = NULL;
	int r = entry ? read_manifest(s, &images, err) : ovbd_fail(err, -ENOMEM, "out of memory");

	if (r == 0)
		r = choose(s, images, &image, err);
	if (r == 0)
		r = take_config(s, image, &config, err);
	if (r == 0)
		r = take_layers(s, json_object_get(image, "Layers"),
		                json_object_get(json_object_get(config, "rootfs"), "diff_ids"),
		                err);
	if (r == 0)
		r = make_manifest(s, err);
	if (r < 0)
		return r;
	*ret = s->manifest_ref;
	*ret_entry = OVBD_MOVE(entry);
	return 0;
}

static int source_document(struct oci_source *src, const struct oci_ref *ref, char **ret,
                           size_t *ret_len, struct ovbd_error *err)
{
	const struct docker_source *s = source_of(src);
	const bool manifest = strcmp(ref->digest, s->manifest_ref.digest) == 0;

	if (!manifest && strcmp(ref->digest, s->config_ref.digest) != 0)
		return ovbd_fail(err, -ENOENT, "%s: %s is not in it", s->file, ref->digest);
	*ret_len = manifest ? (size_t)s->manifest_ref.size : s->config_size;
	*ret = malloc(*ret_len + 1);
	if (!*ret)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	memcpy(*ret, manifest ? s->manifest : s->config, *ret_len + 1);
	return 0;
}

static int source_open(struct oci_source *src, const struct oci_ref *ref, struct oci_reader **ret,
                       struct ovbd_error *err)
{
	const struct docker_source *s = source_of(src);

	for (size_t i = 0; i < s->nlayers; i++)
		if (strcmp(s->layers[i].ref.digest, ref->digest) == 0)
			return oci_archive_reader(s->a, s->layers[i].off, s->layers[i].ref.size,
			                          ret, err);
	return ovbd_fail(err, -ENOENT, "%s: %s is not in it", s->file, ref->digest);
}

static void source_close(struct oci_source *take_s)
{
	struct docker_source *s = source_of(take_s);

	oci_archive_close(s->a);
	free(s->file);
	free(s->name);
	free(s->config);
	free(s->manifest);
	free(s->layers);
	free(s);
}

static const struct oci_source_ops source_ops = {
	.find = source_find,
	.document = source_document,
	.open = source_open,
	.close = source_close,
};

static int open_source(const char *name, const struct oci_how *how, struct oci_source **ret,
                       struct ovbd_error *err)
{
	struct docker_source *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->source.ops = &source_ops;
	s->stop = how->access.stop;
	r = parse_name(name, s, err);
	if (r == 0)
		r = oci_archive_open(s->file, &s->a, err);
	if (r < 0)
		source_close(&s->source);
	else
		*ret = &s->source;
	return r;
}

static int open_target(const char *name, const struct oci_how *how, struct oci_target **ret,
                       struct ovbd_error *err)
{
	(void)how;
	(void)ret;
	return ovbd_fail(err, -ENOTSUP,
	                 "%s: docker's archives have no annotations, by which layers of blocks are "
	                 "known: write an oci-archive:",
	                 name);
}

const struct oci_transport oci_transport_docker_archive = {PREFIX, open_source, open_target};
