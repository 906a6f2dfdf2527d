// SPDX-License-Identifier: Apache-2.0
/*
 * Writing a layer: the header, which says all it ever will, data as they are put, and at the end
 * the index and the trailer. Nothing is written twice, so any sink will do, a ZFile's too.
 *
 * What is put is cut into runs of zero and of other blocks. A run of data goes to the sink in one
 * piece and is remembered as a put; a run of zeros is only remembered, and not even that where
 * nothing lies beneath: neither in this layer, as far as it goes, nor below it. A reference is only
 * remembered too.
 *
 * Data that are put over stay in the file, and no segment leads to them. Whoever cares puts each
 * range once.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "lsmt/format.h"
#include "lsmt/puts.h"
#include "lsmt/writer_index.h"

struct ovbd_layer_writer {
	struct ovbd_sink *out; /* owned */
	struct lsmt_puts puts;
	struct lsmt_header header;
	uint64_t nsegments; /* after finish */
	bool over_base, beyond;
	bool finished;
};

static void put_string(char *to, size_t size, const char *from)
{
	memcpy(to, from, strnlen(from, size - 1));
}

static int header_of(const struct ovbd_layer_params *p, struct lsmt_header *ret,
                     struct ovbd_error *err)
{
	struct lsmt_header h = {
		.flags = LSMT_FLAG_HEADER | LSMT_FLAG_DATA | LSMT_FLAG_SEALED,
		.virtual_size = p->virtual_size,
		.references = p->references,
	};
	int r;

	if (p->virtual_size > LSMT_DEVICE_MAX)
		return ovbd_fail(err, -E2BIG,
		                 "a layer of %" PRIu64 " bytes; the format ends at %" PRIu64,
		                 p->virtual_size, LSMT_DEVICE_MAX);
	if (p->tag && strlen(p->tag) > LSMT_TAG_MAX)
		return ovbd_fail(err, -EINVAL, "a layer's message of %zu bytes, more than %u",
		                 strlen(p->tag), LSMT_TAG_MAX);
	if (p->tag)
		put_string(h.tag, sizeof(h.tag), p->tag);
	r = ovbd_lsmt_uuid_parse(p->uuid, h.uuid, err);
	if (r == 0)
		r = ovbd_lsmt_uuid_parse(p->parent_uuid, h.parent_uuid, err);
	if (r == 0)
		*ret = h;
	return r;
}

static int write_header(struct ovbd_sink *out, const struct lsmt_header *h, struct ovbd_error *err)
{
	uint8_t raw[LSMT_HEADER_SIZE];

	ovbd_lsmt_header_encode(h, raw);
	return ovbd_sink_append(out, raw, sizeof(raw), err);
}

int ovbd_layer_create(struct ovbd_sink *take_out, const struct ovbd_layer_params *p,
                      struct ovbd_layer_writer **ret, struct ovbd_error *err)
{
	AUTO_SINK *out = take_out;
	struct ovbd_layer_writer *w;
	struct lsmt_header header;
	int r;

	assert(out->written == 0);
	r = header_of(p, &header, err);
	if (r == 0)
		r = write_header(out, &header, err);
	if (r < 0)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	w->out = OVBD_MOVE(out);
	w->header = header;
	w->over_base = p->over_base;
	w->beyond = p->beyond;
	*ret = w;
	return 0;
}

static uint64_t end_of(const struct ovbd_layer_writer *w)
{
	return w->header.virtual_size && !w->beyond ? w->header.virtual_size : LSMT_DEVICE_MAX;
}

static int check_range(const struct ovbd_layer_writer *w, uint64_t off, uint64_t len, uint64_t end,
                       struct ovbd_error *err)
{
	if (!ovbd_within(off, len, end))
		return ovbd_fail(err, -EINVAL,
		                 "%" PRIu64 " bytes at %" PRIu64
		                 " go beyond the end of a layer of %" PRIu64,
		                 len, off, end);
	if (off % LSMT_SECTOR_SIZE != 0 ||
	    (len % LSMT_SECTOR_SIZE != 0 && off + len != w->header.virtual_size))
		return ovbd_fail(err, -EINVAL,
		                 "%" PRIu64 " bytes at %" PRIu64
		                 " of a layer are not whole sectors",
		                 len, off);
	return 0;
}

/* off and len as they were checked; the last sector of the device may be cut off. */
static int add_zeros(struct ovbd_layer_writer *w, uint64_t off, uint64_t len,
                     struct ovbd_error *err)
{
	const struct lsmt_put put = {
		.off = off,
		.len = ovbd_align_up(len, LSMT_SECTOR_SIZE),
		.stamp = lsmt_stamp(w->out->written, LSMT_PUT_ZERO),
	};

	/* Beyond all that was put so far, and nothing below: there it is zero already. */
	if (len == 0 || (!w->over_base && off >= w->puts.end))
		return 0;
	return ovbd_lsmt_puts_add(&w->puts, &put, err);
}

static int add_data(struct ovbd_layer_writer *w, uint64_t off, const uint8_t *buf, size_t len,
                    struct ovbd_error *err)
{
	const struct lsmt_put put = {
		.off = off,
		.len = ovbd_align_up(len, LSMT_SECTOR_SIZE),
		.stamp = lsmt_stamp(w->out->written, LSMT_PUT_DATA),
	};
	int r;

