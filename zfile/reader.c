// SPDX-License-Identifier: Apache-2.0
/*
 * The ZFile as a blob.
 *
 * A read is cut into runs. A run is as many consecutive blocks as fit into RUN_MAX when compressed;
 * it is fetched with one read of the inner blob (one request, if that is far away) and then
 * verified and decompressed block by block: straight into the caller's buffer where all of a block
 * is wanted, otherwise into the scratch's block, from which a part is copied and which the next
 * read may find still there (see scratch.c).
 *
 * The jump table was checked at open, so no length here needs checking again except the one that
 * only decompression can tell. There is no read-ahead: that belongs to the cache below.
 */
#include "zfile/reader.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "base/crc32c.h"

/* Bytes fetched at once; at least one block, however long. */
#define RUN_MAX (1u << 20)

/* What is left of a read. */
struct want {
	uint8_t *buf;
	uint64_t off, end;
};

static uint64_t block_raw_len(const struct zfile *z, uint64_t block)
{
	return ovbd_min(z->h.block_size, z->blob.size - (block << z->block_shift));
}

/* Checks and decompresses a block. stored has the length that the jump table says. */
static int inflate(const struct zfile *z, struct zfile_scratch *s, uint64_t block,
                   const uint8_t *stored, uint8_t *dst, struct ovbd_error *err)
{
	const uint64_t at = zfile_jump_at(&z->jump, block);
	size_t stored_len = (size_t)(zfile_jump_at(&z->jump, block + 1) - at);
	const size_t raw_len = (size_t)block_raw_len(z, block);
	size_t got = 0;
	int r;

	if (z->h.checksum) {
		uint32_t crc, right;

		stored_len -= ZFILE_CRC_SIZE;
		crc = ovbd_crc32c(ZFILE_BLOCK_CRC_SEED, stored, stored_len);
		right = ovbd_get_le32(stored + stored_len);
		if (crc != right)
			return ovbd_fail(err, -EBADMSG,
			                 "zfile block %" PRIu64 " at %" PRIu64
			                 ": checksum 0x%08" PRIx32 " is not 0x%08" PRIx32,
			                 block, at, crc, right);
	}
	r = z->codec->decompress(s->decompressor, stored, stored_len, dst, raw_len, &got);
	if (r < 0)
		return ovbd_fail(err, r, "zfile block %" PRIu64 " at %" PRIu64 ": %s", block, at,
		                 r == -ENOMEM ? "out of memory" : "does not decompress");
	if (got != raw_len)
		return ovbd_fail(err, -EBADMSG,
		                 "zfile block %" PRIu64 " at %" PRIu64
		                 ": decompresses to %zu bytes, not %zu",
		                 block, at, got, raw_len);
	return 0;
}

/* Copies the part of the scratch's block that is wanted. */
static void copy_part(const struct zfile *z, const struct zfile_scratch *s, struct want *w)
{
	const uint64_t start = s->block_no << z->block_shift;
	const size_t skip = (size_t)(w->off - start);
	const size_t n = (size_t)ovbd_min(block_raw_len(z, s->block_no) - skip, w->end - w->off);

	memcpy(w->buf, s->block + skip, n);
	w->buf += n;
	w->off += n;
}

/* Takes from a block, which is at stored, what is wanted of it; then *w begins after it. */
static int read_block(const struct zfile *z, struct zfile_scratch *s, uint64_t block,
                      const uint8_t *stored, struct want *w, struct ovbd_error *err)
{
	const uint64_t start = block << z->block_shift, raw_len = block_raw_len(z, block);
	int r;

	if (w->off == start && w->end - w->off >= raw_len) {
		r = inflate(z, s, block, stored, w->buf, err);
		if (r < 0)
			return r;
		w->buf += raw_len;
		w->off += raw_len;
		return 0;
	}
	if (!s->block)
		s->block = malloc(z->h.block_size);
	if (!s->block)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	s->block_no = ZFILE_NO_BLOCK;
	r = inflate(z, s, block, stored, s->block, err);
	if (r < 0)
		return r;
	s->block_no = block;
	copy_part(z, s, w);
	return 0;
}

