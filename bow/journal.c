// SPDX-License-Identifier: Apache-2.0
/*
 * The log, as it is written. Who needs entries queues a job; one of those who wait takes all jobs
 * there are and writes them together, in steps of what one log block takes:
 *
 *   1. what lies beyond the first sector is written: entries, of which no count knows yet; or, if
 *      the block is full, the block as it is, to a free one. Flush: it is durable, and so are the
 *      backups that the entries name.
 *   2. The first sector is written, with the new count (and the entries in it), or as the first of
 *      the next block. Flush: now the backups' sources may be overwritten.
 *
 * A sector is written as a whole or not at all, and the first one is the only one that counts, so
 * nothing torn is ever seen. If 1 fails, nothing has happened. If 2 fails, it may be there or not.
 * Then the step is kept, unsure, and is written again before anything else is logged, or before
 * block 0 is written to; meanwhile both outcomes are right, as nothing that it protects changes.
 *
 * Whoever is at it does what follows for all jobs' ranges, within the budgets they have brought.
 */
#include "bow/core.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

static uint32_t entries_max(const struct bow_journal *j, uint32_t block_size)
{
	return ovbd_bow_entries_max(j->header.header_size, block_size);
}

/* ---- what is true from now on; with the lock ---- */

void ovbd_bow_journal_apply(struct bow_device *d, const struct bow_entry *e, size_t *budget)
{
	if (e->source > 0)
		ovbd_bow_ranges_put(d->ranges, e->source, e->size, BOW_CHANGED, budget);
	ovbd_bow_ranges_put(d->ranges, e->dest, e->size, BOW_BACKUP, budget);
	d->backed_up += e->size;
	d->log_entries++;
}

static void step_done(struct bow_device *d)
{
	struct bow_journal *j = &d->journal;
	const struct bow_step *s = &j->step;
	uint8_t *image = j->image;

	j->image = j->next;
	j->next = image;
	j->header = s->header;
	for (size_t i = 0; i < s->n; i++)
		ovbd_bow_journal_apply(d, &s->entries[i], &j->budget);
	if (s->full)
		d->log_blocks++;
	if (s->header.sector0 != d->live) {
		ovbd_bow_ranges_put(d->ranges, d->live, d->block_size, BOW_CHANGED, &j->budget);
		ovbd_bow_ranges_put(d->ranges, s->header.sector0, d->block_size, BOW_LIVE,
		                    &j->budget);
		d->live = s->header.sector0;
	}
	j->unsure = false;
}

/* ---- writing a step; without the lock ---- */

static int write_rest(struct bow_device *d, struct ovbd_error *err)
{
	const struct bow_journal *j = &d->journal;
	const struct bow_step *s = &j->step;
	const uint32_t size = s->header.header_size;
	uint64_t from, end;

	if (s->full)
		return ovbd_device_pwrite(d->below, j->image, d->block_size, s->full, 0, err);
	from = ovbd_align_down(ovbd_bow_entry_off(size, j->header.count), BOW_SECTOR);
	from = ovbd_max(from, BOW_SECTOR);
	end = ovbd_align_up(ovbd_bow_entry_off(size, s->header.count), BOW_SECTOR);
	if (from >= end)
		return 0;
	return ovbd_device_pwrite(d->below, j->next + from, (size_t)(end - from), from, 0, err);
}

static int write_first(struct bow_device *d, struct ovbd_error *err)
{
	const int r = ovbd_device_pwrite(d->below, d->journal.next, BOW_SECTOR, 0, 0, err);

	return r < 0 ? r : ovbd_bow_flush_below(d, err);
}

static int within(struct ovbd_error *err, int r)
{
	return ovbd_fail_within(err, r, "backup on write: log");
}

static void encode_step(struct bow_device *d)
{
	struct bow_journal *j = &d->journal;
	const struct bow_step *s = &j->step;
	const uint32_t first = s->header.count - (uint32_t)s->n;

	memcpy(j->next, j->image, d->block_size);
	if (s->full) { /* what else a header has that is longer than ours stays */
		const size_t off = s->header.header_size;

		memset(j->next + off, 0, BOW_SECTOR - off);
	}
	ovbd_bow_header_encode(&s->header, j->next);
	for (size_t i = 0; i < s->n; i++)
		ovbd_bow_entry_encode(&s->entries[i],
		                      j->next + ovbd_bow_entry_off(s->header.header_size,
		                                                   first + (uint32_t)i));
}

