// SPDX-License-Identifier: Apache-2.0
#include "image/remote_open.h"

#include <string.h>

#include "image/prove.h"
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
	int r = 0;

	*ret = NULL;
	if (p->cache && l->digest && !l->root)
		r = ovbd_cache_key(l->name, l->digest, b->size, ret, err);
	if (r == 0 && p->cache && !*ret)
		r = ovbd_blob_key(b, ret, err);
	if (*ret)
		drop_user(*ret);
	return r;
}

int ovbd_remote_open(const struct ovbd_image_layer *l, const struct ovbd_image_params *p,
                     struct ovbd_bytes *ret, struct ovbd_error *err)
{
	AUTO_FREE char *key = NULL;
	struct ovbd_bytes x = {0};
	AUTO_BLOB *b = NULL;
	bool lazily;
	int r;

	r = early_key(l, p, &key, err);
	if (r < 0)
		return r;
	lazily = key;
	r = lazily ? ovbd_lazy_open(l->name, l->said_size, p->http, &b, err)
	           : ovbd_http_open(l->name, p->http, &b, err);
	if (r < 0)
		return r;
	x.http = b;
	x.blob = OVBD_MOVE(b);
	r = ovbd_prove(&x, l, p->http, lazily, err); /* below the cache: nothing wrong is kept */
	b = OVBD_MOVE(x.blob);
	if (r == 0 && !lazily)
		r = late_key(l, p, b, &key, err);
	if (r == 0 && key)
		r = ovbd_cache_blob_open(p->cache, key, OVBD_MOVE(b), &b, err);
	if (r < 0)
		return r;
	x.kept = key ? b : NULL;
	x.blob = OVBD_MOVE(b);
	*ret = x;
	return 0;
}
