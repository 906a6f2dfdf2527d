// SPDX-License-Identifier: Apache-2.0
#include "image/prove.h"

#include "image/registry.h"
#include "remote/lazy.h"
#include "remote/verity.h"

/* The size of a tree follows from that of what it proves. */
static int open_tree(const char *name, uint64_t data_size, const struct ovbd_image_params *p,
                     bool lazily, struct ovbd_blob **ret, struct ovbd_error *err)
{
	const uint64_t size = ovbd_verity_tree_size(data_size);
	struct ovbd_route route;
	int r;

	if (!ovbd_http_is_url(name))
		return ovbd_blob_open_file(name, ret, err);
	r = ovbd_route_find(p->registry, name, false, p->http, &route, err);
	if (r < 0)
		return r;
	r = lazily && size > 0 ? ovbd_lazy_open(route.url, size, &route.http, ret, err)
	                       : ovbd_http_open(route.url, &route.http, ret, err);
	ovbd_route_free(&route);
	return r;
}

int ovbd_prove(struct ovbd_bytes *x, const struct ovbd_image_layer *l,
               const struct ovbd_image_params *p, bool lazily, struct ovbd_error *err)
{
	AUTO_BLOB *source = NULL;
	AUTO_BLOB *tree = NULL;
	char shown[OVBD_HTTP_SHOWN_SIZE];
	struct ovbd_verity_root root;
	const char *name = l->tree ? l->tree : "";
	int r;

	if (!l->root)
		return 0;
	source = OVBD_MOVE(x->blob);
	r = ovbd_verity_root_parse(l->root, &root, err);
	if (r == 0 && l->tree)
		r = open_tree(l->tree, source->size, p, lazily, &tree, err);
	if (r < 0)
		return ovbd_fail_within(err, r, "%s: Merkle tree", l->shown);
	if (ovbd_http_is_url(name)) {
		ovbd_http_show(name, shown);
		name = shown;
	}
	r = ovbd_verity_blob_open(OVBD_MOVE(source), l->shown, OVBD_MOVE(tree), name, &root, lazily,
	                          &x->blob, err);
	x->verity = x->blob;
	return r;
}
