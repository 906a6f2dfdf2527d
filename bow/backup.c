// SPDX-License-Identifier: Apache-2.0
/*
 * Before a write: what of its range is original content, a backup, or where block 0 is, is copied
 * to free space first, and logged. What is free, or has been backed up, needs nothing.
 *
 * First all is planned, with the lock: either there is room for all of it, or nothing is done. The
 * plan's places are TAKEN, and who writes to such a place waits. Then it is copied, without the
 * lock; then logged, together with what others have copied meanwhile.
 */
#include "bow/core.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define PIECE (UINT64_C(256) << 10)

/* What a range consists of, in bytes. */
struct survey {
	uint64_t bytes[BOW_KINDS];
	uint64_t nfree; /* ranges */
};

struct plan {
	struct bow_job job;
	size_t capacity;
	size_t budget;
};

static struct survey look(const struct bow_device *d, uint64_t off, uint64_t end)
{
	struct survey s = {0};

	while (off < end) {
		const struct bow_range g = ovbd_bow_ranges_at(d->ranges, off, end - off);

		s.bytes[g.kind] += g.len;
		s.nfree += g.kind == BOW_FREE;
		off += g.len;
	}
	return s;
}

static bool needs_backup(enum bow_kind kind)
{
	return kind == BOW_UNCHANGED || kind == BOW_BACKUP;
}

static uint64_t to_copy(const struct bow_device *d, const struct survey *s)
{
	return s->bytes[BOW_UNCHANGED] + s->bytes[BOW_BACKUP] +
	       (s->bytes[BOW_LIVE] ? d->block_size : 0);
}

/* ---- copying ---- */

int ovbd_bow_copy(struct bow_device *d, uint64_t from, uint64_t to, uint64_t len, uint32_t *crc,
                  struct ovbd_error *err)
{
	AUTO_FREE uint8_t *buf = malloc((size_t)ovbd_min(len, PIECE));
	int r = 0;

	if (!buf)
		return ovbd_fail(err, -ENOMEM, "out of memory for a copy of %" PRIu64 " bytes",
		                 len);
	while (r == 0 && len > 0) {
		const size_t n = (size_t)ovbd_min(len, PIECE);

		r = ovbd_blob_pread(d->below->blob, buf, n, from, err);
		if (r == 0 && crc)
			*crc = ovbd_bow_checksum(*crc, buf, n);
		if (r == 0)
			r = ovbd_device_pwrite(d->below, buf, n, to, 0, err);
		from += n;
		to += n;
		len -= n;
	}
	return r;
}

static int copy_all(struct bow_device *d, const struct bow_job *job, uint64_t live,
                    struct ovbd_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < job->n; i++) {
		struct bow_entry *e = &job->entries[i];

		e->checksum = ovbd_bow_checksum_seed(e->source, d->block_size);
		r = ovbd_bow_copy(d, e->source, e->dest, e->size, &e->checksum, err);
		if (r < 0)
			return ovbd_fail_within(err, r,
			                        "backup on write: backup of %" PRIu32
			                        " bytes at %" PRIu64,
			                        e->size, e->source);
	}
	if (job->live)
		r = ovbd_bow_copy(d, live, job->live, d->block_size, NULL, err);
	return r < 0 ? ovbd_fail_within(err, r, "backup on write: block 0 moves") : 0;
}

/* ---- planning; with the lock ---- */

static int plan_add(struct plan *p, const struct bow_entry *e, struct ovbd_error *err)
{
	if (p->job.n == p->capacity) {
		const size_t capacity = p->capacity ? p->capacity * 2 : 4;
		struct bow_entry *bigger =
			realloc(p->job.entries, capacity * sizeof(*p->job.entries));

		if (!bigger)
			return ovbd_fail(err, -ENOMEM, "out of memory for a list of backups");
		p->job.entries = bigger;
		p->capacity = capacity;
	}
	p->job.entries[p->job.n++] = *e;
	return 0;
}

