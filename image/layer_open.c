// SPDX-License-Identifier: Apache-2.0
/*
 * What can lie in what:
 *
 *     file or URL ──► [proof] ──► [cache] ──► [tar member] ──► [ZFile] ──► layer
 *                                         ├──────► Android COW, dm-update, dm-snapshot
 *                                         └──────► any other bytes
 *
 * Each step is taken if the bytes begin like it and the caller has not asked to stop before.
 */
#include "image/layer_open.h"

#include <errno.h>

#include "base/bytes.h"
#include "image/blob_metered.h"
#include "image/blob_named.h"
#include "image/prove.h"
#include "image/recorder.h"
#include "image/registry.h"
#include "image/remote_open.h"
#include "image/shared.h"
#include "image/tar.h"
#include "remote/lazy.h"

#define ENDS 4096u /* bytes, of what is stored: a header, a trailer */

static int open_url(const char *url, const struct ovbd_image_params *p, struct ovbd_blob **ret,
                    struct ovbd_error *err)
{
	struct ovbd_route route;
	int r = ovbd_route_find(p->registry, url, false, p->http, &route, err);

	if (r < 0)
		return r;
	r = ovbd_http_open(route.url, &route.http, ret, err);
	ovbd_route_free(&route);
	return r;
}

int ovbd_bytes_open(const char *name, const struct ovbd_image_params *p, struct ovbd_blob **ret,
                    struct ovbd_blob **ret_http, struct ovbd_error *err)
{
	const bool remote = ovbd_http_is_url(name);
	const int r = remote ? open_url(name, p, ret, err) : ovbd_blob_open_file(name, ret, err);

	if (r == 0)
		*ret_http = remote ? *ret : NULL;
	return r;
}

/* If x->blob is a tar, its first member. */
static int unwrap_tar(struct ovbd_bytes *x, struct ovbd_error *err)
{
	uint64_t off, len;
	const int r = ovbd_tar_member(x->blob, &off, &len, err);

	if (r <= 0)
		return r;
	x->tar = true;
	x->tar_off = off;
	return ovbd_blob_open_slice(OVBD_MOVE(x->blob), off, len, &x->blob, err);
}

/* If x->blob is a ZFile, what it holds. */
static int unwrap_zfile(struct ovbd_bytes *x, struct ovbd_error *err)
{
	int r = ovbd_zfile_probe(x->blob, err);

	if (r <= 0)
		return r;
	ovbd_remote_bring_metadata(x);
	r = ovbd_zfile_open(OVBD_MOVE(x->blob), &x->blob, err);
	x->zfile = x->blob;
	return r;
}

/* Takes the wrapping off x, or finds that somebody has done so. On failure there is no x->blob. */
static int unwrap(struct ovbd_bytes *x, struct ovbd_shared *shared, struct ovbd_error *err)
{
	AUTO_BLOB *opened = x->blob;
	AUTO_FREE char *key = NULL;
	int r = shared ? ovbd_blob_key(opened, &key, err) : 0;

	x->blob = NULL;
	if (r < 0 || (key && ovbd_shared_get(shared, key, x)))
		return r;
	x->blob = OVBD_MOVE(opened);
	r = unwrap_tar(x, err);
	if (r == 0)
		r = unwrap_zfile(x, err);
	if (r == 0 && key)
		return ovbd_shared_put(shared, key, x, err);
	if (r < 0) {
		ovbd_blob_close(x->blob);
		x->blob = NULL;
	}
	return r;
}

/* What the steps have led to, and whether that is what was asked for. */
static int settle(struct ovbd_image_layer *l, enum ovbd_format want, struct ovbd_error *err)
{
	if (l->cow)
		l->format = OVBD_FORMAT_ANDROID_COW;
	else if (l->update)
		l->format = OVBD_FORMAT_DM_UPDATE;
	else if (l->snapshot)
		l->format = OVBD_FORMAT_DM_SNAPSHOT;
	else if (l->layer)
		l->format = l->zfile ? OVBD_FORMAT_OVBD : OVBD_FORMAT_LSMT;
	else
		l->format = l->zfile ? OVBD_FORMAT_ZFILE : OVBD_FORMAT_RAW;
	if (want != OVBD_FORMAT_AUTO && want != l->format)
		return ovbd_fail(err, -EBADMSG, "is not of the format %s, but %s",
		                 ovbd_format_name(want), ovbd_format_name(l->format));
	if (l->tar && l->format == OVBD_FORMAT_RAW)
		return ovbd_fail(
			err, -ENOTSUP,
			"is a tar, but what it begins with is no layer (-f raw takes it as it is)");
	return 0;
}

/* What take_b may be besides bytes. */
static int open_layer(struct ovbd_image_layer *l, const struct ovbd_image_params *p,
                      struct ovbd_blob *take_b, struct ovbd_blob **ret_blob, struct ovbd_error *err)
{
	const enum ovbd_format want = p->format;
	AUTO_BLOB *b = take_b;
	OVBD_AUTO(ovbd_layer_closep) struct ovbd_layer *layer = NULL;
	OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *cow = NULL;
	OVBD_AUTO(ovbd_dm_update_closep) struct ovbd_dm_update *update = NULL;
	OVBD_AUTO(ovbd_dm_snapshot_closep) struct ovbd_dm_snapshot *snapshot = NULL;
	int r = 0;