/* With the lock, which is given up. *ret_settled: it may be on the device. */
static int write_step(struct bow_device *d, bool *ret_settled, struct ovbd_error *err)
{
	struct bow_journal *j = &d->journal;
	int r;

	*ret_settled = false;
	pthread_mutex_unlock(&d->lock);
	if (j->step.full)
		j->step.entries[0].checksum = ovbd_bow_checksum(0, j->image, d->block_size);
	encode_step(d);
	r = write_rest(d, err);
	if (r == 0)
		r = ovbd_bow_flush_below(d, err);
	if (r == 0) {
		*ret_settled = true;
		r = write_first(d, err);
	}
	pthread_mutex_lock(&d->lock);
	d->log_writes++;
	if (r == 0)
		step_done(d);
	else
		j->unsure = *ret_settled;
	return r < 0 ? within(err, r) : 0;
}

static int settle(struct bow_device *d, struct ovbd_error *err)
{
	int r;

	if (!d->journal.unsure)
		return 0;
	pthread_mutex_unlock(&d->lock);
	r = write_first(d, err);
	pthread_mutex_lock(&d->lock);
	d->log_writes++;
	if (r == 0)
		step_done(d);
	return r < 0 ? within(err, r) : 0;
}

/* ---- jobs; with the lock ---- */

static bool left(const struct bow_job *job)
{
	return job->nlogged < job->n || (job->live && !job->live_logged);
}

/* What of the job goes into the step, which takes up to room entries. */
static size_t step_take(struct bow_step *s, struct bow_job *job, size_t room)
{
	const size_t n = (size_t)ovbd_min(job->n - job->nlogged, room);

	if (n > 0)
		memcpy(&s->entries[s->n], &job->entries[job->nlogged], n * sizeof(*s->entries));
	s->n += n;
	s->header.count += (uint32_t)n;
	job->nsettled = job->nlogged + n;
	if (job->live && !job->live_logged && job->nsettled == job->n) {
		s->header.sector0 = job->live;
		job->live_settled = true;
	}
	return n;
}

/* As many entries of the jobs as fit into the first sector of a new block, if this one is full,
 * or else into what is left of it. */
static int step_fill(struct bow_device *d, struct bow_job *jobs, struct ovbd_error *err)
{
	struct bow_journal *j = &d->journal;
	struct bow_step *s = &j->step;
	size_t room = entries_max(j, d->block_size) - j->header.count;
	int r;

	s->header = j->header;
	s->n = 0;
	s->full = 0;
	if (room == 0) {
		r = ovbd_bow_space_block(d, &s->full, &j->budget, err);
		if (r < 0)
			return r;
		s->entries[s->n++] = (struct bow_entry){.dest = s->full, .size = d->block_size};
		s->header.count = 1;
		s->header.sequence++;
		room = entries_max(j, BOW_SECTOR) - 1;
	}
	for (struct bow_job *job = jobs; job && room > 0; job = job->next)
		if (left(job))
			room -= step_take(s, job, room);
	return 0;
}

static void step_settled(struct bow_job *jobs, bool settled, bool logged)
{
	for (struct bow_job *job = jobs; job; job = job->next) {
		if (!settled) {
			job->nsettled = job->nlogged;
			job->live_settled = job->live_logged;
		}
		if (logged) {
			job->nlogged = job->nsettled;
			job->live_logged = job->live_settled;
		}
	}
}

static bool any_left(const struct bow_job *jobs)
{
	for (; jobs; jobs = jobs->next)
		if (left(jobs))
			return true;
	return false;
}

static int write_jobs(struct bow_device *d, struct bow_job *jobs, bool *ret_full,
                      struct ovbd_error *err)
{
	struct bow_journal *j = &d->journal;
	int r = settle(d, err);

