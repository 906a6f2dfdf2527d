// SPDX-License-Identifier: Apache-2.0
/*
 * dir:DIR, as skopeo has it: an image's files in a directory, each by the digits of its digest, but
 * for its manifest or index, which is manifest.json; the manifests that an index names are
 * DIGITS.manifest.json.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "oci/place.h"

#define PREFIX   "dir:"
#define VERSION  "Directory Transport Version: 1.1\n"
#define ROOT     "manifest.json"
#define MANIFEST ".manifest.json"

static const char *digits(const char *digest)
{
	return strchr(digest, ':') + 1;
}

static int path_in(const char *dir, const char *name, const char *end, char **ret,
                   struct ovbd_error *err)
{
	if (asprintf(ret, "%s/%s%s", dir, name, end) >= 0)
		return 0;
	*ret = NULL;
	return ovbd_fail(err, -ENOMEM, "out of memory");
}

static int parse_name(const char *name, char **ret_dir, struct ovbd_error *err)
{
	const char *dir = name + strlen(PREFIX);

	if (dir[0] == '\0')
		return ovbd_fail(err, -EINVAL, "%s: is no name of an image: " PREFIX "DIR", name);
	*ret_dir = strdup(dir);
	return *ret_dir ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

/* What manifest.json is. */
static int read_root(const char *dir, struct oci_ref *ret, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL, *text = NULL;
	AUTO_JSON *v = NULL;
	size_t len;
	int r = path_in(dir, ROOT, "", &path, err);

	if (r == 0)
		r = oci_read_file(path, OCI_DOCUMENT_MAX, &text, &len, err);
	if (r == 0)
		r = oci_json_parse(text, len, path, &v, err);
	if (r < 0)
		return r;
	*ret = (struct oci_ref){.size = len};
	snprintf(ret->type, sizeof(ret->type), "%.127s", oci_text(v, "mediaType"));
	return oci_digest_of(text, len, ret->digest, err);
}

/* A document that is not the root: of the images of an index, or a config. */
static int read_document(const char *dir, const struct oci_ref *ref, char **ret, size_t *ret_len,
                         struct ovbd_error *err)
{
	AUTO_FREE char *manifest = NULL, *blob = NULL;
	int r = path_in(dir, digits(ref->digest), MANIFEST, &manifest, err);

	if (r == 0)
		r = path_in(dir, digits(ref->digest), "", &blob, err);
	if (r < 0)
		return r;
	return oci_read_file(access(manifest, F_OK) == 0 ? manifest : blob, OCI_DOCUMENT_MAX, ret,
	                     ret_len, err);
}

static int load(const char *dir, const struct oci_ref *root, const struct oci_ref *ref, char **ret,
                size_t *ret_len, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	int r;

	if (strcmp(ref->digest, root->digest) != 0)
		return read_document(dir, ref, ret, ret_len, err);
	r = path_in(dir, ROOT, "", &path, err);
	return r < 0 ? r : oci_read_file(path, OCI_DOCUMENT_MAX, ret, ret_len, err);
}

/* ---- a source ---- */

struct dir_source {
	struct oci_source source;
	char *dir;
	struct oci_ref root;
};

static struct dir_source *source_of(struct oci_source *s)
{
	return OVBD_CONTAINER_OF(s, struct dir_source, source);
}

static int source_find(struct oci_source *s, struct oci_ref *ret, json_t **ret_entry,
                       struct ovbd_error *err)
{
	struct dir_source *ds = source_of(s);
	const int r = read_root(ds->dir, &ds->root, err);

	if (r < 0)
		return r;
	*ret_entry = json_object();
	if (!*ret_entry)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	*ret = ds->root;
	return 0;
}

static int source_document(struct oci_source *s, const struct oci_ref *ref, char **ret,
                           size_t *ret_len, struct ovbd_error *err)
{
	const struct dir_source *ds = source_of(s);

	return load(ds->dir, &ds->root, ref, ret, ret_len, err);
}

