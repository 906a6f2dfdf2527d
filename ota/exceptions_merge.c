// SPDX-License-Identifier: Apache-2.0
/*
 * While the kernel merges a snapshot it copies chunks from here to the base, from the end of the
 * list on, flushes the base, and then writes the metadata of the area back without the exceptions
 * that it has merged. Nothing else is taken. Such a write is answered when
 *
 *     the counter in the COW is durable, and
 *     nobody reads any more from what may be overwritten next (cow_live.c).
 *
 * So the kernel goes on only then, and a reader who was on his way reads a merged chunk from the
 * base. The base is flushed here once more: kernels before 5.12 do not.
 *
 * With a scratch area, operations that read the base are counted in groups of as many as it has
 * room for. If one of a group overwrites what another (or the same) reads, the group is copied to
 * the area before the first byte of it is given out, since that may be the kernel's copying; after
 * a crash it is merged again, from there. Without one, the list keeps apart what must not be copied
 * at once, and each write counts.
 *
 * Of the operations that need no base only "all" is counted: readers do not agree in what order
 * they are merged, and to merge them again does no harm.
 *
 * A daemon that is started again may know less than the kernel, whose memory it has not lost: what
 * was merged of a group, or of what needs no base. And the kernel may repeat a write to which it
 * had no answer. Both are as if it had been there all the time.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "ota/exceptions_impl.h"
#include "ota/merge.h"

#define CHUNK EXCEPTIONS_CHUNK

struct merging {
	struct ovbd_device device;      /* of the store */
	struct exceptions_store *store; /* device.blob's */
	struct ovbd_device *cow_device; /* owned */
	struct ovbd_device *base;       /* owned */
	struct ovbd_cow *cow;           /* owned; reads cow_device, whose blob it has */
	struct cow_live live;
	uint32_t nordered; /* operations that read the base: the first to be merged */
	uint8_t *held;     /* the scratch area's entries and data; NULL: there is none */

	pthread_mutex_t lock; /* guards what follows, and the files */
	uint32_t nmerged;     /* durable */
	uint32_t group_end;   /* place; that of the group that begins with nmerged */
	bool is_safe;         /* it can be given out */
};

static struct merging *merging_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct merging, device);
}

/* ---- groups ---- */

static uint32_t scratch_max(const struct merging *m)
{
	return m->held ? cow_scratch_entries_max(&m->cow->h) : 0;
}

static bool is_in_group(const struct merging *m, uint64_t block)
{
	const struct ovbd_cow_op *w = cow_at(m->cow, cow_seek(m->cow, block));

	return w && w->block <= block && w->place >= m->nmerged && w->place < m->group_end;
}

/* Whether what op reads is overwritten within the group. */
static bool is_overwritten(const struct merging *m, const struct ovbd_cow_op *op)
{
	if (op->type == OVBD_COW_COPY)
		return op->source != op->block && is_in_group(m, op->source);
	return is_in_group(m, op->source / CHUNK) ||
	       (op->source % CHUNK && is_in_group(m, op->source / CHUNK + 1));
}

static bool overlaps(const struct merging *m)
{
	for (uint32_t i = m->nmerged; i < m->group_end; i++)
		if (is_overwritten(m, &m->cow->ops[m->cow->order[i]]))
			return true;
	return false;
}

/* The group that begins with nmerged. */
static void begin_group(struct merging *m)
{
	const uint32_t max = scratch_max(m);

	m->group_end = m->nmerged;
	if (max > 0 && m->nmerged < m->nordered)
		m->group_end =
			(uint32_t)ovbd_min((m->nmerged / max + 1) * (uint64_t)max, m->nordered);
	m->is_safe = m->group_end == m->nmerged || !overlaps(m);
}

/* ---- what is made durable ---- */

static uint8_t *held_data(const struct merging *m)
{
	const struct cow_header *h = &m->cow->h;

	return m->held + (cow_scratch_data_off(h, 0) - cow_scratch_entries_off(h));
}

