// SPDX-License-Identifier: Apache-2.0
/*
 * On disk the table is one length per block; in memory it is the running sum, kept as a 64-bit
 * offset per group of blocks and a 32-bit distance from it per block, so that a block is found with
 * two loads. 64 blocks of 64 KiB that even grew are far below 4 GiB, so no distance overflows.
 *
 * The table is read and checked in pieces; what is allocated for it was bounded by the size of the
 * file when the header was checked.
 */
#include "zfile/jump.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "zfile/codec.h"

#define PIECE_SIZE (256u << 10)

/* What overlaybd's reader uses: one buffer for a block with its checksum, and groups of blocks that
 * are 64 KiB when decompressed. */
#define FOREIGN_BUFFER_SIZE 65536u
#define FOREIGN_GROUP_SIZE  65536u
#define FOREIGN_DELTA_END   65535u

void ovbd_zfile_large_count(struct zfile_large *l, uint32_t block_size, uint32_t stored)
{
	const uint32_t group = FOREIGN_GROUP_SIZE / block_size;

	l->delta = l->nblocks % group == 0 ? stored : l->delta + stored;
	l->nblocks++;
	/* The last block of a group has nobody after it whose distance could be too long. */
	if (stored > FOREIGN_BUFFER_SIZE ||
	    (l->nblocks % group != 0 && l->delta >= FOREIGN_DELTA_END))
		l->nlarge++;
}

/* Sums up lengths as they come. */
struct loader {
	const struct zfile_header *h;
	struct zfile_jump *jump;
	struct zfile_large large;
	uint32_t min, max; /* bytes of a block as stored, with its checksum */
	uint64_t block;
	uint64_t off; /* where block starts */
};

static void put(struct loader *l)
{
	struct zfile_jump *j = l->jump;

	if ((l->block & ((1u << ZFILE_GROUP_SHIFT) - 1)) == 0)
		j->bases[l->block >> ZFILE_GROUP_SHIFT] = l->off;
	j->deltas[l->block] = (uint32_t)(l->off - j->bases[l->block >> ZFILE_GROUP_SHIFT]);
}

static int load_entries(struct loader *l, const uint8_t *raw, size_t n, struct ovbd_error *err)
{
	for (size_t i = 0; i < n; i++) {
		const uint32_t stored = ovbd_get_le32(raw + i * ZFILE_ENTRY_SIZE);

		if (stored < l->min || stored > l->max)
			return ovbd_fail(err, -EBADMSG,
			                 "zfile jump table: entry %" PRIu64 ": %" PRIu32
			                 " bytes are not from %" PRIu32 " to %" PRIu32,
			                 l->block, stored, l->min, l->max);
		put(l);
		ovbd_zfile_large_count(&l->large, l->h->block_size, stored);
		l->block++;
		l->off += stored;
		if (l->off > l->h->index_off)
			return ovbd_fail(err, -EBADMSG,
			                 "zfile jump table: entry %" PRIu64
			                 ": block ends at %" PRIu64
			                 ", but the jump table begins at %" PRIu64,
			                 l->block - 1, l->off, l->h->index_off);
	}
	return 0;
}

static int load_pieces(struct loader *l, struct ovbd_blob *b, struct ovbd_error *err)
{
	const uint64_t total = l->h->nblocks * ZFILE_ENTRY_SIZE;
	AUTO_FREE uint8_t *piece = NULL;
	uint32_t crc = 0;

	piece = malloc((size_t)ovbd_min(total + 1, PIECE_SIZE));
	if (!piece)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (uint64_t done = 0; done < total;) {
		const size_t n = (size_t)ovbd_min(total - done, PIECE_SIZE);
		int r;

		r = ovbd_blob_pread(b, piece, n, l->h->index_off + done, err);
		if (r < 0)
			return ovbd_fail_within(err, r, "zfile jump table");
		crc = ovbd_crc32c(crc, piece, n);
		r = load_entries(l, piece, n / ZFILE_ENTRY_SIZE, err);
		if (r < 0)
			return r;
		done += n;
	}
	if ((l->h->flags & ZFILE_FLAG_DIGEST) && crc != l->h->index_crc)
		return ovbd_fail(err, -EBADMSG,
		                 "zfile jump table: checksum 0x%08" PRIx32 " is not 0x%08" PRIx32,
		                 crc, l->h->index_crc);
	put(l);
	return 0;
}

int ovbd_zfile_jump_load(struct ovbd_blob *b, const struct zfile_header *h, struct zfile_jump *ret,
                         uint64_t *ret_nlarge, struct ovbd_error *err)
{
	const struct ovbd_codec *codec = ovbd_codec_find(h->codec);
	const uint32_t crc_size = h->checksum ? ZFILE_CRC_SIZE : 0;
	struct zfile_jump jump = {0};
	struct loader l = {
		.h = h,
		.jump = &jump,
		.min = crc_size + 1,
		.max = crc_size + (uint32_t)codec->bound(h->block_size),
		.off = zfile_data_off(h),
	};
	int r;

	jump.bases = ovbd_array_alloc((h->nblocks >> ZFILE_GROUP_SHIFT) + 1, sizeof(*jump.bases));
	jump.deltas = ovbd_array_alloc(h->nblocks + 1, sizeof(*jump.deltas));
	if (jump.bases && jump.deltas)
		r = load_pieces(&l, b, err);
	else
		r = ovbd_fail(err, -ENOMEM, "zfile jump table: out of memory");
	if (r < 0) {
		ovbd_zfile_jump_free(&jump);
		return r;
	}
	*ret = jump;
	*ret_nlarge = l.large.nlarge;
	return 0;
}

void ovbd_zfile_jump_free(struct zfile_jump *j)
{
	free(j->bases);
	free(j->deltas);
	*j = (struct zfile_jump){0};
}
