// SPDX-License-Identifier: Apache-2.0
/*
 * The transports, and what is the same for all of them: that what comes from a source is what its
 * digest says, and that what goes to a target has one.
 */
#include "oci/place.h"

#include <errno.h>
#include <stdio.h>

#define CHUNK (1u << 20)

static const struct oci_transport *const transports[] = {
	&oci_transport_layout,         &oci_transport_registry, &oci_transport_archive,
	&oci_transport_docker_archive, &oci_transport_dir,
};

static const struct oci_transport *transport_of(const char *name)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
		if (strncmp(name, transports[i]->prefix, strlen(transports[i]->prefix)) == 0)
			return transports[i];
	return NULL;
}

bool ovbd_oci_is_image(const char *text)
{
	return transport_of(text) != NULL;
}

bool oci_is_remote(const char *name)
{
	const struct oci_transport *t = transport_of(name);

	return t && t->remote;
}

bool oci_can_refer(const char *name)
{
	const struct oci_transport *t = transport_of(name);

	return t && t->refers;
}

static int no_transport(const char *name, struct ovbd_error *err)
{
	return ovbd_fail(err, -EINVAL, "%s: is no name of an image", name);
}

/* ---- reading ---- */

int oci_source_open(const char *name, const struct oci_how *how, struct oci_source **ret,
                    struct ovbd_error *err)
{
	const struct oci_transport *t = transport_of(name);
	struct oci_source *s = NULL;
	int r = t ? t->open_source(name, how, &s, err) : no_transport(name, err);

	if (r < 0)
		return r;
	s->text = strdup(name);
	if (!s->text) {
		oci_source_close(s);
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	*ret = s;
	return 0;
}

void oci_source_close(struct oci_source *take_s)
{
	if (!take_s)
		return;
	free(take_s->text);
	take_s->ops->close(take_s);
}

int oci_source_find(struct oci_source *s, struct oci_ref *ret, json_t **ret_entry,
                    struct ovbd_error *err)
{
	return s->ops->find(s, ret, ret_entry, err);
}

/* The same of a source and a target. */
static int parse(char *text, size_t len, const struct oci_ref *ref, json_t **ret,
                 struct ovbd_error *err)
{
	AUTO_FREE char *mine = text;

	return oci_document_parse(mine, len, ref, ret, err);
}

int oci_source_document(struct oci_source *s, const struct oci_ref *ref, json_t **ret,
                        struct ovbd_error *err)
{
	char *text;
	size_t len;
	const int r = s->ops->document(s, ref, &text, &len, err);

	return r < 0 ? r : parse(text, len, ref, ret, err);
}

int oci_source_stream(struct oci_source *s, const struct oci_ref *ref, struct oci_stream *ret,
                      struct ovbd_error *err)
{
	struct oci_reader *in;
	const int r = s->ops->open(s, ref, &in, err);

	return r < 0 ? r : oci_stream_start(in, ref, ret, err);
}

/* ---- writing ---- */

int oci_target_open(const char *name, const struct oci_how *how, struct oci_target **ret,
                    struct ovbd_error *err)
{
	const struct oci_transport *tr = transport_of(name);
	struct oci_target *t = NULL;
	int r;

	if (!tr)
		return no_transport(name, err);
	if (!tr->open_target)
		return ovbd_fail(err, -EINVAL, "%s: %s can only be read", name, tr->prefix);
	r = tr->open_target(name, how, &t, err);
	if (r == 0 && t) {
		t->text = strdup(name);
		if (!t->text) {
			oci_target_close(t);
			return ovbd_fail(err, -ENOMEM, "out of memory");
		}
	}
	if (r == 0)
		*ret = t;
	return r;
}

void oci_target_close(struct oci_target *take_t)
{
	if (!take_t)
		return;
	free(take_t->text);
	take_t->ops->close(take_t);
}

int oci_target_images(struct oci_target *t, oci_found_fn found, void *arg, struct ovbd_error *err)
{
	return t->ops->images ? t->ops->images(t, found, arg, err) : 0;
}

int oci_target_document(struct oci_target *t, const struct oci_ref *ref, json_t **ret,
                        struct ovbd_error *err)
{
	char *text;
	size_t len;
	const int r = t->ops->document(t, ref, &text, &len, err);

	return r < 0 ? r : parse(text, len, ref, ret, err);
}

int oci_target_verify(struct oci_target *t, const struct oci_ref *ref, ovbd_progress_fn progress,
                      void *arg, struct ovbd_error *err)
{
	return t->ops->verify ? t->ops->verify(t, ref, progress, arg, err) : 0;
}

int oci_target_put(struct oci_target *t, enum oci_put kind, const json_t *v, struct oci_ref *ret,
                   struct ovbd_error *err)
{
	AUTO_FREE char *text = NULL;
	int r = oci_json_text(v, &text, err);

