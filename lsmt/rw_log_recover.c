// SPDX-License-Identifier: Apache-2.0
/*
 * ovbd-rw is opened: the superblock, the checkpoint, the log.
 *
 * The log ends before the first block that is not there as a whole: another sequence number, a
 * checksum that is wrong, or that of any of its data. Blocks that are known to have been durable
 * (by the superblock, or by any later block) are not asked for their data, which may be holes by
 * now; and if the log ends before those the superblock knows of, it was not a crash, but damage,
 * and is refused.
 *
 * What lies behind the end may be whole as well (a disk writes in any order): it was dropped, so
 * it must never come back. A session has its number in the superblock before it writes anything; of
 * blocks beyond those that were durable then, only those of that session count.
 *
 * And what was found beyond what is known to be durable may have been read from memory that the
 * disk has not, or even lost (a failed fsync leaves pages that look written). So it is written
 * again, the same bytes in the same places, and flushed before anyone is told that it is there.
 */
#include "lsmt/rw_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define PIECE (128u << 10) /* of data, read and written again at once */

struct recovery {
	struct rw_log *log;
	uint64_t end;     /* of the file */
	uint64_t known;   /* the last block that was durable */
	uint64_t checked; /* bytes of data */
	uint8_t *buf;
	uint8_t raw[RW_BLOCK_SIZE];
};

static int read_block(struct recovery *rc, uint64_t place, struct rw_block *ret,
                      struct ovbd_error *err)
{
	struct ovbd_blob *b = rc->log->core.data->blob;
	int r;

	if (!ovbd_within(place, RW_BLOCK_SIZE, rc->end))
		return ovbd_fail(err, -EBADMSG, "ovbd-rw block at %" PRIu64 ": beyond %" PRIu64,
		                 place, rc->end);
	r = ovbd_blob_pread(b, rc->raw, sizeof(rc->raw), place, err);
	return r < 0 ? r : ovbd_rw_block_decode(rc->raw, place, ret, err);
}

/* All records of the block that is in raw. */
static int apply(struct recovery *rc, const struct rw_block *b, struct ovbd_error *err)
{
	struct rw_record rec;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < b->nrecords; i++) {
		r = ovbd_rw_record_decode(rc->raw, b, i, &rec, err);
		if (r == 0)
			r = ovbd_rw_put(&rc->log->core,
			                &(struct ovbd_segment){rec.off, rec.len, rec.src, 0,
			                                       rec.kind},
			                err);
	}
	return r;
}

/* ---- the checkpoint ---- */

static int load_checkpoint(struct recovery *rc, struct ovbd_error *err)
{
	const struct rw_super *s = &rc->log->super;
	uint64_t place = s->checkpoint_place, session = 0;
	struct rw_block b;
	int r = 0;

	for (uint64_t i = 1; place && r == 0 && i <= s->checkpoint_blocks; i++) {
		r = read_block(rc, place, &b, err);
		if (r == 0 && (b.kind != RW_BLOCK_CHECKPOINT || b.sequence != i ||
		               (i > 1 && b.session != session) ||
		               (b.next == 0) != (i == s->checkpoint_blocks)))
			r = ovbd_fail(err, -EBADMSG,
			              "ovbd-rw checkpoint: block %" PRIu64 " at %" PRIu64
			              " is not part of it",
			              i, place);
		if (r == 0)
			r = apply(rc, &b, err);
		if (r == 0 && !ovbd_rw_list_add(&rc->log->checkpoint, place, RW_BLOCK_SIZE))
			r = ovbd_fail(err, -ENOMEM, "out of memory for a checkpoint");
		session = b.session;
		place = b.next;
	}
	return r;
}

/* ---- the log ---- */

/* Whether what is in raw is the block of the log that is looked for. */
static bool is_next(const struct recovery *rc, const struct rw_block *b)
{
	const struct rw_super *s = &rc->log->super;

	return b->kind == RW_BLOCK_LOG && b->sequence == rc->log->next_sequence &&
	       (b->sequence <= s->safe_sequence ? b->session <= s->session
	                                        : b->session == s->session);
}

