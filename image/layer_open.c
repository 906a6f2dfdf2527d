// SPDX-License-Identifier: Apache-2.0
/*
 * What can lie in what:
 *
 *     file or URL ──► [tar member] ──► [ZFile] ──► layer
 *                                         └──────► any other bytes
 *
 * Each step is taken if the bytes begin like it and the caller has not asked to stop before.
 */
#include "image/layer_open.h"

#include <errno.h>

#include "image/blob_named.h"
#include "image/tar.h"

int ovbd_bytes_open(const char *name, const struct ovbd_http_params *http, struct ovbd_blob **ret,
                    struct ovbd_blob **ret_http, struct ovbd_error *err)
{
	const bool remote = ovbd_http_is_url(name);
	const int r =
		remote ? ovbd_http_open(name, http, ret, err) : ovbd_blob_open_file(name, ret, err);

	if (r == 0)
		*ret_http = remote ? *ret : NULL;
	return r;
}

/* If take_b is a tar, its first member. */
static int unwrap_tar(struct ovbd_blob *take_b, bool *ret_tar, struct ovbd_blob **ret,
                      struct ovbd_error *err)
{
	AUTO_BLOB *b = take_b;
	uint64_t off, len;
	const int r = ovbd_tar_member(b, &off, &len, err);

	if (r < 0)
		return r;
	*ret_tar = r == 1;
	if (r == 1)
		return ovbd_blob_open_slice(OVBD_MOVE(b), off, len, ret, err);
	*ret = OVBD_MOVE(b);
	return 0;
}

/* If take_b is a ZFile, what it holds. l->zfile says which. */
static int unwrap_zfile(struct ovbd_blob *take_b, struct ovbd_image_layer *l,
                        struct ovbd_blob **ret, struct ovbd_error *err)
{
	AUTO_BLOB *b = take_b;
	AUTO_BLOB *z = NULL;
	int r;

	r = ovbd_zfile_probe(b, err);
	if (r <= 0) {
		*ret = r == 0 ? OVBD_MOVE(b) : NULL;
		return r;
	}
	r = ovbd_zfile_open(OVBD_MOVE(b), &z, err);
	if (r < 0)
		return r;
	l->zfile = z;
	return ovbd_blob_open_named(OVBD_MOVE(z), l->shown, ret, err);
}

/* What the steps have led to, and whether that is what was asked for. */
static int settle(struct ovbd_image_layer *l, enum ovbd_format want, struct ovbd_error *err)
{
	if (l->layer)
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

static int open_steps(struct ovbd_image_layer *l, enum ovbd_format want, struct ovbd_blob *take_b,
                      struct ovbd_blob **ret_blob, struct ovbd_error *err)
{
	AUTO_BLOB *b = take_b;
	OVBD_AUTO(ovbd_layer_closep) struct ovbd_layer *layer = NULL;
	int r;

	r = unwrap_tar(OVBD_MOVE(b), &l->tar, &b, err);
	if (r == 0)
		r = unwrap_zfile(OVBD_MOVE(b), l, &b, err);
	if (r == 0 && want != OVBD_FORMAT_ZFILE)
		r = ovbd_layer_probe(b, err);
	if (r == 1)
		r = ovbd_layer_open(OVBD_MOVE(b), l->stored_size, &layer, err);
	if (r < 0)
		return r;
	l->layer = layer;
	r = settle(l, want, err);
	if (r < 0)
		return r;
	layer = NULL;
	*ret_blob = OVBD_MOVE(b);
	return 0;
}

int ovbd_layer_ref_open(struct ovbd_image_layer *ret, const struct ovbd_image_params *p,
                        struct ovbd_blob **ret_blob, struct ovbd_error *err)
{
	struct ovbd_image_layer l = {.name = ret->name, .shown = ret->shown};
	AUTO_BLOB *b = NULL;
	int r;

	r = ovbd_bytes_open(l.name, p->http, &b, &l.http, err);
	if (r < 0)
		return r;
	l.stored_size = b->size;
	if (p->format == OVBD_FORMAT_RAW) {
		l.format = OVBD_FORMAT_RAW;
		*ret_blob = OVBD_MOVE(b);
	} else {
		r = open_steps(&l, p->format, OVBD_MOVE(b), ret_blob, err);
		if (r < 0)
			return ovbd_fail_named(err, r, l.shown);
	}
	*ret = l;
	return 0;
}