static int fill_held(struct merging *m, uint32_t n, struct ovbd_error *err)
{
	const struct cow_header *h = &m->cow->h;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const uint32_t block = m->cow->ops[m->cow->order[m->nmerged + i]].block;

		cow_scratch_encode(m->held + (size_t)i * COW_SCRATCH_SIZE, block,
		                   cow_scratch_data_off(h, i));
		r = ovbd_blob_pread(m->store->view, held_data(m) + (size_t)i * CHUNK, CHUNK,
		                    (uint64_t)block * CHUNK, err);
	}
	if (n < scratch_max(m))
		cow_scratch_encode(m->held + (size_t)n * COW_SCRATCH_SIZE, 0, 0);
	return r;
}

/* The group to the scratch area, from which it is read from now on. */
static int make_safe(struct merging *m, struct ovbd_error *err)
{
	static const uint8_t holding = COW_SCRATCH_HOLDING;
	const uint64_t entries = cow_scratch_entries_off(&m->cow->h);
	const uint32_t n = m->group_end - m->nmerged;
	const struct cow_phase ph = {.nmerged = m->nmerged, .nheld = n, .held = held_data(m)};
	int r = fill_held(m, n, err);

	if (r == 0)
		r = ovbd_device_pwrite(m->cow_device, m->held,
		                       (size_t)(held_data(m) - m->held) + (size_t)n * CHUNK,
		                       entries, OVBD_WRITE_FUA, err);
	if (r == 0)
		r = ovbd_device_pwrite(m->cow_device, &holding, 1, entries - 1, OVBD_WRITE_FUA,
		                       err);
	if (r < 0)
		return ovbd_fail_within(err, r, "cow: a group of %" PRIu32 " blocks", n);
	cow_live_go_on(&m->live, &ph);
	m->is_safe = true;
	return 0;
}

static int write_counter(struct merging *m, uint32_t nmerged, struct ovbd_error *err)
{
	const struct cow_header *h = &m->cow->h;
	const size_t size = cow_counter_size(h);
	uint8_t raw[COW_HEADER_MAX];
	int r;

	if (cow_counter_off(h) == 0)
		return 0;
	r = ovbd_blob_pread(m->cow_device->blob, raw, size, cow_counter_off(h), err);
	if (r < 0)
		return r;
	cow_counter_encode(h, nmerged, raw);
	return ovbd_device_pwrite(m->cow_device, raw, size, cow_counter_off(h), OVBD_WRITE_FUA,
	                          err);
}

static int count_merged(struct merging *m, uint32_t nmerged, struct ovbd_error *err)
{
	const struct cow_phase ph = {.nmerged = nmerged};
	int r = ovbd_device_flush(m->base, err);

	if (r == 0)
		r = write_counter(m, nmerged, err);
	if (r < 0)
		return r;
	cow_live_go_on(&m->live, &ph);
	m->nmerged = nmerged;
	begin_group(m);
	return 0;
}

/* ---- what the kernel writes ---- */

/* The place behind what is merged when only the first nleft exceptions are left. */
static uint32_t place_of(const struct merging *m, uint64_t nleft)
{
	const uint64_t nplain = m->store->nplain;

	if (nleft == 0)
		return m->cow->n;
	return nleft < nplain ? m->nordered : m->nordered - (uint32_t)(nleft - nplain);
}

/* Whether the kernel can have come so far since it was last heard of, by us or before us. */
static int check_step(const struct merging *m, uint64_t area, uint64_t nleft,
                      struct ovbd_error *err)
{
	const uint64_t had = atomic_load(&m->store->nleft);
	const uint32_t place = place_of(m, nleft);

