// SPDX-License-Identifier: Apache-2.0
/*
 * The steps of a merge. For each group of operations (merge_plan.c):
 *
 *     1. what it writes is made, in memory (merge_load.c)
 *     2. if it overwrites what it reads: to the scratch area; flush; state 2; flush.
 *        From here on its blocks are read from memory, or after a crash from the scratch area
 *     3. to the base; flush
 *     4. counter and state 1, in one write of less than a sector; flush.
 *        From here on its blocks are read from the base
 *
 * At 2 and 4 it waits for those who read by the rules of before (cow_live.c). While a group is
 * written the next one is loaded, by the pool's threads: nothing that it reads is overwritten by
 * the one before, or by any.
 *
 * After a failure the group stays as it is, in memory, and the next step() begins with its writes
 * again, from the scratch area on if it was not known to be durable: all of them may be repeated.
 * Not even a flush that has failed, after which a kernel forgets what it could not write, does
 * harm.
 *
 * Where the power fails:  before 2 or in a group that does not overlap: what it reads is there yet,
 * the counter is as it was, and it is done again. Between 2 and 4: from the scratch area.
 *
 * There is no io_uring here: runs are long, so that the writes themselves, not the calls, take the
 * time, and what is read ahead is read by threads, which decompress too.
 */
#include "ota/merge.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "ota/merge_impl.h"

#define BLOCK OVBD_COW_BLOCK_SIZE

struct ovbd_merge {
	struct ovbd_device *cow_device, *base; /* owned */
	struct ovbd_cow *cow;                  /* owned; reads cow_device */
	struct cow_live live;
	unsigned group_blocks; /* at most */
	struct cow_loader *loader;
	struct cow_load loads[2];
	struct cow_load *load, *ahead; /* of these; load: loaded, if is_loaded */
	bool is_loaded;
	bool is_safe;   /* load is in the scratch area, if it has to be, and read from memory */
	uint8_t *held;  /* what is written to the scratch area; NULL: there is none */
	uint8_t *count; /* what is written to count the progress; NULL: that is not counted */
	uint32_t nmerged;

	pthread_mutex_t lock; /* guards shown */
	struct ovbd_merge_progress shown;
};

/* ---- the scratch area ---- */

/* The entries, and the data, as they are in the file. */
static uint8_t *held_data(const struct ovbd_merge *m)
{
	return m->held +
	       (cow_scratch_data_off(&m->cow->h, 0) - cow_scratch_entries_off(&m->cow->h));
}

static void fill_held(struct ovbd_merge *m)
{
	const struct cow_header *h = &m->cow->h;
	const struct cow_group *g = &m->load->group;

	for (uint32_t i = 0; i < g->n; i++) {
		const struct cow_write *w = &m->load->writes[i];
		const uint32_t place = m->cow->ops[w->number].place - g->first;

		cow_scratch_encode(m->held + (size_t)place * COW_SCRATCH_SIZE, w->block,
		                   cow_scratch_data_off(h, place));
		memcpy(held_data(m) + (size_t)place * BLOCK, m->load->data + (size_t)w->at * BLOCK,
		       BLOCK);
	}
	if (g->n < cow_scratch_entries_max(h))
		cow_scratch_encode(m->held + (size_t)g->n * COW_SCRATCH_SIZE, 0, 0);
}

/* From now on the group's blocks are read from memory. */
static void hold(struct ovbd_merge *m)
{
	const struct cow_phase ph = {.nmerged = m->nmerged,
	                             .nheld = m->load->group.n,
	                             .held = held_data(m)};

	cow_live_go_on(&m->live, &ph);
}

static int write_scratch(struct ovbd_merge *m, struct ovbd_error *err)
{
	static const uint8_t holding = COW_SCRATCH_HOLDING;
	const uint64_t entries = cow_scratch_entries_off(&m->cow->h);
	const size_t size = (size_t)(held_data(m) - m->held) + (size_t)m->load->group.n * BLOCK;
	int r;

	fill_held(m);
	r = ovbd_device_pwrite(m->cow_device, m->held, size, entries, 0, err);
	if (r == 0)
		r = ovbd_device_flush(m->cow_device, err);
	if (r == 0)
		r = ovbd_device_pwrite(m->cow_device, &holding, 1, entries - 1, 0, err);
	if (r == 0)
		r = ovbd_device_flush(m->cow_device, err);
	if (r == 0)
		hold(m);
	return r;
}