	if (put.len > LSMT_FILE_MAX - w->out->written)
		return ovbd_fail(err, -E2BIG, "more data than a layer can hold (%" PRIu64 " bytes)",
		                 LSMT_FILE_MAX);
	r = ovbd_sink_append(w->out, buf, len, err);
	if (r == 0)
		r = ovbd_sink_append_zeros(w->out, put.len - len, err);
	if (r == 0)
		r = ovbd_lsmt_puts_add(&w->puts, &put, err);
	return r;
}

/* How many of the bytes at buf, which belong at off, are of one kind, in whole blocks. */
static size_t run_of(const uint8_t *buf, size_t len, uint64_t off, bool *ret_zero)
{
	size_t n = (size_t)ovbd_min(len, LSMT_BLOCK_SIZE - off % LSMT_BLOCK_SIZE);
	const bool zero = ovbd_is_zero(buf, n);

	while (n < len) {
		const size_t block = (size_t)ovbd_min(len - n, LSMT_BLOCK_SIZE);

		if (ovbd_is_zero(buf + n, block) != zero)
			break;
		n += block;
	}
	*ret_zero = zero;
	return n;
}

int ovbd_layer_put(struct ovbd_layer_writer *w, uint64_t off, const void *buf, size_t len,
                   struct ovbd_error *err)
{
	const uint8_t *src = buf;
	int r;

	assert(!w->finished);
	r = check_range(w, off, len, end_of(w), err);
	while (r == 0 && len > 0) {
		bool zero;
		const size_t n = run_of(src, len, off, &zero);

		r = zero ? add_zeros(w, off, n, err) : add_data(w, off, src, n, err);
		src += n;
		off += n;
		len -= n;
	}
	return r;
}

int ovbd_layer_zero(struct ovbd_layer_writer *w, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	int r;

	assert(!w->finished);
	r = check_range(w, off, len, LSMT_DEVICE_MAX, err);
	return r < 0 ? r : add_zeros(w, off, len, err);
}

int ovbd_layer_refer(struct ovbd_layer_writer *w, uint64_t off, uint64_t len, uint64_t src,
                     struct ovbd_error *err)
{
	const struct lsmt_put put = {
		.off = off,
		.len = ovbd_align_up(len, LSMT_SECTOR_SIZE),
		.stamp = lsmt_stamp(src, LSMT_PUT_REFERENCE),
	};
	int r;

	assert(!w->finished && w->header.references);
	r = check_range(w, off, len, end_of(w), err);
	if (r < 0 || len == 0)
		return r;
	if (src % LSMT_SECTOR_SIZE != 0 || !ovbd_within(src, put.len, LSMT_DEVICE_MAX))
		return ovbd_fail(err, -EINVAL,
		                 "%" PRIu64 " bytes at %" PRIu64
		                 " are nothing that a layer can refer to",
		                 len, src);
	return ovbd_lsmt_puts_add(&w->puts, &put, err);
}

struct visible_ctx {
	struct lsmt_index_out *index;
	bool over_base;
};

static int add_visible(void *arg, const struct lsmt_put *put, struct ovbd_error *err)
{
	const struct visible_ctx *ctx = arg;
	const struct lsmt_entry run = {
		.off = put->off,
		.len = put->len,
		.src = lsmt_put_src(put),
		.zeroed = lsmt_put_kind(put) == LSMT_PUT_ZERO,
		.reference = lsmt_put_kind(put) == LSMT_PUT_REFERENCE,
	};

	/* zeros that hid what was put before, and have nothing to hide any more */
	if (run.zeroed && !ctx->over_base)
		return 0;
	return ovbd_lsmt_index_out_add(ctx->index, &run, err);
}

static int write_index(struct ovbd_layer_writer *w, uint64_t *ret_nentries, struct ovbd_error *err)
{
	OVBD_AUTO(ovbd_lsmt_index_out_closep) struct lsmt_index_out *index = NULL;
	struct visible_ctx ctx = {.over_base = w->over_base};
	int r;

	r = ovbd_lsmt_index_out_create(w->out, &index, err);
	if (r < 0)
		return r;
	ctx.index = index;
	r = ovbd_lsmt_puts_overlay(&w->puts, add_visible, &ctx, err);
	if (r == 0)
		r = ovbd_lsmt_index_out_finish(index, &w->nsegments, ret_nentries, err);
	return r;
}

int ovbd_layer_finish(struct ovbd_layer_writer *w, struct ovbd_error *err)
{
	struct lsmt_header trailer = w->header;
	int r;

	assert(!w->finished);
	w->finished = true;
	trailer.flags = LSMT_FLAG_DATA | LSMT_FLAG_SEALED;
	trailer.index_off = w->out->written;
	r = write_index(w, &trailer.nentries, err);
	if (r == 0)
		r = write_header(w->out, &trailer, err);
	if (r == 0)
		r = ovbd_sink_finish(w->out, err);
	return r;
}

uint64_t ovbd_layer_writer_nsegments(const struct ovbd_layer_writer *w)
{
	return w->nsegments;
}

void ovbd_layer_writer_close(struct ovbd_layer_writer *take_w)
{
	if (!take_w)
		return;
	ovbd_lsmt_puts_free(&take_w->puts);
	ovbd_sink_close(take_w->out);
	free(take_w);
}
