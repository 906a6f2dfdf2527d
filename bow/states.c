// SPDX-License-Identifier: Apache-2.0
/*
 * From one state to the next, with all of the device in flight: requests wait, and what they
 * have begun is done. Each switch has one write of the first sector that decides; a cut before it
 * leaves the device as it was, after it, as it will be.
 */
#include "bow/core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "bow/free_map.h"
#include "bow/restore.h"

static void begin(struct bow_device *d, struct bow_flight *f)
{
	*f = (struct bow_flight){.off = 0, .end = BOW_END_OF_ALL};
	pthread_mutex_lock(&d->lock);
	ovbd_bow_flight_begin(d, f);
	pthread_mutex_unlock(&d->lock);
}

static void end(struct bow_device *d, struct bow_flight *f)
{
	pthread_mutex_lock(&d->lock);
	ovbd_bow_flight_end(d, f);
	pthread_mutex_unlock(&d->lock);
}

static int refuse(struct bow_device *d, struct ovbd_error *err)
{
	return ovbd_fail(err, -EINVAL, "backup on write: the device is in its state %s",
	                 ovbd_bow_state_name(ovbd_bow_state_of(d)));
}

static int write_sectors(struct bow_device *d, const uint8_t *block, uint64_t from, uint64_t to,
                         struct ovbd_error *err)
{
	int r = 0;

	if (from < to)
		r = ovbd_device_pwrite(d->below, block + from, (size_t)(to - from), from, 0, err);
	return r < 0 ? r : ovbd_bow_flush_below(d, err);
}

/* ---- to CHECKPOINT ---- */

struct switching {
	uint64_t live, copy; /* of block 0 */
	uint8_t *map;        /* what is free */
	size_t map_size;
	struct bow_entry entries[2]; /* of block 0; and of the map, if n = 2 */
	size_t n;
	size_t budget;
};

static void release(struct bow_device *d, struct switching *s, bool all)
{
	const uint64_t off[] = {s->live, s->copy, s->n == 2 ? s->entries[1].dest : 0};
	const uint64_t len[] = {d->block_size, d->block_size, s->n == 2 ? s->entries[1].size : 0};

	for (unsigned i = 0; all && i < 3; i++)
		if (off[i])
			ovbd_bow_ranges_put(d->ranges, off[i], len[i], BOW_FREE, &s->budget);
	ovbd_bow_ranges_release(d->ranges, &s->budget);
}

/* What is free goes to free space, if there is plenty: four times what it takes will be left. The
 * log has it as the backup of what else is free. */
static int take_map(struct bow_device *d, struct switching *s, struct ovbd_error *err)
{
	struct bow_entry *e = &s->entries[1];
	struct bow_range g, other;
	int r;

	if (!ovbd_bow_ranges_largest(d->ranges, &g) || g.len < s->map_size ||
	    ovbd_bow_ranges_bytes(d->ranges, BOW_FREE) / 5 < s->map_size ||
	    s->map_size > UINT32_MAX)
		return 0;
	r = ovbd_bow_ranges_reserve(d->ranges, 3, &s->budget, err);
	if (r < 0)
		return r;
	ovbd_bow_ranges_put(d->ranges, g.off, s->map_size, BOW_TAKEN, &s->budget);
	*e = (struct bow_entry){.dest = g.off, .size = (uint32_t)s->map_size};
	s->n = 2;
	if (!ovbd_bow_ranges_largest(d->ranges, &other) || other.len < s->map_size) {
		s->n = 1;
		ovbd_bow_ranges_put(d->ranges, g.off, s->map_size, BOW_FREE, &s->budget);
		return 0;
	}
	e->source = other.off;
	ovbd_bow_free_map_place(s->map, e);
	e->checksum = ovbd_bow_checksum(ovbd_bow_checksum_seed(e->source, d->block_size), s->map,
	                                s->map_size);
	return 0;
}

static int take_space(struct bow_device *d, struct switching *s, struct ovbd_error *err)
{
	int r = ovbd_bow_free_map_encode(d->ranges, d->block_size, &s->map, &s->map_size, err);

	if (r == 0)
		r = ovbd_bow_ranges_reserve(d->ranges, 3, &s->budget, err);
	if (r == 0 && ovbd_bow_ranges_bytes(d->ranges, BOW_FREE) < 2 * (uint64_t)d->block_size)
		r = ovbd_bow_space_full(d, "a checkpoint", 2 * (uint64_t)d->block_size, err);
	if (r == 0)
		r = ovbd_bow_space_block(d, &s->live, &s->budget, err);
	if (r == 0)
		r = ovbd_bow_space_block(d, &s->copy, &s->budget, err);
	s->entries[0] = (struct bow_entry){.dest = s->copy, .size = d->block_size};
	s->n = 1;
	return r < 0 ? r : take_map(d, s, err);
}