static int plan_run(struct bow_device *d, struct plan *p, uint64_t off, uint64_t end,
                    struct ovbd_error *err)
{
	const uint64_t max = ovbd_align_down(UINT32_MAX, d->block_size);

	while (off < end) {
		struct bow_entry e = {.source = off};
		struct bow_range g;
		int r;

		if (!ovbd_bow_space_find(d, ovbd_min(end - off, max), &g))
			return ovbd_bow_space_full(d, "a backup", end - off, err);
		r = ovbd_bow_ranges_reserve(d->ranges, 3, &p->budget, err);
		if (r < 0)
			return r;
		e.dest = g.off;
		e.size = (uint32_t)g.len;
		r = plan_add(p, &e, err);
		if (r < 0)
			return r;
		ovbd_bow_ranges_put(d->ranges, g.off, g.len, BOW_TAKEN, &p->budget);
		d->next_dest = g.off + g.len;
		off += g.len;
	}
	return 0;
}

/* Runs as long as they are: original content and backups may be one. */
static int plan_all(struct bow_device *d, struct plan *p, uint64_t off, uint64_t end,
                    struct ovbd_error *err)
{
	int r = 0;

	while (r == 0 && off < end) {
		struct bow_range g = ovbd_bow_ranges_at(d->ranges, off, end - off);
		const uint64_t from = off;

		while (off < end && needs_backup(g.kind)) {
			off += g.len;
			if (off < end)
				g = ovbd_bow_ranges_at(d->ranges, off, end - off);
		}
		if (off > from)
			r = plan_run(d, p, from, off, err);
		else if (g.kind == BOW_LIVE)
			r = ovbd_bow_space_block(d, &p->job.live, &p->budget, err);
		if (off == from)
			off += g.len;
	}
	return r;
}

static void plan_undo(struct bow_device *d, struct plan *p)
{
	for (size_t i = 0; i < p->job.n; i++)
		ovbd_bow_ranges_put(d->ranges, p->job.entries[i].dest, p->job.entries[i].size,
		                    BOW_FREE, &p->budget);
	if (p->job.live)
		ovbd_bow_ranges_put(d->ranges, p->job.live, d->block_size, BOW_FREE, &p->budget);
	ovbd_bow_ranges_release(d->ranges, &p->budget);
}

/* What will be written to is free no more. */
static int use_free(struct bow_device *d, uint64_t off, uint64_t end, size_t *budget,
                    struct ovbd_error *err)
{
	while (off < end) {
		const struct bow_range g = ovbd_bow_ranges_at(d->ranges, off, end - off);

		if (g.kind == BOW_FREE) {
			const int r = ovbd_bow_ranges_reserve(d->ranges, 1, budget, err);

			if (r < 0)
				return r;
			ovbd_bow_ranges_put(d->ranges, g.off, g.len, BOW_CHANGED, budget);
		}
		off += g.len;
	}
	ovbd_bow_ranges_release(d->ranges, budget);
	return 0;
}

/* Free space, without what will be written to and what the log will need for itself, is enough. */
static bool has_room(const struct bow_device *d, const struct survey *s, uint64_t nentries)
{
	const uint64_t n = ovbd_bow_ranges_bytes(d->ranges, BOW_FREE) - s->bytes[BOW_FREE];
	const uint64_t log = ovbd_bow_journal_blocks(d, nentries) * d->block_size;

	return n >= log && n - log >= to_copy(d, s) &&
	       n - log - to_copy(d, s) >= d->params.min_free;
}