/* The same. A block that is wrong is read once more, if what is below may have other bytes then: a
 * cache keeps what a server said, and the server may have been wrong once. */
static int read_block_twice(const struct zfile *z, struct zfile_scratch *s, uint64_t block,
                            uint8_t *stored, struct want *w, struct ovbd_error *err)
{
	const uint64_t at = zfile_jump_at(&z->jump, block);
	const size_t len = (size_t)(zfile_jump_at(&z->jump, block + 1) - at);
	int r = read_block(z, s, block, stored, w, err);

	if (r != -EBADMSG || !ovbd_blob_distrust(z->inner, at, len))
		return r;
	r = ovbd_blob_pread(z->inner, stored, len, at, err);
	if (r < 0)
		return ovbd_fail_within(err, r, "zfile block %" PRIu64, block);
	return read_block(z, s, block, stored, w, err);
}

/* Reads the blocks from the first wanted one on that are fetched at once. */
static int read_run(const struct zfile *z, struct zfile_scratch *s, struct want *w,
                    struct ovbd_error *err)
{
	const uint64_t first = w->off >> z->block_shift;
	const uint64_t last = (w->end - 1) >> z->block_shift;
	const uint64_t start = zfile_jump_at(&z->jump, first);
	uint64_t end = zfile_jump_at(&z->jump, first + 1);
	uint64_t after = first + 1; /* the block after the run, which ends at end */
	uint8_t *stored;
	int r;

	for (; after <= last && zfile_jump_at(&z->jump, after + 1) - start <= RUN_MAX; after++)
		end = zfile_jump_at(&z->jump, after + 1);
	r = ovbd_zfile_scratch_grow(s, (size_t)(end - start), err);
	if (r == 0)
		r = ovbd_blob_pread(z->inner, s->in, (size_t)(end - start), start, err);
	if (r < 0)
		return ovbd_fail_within(err, r, "zfile blocks %" PRIu64 " to %" PRIu64, first,
		                        after - 1);
	stored = s->in;
	for (uint64_t block = first; r == 0 && block < after; block++) {
		r = read_block_twice(z, s, block, stored, w, err);
		stored += zfile_jump_at(&z->jump, block + 1) - zfile_jump_at(&z->jump, block);
	}
	return r;
}

static int zfile_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                       struct ovbd_error *err)
{
	struct zfile *z = ovbd_zfile_of(b);
	struct want w = {.buf = buf, .off = off, .end = off + len};
	struct zfile_scratch *s;
	int r;

	r = ovbd_zfile_scratch_take(&z->scratches, off >> z->block_shift, &s, err);
	if (r < 0)
		return r;
	if (s->block_no == off >> z->block_shift)
		copy_part(z, s, &w);
	while (r == 0 && w.off < w.end)
		r = read_run(z, s, &w, err);
	ovbd_zfile_scratch_give(&z->scratches, s);
	return r;
}

static void zfile_close(struct ovbd_blob *b)
{
	struct zfile *z = ovbd_zfile_of(b);

	ovbd_zfile_scratches_free(&z->scratches);
	ovbd_zfile_jump_free(&z->jump);
	ovbd_blob_close(z->inner);
	free(z);
}

static const struct ovbd_blob_ops zfile_ops = {
	.name = "zfile",
	.pread = zfile_pread,
	.close = zfile_close,
};

struct zfile *ovbd_zfile_of(struct ovbd_blob *b)
{
	assert(b->ops == &zfile_ops);
	return OVBD_CONTAINER_OF(b, struct zfile, blob);
}

int ovbd_zfile_probe(struct ovbd_blob *b, struct ovbd_error *err)
{
	uint8_t raw[ZFILE_MAGIC_SIZE];
	int r;

	if (b->size < sizeof(raw))
		return 0;
	r = ovbd_blob_pread(b, raw, sizeof(raw), 0, err);
	if (r < 0)
		return r;
	return ovbd_zfile_has_magic(raw);
}

int ovbd_zfile_header_read(struct ovbd_blob *b, enum zfile_part part, struct zfile_header *ret,
                           struct ovbd_error *err)
{
	uint8_t raw[ZFILE_HEADER_SIZE];
	int r;