/* What the first log block says; its other sectors keep what block 0 has there. */
static int fill_journal(struct bow_device *d, struct switching *s, struct ovbd_error *err)
{
	struct bow_journal *j = &d->journal;
	struct bow_step *step = &j->step;
	int r = ovbd_blob_pread(d->below->blob, j->image, d->block_size, 0, err);

	if (r < 0)
		return r;
	s->entries[0].checksum = ovbd_bow_checksum(0, j->image, d->block_size);
	memcpy(j->next, j->image, d->block_size);
	memset(j->next, 0, BOW_SECTOR);
	step->header = j->header;
	step->header.count = (uint32_t)s->n;
	step->header.sector0 = s->live;
	step->n = s->n;
	step->full = 0;
	ovbd_bow_header_encode(&step->header, j->next);
	for (size_t i = 0; i < s->n; i++) {
		step->entries[i] = s->entries[i];
		ovbd_bow_entry_encode(&s->entries[i],
		                      j->next + ovbd_bow_entry_off(BOW_HEADER_SIZE, (uint32_t)i));
	}
	return 0;
}

static int write_copies(struct bow_device *d, const struct switching *s, struct ovbd_error *err)
{
	const uint8_t *image = d->journal.image;
	int r = ovbd_device_pwrite(d->below, image, d->block_size, s->live, 0, err);

	if (r == 0)
		r = ovbd_device_pwrite(d->below, image, d->block_size, s->copy, 0, err);
	if (r == 0 && s->n == 2)
		r = ovbd_device_pwrite(d->below, s->map, s->entries[1].size, s->entries[1].dest, 0,
		                       err);
	return r < 0 ? r : ovbd_bow_flush_below(d, err);
}

/* With the lock. sure: it is on the device. */
static void enter(struct bow_device *d, struct switching *s, bool sure)
{
	struct bow_journal *j = &d->journal;
	uint8_t *image = j->image;

	ovbd_bow_ranges_put(d->ranges, 0, d->block_size, BOW_CHANGED, &s->budget);
	ovbd_bow_ranges_put(d->ranges, s->live, d->block_size, BOW_LIVE, &s->budget);
	for (size_t i = 0; i < s->n; i++) { /* sources are block 0, and what is free */
		const struct bow_entry *e = &s->entries[i];

		ovbd_bow_ranges_put(d->ranges, e->dest, e->size, BOW_BACKUP, &s->budget);
		d->backed_up += e->size;
	}
	d->log_entries = s->n;
	d->live = s->live;
	d->log_blocks = 1;
	d->log_writes++;
	d->next_dest = d->size;
	j->header = j->step.header;
	j->image = j->next;
	j->next = image;
	if (!sure) {
		memcpy(j->next, j->image, d->block_size);
		j->step.n = 0;
		j->unsure = true;
	}
	atomic_store(&d->state, OVBD_BOW_CHECKPOINT);
}

/* Without the lock; the space is taken. *ret_in: whether the device is in its new state. */
static int switch_over(struct bow_device *d, struct switching *s, bool *ret_in,
                       struct ovbd_error *err)
{
	struct bow_journal *j = &d->journal;
	int r = fill_journal(d, s, err);

	*ret_in = false;
	if (r == 0)
		r = write_copies(d, s, err);
	if (r < 0)
		return r;
	r = write_sectors(d, j->next, 0, BOW_SECTOR, err);
	if (r < 0 && write_sectors(d, j->image, 0, BOW_SECTOR, NULL) == 0)
		return r; /* it is as it was */
	pthread_mutex_lock(&d->lock);
	enter(d, s, r == 0);
	pthread_mutex_unlock(&d->lock);
	*ret_in = true;
	return r;
}

static int checkpoint(struct bow_device *d, struct ovbd_error *err)
{
	struct switching s = {.n = 0};
	bool in = false;
	int r;

	d->journal.header =
		(struct bow_header){.header_size = BOW_HEADER_SIZE, .block_size = d->block_size};
	r = ovbd_bow_journal_open(d, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&d->lock);
	r = take_space(d, &s, err);
	pthread_mutex_unlock(&d->lock);
	if (r == 0)
		r = switch_over(d, &s, &in, err);
	pthread_mutex_lock(&d->lock);
	release(d, &s, !in);
	pthread_mutex_unlock(&d->lock);
	if (!in)
		ovbd_bow_journal_close(d);
	free(s.map);
	return r;
}

int ovbd_bow_checkpoint(struct ovbd_device *dev, struct ovbd_error *err)
{
	struct bow_device *d = ovbd_bow_of(dev);
	struct bow_flight f;
	int r;

	begin(d, &f);
	if (ovbd_bow_state_of(d) == OVBD_BOW_TRIM)
		r = checkpoint(d, err);
	else
		r = refuse(d, err);
	end(d, &f);
	return r;
}

/* ---- to COMMITTED ---- */

