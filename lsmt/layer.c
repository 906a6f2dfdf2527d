// SPDX-License-Identifier: Apache-2.0
/*
 * Opening a layer: header, trailer, then the index in pieces, straight into an index of ours.
 *
 * The trailer counts. The header only tells that this is a layer: a file sealed in place keeps the
 * header of when it was created, maybe of another size.
 *
 * A device may have been made smaller after a layer was written to, or given its size later, so
 * segments may lie beyond the virtual size. They are kept: which of them are seen is decided by the
 * size of the stack. As the size chooses how the index is stored, and few layers have such
 * segments, it is taken for the end first, and the index read once more if that was too short. The
 * same goes for what references lead to.
 *
 * Tags are no property of a layer alone, and are dropped, after they have told one thing: a
 * turboOCI layer (a "warp file") looks like any other, but the segments with tag 1 have their data
 * in a tar elsewhere. Such a file holds the data of its other segments and no more. A merged layer,
 * whose tags differ too (they number the layers it was made of), holds those of all. So if tags
 * differ, and the segments claim more data than there are, this is no layer that can be read alone.
 */
#include "lsmt/layer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "lsmt/index.h"

#define PIECE_SIZE (1u << 20) /* of the index, read at once; a multiple of the entry's size */

struct index_reader {
	struct ovbd_blob *blob;
	struct ovbd_index_builder *builder;
	const struct lsmt_header *trailer;
	uint64_t end, ref_max; /* what the builder takes */
	uint64_t prev_end;     /* of the last entry */
	uint64_t nsegments, data_size, zero_size, ref_size, ref_end;
	uint8_t tag; /* of the first segment */
	bool tags_differ;
};

int ovbd_layer_probe(struct ovbd_blob *b, struct ovbd_error *err)
{
	uint8_t raw[LSMT_MAGIC_SIZE];
	int r;

	if (b->size < sizeof(raw))
		return 0;
	r = ovbd_blob_pread(b, raw, sizeof(raw), 0, err);
	return r < 0 ? r : ovbd_lsmt_has_magic(raw);
}

int ovbd_lsmt_header_read(struct ovbd_blob *b, enum lsmt_part part, struct lsmt_header *ret,
                          uint8_t ret_raw[LSMT_HEADER_SIZE], struct ovbd_error *err)
{
	uint8_t own[LSMT_HEADER_SIZE];
	uint8_t *raw = ret_raw ? ret_raw : own;
	int r;

	if (b->size < 2 * LSMT_HEADER_SIZE)
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt: %" PRIu64 " bytes are too few for a header and a trailer",
		                 b->size);
	r = ovbd_blob_pread(b, raw, LSMT_HEADER_SIZE,
	                    part == LSMT_HEADER ? 0 : b->size - LSMT_HEADER_SIZE, err);
	return r < 0 ? r : ovbd_lsmt_header_decode(raw, part, ret, err);
}

static int add_entry(struct index_reader *x, const struct lsmt_entry *e, struct ovbd_error *err)
{
	const struct ovbd_segment s = {
		.off = e->off,
		.len = e->len,
		.src = e->zeroed ? 0 : e->src,
		.layer = e->reference ? OVBD_LAYER_BELOW : 0,
		.kind = e->zeroed ? OVBD_RUN_ZERO : OVBD_RUN_DATA,
	};

	if (x->nsegments++ == 0)
		x->tag = e->tag;
	x->tags_differ |= e->tag != x->tag;
	*(e->reference ? &x->ref_size : e->zeroed ? &x->zero_size : &x->data_size) += e->len;
	x->prev_end = e->off + e->len;
	if (e->reference && e->src + e->len > x->ref_end)
		x->ref_end = e->src + e->len;
	if (x->prev_end > x->end || x->ref_end > x->ref_max)
		return 0;
	return ovbd_index_builder_add(x->builder, &s, err);
}