	if (l->zfile)
		r = ovbd_blob_open_named(OVBD_MOVE(b), l->shown, &b, err);
	if (r == 0 && want != OVBD_FORMAT_ZFILE)
		r = ovbd_layer_probe(b, err);
	if (r == 1)
		r = ovbd_layer_open(OVBD_MOVE(b), l->stored_size, &layer, err);
	if (r == 0 && !layer && want != OVBD_FORMAT_ZFILE)
		r = ovbd_cow_probe(b, err);
	if (r == 1)
		r = ovbd_cow_open(OVBD_MOVE(b), &p->cow, &cow, err);
	if (r == 0 && !layer && !cow && want != OVBD_FORMAT_ZFILE)
		r = ovbd_dm_update_probe(b, err);
	if (r == 1)
		r = ovbd_dm_update_open(OVBD_MOVE(b), &update, err);
	if (r == 0 && !layer && !cow && !update && want != OVBD_FORMAT_ZFILE)
		r = ovbd_dm_snapshot_probe(b, err);
	if (r == 1)
		r = ovbd_dm_snapshot_open(OVBD_MOVE(b), &snapshot, err);
	if (r < 0)
		return r;
	l->layer = layer;
	l->cow = cow;
	l->update = update;
	l->snapshot = snapshot;
	r = settle(l, want, err);
	if (r < 0)
		return r;
	layer = NULL;
	cow = NULL;
	update = NULL;
	snapshot = NULL;
	*ret_blob = OVBD_MOVE(b);
	return 0;
}

/* Has what is read of what x unwraps to recorded. On failure there is no x->blob. */
static int record(struct ovbd_bytes *x, uint32_t number, struct ovbd_recorder *recorder,
                  struct ovbd_error *err)
{
	AUTO_BLOB *b = x->blob;

	x->blob = NULL;
	return ovbd_recorder_wrap(recorder, number, OVBD_MOVE(b), &x->blob, err);
}

static int open_file(const struct ovbd_image_layer *l, const struct ovbd_image_params *p,
                     struct ovbd_bytes *x, struct ovbd_error *err)
{
	int r = ovbd_blob_open_file(l->name, &x->blob, err);

	if (r == 0 && p->metered)
		r = ovbd_blob_open_metered(OVBD_MOVE(x->blob), &x->blob, err);
	return r < 0 ? r : ovbd_prove(x, l, p, false, err);
}

static int open_once(struct ovbd_image_layer *ret, uint32_t number,
                     const struct ovbd_image_params *p, struct ovbd_blob **ret_blob,
                     struct ovbd_error *err)
{
	struct ovbd_image_layer l = {.name = ret->name,
	                             .digest = ret->digest,
	                             .said_size = ret->said_size,
	                             .shown = ret->shown,
	                             .dir = ret->dir,
	                             .download = ret->download,
	                             .root = ret->root,
	                             .tree = ret->tree};
	struct ovbd_bytes x = {0};
	int r;

	r = ovbd_http_is_url(l.name) ? ovbd_remote_open(&l, p, &x, err) : open_file(&l, p, &x, err);
	if (r < 0)
		return r;
	l.stored_size = x.blob->size;
	if (p->format == OVBD_FORMAT_RAW) {
		l.format = OVBD_FORMAT_RAW;
		l.http = x.http;
		l.verity = x.verity;
		l.kept = x.kept;
		*ret_blob = x.blob;
	} else {
		r = unwrap(&x, p->shared, err);
		l.http = x.http;
		l.verity = x.verity;
		l.kept = x.kept;
		l.zfile = x.zfile;
		l.ahead = x.ahead;
		l.tar = x.tar;
		l.tar_off = x.tar_off;
		if (r == 0 && p->recorder)
			r = record(&x, number, p->recorder, err);
		if (r == 0)
			r = open_layer(&l, p, x.blob, ret_blob, err);
		if (r < 0)
			return ovbd_fail_named(err, r, l.shown);
	}
	if (l.http)
		ovbd_lazy_be_patient(l.http);
	*ret = l;
	return 0;
}

/* Whether what has become of a layer may be a cache's fault: it keeps what a server said, and the
 * server may have been wrong once, in what has no checksum: the tar's header, the first bytes. */
static bool is_doubtful(const struct ovbd_image_layer *l, int r)
{
	return r == -EBADMSG || (r == 0 && l->digest && l->format == OVBD_FORMAT_RAW);
}

int ovbd_layer_ref_open(struct ovbd_image_layer *ret, uint32_t number,
                        const struct ovbd_image_params *p, struct ovbd_blob **ret_blob,
                        struct ovbd_error *err)
{
	struct ovbd_image_layer l = *ret;
	struct ovbd_bytes x = {0};
	AUTO_BLOB *kept = NULL; /* so that it is not forgotten what is doubted */
	int r = open_once(&l, number, p, ret_blob, err);

	if (p->cache && p->format != OVBD_FORMAT_RAW && ovbd_http_is_url(ret->name) &&
	    is_doubtful(&l, r) && ovbd_remote_open(ret, p, &x, NULL) == 0 && x.kept) {
		const uint64_t part = ovbd_min(x.kept->size, ENDS);

		kept = x.blob;
		ovbd_blob_distrust(x.kept, 0, part);
		ovbd_blob_distrust(x.kept, x.kept->size - part, part);
		if (r == 0)
			ovbd_blob_close(*ret_blob);
		l = *ret;
		r = open_once(&l, number, p, ret_blob, err);
	}
	if (r < 0)
		return r;
	*ret = l;
	return 0;
}
