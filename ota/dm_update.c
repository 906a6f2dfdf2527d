// SPDX-License-Identifier: Apache-2.0
/*
 * Opening: the superblock, and the directory, which becomes two tables: where each block of the
 * system device is, and where each chunk is in the file. Chunks lie in the file in the order of the
 * blocks they hold, so one entry after the other says all there is to check.
 */
#include "ota/dm_update.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "ota/dm_update_impl.h"

int ovbd_dm_update_probe(struct ovbd_blob *b, struct ovbd_error *err)
{
	uint8_t raw[DM_UPDATE_MAGIC_SIZE];
	int r;

	if (b->size < DM_UPDATE_SUPER_SIZE)
		return 0;
	r = ovbd_blob_pread(b, raw, sizeof(raw), 0, err);
	return r < 0 ? r : dm_update_has_magic(raw);
}

/* The directory as it was before it was compressed, to be freed. */
static int read_dir(const struct ovbd_dm_update *u, uint8_t **ret, struct ovbd_error *err)
{
	const size_t size = (size_t)(u->s.dir_n * DM_UPDATE_ENTRY_SIZE);
	const size_t stored = (size_t)u->s.dir_stored;
	OVBD_AUTO(dm_update_codec_freep) struct dm_update_codec *codec = NULL;
	AUTO_FREE uint8_t *in = malloc(stored + 1), *out = NULL;
	int64_t n = (int64_t)size;
	int r;

	if (!in)
		return ovbd_fail(err, -ENOMEM, "out of memory for a directory of %zu bytes",
		                 stored);
	r = ovbd_blob_pread(u->blob, in, stored, u->s.dir_off, err);
	if (r == 0 && u->s.codec == OVBD_DM_UPDATE_NONE) {
		*ret = OVBD_MOVE(in);
		return 0;
	}
	if (r == 0)
		r = dm_update_codec_create(u->s.codec, -1, &codec, err);
	if (r < 0)
		return r;
	out = malloc(size);
	if (!out)
		return ovbd_fail(err, -ENOMEM, "out of memory for a directory of %zu bytes", size);
	n = dm_update_decompress(codec, in, stored, out, size);
	if (n != (int64_t)size)
		return ovbd_fail(err, -EBADMSG,
		                 "dm-update directory: %zu bytes at %" PRIu64
		                 " do not decompress by %s to %" PRIu64 " entries",
		                 stored, u->s.dir_off, ovbd_dm_update_codec_name(u->s.codec),
		                 u->s.dir_n);
	*ret = OVBD_MOVE(out);
	return 0;
}

/* Chunk number c is all there: it has bytes, and as they are, if not compressed, all its blocks. */
static int check_chunk(const struct ovbd_dm_update *u, uint64_t c, struct ovbd_error *err)
{
	const struct dm_update_chunk *chunk = &u->chunks[c];
	const uint64_t stored = chunk[1].src - chunk[0].src;
	const uint64_t need = ((uint64_t)chunk->max + 1) << u->s.block_bits;

	if (chunk->src >= DM_UPDATE_SUPER_SIZE && ovbd_within(chunk->src, stored, u->blob->size) &&
	    (u->s.codec != OVBD_DM_UPDATE_NONE || stored >= need))
		return 0;
	return ovbd_fail(err, -EBADMSG,
	                 "dm-update chunk %" PRIu64 ": %" PRIu64 " bytes at %" PRIu64
	                 " of a file of %" PRIu64 " cannot have %" PRIu32 " blocks",
	                 c, stored, chunk->src, u->blob->size, chunk->max + 1);
}

static int check_entry(const struct ovbd_dm_update *u, uint64_t i, const struct dm_update_entry *e,
                       const struct dm_update_entry *before, struct ovbd_error *err)
{
	const bool last = i + 1 == u->s.dir_n;

	if (i > 0 && !last && e->dest <= before->dest)
		return ovbd_fail(err, -EBADMSG,
		                 "dm-update directory entry %" PRIu64 ": block %" PRIu64
		                 " does not come after %" PRIu64,
		                 i, e->dest, before->dest);
	if (i > 0 && e->src < before->src)
		return ovbd_fail(err, -EBADMSG,
		                 "dm-update directory entry %" PRIu64 ": chunk at %" PRIu64
		                 " lies before the last one at %" PRIu64,
		                 i, e->src, before->src);
	if (i > 0 && last && e->src == before->src)
		return ovbd_fail(err, -EBADMSG,
		                 "dm-update directory entry %" PRIu64
		                 ": the last chunk, at %" PRIu64 ", does not end",
		                 i, e->src);
	if (!last && e->index >= u->s.chunk_blocks)
		return ovbd_fail(err, -EBADMSG,
		                 "dm-update directory entry %" PRIu64 ": block %" PRIu32
		                 " of a chunk of %" PRIu32,
		                 i, e->index, u->s.chunk_blocks);
	if (!last && e->dest + 1 >= OVBD_BLOB_SIZE_UNKNOWN >> u->s.block_bits)
		return ovbd_fail(err, -EBADMSG,
		                 "dm-update directory entry %" PRIu64 ": block %" PRIu64
		                 " is beyond all devices",
		                 i, e->dest);
	return 0;
}

/* Adds entry number i to the tables. The last one only ends a chunk. */
static int add_entry(struct ovbd_dm_update *u, uint64_t i, const struct dm_update_entry *e,
                     struct ovbd_error *err)
{
	const bool last = i + 1 == u->s.dir_n;
	uint64_t *n = &u->info.nchunks;