static int make_safe(struct ovbd_merge *m, struct ovbd_error *err)
{
	int r = 0;

	if (m->is_safe)
		return 0;
	if (m->load->group.overlaps && !m->load->group.in_scratch)
		r = write_scratch(m, err);
	m->is_safe = r == 0;
	return r;
}

/* ---- the base ---- */

enum what { DATA, ZEROS, THE_SAME };

static enum what what_is(const struct ovbd_cow_op *op)
{
	if (op->type == OVBD_COW_ZERO)
		return ZEROS;
	return op->type == OVBD_COW_COPY && op->source == op->block ? THE_SAME : DATA;
}

static int write_base(struct ovbd_merge *m, struct ovbd_error *err)
{
	const struct cow_load *l = m->load;
	uint32_t i = 0;
	int r = 0;

	while (r == 0 && i < l->group.n) {
		const uint32_t first = i;
		const enum what what = what_is(&m->cow->ops[l->writes[i].number]);
		uint64_t end = l->writes[i].block;
		const uint64_t off = end * BLOCK;

		while (i < l->group.n && l->writes[i].block == end &&
		       what_is(&m->cow->ops[l->writes[i].number]) == what)
			end = cow_op_end(&m->cow->ops[l->writes[i++].number]);
		if (what == ZEROS)
			r = ovbd_device_write_zeroes(m->base, off, end * BLOCK - off, 0, err);
		else if (what == DATA)
			r = ovbd_device_pwrite(m->base,
			                       l->data + (size_t)l->writes[first].at * BLOCK,
			                       (size_t)(end * BLOCK - off), off, 0, err);
	}
	return r < 0 ? r : ovbd_device_flush(m->base, err);
}

static int write_count(struct ovbd_merge *m, uint32_t nmerged, struct ovbd_error *err)
{
	const struct cow_header *h = &m->cow->h;
	int r;

	if (!m->count)
		return 0;
	cow_counter_encode(h, nmerged, m->count);
	r = ovbd_device_pwrite(m->cow_device, m->count, cow_counter_size(h), cow_counter_off(h), 0,
	                       err);
	return r < 0 ? r : ovbd_device_flush(m->cow_device, err);
}

/* From now on the group's blocks are read from the base. */
static void count_merged(struct ovbd_merge *m, uint32_t nmerged)
{
	const struct cow_phase ph = {.nmerged = nmerged};
	uint64_t nblocks = 0;

	cow_live_go_on(&m->live, &ph);
	for (uint32_t i = m->nmerged; i < nmerged; i++)
		nblocks += UINT64_C(1) << m->cow->ops[m->cow->order[i]].shift;
	m->nmerged = nmerged;
	pthread_mutex_lock(&m->lock);
	m->shown.nmerged = nmerged;
	m->shown.written += nblocks * BLOCK;
	pthread_mutex_unlock(&m->lock);
}

/* ---- a step ---- */

static int begin_load(struct ovbd_merge *m, struct cow_load *to, uint32_t first,
                      struct ovbd_error *err)
{
	const struct cow_group g = cow_group_next(m->cow, m->group_blocks, first);

	return cow_loader_begin(m->loader, to, &g, err);
}

static int load(struct ovbd_merge *m, struct ovbd_error *err)
{
	struct ovbd_error why = {""};
	int r = 0, r2;

	if (m->is_loaded)
		return 0;
	r = begin_load(m, m->load, m->nmerged, &why);
	r2 = cow_loader_wait(m->loader, r < 0 ? NULL : &why);
	r = r < 0 ? r : r2;
	m->is_loaded = r == 0;
	m->is_safe = false;
	return r < 0 ? ovbd_fail(err, r, "%s", why.msg) : 0;
}

static int write_group(struct ovbd_merge *m, struct ovbd_error *err)
{
	const struct cow_group *g = &m->load->group;
	int r = write_base(m, err);

	if (r == 0)
		r = write_count(m, g->first + g->n, err);
	if (r == 0)
		count_merged(m, g->first + g->n);
	return r;
}

int ovbd_merge_step(struct ovbd_merge *m, struct ovbd_error *err)
{
	struct cow_load *written = m->load;
	bool ahead = false;
	uint32_t end;
	int r;

	if (m->nmerged == m->cow->n)
		return 0;
	r = load(m, err);
	if (r < 0)
		return r;
	end = m->load->group.first + m->load->group.n;
	if (end < m->cow->n)
		ahead = begin_load(m, m->ahead, end, NULL) == 0;
	r = make_safe(m, err);
	if (r == 0)
		r = write_group(m, err);
	/* if it could not be loaded, the next step tries again, and says why */
	ahead = cow_loader_wait(m->loader, NULL) == 0 && ahead;
	if (r < 0)
		return r;
	m->load = m->ahead;
	m->ahead = written;
	m->is_loaded = ahead;
	m->is_safe = false;
	return m->nmerged < m->cow->n;
}

