// SPDX-License-Identifier: Apache-2.0
/*
 * Entries are undone newest first, each a copy from its backup. What was done since the last mark
 * can be done again, because nothing was copied from that was copied to after it: where an entry
 * would do that, a mark is made first. A mark is the log block at the beginning of the device with
 * the number of entries that are left and another magic, and all that was copied before is durable.
 *
 * So a log block that becomes current need not be written to the device, as the log has it, when
 * its backup is found: the older one is there as long as its entries could be undone again, and
 * with them those of all that come after it. A restore flushes as often as it must make marks, not
 * once a log block. The first mark is made before the first copy, so that nobody takes what is half
 * restored for what is live.
 */
#include "bow/restore.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "bow/batch.h"
#include "bow/block0.h"
#include "bow/spans.h"
#include "bow/walk.h"

/* A mark is made after so much, too: another run does not begin much before it. It also bounds what
 * used takes. */
#define MARK_BYTES   (UINT64_C(1) << 30)
#define MARK_ENTRIES (1u << 18)

struct restore {
	struct ovbd_device *d;
	const struct ovbd_bow_restore_params *p;
	struct bow_batch batch;
	struct bow_spans used;  /* what was copied from since the last mark */
	struct bow_spans wrote; /* what the batch will copy to */
	uint64_t bytes;         /* since the last mark */
	uint32_t entries;
	uint8_t disk[BOW_BLOCK_MAX];  /* block 0 of the device */
	uint8_t block[BOW_BLOCK_MAX]; /* the log block whose entries are undone */
	struct bow_header header;     /* its */
	uint32_t left;                /* of its entries */
	uint64_t undone;              /* entries, of all */
	uint64_t done, total;         /* bytes */
	bool canceled;
};

static int run_batch(struct restore *s, struct ovbd_error *err)
{
	s->done += s->batch.used;
	ovbd_bow_spans_clear(&s->wrote);
	return ovbd_bow_batch_run(&s->batch, err);
}

/* Block 0 becomes block, of which all entries before are undone and durable. */
static int put(struct restore *s, const uint8_t *block, struct ovbd_error *err)
{
	uint8_t safe[BOW_BLOCK_MAX];
	struct bow_header h;
	bool beyond;
	int r = ovbd_bow_header_decode(s->disk, s->d->blob->size, &h, err);

	if (r < 0)
		return r;
	/* if the others change, all but the first entry of that block are undone */
	beyond = ovbd_bow_entry_off(h.header_size, h.count) > BOW_SECTOR;
	h.partial = true;
	h.count = 1;
	memcpy(safe, s->disk, BOW_SECTOR);
	ovbd_bow_header_encode(&h, safe);
	return ovbd_bow_put_block0(s->d, s->disk, beyond ? safe : NULL, block, h.block_size, err);
}

static int mark(struct restore *s, struct ovbd_error *err)
{
	struct bow_header h = s->header;
	int r = run_batch(s, err);

	if (r == 0)
		r = ovbd_device_flush(s->d, err);
	if (r < 0)
		return r;
	h.partial = true;
	h.count = s->left;
	ovbd_bow_header_encode(&h, s->block);
	r = put(s, s->block, err);
	if (r < 0)
		return r;
	memcpy(s->disk, s->block, sizeof(s->disk));
	ovbd_bow_spans_clear(&s->used);
	s->bytes = 0;
	s->entries = 0;
	return 0;
}

static int add(struct bow_spans *spans, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	const struct bow_span span = {off, len, BOW_SPAN_NOWHERE};
	const int r = ovbd_bow_spans_put(spans, &span);

	return r < 0 ? ovbd_fail(err, r, "no memory for what was restored") : 0;
}

/* Before e, the last of those left, is undone. */
static int make_way(struct restore *s, const struct bow_entry *e, struct ovbd_error *err)
{
	int r = 0;

	if (s->bytes >= MARK_BYTES || s->entries >= MARK_ENTRIES ||
	    ovbd_bow_spans_overlap(&s->used, e->source, e->size))
		r = mark(s, err);
	else if (ovbd_bow_spans_overlap(&s->wrote, e->source, e->size) ||
	         ovbd_bow_spans_overlap(&s->wrote, e->dest, e->size))
		r = run_batch(s, err);
	if (r == 0)
		r = add(&s->used, e->dest, e->size, err);
	s->bytes += e->size;
	s->entries++;
	return r;
}

static void tell_progress(struct restore *s)
{
	if (s->p->progress && s->p->progress(s->p->arg, s->done, s->total) != 0)
		s->canceled = true;
}

static int copy(struct restore *s, const struct bow_entry *e, struct ovbd_error *err)
{
	struct bow_batch_part part = {
		.entry = e,
		.sequence = s->header.sequence,
		.index = s->left - 1,
		.block_size = s->header.block_size,
	};
	int r = make_way(s, e, err);

	for (uint64_t n; r == 0 && part.off < e->size; part.off += n) {
		part.from = e->dest + part.off;
		part.to = e->source + part.off;
		part.len = e->size - part.off;
		r = ovbd_bow_batch_add(&s->batch, &part, &n, err);
		if (r == 0 && n == 0) {
			r = run_batch(s, err);
			tell_progress(s);
		}
	}
	return r == 0 ? add(&s->wrote, e->source, e->size, err) : r;
}