	if (last || *n == 0 || e->src != u->chunks[*n - 1].src) {
		u->chunks[*n] = (struct dm_update_chunk){.src = e->src, .first = i};
		if (*n > 0) {
			const int r = check_chunk(u, *n - 1, err);

			if (r < 0)
				return r;
		}
		*n += !last;
	}
	if (last)
		return 0;
	if (e->index > u->chunks[*n - 1].max)
		u->chunks[*n - 1].max = e->index;
	u->places[i] = (struct dm_update_place){.dest = e->dest,
	                                        .chunk = (uint32_t)(*n - 1),
	                                        .index = e->index};
	return 0;
}

static int load_dir(struct ovbd_dm_update *u, struct ovbd_error *err)
{
	struct dm_update_entry e, before = {0};
	AUTO_FREE uint8_t *raw = NULL;
	int r = read_dir(u, &raw, err);

	if (r < 0)
		return r;
	u->places = ovbd_array_alloc(u->s.dir_n, sizeof(u->places[0]));
	u->chunks = ovbd_array_alloc(u->s.dir_n, sizeof(u->chunks[0]));
	if (!u->places || !u->chunks)
		return ovbd_fail(err, -ENOMEM, "out of memory for %" PRIu64 " blocks", u->s.dir_n);
	for (uint64_t i = 0; i < u->s.dir_n; i++, before = e) {
		e = dm_update_entry_decode(raw + i * DM_UPDATE_ENTRY_SIZE);
		r = check_entry(u, i, &e, &before, err);
		if (r == 0)
			r = add_entry(u, i, &e, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void fill_info(struct ovbd_dm_update *u)
{
	struct ovbd_dm_update_info *i = &u->info;

	i->codec = u->s.codec;
	i->block_size = UINT32_C(1) << u->s.block_bits;
	i->chunk_blocks = u->s.chunk_blocks;
	i->nblocks = u->s.dir_n - 1;
	i->dir_size = u->s.dir_stored;
	if (i->nblocks == 0)
		return;
	i->end = (u->places[i->nblocks - 1].dest + 1) << u->s.block_bits;
	i->data_size = u->chunks[i->nchunks].src - u->chunks[0].src;
}

int ovbd_dm_update_open(struct ovbd_blob *take_b, struct ovbd_dm_update **ret,
                        struct ovbd_error *err)
{
	AUTO_BLOB *b = take_b;
	OVBD_AUTO(ovbd_dm_update_closep) struct ovbd_dm_update *u = calloc(1, sizeof(*u));
	uint8_t raw[DM_UPDATE_SUPER_SIZE];
	int r;

	if (!u)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	u->blob = OVBD_MOVE(b);
	if (u->blob->size < sizeof(raw))
		return ovbd_fail(err, -EBADMSG, "dm-update: %" PRIu64 " bytes have no superblock",
		                 u->blob->size);
	r = ovbd_blob_pread(u->blob, raw, sizeof(raw), 0, err);
	if (r == 0)
		r = dm_update_super_decode(raw, u->blob->size, &u->s, err);
	if (r == 0)
		r = load_dir(u, err);
	if (r < 0)
		return r;
	fill_info(u);
	*ret = OVBD_MOVE(u);
	return 0;
}

const struct ovbd_dm_update_info *ovbd_dm_update_info(const struct ovbd_dm_update *u)
{
	return &u->info;
}

void ovbd_dm_update_close(struct ovbd_dm_update *take_u)
{
	if (!take_u)
		return;
	ovbd_blob_close(take_u->blob);
	free(take_u->places);
	free(take_u->chunks);
	free(take_u);
}

int dm_update_chunk_read(const struct ovbd_dm_update *u, struct dm_update_codec *codec, uint64_t i,
                         uint8_t **in, size_t *in_size, uint8_t *out, struct ovbd_error *err)
{
	const struct dm_update_chunk *c = &u->chunks[i];
	const size_t stored = (size_t)(c[1].src - c[0].src);
	const uint64_t need = ((uint64_t)c->max + 1) << u->s.block_bits;
	int64_t n;
	int r;

	if (stored > *in_size) {
		uint8_t *more = realloc(*in, stored);

		if (!more)
			return ovbd_fail(err, -ENOMEM, "out of memory for a chunk of %zu bytes",
			                 stored);
		*in = more;
		*in_size = stored;
	}
	r = ovbd_blob_pread(u->blob, *in, stored, c->src, err);
	if (r < 0)
		return r;
	n = dm_update_decompress(codec, *in, stored, out, dm_update_chunk_size(u));
	if (n < 0 || (uint64_t)n < need)
		return ovbd_fail(err, -EBADMSG,
		                 "dm-update chunk %" PRIu64 ": %zu bytes at %" PRIu64
		                 " do not decompress by %s to %" PRIu32 " blocks",
		                 i, stored, c->src, ovbd_dm_update_codec_name(u->s.codec),
		                 c->max + 1);
	return 0;
}

int ovbd_dm_update_check(struct ovbd_dm_update *u, ovbd_progress_fn progress, void *arg,
                         struct ovbd_error *err)
{
	OVBD_AUTO(dm_update_codec_freep) struct dm_update_codec *codec = NULL;
	AUTO_FREE uint8_t *in = NULL, *out = NULL;
	size_t in_size = 0;
	int r;

	if (u->s.codec == OVBD_DM_UPDATE_NONE)
		return 0; /* nothing to find out */
	out = malloc(dm_update_chunk_size(u));
	if (!out)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = dm_update_codec_create(u->s.codec, -1, &codec, err);
	for (uint64_t i = 0; r == 0 && i < u->info.nchunks; i++) {
		r = dm_update_chunk_read(u, codec, i, &in, &in_size, out, err);
		if (r == 0 && progress &&
		    progress(arg, u->chunks[i + 1].src - u->chunks[0].src, u->info.data_size) != 0)
			r = ovbd_fail(err, -ECANCELED, "interrupted");
	}
	return r;
}
