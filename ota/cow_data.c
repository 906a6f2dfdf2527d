// SPDX-License-Identifier: Apache-2.0
/* The data of one operation, and the check that all of them can be had. */
#include "ota/cow_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

int cow_data_read(const struct ovbd_cow *c, struct cow_codec *codec, const struct ovbd_cow_op *op,
                  uint8_t *in, uint8_t *out, struct ovbd_error *err)
{
	const size_t size = (size_t)OVBD_COW_BLOCK_SIZE << op->shift;
	int r;

	if (op->raw)
		return ovbd_blob_pread(c->blob, out, size, op->data_off, err);
	r = ovbd_blob_pread(c->blob, in, op->data_len, op->data_off, err);
	return r < 0 ? r : cow_data_decode(c, codec, op, in, out, err);
}

int cow_data_decode(const struct ovbd_cow *c, struct cow_codec *codec, const struct ovbd_cow_op *op,
                    const uint8_t *in, uint8_t *out, struct ovbd_error *err)
{
	const size_t size = (size_t)OVBD_COW_BLOCK_SIZE << op->shift;
	int r;

	if (op->raw) {
		memcpy(out, in, size);
		return 0;
	}
	r = cow_codec_decompress(codec, in, op->data_len, out, size);
	return r < 0 ? ovbd_fail(err, r,
	                         "cow: block %" PRIu32 ": %" PRIu32 " bytes at %" PRIu64
	                         " do not decompress by %s to %zu",
	                         op->block, op->data_len, op->data_off,
	                         ovbd_cow_algorithm_name(c->info.algorithm), size)
	             : 0;
}

static void codec_freep(struct cow_codec **c)
{
	cow_codec_free(*c);
}

int ovbd_cow_check(struct ovbd_cow *c, ovbd_progress_fn progress, void *arg, struct ovbd_error *err)
{
	OVBD_AUTO(codec_freep) struct cow_codec *codec = NULL;
	AUTO_FREE uint8_t *in = malloc(COW_DATA_MAX), *out = NULL;
	uint64_t done = 0;
	int r;

	out = malloc(COW_DATA_MAX);
	if (!in || !out)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = cow_codec_create(c->info.algorithm, &codec, err);
	for (uint32_t i = 0; r == 0 && i < c->n; i++) {
		const struct ovbd_cow_op *op = &c->ops[i];

		if (op->type != OVBD_COW_REPLACE && op->type != OVBD_COW_XOR)
			continue;
		r = cow_data_read(c, codec, op, in, out, err);
		done += op->data_len;
		if (r == 0 && progress && progress(arg, done, c->info.data_size) != 0)
			r = ovbd_fail(err, -ECANCELED, "interrupted");
	}
	return r;
}