	if (nleft > had)
		return ovbd_fail(err, -EINVAL,
		                 "metadata of area %" PRIu64 " have %" PRIu64
		                 " exceptions left, and only %" PRIu64 " are",
		                 area, nleft, had);
	if (had <= m->store->nplain || cow_counter_off(&m->cow->h) == 0 || nleft == had)
		return 0;
	if (m->held ? place > m->group_end : area != (had - 1) / EXCEPTIONS_AREA)
		return ovbd_fail(err, -EINVAL,
		                 "metadata of area %" PRIu64 ": more is gone of it than what is "
		                 "merged next",
		                 area);
	return 0;
}

/* Whether raw is the i-th. */
static bool is_exception(const struct exceptions_store *st, uint64_t i, const uint8_t *raw)
{
	return i < st->n && ovbd_get_le64(raw) == st->list[i].old &&
	       ovbd_get_le64(raw + 8) == st->list[i].new;
}

/* raw has the exceptions of the area that are left, as they are in the list. *ret: how many are
 * left of all. */
static int decode_area(const struct merging *m, uint64_t area, const uint8_t *raw, uint64_t *ret,
                       struct ovbd_error *err)
{
	const uint64_t first = area * EXCEPTIONS_AREA;
	uint64_t n = 0;

	for (; n < EXCEPTIONS_AREA && ovbd_get_le64(raw + 16 * n + 8) != 0; n++) {
		if (!is_exception(m->store, first + n, raw + 16 * n))
			return ovbd_fail(err, -EINVAL,
			                 "metadata of area %" PRIu64 ": exception %" PRIu64
			                 " is not the one that was there: is the snapshot written "
			                 "to? it can only be read, and merged",
			                 area, n);
	}
	if (!ovbd_is_zero(raw + 16 * n, (size_t)(EXCEPTIONS_AREA - n) * 16))
		return ovbd_fail(err, -EINVAL,
		                 "metadata of area %" PRIu64 ": a gap before the last exception",
		                 area);
	*ret = first + n;
	return 0;
}

static int write_area(struct merging *m, uint64_t area, const uint8_t *raw, struct ovbd_error *err)
{
	uint64_t nleft = 0;
	uint32_t place;
	int r = decode_area(m, area, raw, &nleft, err);

	if (r == 0)
		r = check_step(m, area, nleft, err);
	if (r < 0)
		return r;
	place = place_of(m, nleft);
	if (place > m->nmerged && place >= m->group_end)
		r = count_merged(m, place, err);
	if (r == 0)
		atomic_store(&m->store->nleft, nleft);
	return r;
}

/* All of a write, or none. */
static int write_chunks(struct merging *m, const uint8_t *p, uint64_t len, uint64_t off,
                        struct ovbd_error *err)
{
	static const uint8_t zeros[CHUNK];
	const uint64_t chunk = off / CHUNK;
	int r;

	if (len != CHUNK || off % CHUNK || !exceptions_is_metadata(chunk))
		return ovbd_fail(err, -EROFS,
		                 "%" PRIu64 " bytes at %" PRIu64
		                 ": an exception store takes only the metadata of what is "
		                 "merged: mount the snapshot read-only",
		                 len, off);
	pthread_mutex_lock(&m->lock);
	r = write_area(m, chunk / EXCEPTIONS_STRIDE, p ? p : zeros, err);
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int merging_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                          unsigned flags, struct ovbd_error *err)
{
	(void)flags; /* all that is counted is durable */
	return write_chunks(merging_of(d), buf, len, off, err);
}

static int merging_write_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                                struct ovbd_error *err)
{
	(void)flags;
	return write_chunks(merging_of(d), NULL, len, off, err);
}

static int merging_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	(void)d;
	(void)err;
	return 0;
}

static const struct ovbd_device_ops merging_ops = {
	.pwrite = merging_pwrite,
	.write_zeroes = merging_write_zeroes,
	.flush = merging_flush,
};

/* ---- what it reads ---- */

