// SPDX-License-Identifier: Apache-2.0
/*
 * Chunks from the second sector on, one behind the other, then the directory, and at last the
 * superblock over the zeros that were kept free for it. A chunk is as many blocks as fit; the last
 * one has fewer.
 */
#include "ota/dm_update_impl.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define FIRST_CHUNK 512u

struct ovbd_dm_update_writer {
	struct ovbd_sink *out; /* owned */
	struct dm_update_super s;
	struct dm_update_codec *codec;
	uint8_t *chunk, *packed; /* what is collected; room for it compressed */
	size_t nblocks, packed_size;
	uint64_t end;              /* of the block put last, bytes */
	struct dm_update_entry *v; /* the directory; those of the open chunk have no src yet */
	uint64_t n, cap;
};

static size_t chunk_size(const struct ovbd_dm_update_writer *w)
{
	return (size_t)w->s.chunk_blocks << w->s.block_bits;
}

static int check_params(const struct ovbd_dm_update_params *p, struct ovbd_error *err)
{
	if (p->block_size < 512 || (p->block_size & (p->block_size - 1)) != 0)
		return ovbd_fail(err, -EINVAL,
		                 "dm-update: blocks of %" PRIu32 " bytes: it is a power of two",
		                 p->block_size);
	if (p->chunk_blocks == 0 || p->chunk_blocks > OVBD_DM_UPDATE_CHUNK_MAX / p->block_size)
		return ovbd_fail(err, -EINVAL,
		                 "dm-update: chunks of %" PRIu32 " blocks of %" PRIu32
		                 " bytes: they have 1 to %u bytes",
		                 p->chunk_blocks, p->block_size, OVBD_DM_UPDATE_CHUNK_MAX);
	if (p->level != 0 && p->codec != OVBD_DM_UPDATE_ZSTD)
		return ovbd_fail(err, -EINVAL, "dm-update: %s has no level %d",
		                 ovbd_dm_update_codec_name(p->codec), p->level);
	return 0;
}

int ovbd_dm_update_create(struct ovbd_sink *take_out, const struct ovbd_dm_update_params *p,
                          struct ovbd_dm_update_writer **ret, struct ovbd_error *err)
{
	AUTO_SINK *out = take_out;
	OVBD_AUTO(ovbd_dm_update_writer_closep) struct ovbd_dm_update_writer *w = NULL;
	int r = check_params(p, err);

	if (r < 0)
		return r;
	assert(out->written == 0 && ovbd_sink_can_patch(out));
	w = calloc(1, sizeof(*w));
	if (!w)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	w->s.codec = p->codec;
	w->s.block_bits = (unsigned)__builtin_ctz(p->block_size);
	w->s.chunk_blocks = p->chunk_blocks;
	w->packed_size = dm_update_bound(p->codec, chunk_size(w));
	w->chunk = malloc(chunk_size(w));
	w->packed = malloc(w->packed_size);
	if (!w->chunk || !w->packed)
		return ovbd_fail(err, -ENOMEM, "out of memory for chunks of %zu bytes",
		                 chunk_size(w));
	r = dm_update_codec_create(p->codec, p->level, &w->codec, err);
	if (r == 0)
		r = ovbd_sink_append_zeros(out, FIRST_CHUNK, err);
	if (r < 0)
		return r;
	w->out = OVBD_MOVE(out);
	*ret = OVBD_MOVE(w);
	return 0;
}

static int append_packed(struct ovbd_dm_update_writer *w, const void *data, size_t len,
                         uint8_t *packed, size_t packed_size, struct ovbd_error *err)
{
	const int64_t n = dm_update_compress(w->codec, data, len, packed, packed_size);

	if (n < 0)
		return ovbd_fail(err, (int)n, "dm-update: %s fails on %zu bytes",
		                 ovbd_dm_update_codec_name(w->s.codec), len);
	if (w->out->written + (uint64_t)n > DM_UPDATE_NUMBER_MAX)
		return ovbd_fail(err, -E2BIG, "dm-update: more data than the format can hold");
	return ovbd_sink_append(w->out, packed, (size_t)n, err);
}

