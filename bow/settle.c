// SPDX-License-Identifier: Apache-2.0
/*
 * Block 0 goes to its place. Its first sector is what tells which block there is: it alone is
 * written at once by every disk. So where others have to change, too, it is first made one that
 * does not need them: a log without entries says that block 0 is where sector0 says, and is to be
 * brought from there.
 */
#include "bow/restore.h"

#include <errno.h>

#include "bow/block0.h"
#include "bow/walk.h"

int ovbd_bow_put_block0(struct ovbd_device *d, const uint8_t *old, const uint8_t *safe,
                        const uint8_t *new, uint32_t block_size, struct ovbd_error *err)
{
	const uint32_t rest = block_size - BOW_SECTOR;
	int r = 0;

	if (memcmp(old + BOW_SECTOR, new + BOW_SECTOR, rest) != 0) {
		if (safe)
			r = ovbd_device_pwrite(d, safe, BOW_SECTOR, 0, 0, err);
		if (r == 0 && safe)
			r = ovbd_device_flush(d, err);
		if (r == 0)
			r = ovbd_device_pwrite(d, new + BOW_SECTOR, rest, BOW_SECTOR, 0, err);
		if (r == 0)
			r = ovbd_device_flush(d, err);
	}
	if (r == 0)
		r = ovbd_device_pwrite(d, new, BOW_SECTOR, 0, 0, err);
	if (r == 0)
		r = ovbd_device_flush(d, err);
	return r;
}

int ovbd_bow_settle(struct ovbd_device *d, struct ovbd_bow_info *ret, struct ovbd_error *err)
{
	AUTO_BOW_WALK w = {0};
	uint8_t safe[BOW_BLOCK_MAX], block[BOW_BLOCK_MAX];
	struct bow_header h;
	int r = ovbd_bow_walk_begin(&w, d->blob, err);

	if (r < 0)
		return r;
	h = w.newest;
	if (h.partial)
		return ovbd_fail(err, -EUCLEAN,
		                 "a restore was begun: it can be finished only, and not committed");
	if (h.sector0 == 0)
		return ovbd_fail(err, -ENOTSUP,
		                 "the log of an early prototype does not say where block 0 is: it "
		                 "can be restored only");
	/* of a log that cannot be read as a whole, that */
	ovbd_bow_walk_info(&w, ret);
	ovbd_bow_inspect(d->blob, ret, NULL);
	h.count = 0;
	h.sequence = 0;
	memcpy(safe, w.block, BOW_SECTOR);
	ovbd_bow_header_encode(&h, safe);
	r = ovbd_blob_pread(d->blob, block, h.block_size, h.sector0, err);
	/* what was written in the checkpoint, by whomever */
	if (r == 0)
		r = ovbd_device_flush(d, err);
	if (r == 0)
		r = ovbd_bow_put_block0(d, w.block, ovbd_bow_is_committing(&w.newest) ? NULL : safe,
		                        block, h.block_size, err);
	return r;
}
