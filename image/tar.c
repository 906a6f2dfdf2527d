// SPDX-License-Identifier: Apache-2.0
/*
 * The tar wrapper over blobs and sinks. The writer puts zeros where the headers will be and patches
 * them in at the end: the size is not known before, and until then the file is no tar.
 */
#include "image/tar.h"
#include "image/tar_format.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"

#define PAX_SIZE_MAX (1u << 20) /* of pax records; ours have 24 bytes */
#define TAR_END_SIZE (2 * TAR_BLOCK)

/* The header at off; 1 and *ret, 0 if there is none. */
static int header_at(struct ovbd_blob *b, uint64_t off, struct tar_header *ret,
                     struct ovbd_error *err)
{
	uint8_t raw[TAR_BLOCK];
	int r;

	if (!ovbd_within(off, TAR_BLOCK, b->size))
		return 0;
	r = ovbd_blob_pread(b, raw, sizeof(raw), off, err);
	if (r < 0)
		return r;
	return tar_header_decode(raw, ret);
}

/* Reads the size records of a pax header's data at off: as tar_pax_size(). */
static int pax_size_at(struct ovbd_blob *b, uint64_t off, uint64_t len, uint64_t *ret,
                       struct ovbd_error *err)
{
	AUTO_FREE uint8_t *records = NULL;
	int r;

	if (len > PAX_SIZE_MAX || !ovbd_within(off, len, b->size))
		return ovbd_fail(err, -EBADMSG,
		                 "tar: pax header of %" PRIu64 " bytes in a file of %" PRIu64, len,
		                 b->size);
	records = malloc((size_t)len + 1);
	if (!records)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_blob_pread(b, records, (size_t)len, off, err);
	if (r < 0)
		return r;
	r = tar_pax_size(records, (size_t)len, ret);
	if (r < 0)
		return ovbd_fail(err, r, "tar: bad pax record in the header at 0");
	return r;
}

int ovbd_tar_member(struct ovbd_blob *b, uint64_t *ret_off, uint64_t *ret_len,
                    struct ovbd_error *err)
{
	struct tar_header h;
	uint64_t off = 0, pax_size = 0;
	int r;

	r = header_at(b, 0, &h, err);
	if (r <= 0)
		return r;
	off = TAR_BLOCK;
	if (h.type == 'x') {
		r = pax_size_at(b, off, h.size, &pax_size, err);
		if (r < 0)
			return r;
		off += ovbd_align_up(h.size, TAR_BLOCK);
		r = header_at(b, off, &h, err);
		if (r < 0)
			return r;
		if (r == 0)
			return ovbd_fail(err, -EBADMSG,
			                 "tar: no header at %" PRIu64 ", after the pax header",
			                 off);
		off += TAR_BLOCK;
	}
	if (pax_size > 0)
		h.size = pax_size;
	if (!ovbd_within(off, h.size, b->size))
		return ovbd_fail(err, -EBADMSG,
		                 "tar: member of %" PRIu64 " bytes at %" PRIu64
		                 " in a file of %" PRIu64 ": is it truncated?",
		                 h.size, off, b->size);
	*ret_off = off;
	*ret_len = h.size;
	return 1;
}

struct tar_sink {
	struct ovbd_sink sink;
	struct ovbd_sink *inner; /* owned */
};

static struct ovbd_sink *inner_of(struct ovbd_sink *s)
{
	return OVBD_CONTAINER_OF(s, struct tar_sink, sink)->inner;
}

static int wrap_append(struct ovbd_sink *s, const void *buf, size_t len, struct ovbd_error *err)
{
	return ovbd_sink_append(inner_of(s), buf, len, err);
}

static int wrap_append_zeros(struct ovbd_sink *s, uint64_t len, struct ovbd_error *err)
{
	return ovbd_sink_append_zeros(inner_of(s), len, err);
}

static int wrap_patch(struct ovbd_sink *s, const void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	return ovbd_sink_patch(inner_of(s), buf, len, TAR_WRAP_SIZE + off, err);
}

static int wrap_finish(struct ovbd_sink *s, struct ovbd_error *err)
{
	struct ovbd_sink *inner = inner_of(s);
	const uint64_t pad = ovbd_align_up(s->written, TAR_BLOCK) - s->written;
	uint8_t headers[TAR_WRAP_SIZE];
	int r;

	tar_wrap_encode(s->written, headers);
	r = ovbd_sink_append_zeros(inner, pad + TAR_END_SIZE, err);
	if (r == 0)
		r = ovbd_sink_patch(inner, headers, sizeof(headers), 0, err);
	if (r == 0)
		r = ovbd_sink_finish(inner, err);
	return r;
}

static void wrap_close(struct ovbd_sink *s)
{
	ovbd_sink_close(inner_of(s));
	free(OVBD_CONTAINER_OF(s, struct tar_sink, sink));
}

static const struct ovbd_sink_ops wrap_ops = {
	.name = "tar",
	.append = wrap_append,
	.append_zeros = wrap_append_zeros,
	.patch = wrap_patch,
	.finish = wrap_finish,
	.close = wrap_close,
};

int ovbd_tar_create(struct ovbd_sink *take_inner, struct ovbd_sink **ret, struct ovbd_error *err)
{
	AUTO_SINK *inner = take_inner;
	struct tar_sink *t;
	int r;

	if (!ovbd_sink_can_patch(inner))
		return ovbd_fail(err, -ENOTSUP,
		                 "a tar cannot be written to a %s: its size stands at the front",
		                 inner->ops->name);
	r = ovbd_sink_append_zeros(inner, TAR_WRAP_SIZE, err);
	if (r < 0)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	t->sink.ops = &wrap_ops;
	t->inner = OVBD_MOVE(inner);
	*ret = &t->sink;
	return 0;
}