/* Where blocks are, up to the first that is not one; what they know to be durable. */
static int find_blocks(struct recovery *rc, struct ovbd_error *err)
{
	struct rw_log *l = rc->log;
	struct rw_block b;
	int r;

	for (;;) {
		r = read_block(rc, l->next_place, &b, err);
		if (r == -EBADMSG || (r == 0 && !is_next(rc, &b)))
			break;
		if (r == 0 && !ovbd_rw_list_add(&l->blocks, l->next_place, RW_BLOCK_SIZE))
			r = ovbd_fail(err, -ENOMEM, "out of memory for a log");
		if (r < 0)
			return r;
		if (b.safe > rc->known && b.safe < b.sequence)
			rc->known = b.safe;
		l->next_place = b.next;
		l->next_sequence++;
	}
	if (l->next_sequence <= l->super.safe_sequence)
		return ovbd_fail(err, -EBADMSG,
		                 "ovbd-rw log: ends before block %" PRIu64 " at %" PRIu64
		                 ", but had %" PRIu64 ": it is damaged",
		                 l->next_sequence, l->next_place, l->super.safe_sequence);
	return 0;
}

/* 1: the data are there; 0: they are not. They are written again as they are. */
static int check_data(struct recovery *rc, const struct rw_record *rec, struct ovbd_error *err)
{
	struct ovbd_device *d = rc->log->core.data;
	uint32_t crc = ovbd_rw_checksum(NULL, 0);

	if (!ovbd_within(rec->src, rec->len, rc->end))
		return 0;
	rc->checked += rec->len;
	if (rc->checked > rc->end) /* each place is written once */
		return ovbd_fail(err, -EBADMSG, "ovbd-rw log: has more data than the file");
	for (uint64_t at = 0; at < rec->len; at += PIECE) {
		const size_t n = (size_t)ovbd_min(rec->len - at, PIECE);
		int r = ovbd_blob_pread(d->blob, rc->buf, n, rec->src + at, err);

		if (r == 0)
			r = ovbd_device_pwrite(d, rc->buf, n, rec->src + at, 0, err);
		if (r < 0)
			return r;
		crc = ovbd_rw_checksum_more(crc, rc->buf, n);
	}
	return crc == rec->checksum;
}

/* 1 or 0, of all records of the block in raw. */
static int check_block(struct recovery *rc, const struct rw_block *b, struct ovbd_error *err)
{
	struct rw_record rec;
	int r = 1;

	for (uint32_t i = 0; r == 1 && i < b->nrecords; i++) {
		r = ovbd_rw_record_decode(rc->raw, b, i, &rec, err);
		if (r == 0)
			r = rec.kind == OVBD_RUN_DATA ? check_data(rc, &rec, err) : 1;
	}
	return r;
}

/* The log ends before block i. */
static void cut(struct rw_log *l, size_t i)
{
	l->next_place = l->blocks.p[i].src;
	l->next_sequence = l->super.log_sequence + i;
	l->blocks.n = i;
}

static int load_log(struct recovery *rc, struct ovbd_error *err)
{
	struct rw_log *l = rc->log;
	struct rw_block b;

	l->tail = l->super.safe_tail;
	for (size_t i = 0; i < l->blocks.n; i++) {
		const uint64_t place = l->blocks.p[i].src;
		int r = read_block(rc, place, &b, err);

		if (r == 0 && b.sequence > rc->known) {
			r = check_block(rc, &b, err);
			if (r == 0) {
				cut(l, i);
				return 0;
			}
			if (r > 0)
				r = ovbd_device_pwrite(l->core.data, rc->raw, sizeof(rc->raw),
				                       place, 0, err);
		}
		if (r == 0)
			r = apply(rc, &b, err);
		if (r < 0)
			return r;
		l->tail = ovbd_max(l->tail, b.tail);
	}
	return 0;
}

/* ---- all ---- */