static int add_piece(struct index_reader *x, const uint8_t *raw, size_t n, uint64_t number,
                     struct ovbd_error *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct lsmt_entry e = ovbd_lsmt_entry_decode(raw + i * LSMT_ENTRY_SIZE);
		int r;

		if (e.padding)
			continue;
		r = ovbd_lsmt_entry_check(&e, number + i, x->prev_end, x->trailer, err);
		if (r == 0)
			r = add_entry(x, &e, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* All entries of an index. x->builder has them if neither x->prev_end nor x->ref_end is too large
 * for it afterwards. */
static int read_entries(struct index_reader *x, struct ovbd_error *err)
{
	const uint64_t nentries = x->trailer->nentries;
	const size_t per_piece = (size_t)ovbd_min(nentries, PIECE_SIZE / LSMT_ENTRY_SIZE);
	AUTO_FREE uint8_t *raw = ovbd_array_alloc(per_piece, LSMT_ENTRY_SIZE);

	if (!raw)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (uint64_t i = 0; i < nentries; i += per_piece) {
		const size_t n = (size_t)ovbd_min(per_piece, nentries - i);
		int r;

		r = ovbd_blob_pread(x->blob, raw, n * LSMT_ENTRY_SIZE,
		                    x->trailer->index_off + i * LSMT_ENTRY_SIZE, err);
		if (r == 0)
			r = add_piece(x, raw, n, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_tags(const struct index_reader *x, struct ovbd_error *err)
{
	const uint64_t room = x->trailer->index_off - LSMT_HEADER_SIZE;

	if (!x->tags_differ || x->data_size <= room)
		return 0;
	return ovbd_fail(err, -ENOTSUP,
	                 "lsmt: segments with %" PRIu64
	                 " bytes of data in a file that holds %" PRIu64
	                 ", and with different tags: a turboOCI layer, whose data are elsewhere",
	                 x->data_size, room);
}

/* Reads the index that the trailer t tells of, for a device that ends at *end, over one that ends
 * at *ref_max. If they end elsewhere, these say so afterwards, and there is no l->index. */
static int read_index(struct ovbd_layer *l, const struct lsmt_header *t, uint64_t *end,
                      uint64_t *ref_max, struct ovbd_error *err)
{
	const struct ovbd_index_bounds bounds = {
		.end = *end,
		.src_end = *ref_max > t->index_off ? *ref_max : t->index_off,
		.nsegments = t->nentries,
		.memory_max = l->memory_max,
	};
	OVBD_AUTO(ovbd_index_builder_closep) struct ovbd_index_builder *builder = NULL;
	struct index_reader x = {.blob = l->blob, .trailer = t, .end = *end, .ref_max = *ref_max};
	int r;

	r = ovbd_index_builder_create(&bounds, &builder, err);
	if (r < 0)
		return r;
	x.builder = builder;
	r = read_entries(&x, err);
	if (r == 0)
		r = check_tags(&x, err);
	if (r < 0)
		return r;
	if (x.prev_end > *end || x.ref_end > *ref_max) {
		*end = x.prev_end > *end ? x.prev_end : *end;
		*ref_max = x.ref_end;
		return 0;
	}
	l->info.nsegments = x.nsegments;
	l->info.data_size = x.data_size;
	l->info.zero_size = x.zero_size;
	l->info.ref_size = x.ref_size;
	l->info.ref_end = x.ref_end;
	l->info.end = x.prev_end;
	return ovbd_index_builder_finish(OVBD_MOVE(builder), &l->index, err);
}

static int open_index(struct ovbd_layer *l, const struct lsmt_header *t, struct ovbd_error *err)
{
	uint64_t end = ovbd_align_up(t->virtual_size, LSMT_SECTOR_SIZE);
	uint64_t ref_max = t->references ? end : 0;
	int r;

	l->index_off = t->index_off;
	l->index_end = t->index_off + t->nentries * LSMT_ENTRY_SIZE;
	r = read_index(l, t, &end, &ref_max, err);
	if (r == 0 && !l->index)
		r = read_index(l, t, &end, &ref_max, err);
	if (r == 0 && !l->index)
		return ovbd_fail(err, -EBADMSG, "lsmt: the index changes while it is read");
	return r;
}

int ovbd_layer_open(struct ovbd_blob *take_b, uint64_t stored_size, struct ovbd_layer **ret,
                    struct ovbd_error *err)
{
	AUTO_BLOB *b = take_b;
	OVBD_AUTO(ovbd_layer_closep) struct ovbd_layer *l = NULL;
	struct lsmt_header header, trailer;
	int r;

	r = ovbd_lsmt_header_read(b, LSMT_HEADER, &header, NULL, err);
	if (r == 0)
		r = ovbd_lsmt_header_read(b, LSMT_TRAILER, &trailer, NULL, err);
	if (r == 0)
		r = ovbd_lsmt_trailer_check(&trailer, b->size, err);
	if (r == 0 && header.references != trailer.references)
		return ovbd_fail(err, -EBADMSG,
		                 "lsmt: version %" PRIu32 " in the header, %" PRIu32
		                 " in the trailer",
		                 header.version >> 8, trailer.version >> 8);
	if (r < 0)
		return r;
	l = calloc(1, sizeof(*l));
	if (!l)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	l->blob = OVBD_MOVE(b);
	l->stored_size = stored_size;
	l->memory_max = stored_size / 2 + OVBD_SEGMENTS_ALWAYS * UINT64_C(18);
	l->info.virtual_size = trailer.virtual_size;
	l->info.version = trailer.version;
	l->info.sealed_header = (header.flags & LSMT_FLAG_SEALED) != 0;
	memcpy(l->info.uuid, trailer.uuid, sizeof(l->info.uuid));
	memcpy(l->info.parent_uuid, trailer.parent_uuid, sizeof(l->info.parent_uuid));
	/* sealing in place leaves the message in the header */
	memcpy(l->info.tag, trailer.tag[0] ? trailer.tag : header.tag, sizeof(l->info.tag));
	r = open_index(l, &trailer, err);
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(l);
	return 0;
}

const struct ovbd_layer_info *ovbd_layer_info(const struct ovbd_layer *l)
{
	return &l->info;
}

const struct ovbd_index *ovbd_layer_index(const struct ovbd_layer *l)
{
	return l->index;
}

struct ovbd_index *ovbd_layer_take_index(struct ovbd_layer *l)
{
	return OVBD_MOVE(l->index);
}

uint64_t ovbd_layer_memory_max(const struct ovbd_layer *l)
{
	return l->memory_max;
}

uint64_t ovbd_layer_stored_size(const struct ovbd_layer *l)
{
	return l->stored_size;
}

struct ovbd_blob *ovbd_layer_blob(struct ovbd_layer *l)
{
	return l->blob;
}

void ovbd_layer_close(struct ovbd_layer *take_l)
{
	if (!take_l)
		return;
	ovbd_index_free(take_l->index);
	ovbd_blob_close(take_l->blob);
	free(take_l);
}
