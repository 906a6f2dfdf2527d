// SPDX-License-Identifier: Apache-2.0
/* Opening: one parser a layout fills one list, which is then put into its two orders. */
#include "ota/cow.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "ota/cow_impl.h"

int ovbd_cow_probe(struct ovbd_blob *b, struct ovbd_error *err)
{
	uint8_t raw[COW_MAGIC_SIZE];
	int r;

	if (b->size < sizeof(raw))
		return 0;
	r = ovbd_blob_pread(b, raw, sizeof(raw), 0, err);
	return r < 0 ? r : ovbd_get_le64(raw) == COW_MAGIC;
}

static int read_header(struct ovbd_cow *c, struct ovbd_error *err)
{
	const size_t len = (size_t)ovbd_min(COW_HEADER_MAX, c->blob->size);
	uint8_t raw[COW_HEADER_MAX];
	int r;

	r = ovbd_blob_pread(c->blob, raw, len, 0, err);
	if (r == 0)
		r = cow_header_decode(raw, len, c->blob->size, &c->h, err);
	c->info.layout = c->h.layout;
	return r;
}

static int parse(struct ovbd_cow *c, const struct ovbd_cow_params *p, struct ovbd_error *err)
{
	switch (c->h.layout) {
	case 'A':
	case 'S':
	case 'B':
		return cow_parse1(c, err);
	case 'H':
		return cow_parse3(c, p, err);
	default:
		return cow_parse2(c, p, err);
	}
}

/* A list that has grown has room for half as many again. */
static int shrink(struct ovbd_cow *c, struct ovbd_error *err)
{
	struct ovbd_cow_op *ops;

	if (c->n == c->capacity || c->n == 0)
		return 0;
	ops = realloc(c->ops, c->n * sizeof(*ops));
	if (!ops)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	c->ops = ops;
	c->capacity = c->n;
	return 0;
}

static void count(struct ovbd_cow *c)
{
	struct ovbd_cow_info *i = &c->info;

	for (uint32_t n = 0; n < c->n; n++) {
		const struct ovbd_cow_op *op = &c->ops[n];
		const uint64_t nblocks = UINT64_C(1) << op->shift;

		i->nops[op->type]++;
		i->nblocks += nblocks;
		i->data_size += op->data_len;
		if ((op->block + nblocks) * OVBD_COW_BLOCK_SIZE > i->end)
			i->end = (op->block + nblocks) * OVBD_COW_BLOCK_SIZE;
	}
}

int ovbd_cow_open(struct ovbd_blob *take_b, const struct ovbd_cow_params *p, struct ovbd_cow **ret,
                  struct ovbd_error *err)
{
	static const struct ovbd_cow_params finished = {.until = OVBD_COW_FINISHED};
	AUTO_BLOB *b = take_b;
	OVBD_AUTO(ovbd_cow_closep) struct ovbd_cow *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	c->blob = OVBD_MOVE(b);
	r = read_header(c, err);
	if (r == 0)
		r = parse(c, p ? p : &finished, err);
	if (r == 0)
		r = shrink(c, err);
	if (r == 0)
		r = cow_order(c, err);
	if (r < 0)
		return r;
	count(c);
	r = cow_scratch_apply(c, err);
	if (r < 0)
		return r;
	free(c->sequence);
	c->sequence = NULL;
	*ret = OVBD_MOVE(c);
	return 0;
}

const struct ovbd_cow_info *ovbd_cow_info(const struct ovbd_cow *c)
{
	return &c->info;
}

uint32_t ovbd_cow_count(const struct ovbd_cow *c)
{
	return c->n;
}

const struct ovbd_cow_op *ovbd_cow_op(const struct ovbd_cow *c, uint32_t i)
{
	assert(i < c->n);
	return &c->ops[i];
}

uint32_t ovbd_cow_merge_order(const struct ovbd_cow *c, uint32_t i)
{
	assert(i < c->n);
	return c->order[i];
}

void ovbd_cow_close(struct ovbd_cow *take_c)
{
	if (!take_c)
		return;
	ovbd_blob_close(take_c->blob);
	free(take_c->ops);
	free(take_c->order);
	free(take_c->by_block);
	free(take_c->unheld);
	free(take_c->sequence);
	free(take_c);
}
