// SPDX-License-Identifier: Apache-2.0
#include "image/remote_open.h"

#include <string.h>

#include "base/bytes.h"
#include "image/prove.h"
#include "image/registry.h"
#include "remote/ahead.h"
#include "remote/cache.h"
#include "remote/cache_key.h"
#include "remote/lazy.h"
#include "remote/verity.h"

static int verity_key(const struct ovbd_image_layer *l, char **ret, struct ovbd_error *err)
{
	struct ovbd_verity_root root;
	const int r = ovbd_verity_root_parse(l->root, &root, err);

	return r < 0 ? r : ovbd_verity_key(&root, l->said_size, ret, err);
}

#define HEAD_SIZE    4096u /* that opening a URL has fetched */
#define LAYER_HEADER 4096u
#define TRACED_CHUNK 4096u       /* of a cache: what a trace names lies in many small pieces */
#define INDEX_GUESS  (32u << 10) /* bytes that the index of a layer takes, more or less */

/* The key by which what l names is known before its server is asked; NULL: there is none. */
static int early_key(const struct ovbd_image_layer *l, const struct ovbd_image_params *p,
                     char **ret, struct ovbd_error *err)
{
	*ret = NULL;
	if (!p->cache || l->said_size == 0)
		return 0;
	if (l->root)
		return verity_key(l, ret, err);
	if (!l->digest)
		return 0;
	return ovbd_cache_key(l->name, l->digest, l->said_size, ret, err);
}

/* Takes user and password out of the URL that key begins with: they are not to be written down, and
 * say nothing of what is there. */
static void drop_user(char *key)
{
	char *host = strstr(key, "://");
	char *at;

	if (!host)
		return;
	host += 3;
	at = memrchr(host, '@', strcspn(host, "/?# "));
	if (at)
		memmove(host, at + 1, strlen(at + 1) + 1);
}

/* The one that it has once its server was asked. */
static int late_key(const struct ovbd_image_layer *l, const struct ovbd_image_params *p,
                    struct ovbd_blob *b, char **ret, struct ovbd_error *err)
{
	AUTO_FREE char *plain = NULL;
	int r = 0;

	*ret = NULL;
	if (!p->cache)
		return 0;
	if (!l->root)
		r = l->digest ? ovbd_cache_key(l->name, l->digest, b->size, ret, err)
		              : ovbd_cache_key_registry(l->name, b->size, ret, err);
	if (r == 0 && !*ret)
		r = ovbd_blob_key(b, &plain, err);
	if (plain && l->digest && !l->root)
		r = ovbd_cache_key_add(plain, l->digest, ret, err);
	else if (plain)
		*ret = OVBD_MOVE(plain);
	if (*ret)
		drop_user(*ret);
	return r;
}

/* What opening the URL has fetched, for reads to find. */
static int put_head(struct ovbd_bytes *x, struct ovbd_error *err)
{
	uint8_t head[HEAD_SIZE];
	const size_t n = (size_t)ovbd_min(sizeof(head), x->blob->size);
	int r = ovbd_blob_pread(x->http, head, n, 0, err);

	return r == 0 && n > 0 ? ovbd_ahead_put(x->ahead, head, n, 0, err) : r;
}