/* The block that the first entry is the backup of. */
static int read_backup(struct restore *s, const struct bow_entry *e, uint8_t *ret,
                       struct ovbd_error *err)
{
	uint32_t crc;
	const int r = ovbd_blob_pread(s->d->blob, ret, e->size, e->dest, err);

	if (r < 0)
		return r;
	s->done += e->size;
	crc = ovbd_bow_checksum(0, ret, e->size);
	if (e->checksum == 0 || e->checksum == crc)
		return 0;
	return ovbd_fail(err, -EBADMSG,
	                 "log: block %" PRIu32 " of it: checksum 0x%08" PRIx32
	                 " of what was before it at %" PRIu64 " is not 0x%08" PRIx32,
	                 s->header.sequence, crc, e->dest, e->checksum);
}

static int go_back(struct restore *s, const struct bow_entry *e, struct ovbd_error *err)
{
	int r = make_way(s, e, err);

	if (r == 0)
		r = read_backup(s, e, s->block, err);
	if (r == 0)
		r = ovbd_bow_header_decode(s->block, s->d->blob->size, &s->header, err);
	if (r == 0)
		s->left = s->header.count;
	return r;
}

/* The original block 0 is all that is left. */
static int finish(struct restore *s, const struct bow_entry *e, struct ovbd_error *err)
{
	uint8_t block[BOW_BLOCK_MAX];
	int r = run_batch(s, err);

	if (r == 0)
		r = read_backup(s, e, block, err);
	if (r == 0)
		r = ovbd_device_flush(s->d, err);
	if (r == 0)
		r = put(s, block, err);
	if (r == 0)
		tell_progress(s);
	return r;
}

/* 1: there are more. */
static int undo_one(struct restore *s, struct ovbd_error *err)
{
	struct bow_entry e;
	int r = ovbd_bow_entry_decode(s->block, &s->header, s->left - 1, s->d->blob->size, &e, err);

	if (r < 0)
		return r;
	s->undone++;
	if (s->left > 1) {
		r = copy(s, &e, err);
		s->left--;
	} else if (s->header.sequence > 0) {
		r = go_back(s, &e, err);
	} else {
		return finish(s, &e, err);
	}
	return r < 0 ? r : 1;
}

static int undo_all(struct restore *s, uint64_t nentries, struct ovbd_error *err)
{
	int r = s->header.partial ? 0 : mark(s, err);

	if (r < 0)
		return r;
	do {
		if (s->p->limit && s->undone == s->p->limit) {
			r = mark(s, err);
			return r < 0 ? r
			             : ovbd_fail(err, -EAGAIN,
			                         "%" PRIu64 " of %" PRIu64 " entries are undone",
			                         s->undone, nentries);
		}
		if (s->canceled) {
			r = mark(s, err);
			return r < 0 ? r
			             : ovbd_fail(err, -ECANCELED,
			                         "interrupted, with %" PRIu64 " of %" PRIu64
			                         " entries undone: another restore goes on",
			                         s->undone, nentries);
		}
		r = undo_one(s, err);
	} while (r > 0);
	return r;
}

static int begin(struct restore *s, struct ovbd_error *err)
{
	struct ovbd_blob *b = s->d->blob;
	int r = ovbd_blob_pread(b, s->block, BOW_SECTOR, 0, err);

	if (r == 0)
		r = ovbd_bow_header_decode(s->block, b->size, &s->header, err);
	if (r == 0)
		r = ovbd_blob_pread(b, s->block, s->header.block_size, 0, err);
	if (r == 0)
		r = ovbd_bow_batch_init(&s->batch, b, s->d, s->total - s->done, err);
	memcpy(s->disk, s->block, sizeof(s->disk));
	s->left = s->header.count;
	return r;
}

/* The check is the first half. */
static int first_half(void *arg, uint64_t done, uint64_t total)
{
	const struct ovbd_bow_restore_params *p = arg;

	return p->progress ? p->progress(p->arg, done, total * 2) : 0;
}

int ovbd_bow_restore(struct ovbd_device *d, const struct ovbd_bow_restore_params *p,
                     struct ovbd_bow_info *ret, struct ovbd_error *err)
{
	static const struct ovbd_bow_restore_params defaults;
	struct restore s = {.d = d, .p = p ? p : &defaults};
	struct ovbd_bow_restore_params check = *s.p;
	struct ovbd_bow_info info;
	int r = ovbd_bow_check(d->blob, first_half, &check, &info, err);

	if (r < 0)
		return r;
	*ret = info;
	if (info.committing)
		return ovbd_bow_settle(d, &info, err);
	s.done = info.backed_up;
	s.total = info.backed_up * 2;
	r = begin(&s, err);
	if (r == 0)
		r = undo_all(&s, info.nentries, err);
	ovbd_bow_batch_free(&s.batch);
	ovbd_bow_spans_clear(&s.used);
	ovbd_bow_spans_clear(&s.wrote);
	return r;
}
