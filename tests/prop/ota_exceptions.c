// SPDX-License-Identifier: Apache-2.0
/*
 * Random COWs as exception stores that a kernel merges (tests/lib/dm_snapshot.h), until it is done:
 * with readers all the while, with daemons that die and are started again while the kernel goes on,
 * and with power cuts, after which what was not flushed is there, or not, or half.
 *
 *     prop_ota_exceptions          all rounds
 *     prop_ota_exceptions SEED     one
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "ota/cow.h"
#include "ota/exceptions.h"
#include "tests/lib/cow_runs.h"
#include "tests/lib/dm_snapshot.h"

#define BLOCK      TEST_COW_BLOCK
#define BLOCKS_MAX 2200u
#define SECTOR     512u

/* Bytes that survive a process, and those that survive the power too. */
struct medium {
	uint8_t *bytes, *durable;
	size_t size;
	size_t from, to; /* they may differ within */
};

struct round {
	uint64_t seed, state;
	struct test_cow c;
	struct medium base, cow;
	struct ovbd_device *store;
	struct snapshot kernel;
	unsigned deaths, cuts; /* that may happen yet, so that the merge comes to an end */
	unsigned nmerged, ndeaths, ncuts;
};

static uint64_t below(struct round *rd, uint64_t n)
{
	return test_random(&rd->state) % n;
}

static void must(const struct round *rd, bool good, const char *what)
{
	if (!good)
		fail_msg("seed %llu, %u blocks: %s", (unsigned long long)rd->seed, rd->c.nblocks,
		         what);
}

/* ---- a medium as a device ---- */

struct disk {
	struct ovbd_device device;
	struct ovbd_blob blob;
	struct medium *m;
};

static int disk_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	(void)err;
	memcpy(buf, OVBD_CONTAINER_OF(b, struct disk, blob)->m->bytes + off, len);
	return 0;
}

static void medium_flush(struct medium *m)
{
	if (m->to > m->from)
		memcpy(m->durable + m->from, m->bytes + m->from, m->to - m->from);
	m->from = m->size;
	m->to = 0;
}

static void medium_changed(struct medium *m, size_t off, size_t len)
{
	m->from = ovbd_min(m->from, off);
	m->to = off + len > m->to ? off + len : m->to;
}

static int disk_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	(void)err;
	medium_flush(OVBD_CONTAINER_OF(d, struct disk, device)->m);
	return 0;
}

static int disk_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                       unsigned flags, struct ovbd_error *err)
{
	struct medium *m = OVBD_CONTAINER_OF(d, struct disk, device)->m;

	memcpy(m->bytes + off, buf, len);
	medium_changed(m, off, len);
	return flags & OVBD_WRITE_FUA ? disk_flush(d, err) : 0;
}

static int disk_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                       struct ovbd_error *err)
{
	struct medium *m = OVBD_CONTAINER_OF(d, struct disk, device)->m;

	memset(m->bytes + off, 0, len);
	medium_changed(m, off, len);
	return flags & OVBD_WRITE_FUA ? disk_flush(d, err) : 0;
}

static void blob_stays(struct ovbd_blob *b)
{
	(void)b;
}

static void disk_free(struct ovbd_device *d)
{
	free(OVBD_CONTAINER_OF(d, struct disk, device));
}

static struct ovbd_device *disk_of(struct medium *m)
{
	static const struct ovbd_blob_ops blob_ops = {.name = "disk",
	                                              .pread = disk_pread,
	                                              .close = blob_stays};
	static const struct ovbd_device_ops ops = {.pwrite = disk_pwrite,
	                                           .write_zeroes = disk_zeroes,
	                                           .flush = disk_flush};
	struct disk *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->m = m;
	d->blob = (struct ovbd_blob){.ops = &blob_ops, .size = m->size};
	d->device = (struct ovbd_device){.blob = &d->blob, .ops = &ops, .free = disk_free};
	return &d->device;
}

