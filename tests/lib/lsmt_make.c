// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/lsmt_make.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "lsmt/layer.h"

static void must(bool good)
{
	if (!good)
		abort();
}

static uint8_t *write_entries(uint8_t *p, const struct lsmt_entry *e, size_t n)
{
	for (size_t i = 0; i < n; i++, p += LSMT_ENTRY_SIZE)
		ovbd_lsmt_entry_encode(&e[i], p);
	return p;
}

struct test_layer test_layer_by_hand(const struct test_layer_spec *spec)
{
	const size_t data_end = LSMT_HEADER_SIZE + spec->nsectors * LSMT_SECTOR_SIZE;
	const size_t index_off = data_end + spec->index_shift;
	struct test_layer l = {
		.len = index_off + spec->nentries * LSMT_ENTRY_SIZE + spec->gap + LSMT_HEADER_SIZE,
	};
	struct lsmt_header h = {
		.flags = LSMT_FLAG_HEADER | LSMT_FLAG_DATA | LSMT_FLAG_SEALED,
		.virtual_size = spec->virtual_size,
		.uuid = "00000000-0000-0000-0000-000000000000",
		.parent_uuid = "00000000-0000-0000-0000-000000000000",
	};
	uint8_t *p;

	l.p = malloc(l.len);
	must(l.p);
	if (spec->header_flags)
		h.flags = spec->header_flags;
	ovbd_lsmt_header_encode(&h, l.p);
	p = l.p + LSMT_HEADER_SIZE;
	for (size_t i = 0; i < spec->nsectors; i++, p += LSMT_SECTOR_SIZE)
		memset(p, (int)(8 + i), LSMT_SECTOR_SIZE);
	memset(p, 0x5a, spec->index_shift);
	p = write_entries(p + spec->index_shift, spec->entries, spec->nentries);
	memset(p, 0xa5, spec->gap);
	h.flags = LSMT_FLAG_DATA | LSMT_FLAG_SEALED;
	h.index_off = index_off;
	h.nentries = spec->nentries;
	ovbd_lsmt_header_encode(&h, p + spec->gap);
	return l;
}

struct test_writer test_writer_create(const struct ovbd_layer_params *p)
{
	struct test_writer w;

	must(ovbd_sink_create_mem(&w.mem, NULL) == 0);
	must(ovbd_layer_create(w.mem, p, &w.w, NULL) == 0);
	return w;
}

struct test_layer test_writer_take(struct test_writer *w)
{
	struct test_layer l;

	must(ovbd_layer_finish(w->w, NULL) == 0);
	l.p = ovbd_sink_mem_take(w->mem, &l.len);
	ovbd_layer_writer_close(w->w);
	return l;
}

int test_layer_open(const struct test_layer *l, struct ovbd_layer **ret, struct ovbd_error *err)
{
	struct ovbd_blob *b;
	const int r = ovbd_blob_open_mem(l->p, l->len, &b, err);

	return r < 0 ? r : ovbd_layer_open(b, b->size, ret, err);
}

int test_layer_read(struct ovbd_layer *l, void *buf, size_t len, uint64_t off,
                    struct ovbd_error *err)
{
	uint8_t *dst = buf;
	int r = 0;

	while (r == 0 && len > 0) {
		const struct ovbd_segment s = ovbd_index_at(ovbd_layer_index(l), off, len);

		must(s.off == off && s.len > 0 && s.len <= len);
		if (s.kind == OVBD_RUN_DATA)
			r = ovbd_blob_pread(ovbd_layer_blob(l), dst, (size_t)s.len, s.src, err);
		else
			memset(dst, 0, (size_t)s.len);
		dst += s.len;
		off += s.len;
		len -= (size_t)s.len;
	}
	return r;
}

static struct lsmt_header trailer_of(const struct test_layer *l)
{
	struct lsmt_header h;

	must(ovbd_lsmt_header_decode(l->p + l->len - LSMT_HEADER_SIZE, LSMT_TRAILER, &h, NULL) ==
	     0);
	return h;
}

uint64_t test_layer_nentries(const struct test_layer *l)
{
	return trailer_of(l).nentries;
}

struct lsmt_entry test_layer_entry(const struct test_layer *l, uint64_t i)
{
	return ovbd_lsmt_entry_decode(l->p + trailer_of(l).index_off + i * LSMT_ENTRY_SIZE);
}