/* The kernel copies what is merged next, and nobody can tell its reads from others. */
static int about_to_read(void *arg, uint64_t i, uint64_t n, struct ovbd_error *err)
{
	struct merging *m = arg;
	uint64_t last;
	int r = 0;

	if (!m->held || i + n <= m->store->nplain)
		return 0;
	last = i + n - 1 - m->store->nplain; /* of the list, the first to be merged */
	pthread_mutex_lock(&m->lock);
	if (!m->is_safe && m->nordered - 1 - last < m->group_end)
		r = make_safe(m, err);
	pthread_mutex_unlock(&m->lock);
	return r;
}

/* ---- opening ---- */

static void merging_free(struct ovbd_device *d)
{
	struct merging *m = merging_of(d);

	cow_live_destroy(&m->live);
	pthread_mutex_destroy(&m->lock);
	ovbd_cow_close(m->cow);
	free(m->held);
	ovbd_device_close(m->cow_device);
	ovbd_device_close(m->base);
	free(m);
}

/* A group that another has put into the scratch area must be one of ours: it is read from there
 * until it is merged, and the kernel is to stop where it ends. */
static int take_over(struct merging *m, struct ovbd_error *err)
{
	const uint32_t max = scratch_max(m), n = m->cow->info.nscratch;

	m->nmerged = (uint32_t)m->cow->info.nmerged;
	begin_group(m);
	if (n == 0)
		return 0;
	if (m->nmerged + n != m->group_end)
		return ovbd_fail(err, -ENOTSUP,
		                 "cow: its merge was cut short, and is not dm-snapshot's: the "
		                 "scratch area has %" PRIu32 " of %" PRIu32
		                 " blocks; finish it as it was begun",
		                 n, max);
	m->is_safe = true;
	return 0;
}

static int open_list(struct merging *m, struct ovbd_error *err)
{
	static const struct ovbd_merge_params small = {.small_groups = true};
	struct ovbd_merge_plan plan;
	int r = ovbd_merge_plan(m->cow, m->base->blob->size, &small, &plan, err);

	if (r == 0)
		r = exceptions_create(m->cow, OVBD_EXCEPTIONS_MERGE, &m->store, err);
	if (r < 0)
		return r;
	m->device.blob = &m->store->blob;
	m->store->about_to_read = about_to_read;
	m->store->arg = m;
	m->nordered = (uint32_t)(m->store->n - m->store->nplain);
	return cow_view_open_live(m->cow, m->base->blob, &m->live, &m->store->view, err);
}

static int open_all(struct merging *m, struct ovbd_error *err)
{
	struct cow_phase first = {0};
	const struct cow_header *h;
	struct ovbd_blob *b;
	int r = ovbd_blob_open_lent(m->cow_device->blob, &b, err);

	if (r == 0)
		r = ovbd_cow_open(b, NULL, &m->cow, err);
	if (r < 0)
		return r;
	h = &m->cow->h;
	if (h->buffer_size > 0) {
		m->held = calloc(1, (size_t)(cow_scratch_data_off(h, cow_scratch_entries_max(h)) -
		                             cow_scratch_entries_off(h)));
		if (!m->held)
			return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	r = open_list(m, err);
	first.nmerged = (uint32_t)m->cow->info.nmerged;
	cow_live_go_on(&m->live, &first);
	return r < 0 ? r : take_over(m, err);
}

int ovbd_exceptions_merge_open(struct ovbd_device *take_cow, struct ovbd_device *take_base,
                               struct ovbd_device **ret, struct ovbd_error *err)
{
	const struct cow_phase none = {0};
	AUTO_DEVICE *cow = take_cow;
	AUTO_DEVICE *base = take_base;
	AUTO_DEVICE *device = NULL;
	struct merging *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	device = &m->device;
	device->ops = &merging_ops;
	device->free = merging_free;
	pthread_mutex_init(&m->lock, NULL);
	cow_live_init(&m->live, &none);
	m->cow_device = OVBD_MOVE(cow);
	m->base = OVBD_MOVE(base);
	r = open_all(m, err);
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(device);
	return 0;
}