/* Of each sector that was not flushed, one of the two contents. */
static void medium_cut(struct round *rd, struct medium *m)
{
	for (size_t at = m->from / SECTOR * SECTOR; at < m->to; at += SECTOR) {
		const size_t n = ovbd_min(SECTOR, m->size - at);

		if (memcmp(m->bytes + at, m->durable + at, n) == 0)
			continue;
		if (below(rd, 2))
			memcpy(m->bytes + at, m->durable + at, n);
	}
	medium_flush(m);
}

/* ---- a merge ---- */

static int try_store(struct round *rd, struct ovbd_error *err)
{
	const int r =
		ovbd_exceptions_merge_open(disk_of(&rd->cow), disk_of(&rd->base), &rd->store, err);

	rd->kernel.store = rd->store;
	return r;
}

static void open_store(struct round *rd)
{
	struct ovbd_error err = {""};

	if (try_store(rd, &err) < 0)
		fail_msg("seed %llu: %s", (unsigned long long)rd->seed, err.msg);
}

static void flush_origin(void *arg)
{
	medium_flush(&((struct round *)arg)->base);
}

static void load_kernel(struct round *rd)
{
	must(rd, snapshot_load(&rd->kernel, rd->store, rd->base.bytes, rd->c.nblocks) == 0,
	     "the kernel takes no such store");
	rd->kernel.flush_origin = flush_origin;
	rd->kernel.arg = rd;
}

/* The daemon dies, and another one takes its place. */
static void die(struct round *rd)
{
	ovbd_device_close(rd->store);
	open_store(rd);
	rd->ndeaths++;
}

/* The power fails. */
static void cut(struct round *rd)
{
	ovbd_device_close(rd->store);
	snapshot_free(&rd->kernel);
	medium_cut(rd, &rd->base);
	medium_cut(rd, &rd->cow);
	open_store(rd);
	load_kernel(rd);
	rd->ncuts++;
}

static void check_read(struct round *rd, uint64_t chunk)
{
	uint8_t buf[BLOCK];

	must(rd, snapshot_read(&rd->kernel, chunk, buf) == 0, "a read fails");
	if (memcmp(buf, rd->c.want + chunk * BLOCK, BLOCK) != 0)
		fail_msg("seed %llu: block %u reads wrong, after %u deaths and %u cuts",
		         (unsigned long long)rd->seed, (unsigned)chunk, rd->ndeaths, rd->ncuts);
}

static void check_some(struct round *rd)
{
	for (unsigned i = 0; i < 3; i++)
		check_read(rd, below(rd, rd->c.nblocks));
}

static void check_all(struct round *rd)
{
	for (uint32_t i = 0; i < rd->c.nblocks; i++)
		check_read(rd, i);
}

/* A reader who had been sent here before the chunk was merged. */
static void check_late(struct round *rd, uint64_t new, uint64_t old)
{
	uint8_t buf[BLOCK];

	must(rd, ovbd_blob_pread(rd->store->blob, buf, BLOCK, new *BLOCK, NULL) == 0,
	     "a late read fails");
	must(rd, memcmp(buf, rd->c.want + old * BLOCK, BLOCK) == 0, "a late read is wrong");
}

/* One time of n, as long as there are any left. */
static bool happens(struct round *rd, uint64_t n, unsigned *left)
{
	if (*left == 0 || below(rd, n) > 0)
		return false;
	--*left;
	return true;
}

/* false: the power has failed. */
static bool copy_batch(struct round *rd, uint64_t n)
{
	const uint64_t first = below(rd, n);

	medium_changed(&rd->base, rd->kernel.batch_old * BLOCK, n * BLOCK);
	for (uint64_t i = 0; i < n; i++) {
		must(rd, snapshot_copy(&rd->kernel, (first + i) % n) == 0, "copying fails");
		if (below(rd, 30) == 0)
			check_read(rd, rd->kernel.batch_old + below(rd, n));
		if (happens(rd, 150, &rd->deaths))
			die(rd);
		if (happens(rd, 300, &rd->cuts)) {
			cut(rd);
			return false;
		}
	}
	return true;
}

