// SPDX-License-Identifier: Apache-2.0
/*
 * A writable layer becomes a read-only one where it lies: its data stay, the index goes behind
 * them, and a trailer to the file's end. That is how the original seals its append format; the same
 * is a layer in the other formats' files, as all that is asked of data is that they are whole
 * sectors somewhere between header and index.
 *
 * The index goes beyond all that is in use, and beyond what an earlier try has left there, as the
 * trailer must be the file's end. Until it is there the layer is what it was. An ovbd-rw has a
 * superblock where a layer has its header: rw_log.c puts one there last, in one sector.
 */
#include "lsmt/rw_seal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define PIECE (1u << 20) /* of the index, written at once; whole entries */

struct sealing {
	struct rw_core *core;
	uint8_t *buf;
	size_t n;          /* bytes in buf */
	uint64_t at;       /* where they go */
	uint64_t nentries; /* so far */
};

static int write_out(struct sealing *sl, struct ovbd_error *err)
{
	int r = 0;

	if (sl->n > 0)
		r = ovbd_rw_write_file(sl->core->data, sl->buf, sl->n, sl->at, err);
	sl->at += sl->n;
	sl->n = 0;
	return r;
}

static int add_entry(struct sealing *sl, const struct lsmt_entry *e, struct ovbd_error *err)
{
	ovbd_lsmt_entry_encode(e, sl->buf + sl->n);
	sl->n += LSMT_ENTRY_SIZE;
	sl->nentries++;
	return sl->n == PIECE ? write_out(sl, err) : 0;
}

/* In as many entries as it takes. */
static int add_segment(struct sealing *sl, const struct ovbd_segment *s, struct ovbd_error *err)
{
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < s->len; at += LSMT_ENTRY_LEN_MAX) {
		const struct lsmt_entry e = {
			.off = s->off + at,
			.len = ovbd_min(s->len - at, LSMT_ENTRY_LEN_MAX),
			.src = s->kind == OVBD_RUN_DATA ? s->src + at : LSMT_HEADER_SIZE,
			.zeroed = s->kind == OVBD_RUN_ZERO,
		};

		r = add_entry(sl, &e, err);
	}
	return r;
}

/* All of the device: neighbours that continue each other as one, and what it shows as zeros beyond
 * the end of what is beneath, where a stack of more layers may have something. */
static int add_all(struct sealing *sl, struct ovbd_error *err)
{
	const struct rw_core *c = sl->core;
	const uint64_t size = ovbd_rw_end(c);
	const uint64_t beneath = c->lower ? c->lower->size : size;
	struct ovbd_segment last = {.len = 0}, s;
	int r = 0;

	for (uint64_t off = 0; r == 0 && off < size; off = s.off + s.len) {
		s = ovbd_rw_index_at(c->index, off, size - off);
		if (s.kind == OVBD_RUN_HOLE) {
			const uint64_t from = ovbd_max(off, ovbd_min(beneath, off + s.len));

			s = (struct ovbd_segment){from, off + s.len - from, 0, 0, OVBD_RUN_ZERO};
			if (s.len == 0)
				continue;
		}
		if (ovbd_rw_segment_continues(&last, &s)) {
			last.len += s.len;
			continue;
		}
		r = add_segment(sl, &last, err);
		last = s;
	}
	return r < 0 ? r : add_segment(sl, &last, err);
}

/* Up to a sector's end, then the trailer, which says that all before it is there. */
static int add_trailer(struct sealing *sl, uint64_t place, struct ovbd_error *err)
{
	const size_t gap = (LSMT_SECTOR_SIZE - sl->n % LSMT_SECTOR_SIZE) % LSMT_SECTOR_SIZE;
	struct lsmt_header t = sl->core->header;
	uint8_t raw[LSMT_HEADER_SIZE];
	int r;

	memset(sl->buf + sl->n, 0, gap);
	sl->n += gap;
	r = write_out(sl, err);
	if (r == 0)
		r = ovbd_device_flush(sl->core->data, err);
	if (r < 0)
		return r;
	t.flags = LSMT_FLAG_DATA | LSMT_FLAG_SEALED;
	t.index_off = place;
	t.nentries = sl->nentries;
	ovbd_lsmt_header_encode(&t, raw);
	return ovbd_rw_write_file(sl->core->data, raw, sizeof(raw), sl->at, err);
}

int ovbd_rw_seal_end(struct rw_core *c, uint64_t from, uint64_t *ret_end, struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc(PIECE);
	const uint64_t place = ovbd_align_up(ovbd_max(from, c->file_end), LSMT_SECTOR_SIZE);
	struct sealing sl = {
		.core = c,
		.buf = buf,
		.at = place,
	};
	int r = buf ? add_all(&sl, err) : ovbd_fail(err, -ENOMEM, "out of memory for an index");

	if (r == 0)
		r = add_trailer(&sl, place, err);
	*ret_end = place;
	/* what is there now another try must leave behind */
	c->file_end = ovbd_max(c->file_end, sl.at + LSMT_HEADER_SIZE);
	return r < 0 ? r : ovbd_device_flush(c->data, err);
}

int ovbd_rw_seal(struct ovbd_device *d, struct ovbd_error *err)
{
	struct rw_core *c = ovbd_rw_core_of(d);
	int r = ovbd_rw_check(c, 0, 0, err);
	uint64_t end;

	if (r < 0)
		return r;
	ovbd_rw_reclaim_quiet(c, true);
	r = ovbd_rw_sync(c, err);
	if (r == 0)
		r = c->kind->seal(c, &end, err);
	if (r < 0)
		ovbd_rw_reclaim_quiet(c, false);
	else if (c->reclaim.nlists > 0)
		ovbd_rw_reclaim_rest(c, LSMT_HEADER_SIZE, end);
	return r;
}

void ovbd_rw_quiet(struct ovbd_device *d, bool quiet)
{
	ovbd_rw_reclaim_quiet(ovbd_rw_core_of(d), quiet);
}

/* The trailer is at the end, of the layer whose header this is, and its index fills all before it.
 * What users wrote is at the end, too; but they would have to know all that. */
static int ends_sealed(struct ovbd_blob *data, uint64_t end, const struct lsmt_header *h,
                       struct ovbd_error *err)
{
	uint8_t raw[LSMT_HEADER_SIZE];
	const uint64_t place = end - sizeof(raw);
	struct lsmt_header t;
	const int r = ovbd_blob_pread(data, raw, sizeof(raw), place, err);

	if (r < 0)
		return r;
	if (ovbd_lsmt_header_decode(raw, LSMT_TRAILER, &t, NULL) < 0 ||
	    ovbd_lsmt_trailer_check(&t, end, NULL) < 0)
		return 0;
	return strcmp(t.uuid, h->uuid) == 0 &&
	       ovbd_align_up(t.index_off + t.nentries * LSMT_ENTRY_SIZE, LSMT_SECTOR_SIZE) == place;
}

int ovbd_rw_is_sealed(struct ovbd_blob *data, uint64_t end, struct ovbd_error *err)
{
	uint8_t raw[LSMT_HEADER_SIZE];
	struct lsmt_header h;
	int r;

	if (end < 2 * sizeof(raw))
		return 0;
	r = ovbd_blob_pread(data, raw, sizeof(raw), 0, err);
	if (r < 0)
		return r;
	if (!ovbd_lsmt_has_magic(raw) || ovbd_lsmt_header_decode(raw, LSMT_HEADER, &h, NULL) < 0)
		return 0;
	return h.flags & LSMT_FLAG_SEALED ? 1 : ends_sealed(data, end, &h, err);
}