/* ---- opening ---- */

static int open_cow(struct ovbd_merge *m, const struct ovbd_merge_params *p, struct ovbd_error *err)
{
	struct ovbd_blob *b = NULL;
	int r;

	r = ovbd_blob_open_lent(m->cow_device->blob, &b, err);
	if (r < 0)
		return r;
	r = ovbd_cow_open(b, NULL, &m->cow, err);
	if (r == 0)
		r = cow_merge_check(m->cow, m->base->blob->size, p, err);
	if (r == 0 && m->cow->info.nmerged < m->cow->n &&
	    (!ovbd_device_is_writable(m->base) || !ovbd_device_is_writable(m->cow_device)))
		r = ovbd_fail(err, -EROFS, "cow: cannot be merged: %s is read-only",
		              ovbd_device_is_writable(m->base) ? "it" : "its base");
	return r;
}

/* Room for the scratch area's content and for the counter's, whose other bytes stay as they are. */
static int make_room(struct ovbd_merge *m, struct ovbd_error *err)
{
	const struct cow_header *h = &m->cow->h;
	const uint32_t max = h->buffer_size ? cow_scratch_entries_max(h) : 0;

	if (max > 0) {
		const uint64_t n = ovbd_min(max, m->group_blocks);

		m->held = calloc(1, (size_t)(cow_scratch_data_off(h, (uint32_t)n) -
		                             cow_scratch_entries_off(h)));
		if (!m->held)
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	if (cow_counter_off(h) == 0)
		return 0;
	m->count = malloc(cow_counter_size(h));
	if (!m->count)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	return ovbd_blob_pread(m->cow_device->blob, m->count, cow_counter_size(h),
	                       cow_counter_off(h), err);
}

int ovbd_merge_open(struct ovbd_device *take_cow, struct ovbd_device *take_base,
                    const struct ovbd_merge_params *p, struct ovbd_merge **ret,
                    struct ovbd_error *err)
{
	AUTO_DEVICE *cow = take_cow;
	AUTO_DEVICE *base = take_base;
	OVBD_AUTO(ovbd_merge_closep) struct ovbd_merge *m = calloc(1, sizeof(*m));
	struct cow_phase first = {0};
	int r;

	if (!m)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	m->cow_device = OVBD_MOVE(cow);
	m->base = OVBD_MOVE(base);
	m->group_blocks = cow_group_blocks(p);
	m->load = &m->loads[0];
	m->ahead = &m->loads[1];
	pthread_mutex_init(&m->lock, NULL);
	cow_live_init(&m->live, &first);
	r = open_cow(m, p, err);
	if (r == 0)
		r = make_room(m, err);
	if (r == 0)
		r = cow_loader_create(m->cow, m->base->blob, p && p->nthreads ? p->nthreads : 1,
		                      &m->loader, err);
	if (r < 0)
		return r;
	count_merged(m, (uint32_t)m->cow->info.nmerged);
	m->shown = (struct ovbd_merge_progress){.nmerged = m->nmerged, .nops = m->cow->n};
	*ret = OVBD_MOVE(m);
	return 0;
}

const struct ovbd_cow *ovbd_merge_cow(const struct ovbd_merge *m)
{
	return m->cow;
}

int ovbd_merge_view(struct ovbd_merge *m, struct ovbd_blob **ret, struct ovbd_error *err)
{
	return cow_view_open_live(m->cow, m->base->blob, &m->live, ret, err);
}

struct ovbd_merge_progress ovbd_merge_progress(struct ovbd_merge *m)
{
	struct ovbd_merge_progress p;

	pthread_mutex_lock(&m->lock);
	p = m->shown;
	pthread_mutex_unlock(&m->lock);
	return p;
}

void ovbd_merge_close(struct ovbd_merge *take_m)
{
	struct ovbd_merge *m = take_m;

	if (!m)
		return;
	cow_loader_free(m->loader);
	cow_load_free(&m->loads[0]);
	cow_load_free(&m->loads[1]);
	free(m->held);
	free(m->count);
	cow_live_destroy(&m->live);
	pthread_mutex_destroy(&m->lock);
	ovbd_cow_close(m->cow);
	ovbd_device_close(m->cow_device);
	ovbd_device_close(m->base);
	free(m);
}