static void merge(struct round *rd)
{
	const uint64_t max = 1 + below(rd, 64);
	int n;

	while ((n = snapshot_choose(&rd->kernel, max)) > 0) {
		const uint64_t old = rd->kernel.batch_old, new = rd->kernel.batch_new;

		check_some(rd);
		if (!copy_batch(rd, (uint64_t)n))
			continue;
		must(rd, snapshot_commit(&rd->kernel) == 0, "writing back fails");
		if (happens(rd, 40, &rd->deaths)) { /* it has not heard that all went well */
			die(rd);
			must(rd, snapshot_commit(&rd->kernel) == 0, "writing back again fails");
		}
		if (happens(rd, 60, &rd->cuts)) {
			cut(rd);
			check_some(rd);
			continue;
		}
		snapshot_committed(&rd->kernel);
		check_late(rd, new, old);
	}
	must(rd, n == 0, "the kernel cannot go on");
}

/* What cannot be merged so, by what is known of it. */
static bool is_refused(struct round *rd, const struct ovbd_error *err)
{
	const struct test_cow *c = &rd->c;

	if (strstr(err->msg, "cannot merge in this order"))
		return c->layout == 'H' || c->layout == 'F' || c->layout == 'E';
	if (strstr(err->msg, "order of merging is not safe"))
		return !c->safe;
	return c->overlapped && c->scratch_size == 0;
}

static void check_end(struct round *rd)
{
	struct ovbd_error err;
	uint8_t other[BLOCK];

	must(rd, memcmp(rd->base.durable, rd->c.want, rd->base.size) == 0, "the base is wrong");
	if (rd->c.layout != 'C')
		must(rd,
		     ovbd_get_le64(rd->cow.durable + (rd->c.layout == 'D' ? 20 : 26)) == rd->c.nops,
		     "not all is counted");
	cut(rd);
	if (rd->c.layout != 'C')
		must(rd, snapshot_choose(&rd->kernel, 1) == 0, "something is left");
	check_all(rd);
	/* what is left to write is refused */
	memset(other, 0xff, sizeof(other));
	assert_fails(ovbd_device_pwrite(rd->store, other, BLOCK, BLOCK, 0, &err), -EINVAL, err,
	             "not the one that was there");
	assert_fails(ovbd_device_pwrite(rd->store, other, BLOCK, 0, 0, &err), -EROFS, err,
	             "mount the snapshot read-only");
}

static void start_medium(struct medium *m, uint8_t *bytes, size_t size)
{
	*m = (struct medium){.bytes = bytes, .durable = malloc(size), .size = size, .to = size};
	assert_non_null(m->durable);
	medium_flush(m);
}

static void run(struct round *rd)
{
	struct ovbd_error err = {""};

	rd->state = rd->seed;
	if (rd->seed % 3)
		test_cow_random(rd->seed, 255, &rd->c);
	else
		test_cow_runs(rd->seed, BLOCKS_MAX, &rd->c);
	start_medium(&rd->base, rd->c.base, (size_t)rd->c.nblocks * BLOCK);
	start_medium(&rd->cow, rd->c.cow, rd->c.size);
	rd->deaths = 12;
	rd->cuts = 6;
	if (try_store(rd, &err) == 0) {
		load_kernel(rd);
		check_all(rd);
		merge(rd);
		check_end(rd);
		snapshot_free(&rd->kernel);
		ovbd_device_close(rd->store);
		rd->nmerged++;
	} else if (!is_refused(rd, &err)) {
		fail_msg("seed %llu, layout %c: %s", (unsigned long long)rd->seed, rd->c.layout,
		         err.msg);
	}
	free(rd->base.durable);
	free(rd->cow.durable);
	test_cow_free(&rd->c);
}

static uint64_t only; /* seed; 0: all */

static void test_merges(void **arg)
{
	struct round rd = {0};

	(void)arg;
	for (rd.seed = only ? only : 1; rd.seed <= (only ? only : 400); rd.seed++)
		run(&rd);
	print_message("%u merges, %u deaths of the daemon, %u power cuts\n", rd.nmerged, rd.ndeaths,
	              rd.ncuts);
	assert_true(only || rd.nmerged > 100);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_merges)};

	if (argc > 1)
		only = strtoull(argv[1], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