	if (r < 0)
		return r;
	ret->size = strlen(text);
	r = oci_digest_of(text, ret->size, ret->digest, err);
	return r < 0 ? r : t->ops->put(t, kind, text, ret, err);
}

static int copy_bytes(struct oci_target *t, struct oci_stream *in, ovbd_progress_fn progress,
                      void *arg, struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(CHUNK);
	AUTO_SINK *out = NULL;
	ssize_t n = 1;
	int r = buf ? t->ops->create(t, &out, err) : ovbd_fail(err, -ENOMEM, "out of memory");

	while (r == 0 && n > 0) {
		n = oci_stream_read(in, buf, CHUNK, err);
		r = n < 0 ? (int)n : ovbd_sink_append(out, buf, (size_t)n, err);
		if (r == 0 && progress && progress(arg, in->done, in->ref->size) != 0)
			return ovbd_fail(err, -ECANCELED, "interrupted");
	}
	if (r == 0)
		r = oci_stream_verify(in, NULL, NULL, err);
	return r < 0 ? r : ovbd_sink_finish(out, err);
}

int oci_target_copy(struct oci_target *t, struct oci_source *src, const struct oci_ref *ref,
                    ovbd_progress_fn progress, void *arg, struct ovbd_error *err)
{
	OVBD_AUTO(oci_stream_close) struct oci_stream in = {0};
	int r = t->ops->has(t, ref, err);

	if (r == 0 && t->ops->take)
		r = t->ops->take(t, src, ref, err);
	if (r != 0)
		return r < 0 ? r : 0;
	if (strncmp(ref->digest, "sha256:", 7) != 0)
		return ovbd_fail(err, -ENOTSUP, "%s: only what is named by sha256 can be copied",
		                 ref->digest);
	r = oci_source_stream(src, ref, &in, err);
	return r < 0 ? r : copy_bytes(t, &in, progress, arg, err);
}

char *oci_place_of_dir(const char *prefix, const char *dir)
{
	AUTO_FREE char *path = realpath(dir, NULL);
	char *place = NULL;

	return path && asprintf(&place, "%s%s", prefix, path) >= 0 ? place : NULL;
}

/* The file of a blob at a place that is a directory: *ret, to be freed; NULL if it is none. */
static int file_at(const char *place, const struct oci_ref *ref, char **ret, struct ovbd_error *err)
{
	static const struct {
		const char *prefix, *blobs;
	} kinds[] = {{"oci:/", "blobs/sha256/"}, {"dir:/", ""}};

	*ret = NULL;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strncmp(place, kinds[i].prefix, strlen(kinds[i].prefix)) != 0)
			continue;
		if (asprintf(ret, "%s/%s%s", strchr(place, ':') + 1, kinds[i].blobs,
		             strchr(ref->digest, ':') + 1) < 0) {
			*ret = NULL;
			return ovbd_fail(err, -ENOMEM, "out of memory");
		}
	}
	return 0;
}

int oci_target_borrow(struct oci_target *t, const char *place, const struct oci_ref *ref,
                      ovbd_progress_fn progress, void *arg, struct ovbd_error *err)
{
	OVBD_AUTO(oci_stream_close) struct oci_stream in = {0};
	AUTO_FREE char *path = NULL;
	struct oci_reader *reader = NULL;
	int r = file_at(place, ref, &path, err);

	if (r < 0)
		return r;
	if (!path)
		return t->ops->borrow ? t->ops->borrow(t, place, ref, err) : 0;
	r = oci_reader_open_file(path, ref, &reader, err);
	if (r == -ENOENT || r == -ENOTDIR || r == -EACCES)
		return 0;
	if (r == 0)
		r = oci_stream_start(reader, ref, &in, err);
	if (r == 0)
		r = oci_target_begin(t, err);
	if (r == 0)
		r = copy_bytes(t, &in, progress, arg, err);
	return r < 0 ? r : 1;
}

int oci_target_copy_document(struct oci_target *t, struct oci_source *src, enum oci_put kind,
                             const struct oci_ref *ref, struct ovbd_error *err)
{
	AUTO_FREE char *text = NULL;
	AUTO_JSON *v = NULL;
	size_t len = 0;
	int r = src->ops->document(src, ref, &text, &len, err);

	if (r == 0)
		r = oci_document_parse(text, len, ref, &v, err);
	return r < 0 ? r : t->ops->put(t, kind, text, ref, err);
}

int oci_target_begin(struct oci_target *t, struct ovbd_error *err)
{
	return t->ops->begin ? t->ops->begin(t, err) : 0;
}

int oci_target_settle(struct oci_target *t, struct ovbd_error *err)
{
	return t->ops->settle ? t->ops->settle(t, err) : 0;
}