static int source_open(struct oci_source *s, const struct oci_ref *ref, struct oci_reader **ret,
                       struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	const int r = path_in(source_of(s)->dir, digits(ref->digest), "", &path, err);

	return r < 0 ? r : oci_reader_open_file(path, ref, ret, err);
}

static void source_close(struct oci_source *take_s)
{
	struct dir_source *ds = source_of(take_s);

	free(ds->dir);
	free(ds);
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
	struct dir_source *ds = calloc(1, sizeof(*ds));
	int r;

	(void)how;
	if (!ds)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	ds->source.ops = &source_ops;
	r = parse_name(name, &ds->dir, err);
	if (r < 0)
		source_close(&ds->source);
	else
		*ret = &ds->source;
	return r;
}

/* ---- a target ---- */

struct dir_target {
	struct oci_target target;
	char *dir, *place;
	struct oci_ref before; /* the image that is there; "" as digest: none */
};

static struct dir_target *target_of(struct oci_target *t)
{
	return OVBD_CONTAINER_OF(t, struct dir_target, target);
}

static int target_images(struct oci_target *t, oci_found_fn found, void *arg,
                         struct ovbd_error *err)
{
	struct dir_target *dt = target_of(t);

	if (read_root(dt->dir, &dt->before, NULL) < 0)
		return 0;
	return found(arg, &dt->before, err);
}

static int target_current(struct oci_target *t, struct oci_ref *ret, struct ovbd_error *err)
{
	(void)err;
	return read_root(target_of(t)->dir, ret, NULL) == 0;
}

static int target_document(struct oci_target *t, const struct oci_ref *ref, char **ret,
                           size_t *ret_len, struct ovbd_error *err)
{
	const struct dir_target *dt = target_of(t);

	return load(dt->dir, &dt->before, ref, ret, ret_len, err);
}

static int target_has(struct oci_target *t, const struct oci_ref *ref, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL;
	struct stat st;
	const int r = path_in(target_of(t)->dir, digits(ref->digest), "", &path, err);

	if (r < 0)
		return r;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == ref->size;
}

static int target_verify(struct oci_target *t, const struct oci_ref *ref, ovbd_progress_fn progress,
                         void *arg, struct ovbd_error *err)
{
	OVBD_AUTO(oci_stream_close) struct oci_stream s = {0};
	AUTO_FREE char *path = NULL;
	struct oci_reader *in = NULL;
	int r = path_in(target_of(t)->dir, digits(ref->digest), "", &path, err);

	if (r == 0)
		r = oci_reader_open_file(path, ref, &in, err);
	if (r == 0)
		r = oci_stream_start(in, ref, &s, err);
	return r < 0 ? r : oci_stream_verify(&s, progress, arg, err);
}

static const char *target_place(struct oci_target *t)
{
	return target_of(t)->place;
}

static int target_create(struct oci_target *t, struct ovbd_sink **ret, struct ovbd_error *err)
{
	return oci_blob_create_in(target_of(t)->dir, ret, err);
}

static int put_file(const char *dir, const char *name, const char *end, const char *text,
                    size_t len, struct ovbd_error *err)
{
	static const struct ovbd_sink_file_params how = {.overwrite = true};
	AUTO_FREE char *path = NULL;
	AUTO_SINK *s = NULL;
	int r = path_in(dir, name, end, &path, err);

	if (r == 0)
		r = ovbd_sink_create_file(path, &how, &s, err);
	if (r == 0)
		r = ovbd_sink_append(s, text, len, err);
	return r < 0 ? r : ovbd_sink_finish(s, err);
}

static int target_put(struct oci_target *t, enum oci_put kind, const char *text,
                      const struct oci_ref *ref, struct ovbd_error *err)
{
	return put_file(target_of(t)->dir, digits(ref->digest),
	                kind == OCI_PUT_MANIFEST ? MANIFEST : "", text, ref->size, err);
}