static int read_super(struct rw_log *l, struct ovbd_error *err)
{
	struct rw_super s[2];
	int r[2];

	for (unsigned i = 0; i < 2; i++) {
		uint8_t raw[RW_SUPER_SIZE];
		const int got = ovbd_blob_pread(l->core.data->blob, raw, sizeof(raw),
		                                (uint64_t)i * RW_SUPER_STRIDE, err);

		if (got < 0)
			return got;
		if (i == 0 && ovbd_lsmt_has_magic(raw))
			return ovbd_fail(err, -EROFS,
			                 "ovbd-rw: is sealed, a layer that is only read");
		r[i] = ovbd_rw_super_decode(raw, &s[i], err);
		if (r[i] < 0 && r[i] != -EBADMSG)
			return r[i];
	}
	if (r[0] < 0 && r[1] < 0)
		return r[1];
	l->super = r[1] < 0 || (r[0] == 0 && s[0].generation > s[1].generation) ? s[0] : s[1];
	return 0;
}

int ovbd_rw_log_recover(struct rw_log *l, uint64_t end, struct ovbd_error *err)
{
	struct recovery rc = {.log = l, .end = end};
	struct rw_super s;
	int r = end < RW_RECORDS_BEGIN
	                ? ovbd_fail(err, -EBADMSG, "ovbd-rw: %" PRIu64 " bytes are too few", end)
	                : read_super(l, err);

	if (r < 0)
		return r;
	rc.buf = malloc(PIECE);
	if (!rc.buf)
		return ovbd_fail(err, -ENOMEM, "out of memory for a log");
	rc.known = l->super.safe_sequence;
	l->next_place = l->super.log_place;
	l->next_sequence = l->super.log_sequence;
	r = load_checkpoint(&rc, err);
	if (r == 0)
		r = find_blocks(&rc, err);
	if (r == 0)
		r = load_log(&rc, err);
	free(rc.buf);
	if (r == 0)
		r = ovbd_device_flush(l->core.data, err);
	if (r < 0)
		return r;
	l->safe = l->next_sequence - 1;
	l->session = l->super.session + 1;
	s = l->super;
	s.session = l->session;
	return ovbd_rw_log_write_super(l, &s, err);
}

int ovbd_rw_probe(struct ovbd_blob *b, struct ovbd_error *err)
{
	uint8_t raw[RW_SUPER_SIZE];

	for (uint64_t at = 0; at <= RW_SUPER_STRIDE; at += RW_SUPER_STRIDE) {
		int r;

		if (!ovbd_within(at, sizeof(raw), b->size))
			return 0;
		r = ovbd_blob_pread(b, raw, sizeof(raw), at, err);
		if (r < 0)
			return r;
		if (ovbd_lsmt_has_magic(raw)) /* it is sealed, and the other one of no account */
			return 0;
		if (ovbd_rw_super_has_magic(raw))
			return 1;
	}
	return 0;
}

int ovbd_rw_create(struct ovbd_device *file, const struct ovbd_rw_params *p, struct ovbd_error *err)
{
	struct rw_super s = {
		.generation = 1,
		.virtual_size = p->virtual_size,
		.log_place = RW_RECORDS_BEGIN,
		.log_sequence = 1,
		.safe_tail = RW_RECORDS_BEGIN + RW_BLOCK_SIZE,
	};
	uint8_t raw[2 * RW_SUPER_STRIDE] = {0};
	int r = ovbd_lsmt_uuid_parse(p->uuid, s.uuid, err);

	if (r == 0)
		r = ovbd_lsmt_uuid_parse(p->parent_uuid, s.parent_uuid, err);
	if (r < 0)
		return r;
	if (p->virtual_size > LSMT_DEVICE_MAX || p->virtual_size % LSMT_SECTOR_SIZE)
		return ovbd_fail(err, -EINVAL,
		                 "virtual size %" PRIu64 ": whole sectors, at most %" PRIu64,
		                 p->virtual_size, (uint64_t)LSMT_DEVICE_MAX);
	if (p->tag && strlen(p->tag) > LSMT_TAG_MAX)
		return ovbd_fail(err, -EINVAL, "a message of %zu bytes: at most %u", strlen(p->tag),
		                 LSMT_TAG_MAX);
	if (p->tag)
		memcpy(s.tag, p->tag, strlen(p->tag));
	ovbd_rw_super_encode(&s, raw + RW_SUPER_STRIDE);
	return ovbd_device_pwrite(file, raw, sizeof(raw), 0, OVBD_WRITE_FUA, err);
}