/* All or nothing. */
static int make_plan(struct bow_device *d, struct plan *p, const struct bow_flight *f,
                     const struct survey *s, bool *ret_full, struct ovbd_error *err)
{
	const struct survey none = {0};
	size_t budget = 0;
	int r;

	if (!has_room(d, s, 1)) {
		*ret_full = true;
		return ovbd_bow_space_full(d, "a backup", to_copy(d, s), err);
	}
	r = use_free(d, f->off, f->end, &budget, err);
	ovbd_bow_ranges_release(d->ranges, &budget);
	if (r == 0)
		r = plan_all(d, p, f->off, f->end, err);
	if (r == 0 && !has_room(d, &none, p->job.n)) { /* in many pieces the log needs more */
		*ret_full = true;
		r = ovbd_bow_space_full(d, "a backup", to_copy(d, s), err);
	}
	if (r < 0)
		plan_undo(d, p);
	return r;
}

/* ---- all of it ---- */

static int run_plan(struct bow_device *d, struct plan *p, bool *ret_full, struct ovbd_error *err)
{
	const uint64_t live = d->live;
	int r;

	d->journal.npending += p->job.n;
	pthread_mutex_unlock(&d->lock);
	r = copy_all(d, &p->job, live, err);
	pthread_mutex_lock(&d->lock);
	if (r == 0) {
		p->job.budget = &p->budget;
		ovbd_bow_journal_add(d, &p->job);
		r = p->job.r;
		*ret_full = p->job.full;
		if (r < 0 && err)
			*err = p->job.err;
	} else {
		plan_undo(d, p);
		pthread_cond_broadcast(&d->landed);
	}
	d->journal.npending -= p->job.n;
	return r;
}

/* Until nothing has to be waited for: 0, with what the range consists of. */
static int get_ready(struct bow_device *d, struct bow_flight *f, struct survey *ret,
                     struct ovbd_error *err)
{
	for (;;) {
		bool needs;
		int r;

		*ret = look(d, f->off, f->end);
		needs = ret->bytes[BOW_TAKEN] || f->off < d->block_size || to_copy(d, ret) > 0;
		if (needs && d->journal.unsure) {
			r = ovbd_bow_journal_settle(d, err);
			if (r < 0)
				return r;
		} else if (ret->bytes[BOW_TAKEN]) {
			pthread_cond_wait(&d->landed, &d->lock);
		} else if (ret->bytes[BOW_LIVE] && !f->zero && f->off >= d->block_size) {
			ovbd_bow_flight_zero(d, f);
		} else {
			return 0;
		}
	}
}

/* *ret_copied: it is not what is copied that it fails for. */
static int backup(struct bow_device *d, struct bow_flight *f, bool *ret_full, bool *ret_copied,
                  struct ovbd_error *err)
{
	struct plan p = {.job = {.n = 0}};
	const struct survey s = look(d, f->off, f->end);
	int r = make_plan(d, &p, f, &s, ret_full, err);

	if (r == 0)
		r = run_plan(d, &p, ret_full, err);
	*ret_copied = p.job.done;
	free(p.job.entries);
	return r;
}

int ovbd_bow_backup(struct bow_device *d, struct bow_flight *f, bool *ret_full,
                    struct ovbd_error *err)
{
	const uint64_t end = f->end;
	struct survey s;
	size_t budget = 0;
	bool copied;
	int r = get_ready(d, f, &s, err);

	if (r < 0)
		return r;
	if (to_copy(d, &s) == 0) {
		r = s.nfree ? use_free(d, f->off, f->end, &budget, err) : 0;
		ovbd_bow_ranges_release(d->ranges, &budget);
		return r;
	}
	ovbd_bow_ahead_begin(d, f, to_copy(d, &s) + s.bytes[BOW_FREE]);
	r = backup(d, f, ret_full, &copied, err);
	if (r < 0 && (!copied || *ret_full) && f->end > end) { /* it may be for what comes behind */
		ovbd_bow_ahead_end(d, f, end);
		*ret_full = false;
		r = get_ready(d, f, &s, err);
		if (r == 0)
			r = backup(d, f, ret_full, &copied, err);
	}
	ovbd_bow_ahead_end(d, f, end);
	return r;
}
