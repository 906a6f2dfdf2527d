// SPDX-License-Identifier: Apache-2.0
/*
 * oci-archive:FILE[:TAG|@DIGEST]: a layout in a tar. As a source it is read in place; as a target
 * it is a new one, of one image, in the place of what the file was.
 */
#include <errno.h>
#include <stdio.h>

#include "oci/archive.h"
#include "oci/place.h"

#define PREFIX   "oci-archive:"
#define PLATFORM "platform"

static int blob_name(const char *digest, char **ret, struct ovbd_error *err)
{
	const char *colon = strchr(digest, ':');

	if (asprintf(ret, "blobs/%.*s/%s", (int)(colon - digest), digest, colon + 1) >= 0)
		return 0;
	*ret = NULL;
	return ovbd_fail(err, -ENOMEM, "out of memory");
}

/* ---- a source ---- */

struct archive_source {
	struct oci_source source;
	struct ovbd_oci_name name;
	struct oci_archive *a;
};

static struct archive_source *source_of(struct oci_source *s)
{
	return OVBD_CONTAINER_OF(s, struct archive_source, source);
}

static int source_find(struct oci_source *s, struct oci_ref *ret, json_t **ret_entry,
                       struct ovbd_error *err)
{
	const struct archive_source *as = source_of(s);
	AUTO_FREE char *text = NULL;
	AUTO_JSON *index = NULL;
	json_t *list;
	size_t len;
	int r = oci_archive_read(as->a, "index.json", OCI_DOCUMENT_MAX, &text, &len, err);

	if (r == 0)
		r = oci_json_parse(text, len, "index.json", &index, err);
	if (r == 0)
		r = oci_document_array(index, "manifests", "index.json", &list, err);
	return r < 0 ? r : oci_index_choose(index, &as->name, ret, ret_entry, err);
}

static int source_document(struct oci_source *s, const struct oci_ref *ref, char **ret,
                           size_t *ret_len, struct ovbd_error *err)
{
	AUTO_FREE char *name = NULL;
	const int r = blob_name(ref->digest, &name, err);

	return r < 0 ? r
	             : oci_archive_read(source_of(s)->a, name, OCI_DOCUMENT_MAX, ret, ret_len, err);
}

static int source_open(struct oci_source *s, const struct oci_ref *ref, struct oci_reader **ret,
                       struct ovbd_error *err)
{
	const struct oci_archive *a = source_of(s)->a;
	AUTO_FREE char *name = NULL;
	struct ovbd_fs_member f;
	int r = blob_name(ref->digest, &name, err);

	if (r == 0)
		r = oci_archive_find(a, name, &f, err);
	if (r < 0)
		return r;
	if (f.size != ref->size)
		return ovbd_fail(err, -EBADMSG, "%s: %s has %llu bytes, not %llu",
		                 oci_archive_path(a), name, (unsigned long long)f.size,
		                 (unsigned long long)ref->size);
	return oci_archive_reader(a, f.off, f.size, ret, err);
}

static void source_close(struct oci_source *take_s)
{
	struct archive_source *as = source_of(take_s);

	oci_archive_close(as->a);
	ovbd_oci_name_free(&as->name);
	free(as);
}

static const struct oci_source_ops source_ops = {
	.find = source_find,
	.document = source_document,
	.open = source_open,
	.close = source_close,
};

/* That it is a layout. */
static int check(const struct oci_archive *a, struct ovbd_error *err)
{
	AUTO_FREE char *text = NULL;
	struct ovbd_error why;
	size_t len;
	int r = oci_archive_read(a, "oci-layout", OCI_DOCUMENT_MAX, &text, &len, &why);

	if (r == -ENOENT)
		return ovbd_fail(err, r,
		                 "%s: has no image in OCI's layout: oci-layout is not in it",
		                 oci_archive_path(a));
	if (r < 0)
		return ovbd_fail(err, r, "%s", why.msg);
	r = oci_layout_check(text, len, "oci-layout", &why);
	return r < 0 ? ovbd_fail(err, r, "%s: %s", oci_archive_path(a), why.msg) : 0;
}

static int open_source(const char *name, const struct oci_how *how, struct oci_source **ret,
                       struct ovbd_error *err)
{
	struct archive_source *as = calloc(1, sizeof(*as));
	int r;

	(void)how;
	if (!as)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	as->source.ops = &source_ops;
	r = oci_name_parse(name, PREFIX, &as->name, err);
	if (r == 0)
		r = oci_archive_open(as->name.dir, &as->a, err);
	if (r == 0)
		r = check(as->a, err);
	if (r < 0)
		source_close(&as->source);
	else
		*ret = &as->source;
	return r;
}