/* All that users have written; then the first sector, without entries: from here on nothing can be
 * taken back, and who opens the device goes on. Then what block 0 is, behind it; then block 0's
 * own. */
static int put_back(struct bow_device *d, struct ovbd_error *err)
{
	struct bow_journal *j = &d->journal;
	struct bow_header h = j->header;
	int r = ovbd_blob_pread(d->below->blob, j->next, d->block_size, d->live, err);

	if (r == 0)
		r = ovbd_bow_flush_below(d, err);
	if (r < 0)
		return r;
	h.count = 0;
	h.sequence = 0;
	h.sector0 = d->live;
	ovbd_bow_header_encode(&h, j->image);
	d->committing = true;
	r = write_sectors(d, j->image, 0, BOW_SECTOR, err);
	if (r == 0 && d->block_size > BOW_SECTOR)
		r = write_sectors(d, j->next, BOW_SECTOR, d->block_size, err);
	return r < 0 ? r : write_sectors(d, j->next, 0, BOW_SECTOR, err);
}

static void forget(struct bow_device *d)
{
	struct bow_journal *j = &d->journal;
	size_t none = 0;

	pthread_mutex_lock(&d->lock);
	ovbd_bow_ranges_release(d->ranges, &j->budget);
	ovbd_bow_ranges_put(d->ranges, 0, ovbd_align_up(d->size, d->block_size), BOW_UNCHANGED,
	                    &none);
	ovbd_bow_journal_close(d);
	j->unsure = false;
	d->committing = false;
	d->live = 0;
	d->log_blocks = 0;
	d->log_entries = 0;
	pthread_mutex_unlock(&d->lock);
}

int ovbd_bow_finish_commit(struct bow_device *d, struct ovbd_error *err)
{
	const int r = put_back(d, err);

	if (r < 0)
		return ovbd_fail_within(err, r, "backup on write: commit");
	forget(d);
	return 0;
}

static int commit(struct bow_device *d, struct ovbd_error *err)
{
	const bool logged = ovbd_bow_state_of(d) == OVBD_BOW_CHECKPOINT;
	int r = 0;

	if (logged && !d->committing) {
		pthread_mutex_lock(&d->lock);
		r = ovbd_bow_journal_settle(d, err);
		pthread_mutex_unlock(&d->lock);
	}
	if (r == 0 && logged)
		r = ovbd_bow_finish_commit(d, err);
	if (r < 0)
		return r;
	if (!logged)
		forget(d);
	atomic_store(&d->state, OVBD_BOW_COMMITTED);
	return 1;
}

int ovbd_bow_commit_now(struct bow_device *d, struct ovbd_error *err)
{
	struct bow_flight f;
	int r = 0;

	begin(d, &f);
	if (ovbd_bow_state_of(d) == OVBD_BOW_ABORTED)
		r = refuse(d, err);
	else if (ovbd_bow_state_of(d) != OVBD_BOW_COMMITTED)
		r = commit(d, err);
	end(d, &f);
	return r;
}

int ovbd_bow_commit(struct ovbd_device *dev, struct ovbd_error *err)
{
	struct bow_device *d = ovbd_bow_of(dev);
	int r;

	if (ovbd_bow_state_of(d) >= OVBD_BOW_COMMITTED)
		return refuse(d, err);
	r = ovbd_bow_commit_now(d, err);
	return r < 0 ? r : 0;
}

/* ---- to ABORTED ---- */

/* All backups are read first, so that one that is wrong leaves things as they are. Then reads that
 * are not in flight fail from now on, and those under way when they are done. What a restore that
 * fails has left is for another one, by who opens the device next. */
static int abort_all(struct bow_device *d, struct ovbd_error *err)
{
	struct ovbd_bow_info info;
	int r;

	if (d->committing)
		return ovbd_fail(err, -EINVAL, "backup on write: a commit has begun");
	r = ovbd_bow_check(d->below->blob, NULL, NULL, &info, err);
	if (r == 0) {
		atomic_store(&d->state, OVBD_BOW_ABORTED);
		r = ovbd_bow_restore(d->below, NULL, &info, err);
		forget(d);
	}
	return r < 0 ? ovbd_fail_within(err, r, "backup on write: abort") : 1;
}

int ovbd_bow_abort_now(struct bow_device *d, struct ovbd_error *err)
{
	struct bow_flight f;
	int r = 0;

	begin(d, &f);
	if (ovbd_bow_state_of(d) == OVBD_BOW_CHECKPOINT)
		r = abort_all(d, err);
	end(d, &f);
	return r;
}

int ovbd_bow_abort(struct ovbd_device *dev, struct ovbd_error *err)
{
	struct bow_device *d = ovbd_bow_of(dev);
	int r = 0;

	if (ovbd_bow_state_of(d) == OVBD_BOW_CHECKPOINT)
		r = ovbd_bow_abort_now(d, err);
	if (r == 0)
		return refuse(d, err);
	return r < 0 ? r : 0;
}
