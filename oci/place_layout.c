// SPDX-License-Identifier: Apache-2.0
/* oci:DIR[:TAG|@DIGEST]: blobs are files, which appear whole; index.json has the names. */
#include <errno.h>

#include "oci/place.h"

#define PLATFORM "platform"

static void close_name(struct ovbd_oci_name *n)
{
	ovbd_oci_name_free(n);
}

/* ---- a source ---- */

struct layout_source {
	struct oci_source source;
	struct ovbd_oci_name name;
	struct oci_layout *l;
};

static struct layout_source *source_of(struct oci_source *s)
{
	return OVBD_CONTAINER_OF(s, struct layout_source, source);
}

static int source_find(struct oci_source *s, struct oci_ref *ret, json_t **ret_entry,
                       struct ovbd_error *err)
{
	const struct layout_source *ls = source_of(s);

	return oci_index_find(ls->l, &ls->name, ret, ret_entry, err);
}

static int source_document(struct oci_source *s, const struct oci_ref *ref, char **ret,
                           size_t *ret_len, struct ovbd_error *err)
{
	return oci_document_load(source_of(s)->l, ref, ret, ret_len, err);
}

static int source_open(struct oci_source *s, const struct oci_ref *ref, struct oci_reader **ret,
                       struct ovbd_error *err)
{
	return oci_reader_open(source_of(s)->l, ref, ret, err);
}

static void source_close(struct oci_source *take_s)
{
	struct layout_source *ls = source_of(take_s);

	oci_layout_close(ls->l);
	ovbd_oci_name_free(&ls->name);
	free(ls);
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
	OVBD_AUTO(close_name) struct ovbd_oci_name n = {0};
	OVBD_AUTO(oci_layout_closep) struct oci_layout *l = NULL;
	struct layout_source *ls;
	int r = ovbd_oci_name_parse(name, &n, err);

	(void)how;
	if (r == 0)
		r = oci_layout_open(n.dir, &l, err);
	if (r < 0)
		return r;
	ls = malloc(sizeof(*ls));
	if (!ls)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*ls = (struct layout_source){{&source_ops, NULL}, n, OVBD_MOVE(l)};
	n = (struct ovbd_oci_name){0};
	*ret = &ls->source;
	return 0;
}

/* ---- a target ---- */

struct layout_target {
	struct oci_target target;
	struct ovbd_oci_name name;
	struct oci_layout *l;
	char *place;
};

static struct layout_target *target_of(struct oci_target *t)
{
	return OVBD_CONTAINER_OF(t, struct layout_target, target);
}

static int target_images(struct oci_target *t, oci_found_fn found, void *arg,
                         struct ovbd_error *err)
{
	AUTO_JSON *index = NULL;
	const json_t *list;
	int r = 0;

	if (oci_index_read(target_of(t)->l, &index, NULL) < 0)
		return 0;
	list = json_object_get(index, "manifests");
	for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
		struct oci_ref ref;

		if (oci_ref_parse(json_array_get(list, i), "", &ref, NULL) == 0)
			r = found(arg, &ref, err);
	}
	return r;
}

/* What is damaged there names nothing. Of images without a tag one is as good as the other. */
static int target_current(struct oci_target *t, struct oci_ref *ret, struct ovbd_error *err)
{
	const struct layout_target *lt = target_of(t);
	AUTO_JSON *entry = NULL;

	(void)err;
	return oci_index_find(lt->l, &lt->name, ret, &entry, NULL) == 0;
}

static int target_document(struct oci_target *t, const struct oci_ref *ref, char **ret,
                           size_t *ret_len, struct ovbd_error *err)
{
	return oci_document_load(target_of(t)->l, ref, ret, ret_len, err);
}

static int target_has(struct oci_target *t, const struct oci_ref *ref, struct ovbd_error *err)
{
	(void)err;
	return oci_blob_is_there(target_of(t)->l, ref);
}

static int target_verify(struct oci_target *t, const struct oci_ref *ref, ovbd_progress_fn progress,
                         void *arg, struct ovbd_error *err)
{
	return oci_blob_verify(target_of(t)->l, ref, progress, arg, err);
}

