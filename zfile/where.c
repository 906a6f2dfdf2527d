// SPDX-License-Identifier: Apache-2.0
/* Where a ZFile has what; for who wants to fetch it before it is read. */
#include "base/bytes.h"
#include "zfile/reader.h"

void ovbd_zfile_stored_range(const struct ovbd_blob *b, uint64_t off, uint64_t len,
                             uint64_t *ret_off, uint64_t *ret_len)
{
	const struct zfile *z = (const struct zfile *)(const void *)b; /* blob is its head */
	const uint64_t end = off < b->size ? off + ovbd_min(len, b->size - off) : off;

	*ret_off = *ret_len = 0;
	if (off >= end)
		return;
	*ret_off = zfile_jump_at(&z->jump, off >> z->block_shift);
	*ret_len = zfile_jump_at(&z->jump, ((end - 1) >> z->block_shift) + 1) - *ret_off;
}

int ovbd_zfile_layout_read(struct ovbd_blob *b, struct ovbd_zfile_layout *ret,
                           struct ovbd_error *err)
{
	struct zfile_header h;
	int r = ovbd_zfile_header_read(b, ZFILE_HEADER, &h, err);

	if (r < 0)
		return r;
	if (!(h.flags & ZFILE_FLAG_OVERWRITTEN))
		return 0;
	r = ovbd_zfile_header_check(&h, ZFILE_HEADER, b->size, err);
	if (r < 0)
		return r;
	*ret = (struct ovbd_zfile_layout){
		.data_off = zfile_data_off(&h),
		.index_off = h.index_off,
		.block_size = h.block_size,
	};
	return 1;
}