	while (r == 0 && any_left(jobs)) {
		bool settled;

		r = step_fill(d, jobs, err);
		if (r < 0) {
			*ret_full = r == -ENOSPC;
			return r;
		}
		r = write_step(d, &settled, err);
		if (!settled && j->step.full)
			ovbd_bow_ranges_put(d->ranges, j->step.full, d->block_size, BOW_FREE,
			                    &j->budget);
		step_settled(jobs, settled, r == 0);
	}
	return r;
}

/* What is not, and will not be, on the device is free again. */
static void job_done(struct bow_device *d, struct bow_job *job, int r, bool full,
                     const struct ovbd_error *err)
{
	struct bow_journal *j = &d->journal;

	for (size_t i = job->nsettled; i < job->n; i++)
		ovbd_bow_ranges_put(d->ranges, job->entries[i].dest, job->entries[i].size, BOW_FREE,
		                    &j->budget);
	if (job->live && !job->live_settled)
		ovbd_bow_ranges_put(d->ranges, job->live, d->block_size, BOW_FREE, &j->budget);
	job->r = left(job) ? r : 0;
	job->full = job->r < 0 && full;
	if (job->r < 0)
		job->err = *err;
	job->done = true;
}

/* The journal is busy with us. */
static void lead(struct bow_device *d, struct ovbd_error *err)
{
	struct bow_journal *j = &d->journal;
	struct bow_job *jobs = j->first, *next;
	bool full = false;
	int r;

	j->first = NULL;
	j->last = &j->first;
	for (struct bow_job *job = jobs; job; job = job->next) {
		j->budget += *job->budget;
		*job->budget = 0;
	}
	r = write_jobs(d, jobs, &full, err);
	for (struct bow_job *job = jobs; job; job = next) {
		next = job->next;
		job_done(d, job, r, full, err);
	}
	if (!j->unsure)
		ovbd_bow_ranges_release(d->ranges, &j->budget);
}

static void take_turn(struct bow_device *d)
{
	while (d->journal.busy)
		pthread_cond_wait(&d->logged, &d->lock);
	d->journal.busy = true;
}

static void give_turn(struct bow_device *d)
{
	d->journal.busy = false;
	pthread_cond_broadcast(&d->logged);
	pthread_cond_broadcast(&d->landed);
}

void ovbd_bow_journal_add(struct bow_device *d, struct bow_job *job)
{
	struct bow_journal *j = &d->journal;
	struct ovbd_error err;

	job->next = NULL;
	*j->last = job;
	j->last = &job->next;
	while (!job->done && j->busy)
		pthread_cond_wait(&d->logged, &d->lock);
	if (job->done)
		return;
	take_turn(d);
	lead(d, &err);
	give_turn(d);
	assert(job->done);
}

int ovbd_bow_journal_settle(struct bow_device *d, struct ovbd_error *err)
{
	struct bow_journal *j = &d->journal;
	int r;

	take_turn(d);
	r = settle(d, err);
	if (!j->unsure)
		ovbd_bow_ranges_release(d->ranges, &j->budget);
	give_turn(d);
	return r;
}

uint64_t ovbd_bow_journal_blocks(const struct bow_device *d, size_t n)
{
	const struct bow_journal *j = &d->journal;
	const uint32_t max = entries_max(j, d->block_size);
	const size_t wanted = j->npending + n, room = max - j->header.count;

	return wanted <= room ? 0 : (wanted - room + max - 2) / (max - 1);
}

/* ---- life ---- */

int ovbd_bow_journal_open(struct bow_device *d, struct ovbd_error *err)
{
	struct bow_journal *j = &d->journal;
	const uint32_t max = entries_max(j, d->block_size);

	j->image = malloc(d->block_size);
	j->next = malloc(d->block_size);
	j->step.entries = ovbd_array_alloc(max, sizeof(*j->step.entries));
	j->last = &j->first;
	if (j->image && j->next && j->step.entries)
		return 0;
	ovbd_bow_journal_close(d);
	return ovbd_fail(err, -ENOMEM, "out of memory for the log of backups");
}

void ovbd_bow_journal_close(struct bow_device *d)
{
	struct bow_journal *j = &d->journal;

	free(j->image);
	free(j->next);
	free(j->step.entries);
	j->image = NULL;
	j->next = NULL;
	j->step.entries = NULL;
}