static int flush(struct ovbd_dm_update_writer *w, struct ovbd_error *err)
{
	const size_t len = w->nblocks << w->s.block_bits;

	if (len == 0)
		return 0;
	for (size_t i = 0; i < w->nblocks; i++)
		w->v[w->n - w->nblocks + i].src = w->out->written;
	w->nblocks = 0;
	return append_packed(w, w->chunk, len, w->packed, w->packed_size, err);
}

static int add_entry(struct ovbd_dm_update_writer *w, uint64_t dest, struct ovbd_error *err)
{
	if (w->n == w->cap) {
		const uint64_t cap = w->cap + w->cap / 4 + 1024;
		struct dm_update_entry *v = realloc(w->v, cap * sizeof(*v));

		if (!v)
			return ovbd_fail(err, -ENOMEM, "out of memory for %" PRIu64 " blocks", cap);
		w->v = v;
		w->cap = cap;
	}
	w->v[w->n++] = (struct dm_update_entry){.dest = dest, .index = (uint32_t)w->nblocks};
	return 0;
}

int ovbd_dm_update_put(struct ovbd_dm_update_writer *w, uint64_t off, const void *buf, size_t len,
                       struct ovbd_error *err)
{
	const size_t block = (size_t)1 << w->s.block_bits;
	const uint8_t *from = buf;
	int r = 0;

	if ((off | len) % block != 0 || off < w->end ||
	    (off + len) >> w->s.block_bits >= UINT64_C(1) << 47)
		return ovbd_fail(err, -EINVAL,
		                 "dm-update: %zu bytes at %" PRIu64
		                 " are not whole blocks of %zu behind %" PRIu64,
		                 len, off, block, w->end);
	w->end = off + len;
	for (; r == 0 && len > 0; from += block, off += block, len -= block) {
		r = add_entry(w, off >> w->s.block_bits, err);
		if (r < 0)
			break;
		memcpy(w->chunk + w->nblocks * block, from, block);
		if (++w->nblocks == w->s.chunk_blocks)
			r = flush(w, err);
	}
	return r;
}

static int write_dir(struct ovbd_dm_update_writer *w, struct ovbd_error *err)
{
	const size_t size = (size_t)w->n * DM_UPDATE_ENTRY_SIZE;
	const size_t packed_size = dm_update_bound(w->s.codec, size);
	AUTO_FREE uint8_t *raw = malloc(size), *packed = malloc(packed_size);
	int r;

	if (size > INT32_MAX / 2)
		return ovbd_fail(err, -E2BIG, "dm-update: %" PRIu64 " blocks are too many", w->n);
	if (!raw || !packed)
		return ovbd_fail(err, -ENOMEM, "out of memory for %" PRIu64 " blocks", w->n);
	for (uint64_t i = 0; i < w->n; i++)
		dm_update_entry_encode(&w->v[i], raw + i * DM_UPDATE_ENTRY_SIZE);
	w->s.dir_off = w->out->written;
	w->s.dir_n = w->n;
	r = append_packed(w, raw, size, packed, packed_size, err);
	w->s.dir_stored = w->out->written - w->s.dir_off;
	return r;
}

int ovbd_dm_update_finish(struct ovbd_dm_update_writer *w, struct ovbd_error *err)
{
	uint8_t raw[DM_UPDATE_SUPER_SIZE];
	int r = flush(w, err);

	if (r == 0)
		r = add_entry(w, DM_UPDATE_NUMBER_MAX, err);
	if (r < 0)
		return r;
	w->v[w->n - 1].src = w->out->written;
	r = write_dir(w, err);
	if (r < 0)
		return r;
	dm_update_super_encode(&w->s, raw);
	r = ovbd_sink_patch(w->out, raw, sizeof(raw), 0, err);
	return r < 0 ? r : ovbd_sink_finish(w->out, err);
}

uint64_t ovbd_dm_update_nblocks(const struct ovbd_dm_update_writer *w)
{
	return w->n;
}

void ovbd_dm_update_writer_close(struct ovbd_dm_update_writer *w)
{
	if (!w)
		return;
	dm_update_codec_free(w->codec);
	ovbd_sink_close(w->out);
	free(w->chunk);
	free(w->packed);
	free(w->v);
	free(w);
}
