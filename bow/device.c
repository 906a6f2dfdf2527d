// SPDX-License-Identifier: Apache-2.0
/*
 * Backup on write: opening, reading and looking at a device. What it is made of:
 *
 *     ranges.c   what each range is: free, changed, a backup, ...
 *     flight.c   what touches is ordered
 *     write.c    requests; backup.c: what comes before a write; space.c: where backups go;
 *                ahead.c: what is backed up before anybody writes to it
 *     journal.c  the log of them, written by one for all who wait
 *     states.c   from TRIM to CHECKPOINT to COMMITTED, or ABORTED
 *     replay.c   a log that is found at opening
 *
 * All offsets and lengths in the map are whole blocks. Block 0 has the log in CHECKPOINT, and lies
 * elsewhere meanwhile; who reads it is in flight while he does, for it moves.
 */
#include "bow/core.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

static const char *const state_names[] = {"trim", "checkpoint", "committed", "aborted"};
static const char *const on_full_names[] = {"error", "commit", "abort"};

const char *ovbd_bow_state_name(enum ovbd_bow_state s)
{
	return state_names[s];
}

const char *ovbd_bow_on_full_name(enum ovbd_bow_on_full f)
{
	return on_full_names[f];
}

int ovbd_bow_on_full_parse(const char *name, enum ovbd_bow_on_full *ret)
{
	for (unsigned i = 0; i < sizeof(on_full_names) / sizeof(on_full_names[0]); i++) {
		if (strcmp(name, on_full_names[i]) == 0) {
			*ret = (enum ovbd_bow_on_full)i;
			return 0;
		}
	}
	return -EINVAL;
}

int ovbd_bow_fail_aborted(struct ovbd_error *err)
{
	return ovbd_fail(err, -EIO, "backup on write: all was taken back");
}

/* ---- reading ---- */

static struct bow_device *device_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct bow_device, blob);
}

static int read_below(struct bow_device *d, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	int r;

	if (len == 0)
		return 0;
	if (ovbd_bow_state_of(d) == OVBD_BOW_ABORTED)
		return ovbd_bow_fail_aborted(err);
	r = ovbd_blob_pread(d->below->blob, buf, len, off, err);
	/* what is being taken back meanwhile is neither old nor new */
	if (r == 0 && ovbd_bow_state_of(d) == OVBD_BOW_ABORTED)
		r = ovbd_bow_fail_aborted(err);
	return r;
}

static int bow_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                     struct ovbd_error *err)
{
	struct bow_device *d = device_of(b);
	struct bow_flight f = {.off = 0, .end = d->block_size, .shared = true};
	size_t n;
	int r;

	if (off >= d->block_size || ovbd_bow_state_of(d) == OVBD_BOW_COMMITTED)
		return read_below(d, buf, len, off, err);
	n = (size_t)ovbd_min(len, d->block_size - off);
	pthread_mutex_lock(&d->lock);
	ovbd_bow_flight_begin(d, &f);
	pthread_mutex_unlock(&d->lock);
	r = read_below(d, buf, n, d->live + off, err);
	pthread_mutex_lock(&d->lock);
	ovbd_bow_flight_end(d, &f);
	pthread_mutex_unlock(&d->lock);
	return r < 0 ? r : read_below(d, (uint8_t *)buf + n, len - n, off + n, err);
}

static int bow_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                      struct ovbd_error *err)
{
	struct bow_device *d = device_of(b);

	if (off < d->block_size && ovbd_bow_state_of(d) != OVBD_BOW_COMMITTED) {
		*ret = (struct ovbd_run){
			.len = ovbd_min(len, d->block_size - off),
			.kind = OVBD_RUN_DATA,
		};
		return 0;
	}
	return ovbd_blob_run_at(d->below->blob, off, len, ret, err);
}

static bool bow_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	return ovbd_blob_distrust(device_of(b)->below->blob, off, len);
}

static void blob_close(struct ovbd_blob *b)
{
	(void)b; /* is part of the device */
}

static const struct ovbd_blob_ops blob_ops = {
	.name = "backup on write",
	.pread = bow_pread,
	.run_at = bow_run_at,
	.distrust = bow_distrust,
	.close = blob_close,
};

