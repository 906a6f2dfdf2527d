// SPDX-License-Identifier: Apache-2.0
/*
 * index.json is read and replaced as a whole; who replaces it holds a lock of the directory, for as
 * long as that takes and no longer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "oci/impl.h"

#define TAGS_SHOWN 200

static int index_path(const struct oci_layout *l, char **ret, struct ovbd_error *err)
{
	if (asprintf(ret, "%s/index.json", l->dir) >= 0)
		return 0;
	*ret = NULL;
	return ovbd_fail(err, -ENOMEM, "out of memory");
}

int oci_index_read(const struct oci_layout *l, json_t **ret, struct ovbd_error *err)
{
	AUTO_FREE char *path = NULL, *text = NULL;
	AUTO_JSON *v = NULL;
	json_t *list;
	size_t len;
	int r = index_path(l, &path, err);

	if (r == 0)
		r = oci_read_file(path, OCI_DOCUMENT_MAX, &text, &len, err);
	if (r == 0)
		r = oci_json_parse(text, len, path, &v, err);
	if (r == 0)
		r = oci_document_array(v, "manifests", path, &list, err);
	if (r == 0)
		*ret = OVBD_MOVE(v);
	return r;
}

static const char *tag_of(const json_t *entry)
{
	return oci_text(json_object_get(entry, "annotations"), OCI_REF_NAME);
}

/* ---- what a name names ---- */

static bool is_meant(const json_t *entry, const struct ovbd_oci_name *n)
{
	if (n->digest)
		return strcmp(oci_text(entry, "digest"), n->digest) == 0;
	if (!n->tag)
		return !oci_is_referrers_tag(tag_of(entry));
	return strcmp(tag_of(entry), n->tag) == 0;
}

/* "a, b, c" */
static void list_tags(const json_t *list, char *ret, size_t size)
{
	size_t at = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < json_array_size(list) && at < size; i++) {
		const char *tag = tag_of(json_array_get(list, i));

		if (tag[0] && !oci_is_referrers_tag(tag))
			at += (size_t)snprintf(ret + at, size - at, "%s%s", at ? ", " : "", tag);
	}
	if (at == 0)
		snprintf(ret, size, "none with a tag");
}

int oci_index_choose(const json_t *index, const struct ovbd_oci_name *n, struct oci_ref *ret,
                     json_t **ret_entry, struct ovbd_error *err)
{
	const json_t *list = json_object_get(index, "manifests");
	json_t *found = NULL;
	char tags[TAGS_SHOWN];
	size_t nfound = 0;
	int r;

	list_tags(list, tags, sizeof(tags));
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *entry = json_array_get(list, i);

		if (!is_meant(entry, n) ||
		    (found && strcmp(oci_text(found, "digest"), oci_text(entry, "digest")) == 0))
			continue;
		found = entry;
		nfound++;
	}
	if (nfound == 0)
		return ovbd_fail(err, -ENOENT, "%s: there is no such image; there are: %s", n->text,
		                 tags);
	if (nfound > 1)
		return ovbd_fail(err, -EINVAL,
		                 "%s: there are %zu images: one must be named, by :TAG or @DIGEST; "
		                 "there are: %s",
		                 n->text, nfound, tags);
	r = oci_ref_parse(found, n->text, ret, err);
	if (r == 0)
		*ret_entry = json_incref(found);
	return r;
}

int oci_index_find(const struct oci_layout *l, const struct ovbd_oci_name *n, struct oci_ref *ret,
                   json_t **ret_entry, struct ovbd_error *err)
{
	AUTO_JSON *index = NULL;
	const int r = oci_index_read(l, &index, err);

	return r < 0 ? r : oci_index_choose(index, n, ret, ret_entry, err);
}

/* ---- a new entry ---- */

json_t *oci_index_new(void)
{
	return json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType",
	                 "application/vnd.oci.image.index.v1+json", "manifests");
}

static int lock(const struct oci_layout *l, int *ret_fd, struct ovbd_error *err)
{
	int r, fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", l->dir);
	/* whoever has it is about to be done */
	do
		r = flock(fd, LOCK_EX);
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		r = ovbd_fail_errno(err, -errno, "%s: lock", l->dir);
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* The index.json, or a new one. */
static int read_or_begin(const struct oci_layout *l, json_t **ret, struct ovbd_error *err)
{
	const int r = oci_index_read(l, ret, err);

	if (r != -ENOENT)
		return r;
	*ret = oci_index_new();
	return *ret ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");
}

/* Takes the place of the first with this tag, and of all others. */
static int place(json_t *list, json_t *entry, const char *tag, struct ovbd_error *err)
{
	size_t at = json_array_size(list); /* where it is now */

	for (size_t i = json_array_size(list); i-- > 0;) {
		const json_t *old = json_array_get(list, i);
		const bool same =
			tag ? strcmp(tag_of(old), tag) == 0
			    : tag_of(old)[0] == '\0' && strcmp(oci_text(old, "digest"),
		                                               oci_text(entry, "digest")) == 0;

		if (!same)
			continue;
		json_array_remove(list, at);
		if (json_array_set(list, i, entry) < 0)
			return ovbd_fail(err, -ENOMEM, "out of memory");
		at = i;
	}
	if (at == json_array_size(list) && json_array_append(list, entry) < 0)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	return 0;
}

static int write_index(const struct oci_layout *l, const json_t *index, struct ovbd_error *err)
{
	static const struct ovbd_sink_file_params how = {.overwrite = true};
	AUTO_FREE char *path = NULL, *text = NULL;
	AUTO_SINK *s = NULL;
	int r = index_path(l, &path, err);

	if (r == 0)
		r = oci_json_text(index, &text, err);
	if (r == 0)
		r = ovbd_sink_create_file(path, &how, &s, err);
	if (r == 0)
		r = ovbd_sink_append(s, text, strlen(text), err);
	return r < 0 ? r : ovbd_sink_finish(s, err);
}

int oci_index_change(const struct oci_layout *l, oci_index_fn fn, void *arg, struct ovbd_error *err)
{
	AUTO_JSON *index = NULL;
	AUTO_FD fd = -1;
	int r = lock(l, &fd, err);

	if (r == 0)
		r = read_or_begin(l, &index, err);
	if (r == 0)
		r = fn(arg, index, err);
	return r < 0 ? r : write_index(l, index, err);
}

int oci_index_place(json_t *index, json_t *entry, const char *tag, struct ovbd_error *err)
{
	json_t *notes;
	int r = 0;

	if (tag) {
		notes = oci_object(entry, "annotations");
		r = notes ? oci_set(notes, OCI_REF_NAME, json_string(tag), err)
		          : ovbd_fail(err, -ENOMEM, "out of memory");
	}
	return r < 0 ? r : place(json_object_get(index, "manifests"), entry, tag, err);
}

struct putting {
	json_t *entry;
	const char *tag;
};

static int put(void *arg, json_t *index, struct ovbd_error *err)
{
	const struct putting *p = arg;

	return oci_index_place(index, p->entry, p->tag, err);
}

int oci_index_put(const struct oci_layout *l, json_t *entry, const char *tag,
                  struct ovbd_error *err)
{
	struct putting p = {entry, tag};

	return oci_index_change(l, put, &p, err);
}