static const char *target_place(struct oci_target *t)
{
	return target_of(t)->place;
}

static int target_create(struct oci_target *t, struct ovbd_sink **ret, struct ovbd_error *err)
{
	return oci_blob_create(target_of(t)->l, ret, err);
}

static int target_put(struct oci_target *t, enum oci_put kind, const char *text,
                      const struct oci_ref *ref, struct ovbd_error *err)
{
	struct oci_ref same;

	(void)kind;
	if (strncmp(ref->digest, "sha256:", 7) != 0)
		return ovbd_fail(err, -ENOTSUP, "%s: only what is named by sha256 can be copied",
		                 ref->digest);
	return oci_blob_put(target_of(t)->l, text, ref->size, &same, err);
}

static int target_refer(struct oci_target *t, const struct oci_ref *subject, json_t *entry,
                        struct ovbd_error *err)
{
	return oci_layout_refer(target_of(t)->l, subject, entry, err);
}

static int target_stack(struct oci_target *t, const struct oci_ref *layers, size_t n,
                        struct ovbd_image **ret, struct ovbd_error *err)
{
	AUTO_FREE char **paths = calloc(n + 1, sizeof(paths[0]));
	int r = paths ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");

	for (size_t i = 0; r == 0 && i < n; i++)
		r = oci_blob_path(target_of(t)->l, layers[i].digest, &paths[i], err);
	if (r == 0)
		r = ovbd_image_open((const char *const *)paths, n, NULL, ret, err);
	for (size_t i = 0; paths && i < n; i++)
		free(paths[i]);
	return r;
}

static int target_name(struct oci_target *t, const struct oci_ref *ref, json_t *platform,
                       struct ovbd_error *err)
{
	const struct layout_target *lt = target_of(t);
	AUTO_JSON *entry = json_object();
	int r = entry ? oci_ref_set(entry, ref, err) : ovbd_fail(err, -ENOMEM, "out of memory");

	if (r == 0 && platform)
		r = oci_set(entry, PLATFORM, json_incref(platform), err);
	return r < 0 ? r : oci_index_put(lt->l, entry, lt->name.tag, err);
}

static void target_close(struct oci_target *take_t)
{
	struct layout_target *lt = target_of(take_t);

	oci_layout_close(lt->l);
	ovbd_oci_name_free(&lt->name);
	free(lt->place);
	free(lt);
}

static const struct oci_target_ops target_ops = {
	.images = target_images,
	.current = target_current,
	.document = target_document,
	.has = target_has,
	.verify = target_verify,
	.place = target_place,
	.create = target_create,
	.made = oci_blob_ref,
	.put = target_put,
	.refer = target_refer,
	.stack = target_stack,
	.name = target_name,
	.close = target_close,
};

static int open_target(const char *name, const struct oci_how *how, struct oci_target **ret,
                       struct ovbd_error *err)
{
	OVBD_AUTO(close_name) struct ovbd_oci_name n = {0};
	OVBD_AUTO(oci_layout_closep) struct oci_layout *l = NULL;
	struct layout_target *lt;
	int r = ovbd_oci_name_parse(name, &n, err);

	if (r == 0 && n.digest)
		r = ovbd_fail(err, -EINVAL, "%s: the target has the digest that comes out", name);
	if (r < 0)
		return r;
	r = how->dry_run ? oci_layout_open(n.dir, &l, err) : oci_layout_create(n.dir, &l, err);
	if (how->dry_run && r == -ENOENT) {
		*ret = NULL;
		return 0;
	}
	if (r < 0)
		return r;
	lt = malloc(sizeof(*lt));
	if (!lt)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*lt = (struct layout_target){{.ops = &target_ops}, n, OVBD_MOVE(l), NULL};
	n = (struct ovbd_oci_name){0};
	lt->place = oci_place_of_dir("oci:", lt->l->dir);
	*ret = &lt->target;
	return 0;
}

const struct oci_transport oci_transport_layout = {
	.prefix = "oci:",
	.open_source = open_source,
	.open_target = open_target,
	.refers = true,
};