	if (b->size < 2 * ZFILE_HEADER_SIZE)
		return ovbd_fail(err, -EBADMSG,
		                 "zfile %s: a file of %" PRIu64 " bytes is too short for a ZFile",
		                 ovbd_zfile_part_name(part), b->size);
	r = ovbd_blob_pread(b, raw, sizeof(raw),
	                    part == ZFILE_HEADER ? 0 : b->size - ZFILE_HEADER_SIZE, err);
	if (r < 0)
		return ovbd_fail_within(err, r, "zfile %s", ovbd_zfile_part_name(part));
	return ovbd_zfile_header_decode(raw, part, ret, err);
}

/* Reads the part that counts: the header if it says so, otherwise the trailer. */
static int read_header(struct ovbd_blob *b, struct zfile_header *ret, bool *ret_overwrite,
                       struct ovbd_error *err)
{
	enum zfile_part part = ZFILE_HEADER;
	struct zfile_header h;
	int r;

	r = ovbd_zfile_header_read(b, ZFILE_HEADER, &h, err);
	if (r == 0 && !(h.flags & ZFILE_FLAG_OVERWRITTEN)) {
		part = ZFILE_TRAILER;
		r = ovbd_zfile_header_read(b, ZFILE_TRAILER, &h, err);
	}
	if (r == 0)
		r = ovbd_zfile_header_check(&h, part, b->size, err);
	if (r < 0)
		return r;
	*ret = h;
	*ret_overwrite = part == ZFILE_HEADER;
	return 0;
}

static int read_tables(struct zfile *z, struct ovbd_blob *inner, struct ovbd_error *err)
{
	int r = read_header(inner, &z->h, &z->header_overwrite, err);

	if (r == 0)
		r = ovbd_zfile_jump_load(inner, &z->h, &z->jump, &z->nlarge, err);
	return r;
}

/* Of what read_tables() has read. Whether it may be something else the next time. */
static bool distrust_tables(const struct zfile *z, struct ovbd_blob *inner)
{
	const uint64_t size = ovbd_min(inner->size, ZFILE_HEADER_SIZE);
	bool may_differ = ovbd_blob_distrust(inner, 0, size);

	if (ovbd_blob_distrust(inner, inner->size - size, size))
		may_differ = true;
	if (z->h.nblocks > 0 &&
	    ovbd_blob_distrust(inner, z->h.index_off, z->h.nblocks * ZFILE_ENTRY_SIZE))
		may_differ = true;
	return may_differ;
}

int ovbd_zfile_open(struct ovbd_blob *take_inner, struct ovbd_blob **ret, struct ovbd_error *err)
{
	AUTO_BLOB *inner = take_inner;
	AUTO_FREE struct zfile *z = NULL;
	int r;

	z = calloc(1, sizeof(*z));
	if (!z)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = read_tables(z, inner, err);
	if (r == -EBADMSG && distrust_tables(z, inner))
		r = read_tables(z, inner, err);
	if (r < 0)
		return r;
	z->codec = ovbd_codec_find(z->h.codec);
	z->block_shift = (unsigned)__builtin_ctz(z->h.block_size);
	ovbd_zfile_scratches_init(&z->scratches, z->codec);
	z->blob = (struct ovbd_blob){.ops = &zfile_ops, .size = z->h.raw_size};
	z->inner = OVBD_MOVE(inner);
	*ret = &OVBD_MOVE(z)->blob;
	return 0;
}

struct ovbd_zfile_info ovbd_zfile_info(const struct ovbd_blob *b)
{
	const struct zfile *z = (const struct zfile *)(const void *)b;

	assert(b->ops == &zfile_ops);
	return (struct ovbd_zfile_info){
		.raw_size = z->h.raw_size,
		.stored_size = z->inner->size,
		.nblocks = z->h.nblocks,
		.block_size = z->h.block_size,
		.codec = z->codec->id,
		.checksum = z->h.checksum,
		.digests = (z->h.flags & ZFILE_FLAG_DIGEST) != 0,
		.header_overwrite = z->header_overwrite,
		.nlarge = z->nlarge,
	};
}