void ovbd_remote_bring_metadata(const struct ovbd_bytes *x)
{
	const uint64_t end = x->tar_off + x->blob->size;
	struct ovbd_zfile_layout z;
	struct ovbd_range ranges[2];
	uint64_t before, first;

	if (!x->ahead || ovbd_zfile_layout_read(x->blob, &z, NULL) != 1)
		return;
	/* The first block is not longer than this, or is fetched when it is read. One of 4 KiB is
	 * the header of a layer: compressed, it is in what there is. */
	first = x->tar_off + z.data_off + (z.block_size > LAYER_HEADER ? z.block_size : 0);
	ranges[0].off = HEAD_SIZE;
	ranges[0].len = first > HEAD_SIZE ? first - HEAD_SIZE : 0;
	/* the index is the last of the data, and the jump table follows them */
	before = INDEX_GUESS + (x->blob->size - z.index_off) / 16;
	ranges[1].off = x->tar_off + (z.index_off > before ? z.index_off - before : 0);
	if (ranges[1].off < ranges[0].off + ranges[0].len)
		ranges[1].off = ranges[0].off + ranges[0].len;
	if (ranges[1].off >= end)
		return;
	ranges[1].len = end - ranges[1].off;
	if (ranges[0].len > 0)
		ovbd_ahead_bring_now(x->ahead, ranges, 2, NULL);
	else
		ovbd_ahead_bring_now(x->ahead, ranges + 1, 1, NULL);
}

/* Has it fetched in the background, if that was asked for and can be verified in the end. What is
 * proven block by block goes on to be so while it is open. */
static int download(const struct ovbd_image_layer *l, const struct ovbd_image_params *p,
                    struct ovbd_blob *take_b, struct ovbd_blob **ret, struct ovbd_error *err)
{
	struct ovbd_download what = {
		.digest = l->digest,
		.dir = l->dir,
		.shown = l->shown,
		.keep = l->root,
		.params = l->download,
	};

	AUTO_BLOB *b = take_b;
	struct ovbd_route route;
	int r;

	if (!p->downloads || !l->dir || !l->digest || strncmp(l->digest, "sha256:", 7) != 0) {
		*ret = OVBD_MOVE(b);
		return 0;
	}
	r = ovbd_route_find(p->registry, l->name, false, p->http, &route, err);
	if (r < 0)
		return r;
	what.url = route.url;
	what.http = &route.http;
	r = ovbd_download_blob_open(p->downloads, &what, OVBD_MOVE(b), ret, err);
	ovbd_route_free(&route);
	return r;
}

int ovbd_remote_open(const struct ovbd_image_layer *l, const struct ovbd_image_params *p,
                     struct ovbd_bytes *ret, struct ovbd_error *err)
{
	AUTO_FREE char *key = NULL;
	struct ovbd_bytes x = {0};
	struct ovbd_route route;
	AUTO_BLOB *b = NULL;
	const bool traced = p->prefetch.trace && p->prefetch.mode != OVBD_PREFETCH_NONE;
	bool lazily;
	int r;

	r = early_key(l, p, &key, err);
	if (r < 0)
		return r;
	lazily = key;
	r = ovbd_route_find(p->registry, l->name, false, p->http, &route, err);
	if (r < 0)
		return r;
	r = lazily ? ovbd_lazy_open(route.url, l->said_size, &route.http, &b, err)
	           : ovbd_http_open(route.url, &route.http, &b, err);
	ovbd_route_free(&route);
	if (r < 0)
		return r;
	x.http = b;
	x.blob = OVBD_MOVE(b);
	r = ovbd_prove(&x, l, p, lazily, err); /* below the cache: nothing wrong is kept */
	b = OVBD_MOVE(x.blob);
	if (r == 0 && !lazily)
		r = late_key(l, p, b, &key, err);
	if (r == 0 && key)
		r = ovbd_cache_blob_open_chunks(p->cache, key, traced ? TRACED_CHUNK : 0,
		                                OVBD_MOVE(b), &b, err);
	x.kept = r == 0 && key ? b : NULL;
	if (r == 0)
		r = ovbd_ahead_open(OVBD_MOVE(b), key != NULL, &b, err);
	if (r < 0)
		return r;
	x.blob = x.ahead = b;
	if (!lazily && !x.verity) /* what opening the URL has fetched is not proven */
		r = put_head(&x, err);
	if (r < 0)
		return r;
	r = download(l, p, OVBD_MOVE(b), &b, err);
	if (r < 0)
		return r;
	x.blob = OVBD_MOVE(b);
	*ret = x;
	return 0;
}