/* ---- a target ---- */

struct archive_target {
	struct oci_target target;
	struct ovbd_oci_name name;
	struct oci_archive_out *out;
};

static struct archive_target *target_of(struct oci_target *t)
{
	return OVBD_CONTAINER_OF(t, struct archive_target, target);
}

static int target_has(struct oci_target *t, const struct oci_ref *ref, struct ovbd_error *err)
{
	(void)err;
	return oci_archive_has(target_of(t)->out, ref);
}

static int target_create(struct oci_target *t, struct ovbd_sink **ret, struct ovbd_error *err)
{
	return oci_archive_blob(target_of(t)->out, ret, err);
}

static int target_put(struct oci_target *t, enum oci_put kind, const char *text,
                      const struct oci_ref *ref, struct ovbd_error *err)
{
	AUTO_SINK *s = NULL;
	int r;

	(void)kind;
	if (strncmp(ref->digest, "sha256:", 7) != 0)
		return ovbd_fail(err, -ENOTSUP, "%s: only what is named by sha256 can be copied",
		                 ref->digest);
	r = oci_archive_blob(target_of(t)->out, &s, err);
	if (r == 0)
		r = ovbd_sink_append(s, text, ref->size, err);
	return r < 0 ? r : ovbd_sink_finish(s, err);
}

static int target_stack(struct oci_target *t, const struct oci_ref *layers, size_t n,
                        struct ovbd_image **ret, struct ovbd_error *err)
{
	return oci_archive_stack(target_of(t)->out, layers, n, ret, err);
}

static int make_entry(const struct oci_ref *ref, const char *tag, json_t *platform, json_t **ret,
                      struct ovbd_error *err)
{
	AUTO_JSON *entry = json_object();
	json_t *notes;
	int r = entry ? oci_ref_set(entry, ref, err) : ovbd_fail(err, -ENOMEM, "out of memory");

	if (r == 0 && platform)
		r = oci_set(entry, PLATFORM, json_incref(platform), err);
	if (r == 0 && tag) {
		notes = oci_object(entry, "annotations");
		r = notes ? oci_set(notes, OCI_REF_NAME, json_string(tag), err)
		          : ovbd_fail(err, -ENOMEM, "out of memory");
	}
	if (r == 0)
		*ret = OVBD_MOVE(entry);
	return r;
}

static int target_name(struct oci_target *t, const struct oci_ref *ref, json_t *platform,
                       struct ovbd_error *err)
{
	const struct archive_target *at = target_of(t);
	AUTO_JSON *index = oci_index_new(), *entry = NULL;
	AUTO_FREE char *text = NULL;
	int r = make_entry(ref, at->name.tag, platform, &entry, err);

	if (r == 0 && (!index || json_array_append(json_object_get(index, "manifests"), entry) < 0))
		r = ovbd_fail(err, -ENOMEM, "out of memory");
	if (r == 0)
		r = oci_json_text(index, &text, err);
	if (r == 0)
		r = oci_archive_put(at->out, "index.json", text, strlen(text), err);
	if (r == 0)
		r = oci_archive_put(at->out, "oci-layout", OCI_LAYOUT_VERSION,
		                    strlen(OCI_LAYOUT_VERSION), err);
	return r < 0 ? r : oci_archive_finish(at->out, err);
}

static void target_close(struct oci_target *take_t)
{
	struct archive_target *at = target_of(take_t);

	oci_archive_out_close(at->out);
	ovbd_oci_name_free(&at->name);
	free(at);
}

static const struct oci_target_ops target_ops = {
	.has = target_has,
	.create = target_create,
	.made = oci_archive_ref,
	.put = target_put,
	.stack = target_stack,
	.name = target_name,
	.close = target_close,
};

static int open_target(const char *name, const struct oci_how *how, struct oci_target **ret,
                       struct ovbd_error *err)
{
	struct archive_target *at = calloc(1, sizeof(*at));
	int r;

	if (!at)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	at->target.ops = &target_ops;
	r = oci_name_parse(name, PREFIX, &at->name, err);
	if (r == 0 && at->name.digest)
		r = ovbd_fail(err, -EINVAL, "%s: the target has the digest that comes out", name);
	if (r == 0 && !how->dry_run)
		r = oci_archive_create(at->name.dir, &at->out, err);
	if (r < 0 || how->dry_run)
		target_close(&at->target);
	*ret = r < 0 || how->dry_run ? NULL : &at->target;
	return r;
}

const struct oci_transport oci_transport_archive = {PREFIX, open_source, open_target};
