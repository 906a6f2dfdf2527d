// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>

#include "base/bytes.h"
#include "image/manifest.h"
#include "oci/impl.h"

static void free_manifest(struct ovbd_manifest *m)
{
	ovbd_manifest_free(m);
}

void ovbd_oci_stack_free(char **take_paths, size_t n)
{
	for (size_t i = 0; take_paths && i < n; i++)
		free(take_paths[i]);
	free(take_paths);
}

static int read_manifest(const struct oci_layout *l, const struct oci_ref *ref, const char *name,
                         struct ovbd_manifest *ret, struct ovbd_error *err)
{
	AUTO_FREE char *text = NULL;
	AUTO_JSON *doc = NULL;
	int r = oci_document_read(l, ref, &doc, err);

	if (r == 0)
		r = oci_json_text(doc, &text, err);
	return r < 0 ? r : ovbd_manifest_parse(text, strlen(text), name, ret, err);
}

/* Through all indexes. */
static int find(const struct oci_layout *l, struct oci_ref *ref, const struct ovbd_platform *p,
                const char *name, struct ovbd_manifest *ret, struct ovbd_error *err)
{
	for (unsigned depth = 0; depth < OCI_DEPTH_MAX; depth++) {
		OVBD_AUTO(free_manifest) struct ovbd_manifest m = {0};
		const struct ovbd_descriptor *d;
		int r = read_manifest(l, ref, name, &m, err);

		if (r < 0)
			return r;
		if (!m.index) {
			*ret = m;
			m.all = NULL;
			return 0;
		}
		r = ovbd_manifest_choose(&m, p, name, &d, err);
		if (r < 0)
			return r;
		snprintf(ref->digest, sizeof(ref->digest), "%s", d->digest);
		ref->size = d->size;
	}
	return ovbd_fail(err, -E2BIG, "%s: more than %u indexes in each other", name,
	                 OCI_DEPTH_MAX);
}

static int check_layer(const struct oci_layout *l, const struct ovbd_manifest *m, size_t i,
                       const char *name, struct ovbd_error *err)
{
	const struct ovbd_descriptor *d = &m->all[i];
	struct oci_ref ref = {.size = d->size};

	if (d->kind != OVBD_LAYER_BLOCKS)
		return ovbd_fail(err, -ENOTSUP,
		                 "%s: layer %zu of %zu is an ordinary one (%s), and no block "
		                 "image: ovbd convert makes one of it",
		                 name, i + 1, m->n, d->type[0] ? d->type : "of no type");
	snprintf(ref.digest, sizeof(ref.digest), "%s", d->digest);
	if (!oci_blob_is_there(l, &ref))
		return ovbd_fail(err, -ENOENT,
		                 "%s: layer %zu of %zu (%s) is not there, or has another size",
		                 name, i + 1, m->n, d->digest);
	return 0;
}

static int take_paths(const struct oci_layout *l, const struct ovbd_manifest *m, const char *name,
                      char ***ret, size_t *ret_n, struct ovbd_error *err)
{
	char **paths = ovbd_array_alloc(m->n + 1, sizeof(paths[0]));
	size_t n = 0;
	int r = paths ? 0 : ovbd_fail(err, -ENOMEM, "out of memory");

	/* a trace lies on top */
	for (;
	     r == 0 && n < m->n && !(m->all[n].kind == OVBD_LAYER_TRACE && n > 0 && n + 1 == m->n);
	     n += r == 0) {
		r = check_layer(l, m, n, name, err);
		if (r == 0)
			r = oci_blob_path(l, m->all[n].digest, &paths[n], err);
	}
	if (r == 0 && n == 0)
		r = ovbd_fail(err, -ENOTSUP, "%s: has no layers", name);
	if (r < 0) {
		ovbd_oci_stack_free(paths, n);
		return r;
	}
	*ret = paths;
	*ret_n = n;
	return 0;
}

static int open_stack(const struct ovbd_oci_name *n, const struct ovbd_platform *p, char ***ret,
                      size_t *ret_n, struct ovbd_error *err)
{
	OVBD_AUTO(oci_layout_closep) struct oci_layout *l = NULL;
	OVBD_AUTO(free_manifest) struct ovbd_manifest m = {0};
	AUTO_JSON *entry = NULL;
	struct oci_ref ref;
	int r = oci_layout_open(n->dir, &l, err);

	if (r == 0)
		r = oci_index_find(l, n, &ref, &entry, err);
	if (r == 0)
		r = find(l, &ref, p, n->text, &m, err);
	return r < 0 ? r : take_paths(l, &m, n->text, ret, ret_n, err);
}

int ovbd_oci_stack(const char *name, const char *platform, char ***ret, size_t *ret_n,
                   struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_oci_name_free) struct ovbd_oci_name n = {0};
	struct ovbd_platform p;
	int r;

	ovbd_platform_here(&p);
	r = platform ? ovbd_platform_parse(platform, &p, err) : 0;
	if (r == 0)
		r = ovbd_oci_name_parse(name, &n, err);
	return r < 0 ? r : open_stack(&n, &p, ret, ret_n, err);
}