static int target_stack(struct oci_target *t, const struct oci_ref *layers, size_t n,
                        struct ovbd_image **ret, struct ovbd_error *err)
{
	AUTO_FREE char **paths = calloc(n + 1, sizeof(paths[0]));
	int r = paths ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");

	for (size_t i = 0; r == 0 && i < n; i++)
		r = path_in(target_of(t)->dir, digits(layers[i].digest), "", &paths[i], err);
	if (r == 0)
		r = ovbd_image_open((const char *const *)paths, n, NULL, ret, err);
	for (size_t i = 0; paths && i < n; i++)
		free(paths[i]);
	return r;
}

/* The manifest or index that was put last becomes the root. */
static int target_name(struct oci_target *t, const struct oci_ref *ref, json_t *platform,
                       struct ovbd_error *err)
{
	const char *dir = target_of(t)->dir;
	AUTO_FREE char *from = NULL, *to = NULL;
	int r = path_in(dir, digits(ref->digest), MANIFEST, &from, err);

	(void)platform;
	if (r == 0)
		r = path_in(dir, ROOT, "", &to, err);
	if (r == 0 && rename(from, to) < 0)
		r = ovbd_fail_errno(err, -errno, "%s", to);
	return r;
}

static void target_close(struct oci_target *take_t)
{
	struct dir_target *dt = target_of(take_t);

	free(dt->dir);
	free(dt->place);
	free(dt);
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
	.stack = target_stack,
	.name = target_name,
	.close = target_close,
};

static bool is_empty(const char *dir)
{
	DIR *d = opendir(dir);
	bool empty = d != NULL;

	for (const struct dirent *e; empty && (e = readdir(d));)
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	if (d)
		closedir(d);
	return empty;
}

/* Nobody's other files are to lie among an image's. *ret_new: none are there at all. */
static int check_dir(const char *dir, bool *ret_new, struct ovbd_error *err)
{
	AUTO_FREE char *version = NULL;
	struct stat st;
	const int r = path_in(dir, "version", "", &version, err);

	if (r < 0)
		return r;
	if (stat(dir, &st) < 0)
		return ovbd_fail_errno(err, -errno, "%s", dir);
	if (!S_ISDIR(st.st_mode))
		return ovbd_fail(err, -ENOTDIR, "%s: is no directory", dir);
	*ret_new = access(version, F_OK) < 0;
	if (*ret_new && !is_empty(dir))
		return ovbd_fail(err, -EEXIST,
		                 "%s: is neither empty nor the directory of an image: there is no "
		                 "version in it",
		                 dir);
	return 0;
}

/* *ret_there: whether something is. */
static int prepare(const char *dir, const struct oci_how *how, bool *ret_there,
                   struct ovbd_error *err)
{
	bool is_new = false;
	int r;

	*ret_there = false;
	if (!how->dry_run && mkdir(dir, 0777) < 0 && errno != EEXIST)
		return ovbd_fail_errno(err, -errno, "%s: cannot be made", dir);
	if (how->dry_run && access(dir, F_OK) < 0)
		return 0;
	*ret_there = true;
	r = check_dir(dir, &is_new, err);
	if (r < 0 || how->dry_run || !is_new)
		return r;
	/* an image that is being made has it too: who continues it finds its files */
	return put_file(dir, "version", "", VERSION, strlen(VERSION), err);
}

static int open_target(const char *name, const struct oci_how *how, struct oci_target **ret,
                       struct ovbd_error *err)
{
	struct dir_target *dt = calloc(1, sizeof(*dt));
	bool there = false;
	int r;

	if (!dt)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	dt->target.ops = &target_ops;
	r = parse_name(name, &dt->dir, err);
	if (r == 0)
		r = prepare(dt->dir, how, &there, err);
	if (r < 0 || !there) {
		target_close(&dt->target);
		return r;
	}
	dt->place = oci_place_of_dir(PREFIX, dt->dir);
	*ret = &dt->target;
	return 0;
}

const struct oci_transport oci_transport_dir = {PREFIX, open_source, open_target};
