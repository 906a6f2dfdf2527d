// SPDX-License-Identifier: Apache-2.0
/*
 * Verification of a whole ZFile. Open has checked what a read relies on; this adds what only a
 * full look can tell: that header and trailer are both sound and say the same, that no byte of the
 * file lies outside what a checksum covers, and that every block decompresses.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "zfile/reader.h"

#define STEP_SIZE (1u << 20)

static bool same_content(const struct zfile_header *a, const struct zfile_header *b)
{
	return a->index_off == b->index_off && a->nblocks == b->nblocks &&
	       a->raw_size == b->raw_size && a->index_crc == b->index_crc &&
	       a->block_size == b->block_size && a->dict_size == b->dict_size &&
	       a->codec == b->codec && a->use_dict == b->use_dict && a->checksum == b->checksum;
}

static int check_headers(const struct zfile *z, struct ovbd_error *err)
{
	struct zfile_header header, trailer;
	int r;

	r = ovbd_zfile_header_read(z->inner, ZFILE_HEADER, &header, err);
	if (r == 0)
		r = ovbd_zfile_header_read(z->inner, ZFILE_TRAILER, &trailer, err);
	if (r == 0)
		r = ovbd_zfile_header_check(&trailer, ZFILE_TRAILER, z->inner->size, err);
	if (r < 0)
		return r;
	/* A digest that one has and the other lacks: the flag that tells of it was lost, and with
	 * it the check that would have noticed. */
	if ((header.flags ^ trailer.flags) & ZFILE_FLAG_DIGEST)
		return ovbd_fail(err, -EBADMSG,
		                 "zfile: header and trailer disagree on whether there are digests");
	if (z->header_overwrite && !same_content(&header, &trailer))
		return ovbd_fail(err, -EBADMSG, "zfile: header and trailer contradict each other");
	return 0;
}

static int check_gap(uint64_t from, uint64_t to, const char *what, struct ovbd_error *err)
{
	if (from == to)
		return 0;
	return ovbd_fail(err, -EBADMSG,
	                 "zfile: %" PRIu64 " bytes at %" PRIu64 " before the %s belong to nothing",
	                 to - from, from, what);
}

static int check_layout(const struct zfile *z, struct ovbd_error *err)
{
	const struct zfile_header *h = &z->h;
	const uint64_t blocks_end = zfile_jump_at(&z->jump, h->nblocks);
	const uint64_t index_end = h->index_off + h->nblocks * ZFILE_ENTRY_SIZE;
	int r;

	r = check_gap(ZFILE_HEADER_SIZE, zfile_data_off(h), "first block", err);
	if (r == 0)
		r = check_gap(blocks_end, h->index_off, "jump table", err);
	if (r == 0)
		r = check_gap(index_end, z->inner->size - ZFILE_HEADER_SIZE, "trailer", err);
	return r;
}

int ovbd_zfile_check(struct ovbd_blob *b, ovbd_progress_fn progress, void *arg,
                     struct ovbd_error *err)
{
	const struct zfile *z = ovbd_zfile_of(b);
	AUTO_FREE uint8_t *buf = NULL;
	int r;

	r = check_headers(z, err);
	if (r == 0)
		r = check_layout(z, err);
	if (r < 0)
		return r;
	buf = malloc(STEP_SIZE);
	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (uint64_t off = 0; off < b->size;) {
		const size_t n = (size_t)ovbd_min(STEP_SIZE, b->size - off);

		r = ovbd_blob_pread(b, buf, n, off, err);
		if (r < 0)
			return r;
		off += n;
		if (progress && progress(arg, off, b->size) != 0)
			return ovbd_fail(err, -ECANCELED, "canceled");
	}
	return 0;
}
