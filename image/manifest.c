// SPDX-License-Identifier: Apache-2.0
/*
 * A document that has both layers and manifests is refused: who reads it as the one would run
 * something else than who reads it as the other.
 */
#include "image/manifest.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/bytes.h"

#define ENTRIES_MAX 4096
#define NOTE        "containerd.io/snapshot/overlaybd/"

struct place {
	const char *name, *list;
	size_t i;
	struct ovbd_error *err;
};

static void release_jsonp(json_t **v)
{
	json_decref(*v);
}

static const char *text_at(const json_t *obj, const char *key)
{
	const char *v = json_string_value(json_object_get(obj, key));

	return v ? v : "";
}

static int wrong(const struct place *at, const char *what)
{
	return ovbd_fail(at->err, -EBADMSG, "%s: %s[%zu]: %s", at->name, at->list, at->i, what);
}

static void put(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text);
}

static bool ends_in(const char *s, const char *end)
{
	const size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/* Whether it is a layer of files as everybody has them, by its type alone. */
static bool is_tar(const char *type)
{
	return strncmp(type, "application/vnd.oci.image.layer.", 32) == 0 ||
	       strncmp(type, "application/vnd.docker.image.rootfs.", 36) == 0;
}

static enum ovbd_layer_kind kind_of(const json_t *layer, const char *type)
{
	const json_t *notes = json_object_get(layer, "annotations");
	const char *version = text_at(notes, NOTE "version");

	if (text_at(notes, NOTE "turbo-oci/target-digest")[0] ||
	    text_at(notes, NOTE "fastoci/target-digest")[0] || strstr(version, "turbo") ||
	    strstr(version, "fastoci"))
		return OVBD_LAYER_TURBO;
	if (strcmp(text_at(notes, NOTE "acceleration-layer"), "yes") == 0)
		return OVBD_LAYER_TRACE;
	if (text_at(notes, NOTE "blob-digest")[0])
		return OVBD_LAYER_BLOCKS;
	if (!is_tar(type) || ends_in(type, "encrypted"))
		return OVBD_LAYER_OTHER;
	/* ours are compressed in themselves */
	return ends_in(type, ".tar") ? OVBD_LAYER_BLOCKS : OVBD_LAYER_FILES;
}

static int parse_descriptor(const struct place *at, const json_t *obj, bool index,
                            struct ovbd_descriptor *ret)
{
	const json_t *size = json_object_get(obj, "size");
	const json_t *platform = json_object_get(obj, "platform");
	const char *digest = text_at(obj, "digest");

	if (!json_is_object(obj))
		return wrong(at, "must be an object");
	if (!ovbd_digest_is_valid(digest))
		return wrong(at, "has no digest: sha256: and 64 digits and letters a to f");
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return wrong(at, "has no size, or a wrong one");
	put(ret->digest, sizeof(ret->digest), digest);
	ret->size = (uint64_t)json_integer_value(size);
	put(ret->type, sizeof(ret->type), text_at(obj, "mediaType"));
	if (!index) {
		ret->kind = kind_of(obj, text_at(obj, "mediaType"));
		return 0;
	}
	put(ret->platform.os, sizeof(ret->platform.os), text_at(platform, "os"));
	put(ret->platform.arch, sizeof(ret->platform.arch), text_at(platform, "architecture"));
	put(ret->platform.variant, sizeof(ret->platform.variant), text_at(platform, "variant"));
	return 0;
}

int ovbd_manifest_parse(const char *text, size_t len, const char *name, struct ovbd_manifest *ret,
                        struct ovbd_error *err)
{
	OVBD_AUTO(release_jsonp) json_t *root = NULL;
	struct ovbd_manifest m = {0};
	struct place at = {.name = name, .err = err};
	const json_t *layers, *manifests, *list;
	json_error_t why;
	int r = 0;

	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return ovbd_fail(err, -EBADMSG, "%s: the manifest: line %d, column %d: %s", name,
		                 why.line, why.column, why.text);
	layers = json_object_get(root, "layers");
	manifests = json_object_get(root, "manifests");
	if (json_integer_value(json_object_get(root, "schemaVersion")) == 1)
		return ovbd_fail(err, -ENOTSUP,
		                 "%s: its manifest is of version 1, which is too old", name);
	if ((layers && manifests) || (!json_is_array(layers) && !json_is_array(manifests)))
		return ovbd_fail(
			err, -EBADMSG,
			"%s: its manifest has neither an array layers nor one of manifests, "
			"or it has both",
			name);
	m.index = manifests != NULL;
	list = m.index ? manifests : layers;
	at.list = m.index ? "manifests" : "layers";
	if (json_array_size(list) > ENTRIES_MAX)
		return ovbd_fail(err, -E2BIG, "%s: has %zu %s; at most %d are taken", name,
		                 json_array_size(list), at.list, ENTRIES_MAX);
	m.all = ovbd_array_alloc(json_array_size(list) + 1, sizeof(m.all[0]));
	if (!m.all)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (; r == 0 && at.i < json_array_size(list); at.i++, m.n++)
		r = parse_descriptor(&at, json_array_get(list, at.i), m.index, &m.all[at.i]);
	if (r < 0)
		ovbd_manifest_free(&m);
	else
		*ret = m;
	return r;
}

void ovbd_manifest_free(struct ovbd_manifest *m)
{
	free(m->all);
	*m = (struct ovbd_manifest){0};
}

/* 0: it is for another; otherwise the better the higher. */
static unsigned fits(const struct ovbd_platform *have, const struct ovbd_platform *want)
{
	const bool v8 = strcmp(want->arch, "arm64") == 0;

	if (strcmp(have->os, want->os) != 0 || strcmp(have->arch, want->arch) != 0)
		return 0;
	if (strcmp(have->variant, want->variant) == 0)
		return 3;
	/* all of them are v8 */
	if (v8 && (have->variant[0] == '\0' || strcmp(have->variant, "v8") == 0) &&
	    (want->variant[0] == '\0' || strcmp(want->variant, "v8") == 0))
		return 2;
	return want->variant[0] == '\0';
}

static void list_platforms(const struct ovbd_manifest *m, char *to, size_t size)
{
	size_t n = 0;

	to[0] = '\0';
	for (size_t i = 0; i < m->n && n < size; i++) {
		const struct ovbd_platform *p = &m->all[i].platform;

		if (p->os[0] && strcmp(p->os, "unknown") != 0)
			n += (size_t)snprintf(to + n, size - n, "%s%s/%s%s%s", n ? ", " : "", p->os,
			                      p->arch, p->variant[0] ? "/" : "", p->variant);
	}
}

int ovbd_manifest_choose(const struct ovbd_manifest *m, const struct ovbd_platform *p,
                         const char *name, const struct ovbd_descriptor **ret,
                         struct ovbd_error *err)
{
	const struct ovbd_descriptor *best = NULL;
	unsigned best_fit = 0;
	char there[200];

	for (size_t i = 0; i < m->n; i++) {
		const unsigned fit = fits(&m->all[i].platform, p);

		if (fit > best_fit) {
			best_fit = fit;
			best = &m->all[i];
		}
	}
	if (best) {
		*ret = best;
		return 0;
	}
	list_platforms(m, there, sizeof(there));
	return ovbd_fail(err, -ENOENT, "%s: has no image for %s/%s%s%s: there are %s (--platform)",
	                 name, p->os, p->arch, p->variant[0] ? "/" : "", p->variant,
	                 there[0] ? there : "none");
}
