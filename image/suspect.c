// SPDX-License-Identifier: Apache-2.0
/*
 * A layer is known by how it begins. One whose beginning is damaged would pass for any bytes; but
 * layers end in a characteristic way too, and a tar keeps its member where it was.
 */
#include "image/suspect.h"

#include <errno.h>

#include "base/bytes.h"
#include "image/tar.h"
#include "lsmt/lsmt.h"
#include "zfile/zfile.h"

#define ZFILE_TRAILER 512u
#define LSMT_TRAILER  4096u
#define TAR_BLOCK     512u

enum { NOTHING, ZFILE, LAYER };

/* What b looks like at off, where its header or trailer would be. */
static int magic_at(struct ovbd_blob *b, uint64_t off, struct ovbd_error *err)
{
	uint8_t raw[TAR_BLOCK];
	AUTO_BLOB *m = NULL;
	int r;

	if (!ovbd_within(off, sizeof(raw), b->size))
		return NOTHING;
	r = ovbd_blob_pread(b, raw, sizeof(raw), off, err);
	if (r == 0)
		r = ovbd_blob_open_mem(raw, sizeof(raw), &m, err);
	if (r == 0)
		r = ovbd_zfile_probe(m, err);
	if (r == 1)
		return ZFILE;
	if (r == 0)
		r = ovbd_layer_probe(m, err);
	return r == 1 ? LAYER : r;
}

/* [off, off + len) of b ends like a layer, but does not begin like one. */
static int suspect_end(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	const uint64_t end = off + len;
	const int begins = magic_at(b, off, err);

	if (begins != NOTHING)
		return begins < 0 ? begins : 0;
	if (len >= ZFILE_TRAILER && magic_at(b, end - ZFILE_TRAILER, err) == ZFILE)
		return ovbd_fail(err, -EBADMSG, "ends like a ZFile, but its header is damaged");
	if (len >= LSMT_TRAILER && magic_at(b, end - LSMT_TRAILER, err) == LAYER)
		return ovbd_fail(err, -EBADMSG, "ends like a layer, but its header is damaged");
	return 0;
}

int ovbd_suspect(struct ovbd_blob *b, const char *name, struct ovbd_error *err)
{
	uint64_t off, len;
	int r;

	r = ovbd_tar_member(b, &off, &len, err);
	if (r == 1)
		r = suspect_end(b, off, len, err);
	else if (r == 0)
		r = suspect_end(b, 0, b->size, err);
	/* a ustar header alone, or after a pax header with its records */
	for (off = TAR_BLOCK; r == 0 && off <= 3 * TAR_BLOCK; off += TAR_BLOCK)
		if (magic_at(b, off, err) > NOTHING)
			r = ovbd_fail(err, -EBADMSG,
			              "a layer lies behind what is no longer a tar header");
	return r < 0 ? ovbd_fail_named(err, r, name) : 0;
}