/* ---- life ---- */

static void bow_free(struct ovbd_device *dev)
{
	struct bow_device *d = ovbd_bow_of(dev);

	ovbd_bow_journal_close(d);
	ovbd_bow_ranges_free(d->ranges);
	ovbd_device_close(d->below);
	pthread_cond_destroy(&d->logged);
	pthread_cond_destroy(&d->landed);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static int check_size(uint64_t size, struct ovbd_error *err)
{
	if (size < 2 * BOW_SECTOR || size % BOW_SECTOR)
		return ovbd_fail(err, -EINVAL,
		                 "backup on write: a device of %" PRIu64
		                 " bytes is not made of sectors",
		                 size);
	return 0;
}

static int choose_block_size(struct bow_device *d, struct ovbd_error *err)
{
	uint32_t bs = d->params.block_size;

	if (bs == 0)
		for (bs = BOW_BLOCK_MAX; d->size % bs; bs /= 2)
			;
	if (bs < BOW_SECTOR || bs > BOW_BLOCK_MAX || (bs & (bs - 1)))
		return ovbd_fail(err, -EINVAL,
		                 "backup on write: block size %" PRIu32
		                 " is not a power of two from 512 to 4096",
		                 bs);
	if (d->size % bs)
		return ovbd_fail(err, -EINVAL,
		                 "backup on write: %" PRIu64
		                 " bytes are not made of blocks of %" PRIu32,
		                 d->size, bs);
	d->block_size = bs;
	return 0;
}

/* It is held for a moment at a time, never across I/O: to spin is sooner than to sleep. */
static void init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

static int start(struct bow_device *d, struct ovbd_error *err)
{
	uint8_t first[BOW_SECTOR];
	int r = ovbd_blob_pread(d->below->blob, first, sizeof(first), 0, err);

	if (r == 0 && ovbd_bow_magic(first))
		return ovbd_bow_replay(d, err);
	return r < 0 ? r : choose_block_size(d, err);
}

int ovbd_bow_open(struct ovbd_device *take_below, const struct ovbd_bow_params *p,
                  struct ovbd_device **ret, struct ovbd_error *err)
{
	AUTO_DEVICE *below = take_below, *opened = NULL;
	struct bow_device *d;
	int r = check_size(below->blob->size, err);

	if (r < 0)
		return r;
	if (!ovbd_device_is_writable(below))
		return ovbd_fail(err, -EROFS, "backup on write: the device is read-only");
	d = calloc(1, sizeof(*d));
	if (!d)
		return ovbd_fail(err, -ENOMEM, "out of memory for a device");
	d->size = below->blob->size;
	d->blob = (struct ovbd_blob){.ops = &blob_ops, .size = d->size};
	d->device = (struct ovbd_device){&d->blob, &ovbd_bow_ops, bow_free};
	d->below = OVBD_MOVE(below);
	if (p)
		d->params = *p;
	init_lock(&d->lock);
	pthread_cond_init(&d->landed, NULL);
	pthread_cond_init(&d->logged, NULL);
	opened = &d->device;
	r = ovbd_bow_ranges_create(&d->ranges, err);
	if (r == 0)
		r = start(d, err);
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(opened);
	return 0;
}

void ovbd_bow_get_status(struct ovbd_device *dev, struct ovbd_bow_status *ret)
{
	struct bow_device *d = ovbd_bow_of(dev);

	pthread_mutex_lock(&d->lock);
	*ret = (struct ovbd_bow_status){
		.state = ovbd_bow_state_of(d),
		.block_size = d->block_size,
		.free_bytes = ovbd_bow_ranges_bytes(d->ranges, BOW_FREE),
		.free_extents = ovbd_bow_ranges_count(d->ranges, BOW_FREE),
		.backed_up = d->backed_up,
		.log_blocks = d->log_blocks,
		.log_entries = d->log_entries,
		.log_writes = d->log_writes,
		.memory = ovbd_bow_ranges_memory(d->ranges),
	};
	pthread_mutex_unlock(&d->lock);
}
