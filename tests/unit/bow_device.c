// SPDX-License-Identifier: Apache-2.0
/* The device of backup on write over memory: what it reads as, and what its log leads back to. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "bow/bow.h"
#include "bow/format.h"
#include "tests/lib/fault.h"
#include "tests/lib/mem_device.h"

struct world {
	struct test_mem mem;
	size_t size;
	uint8_t *disk, *copy;       /* the medium; of what was at the checkpoint */
	uint8_t *want, *known;      /* what it shall read as, where it is known */
	uint8_t *origin, *original; /* the same, at the checkpoint */
	struct ovbd_device *d;
	uint64_t random;
	char told[OVBD_ERROR_SIZE];
};

static void told(void *arg, const char *sentence)
{
	struct world *w = arg;

	snprintf(w->told, sizeof(w->told), "%s", sentence);
}

static void reopen(struct world *w, struct ovbd_bow_params p)
{
	struct ovbd_error err;

	ovbd_device_close(w->d);
	w->mem.bytes = w->disk;
	w->mem.size = w->size;
	p.told = told;
	p.arg = w;
	assert_ok(ovbd_bow_open(test_mem_device(&w->mem), &p, &w->d, &err), err);
}

static void setup(struct world *w, size_t size, struct ovbd_bow_params p)
{
	*w = (struct world){.size = size, .random = size};
	w->disk = malloc(size);
	w->copy = malloc(size);
	w->want = malloc(size);
	w->known = malloc(size);
	w->origin = malloc(size);
	w->original = malloc(size);
	for (size_t i = 0; i < size; i++)
		w->disk[i] = (uint8_t)test_random(&w->random);
	memcpy(w->want, w->disk, size);
	memset(w->known, 1, size);
	reopen(w, p);
}

static void teardown(struct world *w)
{
	ovbd_device_close(w->d);
	free(w->disk);
	free(w->copy);
	free(w->want);
	free(w->known);
	free(w->origin);
	free(w->original);
}

static void write_random(struct world *w, uint64_t off, size_t len)
{
	struct ovbd_error err;

	for (size_t i = 0; i < len; i++)
		w->want[off + i] = (uint8_t)test_random(&w->random);
	memset(w->known + off, 1, len);
	assert_ok(ovbd_device_pwrite(w->d, w->want + off, len, off, 0, &err), err);
}

static void discard(struct world *w, uint64_t off, size_t len)
{
	struct ovbd_error err;

	memset(w->known + off, 0, len);
	assert_ok(ovbd_device_discard(w->d, off, len, &err), err);
}

static void checkpoint(struct world *w)
{
	struct ovbd_error err;

	memcpy(w->origin, w->want, w->size);
	memcpy(w->original, w->known, w->size);
	assert_ok(ovbd_bow_checkpoint(w->d, &err), err);
}

static void same(const uint8_t *got, const uint8_t *want, const uint8_t *known, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (known[i] && got[i] != want[i])
			fail_msg("byte %zu is %02x, not %02x", i, got[i], want[i]);
}

static void reads_right(struct world *w)
{
	struct ovbd_error err;
	uint8_t *buf = malloc(w->size);

	assert_ok(ovbd_blob_pread(w->d->blob, buf, w->size, 0, &err), err);
	same(buf, w->want, w->known, w->size);
	free(buf);
}

/* Undoes one log block; false: it was the first. */
static bool undo_block(uint8_t *disk, size_t size)
{
	uint8_t block[BOW_BLOCK_MAX];
	struct bow_header h;
	struct ovbd_error err;

	assert_ok(ovbd_bow_header_decode(disk, size, &h, &err), err);
	memcpy(block, disk, h.block_size);
	for (uint32_t i = h.count; i-- > 0;) {
		struct bow_entry e;

		assert_ok(ovbd_bow_entry_decode(block, &h, i, size, &e, &err), err);
		assert_int_equal(e.checksum,
		                 ovbd_bow_checksum(ovbd_bow_checksum_seed(e.source, h.block_size),
		                                   disk + e.dest, e.size));
		memmove(disk + e.source, disk + e.dest, e.size);
	}
	return h.sequence > 0;
}

/* What the log leads back to, in the simplest way. */
static void restores_right(struct world *w)
{
	memcpy(w->copy, w->disk, w->size);
	while (undo_block(w->copy, w->size))
		;
	same(w->copy, w->origin, w->original, w->size);
}

static struct ovbd_bow_status status(struct world *w)
{
	struct ovbd_bow_status s;

	ovbd_bow_get_status(w->d, &s);
	return s;
}

/* ---- stories ---- */

static void test_story(void **state)
{
	struct world w;
	struct ovbd_error err;

	(void)state;
	setup(&w, 64 * 4096, (struct ovbd_bow_params){0});
	assert_fails(ovbd_bow_checkpoint(w.d, &err), -ENOSPC, err, "0 bytes are free");
	discard(&w, 0, 4096); /* block 0 never is */
	discard(&w, 10 * 4096 + 1, 4095);
	assert_int_equal(status(&w).free_bytes, 0);
	discard(&w, 16 * 4096 - 1, 33 * 4096);
	assert_int_equal(status(&w).free_bytes, 32 * 4096);
	write_random(&w, 20 * 4096 + 5, 1);
	assert_int_equal(status(&w).free_bytes, 31 * 4096);
	assert_int_equal(status(&w).free_extents, 2);
	checkpoint(&w);
	assert_int_equal(status(&w).state, OVBD_BOW_CHECKPOINT);
	reads_right(&w);
	restores_right(&w);
	write_random(&w, 5, 700);            /* block 0: it lies elsewhere */
	write_random(&w, 3 * 4096 + 9, 1);   /* original */
	write_random(&w, 3 * 4096 + 19, 90); /* is backed up */
	reads_right(&w);
	restores_right(&w);
	write_random(&w, 0, 64 * 4096 / 4);
	reads_right(&w);
	restores_right(&w);
	assert_fails(ovbd_bow_checkpoint(w.d, &err), -EINVAL, err, "checkpoint");
	assert_ok(ovbd_bow_commit(w.d, &err), err);
	assert_fails(ovbd_bow_commit(w.d, &err), -EINVAL, err, "committed");
	reads_right(&w);
	same(w.disk, w.want, w.known, w.size);
	write_random(&w, 3, 5000);
	same(w.disk, w.want, w.known, w.size);
	teardown(&w);
}

/* A write to free space, or to what is backed up, has no log and no flush. */
static void test_only_what_is_needed(void **state)
{
	struct world w;
	uint64_t flushes, logs;

	(void)state;
	setup(&w, 64 * 4096, (struct ovbd_bow_params){0});
	discard(&w, 16 * 4096, 40 * 4096);
	checkpoint(&w);
	write_random(&w, 4096, 4096);
	flushes = w.mem.nflushes;
	logs = status(&w).log_writes;
	write_random(&w, 4096, 4096);
	write_random(&w, 30 * 4096, 8192);
	write_random(&w, 0, 4096);
	assert_int_equal(w.mem.nflushes, flushes);
	assert_int_equal(status(&w).log_writes, logs);
	write_random(&w, 8192, 2 * 4096); /* one entry, two flushes */
	assert_int_equal(w.mem.nflushes, flushes + 2);
	assert_int_equal(status(&w).log_writes, logs + 1);
	restores_right(&w);
	teardown(&w);
}

static void step(struct world *w, size_t len_max)
{
	const uint64_t off = test_random(&w->random) % w->size;
	const size_t len = 1 + test_random(&w->random) % ovbd_min(w->size - off, len_max);

	if (test_random(&w->random) % 4 == 0)
		discard(w, off, len);
	else
		write_random(w, off, len);
}

/* Many writes over everything: the log has several blocks, backups and block 0 move. */
static void run(uint32_t block_size, uint64_t seed)
{
	const struct ovbd_bow_params p = {.block_size = block_size};
	struct world w;
	struct ovbd_error err;

	setup(&w, 400 * (size_t)block_size, p);
	w.random = seed;
	for (unsigned i = 0; i < 20; i++)
		step(&w, block_size * 3);
	discard(&w, 100 * block_size, 270 * block_size);
	checkpoint(&w);
	for (unsigned i = 0; i < 400; i++) {
		const uint64_t off = test_random(&w.random) % (w.size - block_size);

		if (status(&w).free_bytes < 16 * block_size)
			break;
		if (i % 3 == 2)
			discard(&w, off, block_size * 5 > w.size - off ? 1 : block_size * 5);
		else
			write_random(&w, off, 1 + test_random(&w.random) % block_size);
		if (i % 16 == 0) {
			reads_right(&w);
			restores_right(&w);
		}
		if (i == 300)
			reopen(&w, p);
	}
	assert_true(status(&w).log_blocks > 1 || block_size > 512);
	reads_right(&w);
	restores_right(&w);
	assert_ok(ovbd_bow_commit(w.d, &err), err);
	reads_right(&w);
	same(w.disk, w.want, w.known, w.size);
	teardown(&w);
}

static void test_random_writes(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++)
		for (uint32_t bs = 512; bs <= 4096; bs *= 2)
			run(bs, seed);
}

static void test_full(void **state)
{
	struct ovbd_bow_params p = {.on_full = OVBD_BOW_FULL_ERROR};
	struct world w;
	struct ovbd_error err;
	uint8_t buf[8 * 4096] = {0};

	(void)state;
	setup(&w, 64 * 4096, p);
	discard(&w, 16 * 4096, 5 * 4096);
	checkpoint(&w);
	assert_fails(ovbd_device_pwrite(w.d, buf, sizeof(buf), 4096, 0, &err), -ENOSPC, err,
	             "12288 bytes are free");
	assert_int_equal(status(&w).free_bytes, 12288);
	reads_right(&w);
	write_random(&w, 16 * 4096, 4096); /* needs nothing */
	restores_right(&w);
	teardown(&w);

	p.on_full = OVBD_BOW_FULL_COMMIT;
	setup(&w, 64 * 4096, p);
	discard(&w, 16 * 4096, 5 * 4096);
	checkpoint(&w);
	write_random(&w, 4096, 8 * 4096);
	assert_int_equal(status(&w).state, OVBD_BOW_COMMITTED);
	assert_non_null(strstr(w.told, "committed: "));
	assert_non_null(strstr(w.told, "12288 bytes are free"));
	same(w.disk, w.want, w.known, w.size);
	teardown(&w);

	p.on_full = OVBD_BOW_FULL_ERROR;
	p.min_free = 8192;
	setup(&w, 64 * 4096, p);
	discard(&w, 16 * 4096, 5 * 4096);
	checkpoint(&w);
	write_random(&w, 4096, 4096);
	assert_fails(ovbd_device_pwrite(w.d, buf, 1, 20000, 0, &err), -ENOSPC, err,
	             "8192 are to stay so");
	teardown(&w);
}

/* What was free at the checkpoint is known after a restart, wherever its map has gone. */
static void test_restart(void **state)
{
	const struct ovbd_bow_params p = {0};
	struct world w;

	(void)state;
	setup(&w, 256 * 4096, p);
	discard(&w, 16 * 4096, 100 * 4096);
	discard(&w, 150 * 4096, 10 * 4096);
	checkpoint(&w); /* 2 for block 0, 1 for the map */
	assert_int_equal(status(&w).free_bytes, 107 * 4096);
	write_random(&w, 4096, 4096);
	reopen(&w, p);
	assert_int_equal(status(&w).state, OVBD_BOW_CHECKPOINT);
	assert_int_equal(status(&w).free_bytes, 0);
	assert_int_equal(status(&w).log_entries, 3);
	discard(&w, 0, 256 * 4096); /* original content stays */
	memset(w.known, 0, w.size);
	assert_int_equal(status(&w).free_bytes, 107 * 4096);
	restores_right(&w);
	for (unsigned i = 16; i < 116; i++) /* over all that there is: it moves */
		write_random(&w, i * 4096, 4096);
	restores_right(&w);
	reopen(&w, p);
	discard(&w, 16 * 4096, 90 * 4096);
	assert_in_range(status(&w).free_bytes, 85 * 4096, 90 * 4096);
	restores_right(&w);
	teardown(&w);
}

/* One that is not right in every respect, and none. */
static void test_no_map(void **state)
{
	const struct ovbd_bow_params p = {0};
	struct world w;

	(void)state;
	for (unsigned n = 6; n <= 30; n += 24) {
		setup(&w, 64 * 4096, p);
		discard(&w, 16 * 4096, n * 4096);
		checkpoint(&w);
		assert_int_equal(status(&w).log_entries, n < 10 ? 1 : 2);
		for (uint8_t *at = w.disk + 4096; n > 10 && at < w.disk + w.size; at += 4096)
			if (memcmp(at, "BOWM", 4) == 0)
				at[40]++;
		reopen(&w, p);
		discard(&w, 16 * 4096, n * 4096);
		assert_int_equal(status(&w).free_bytes, n > 10 ? 4096 : 0); /* the map's source */
		teardown(&w);
	}
}

static void test_refused(void **state)
{
	struct test_mem m = {.bytes = calloc(1, 8192), .size = 8192};
	struct ovbd_bow_params p = {.block_size = 768};
	struct ovbd_device *d;
	struct ovbd_error err;

	(void)state;
	assert_fails(ovbd_bow_open(test_mem_device(&m), &p, &d, &err), -EINVAL, err, "768");
	p.block_size = 8192;
	assert_fails(ovbd_bow_open(test_mem_device(&m), &p, &d, &err), -EINVAL, err, "8192");
	p.block_size = 4096;
	m.size = 4608;
	assert_fails(ovbd_bow_open(test_mem_device(&m), &p, &d, &err), -EINVAL, err, "4608");
	m.size = 4609;
	assert_fails(ovbd_bow_open(test_mem_device(&m), NULL, &d, &err), -EINVAL, err, "sectors");
	free(m.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_story),         cmocka_unit_test(test_only_what_is_needed),
		cmocka_unit_test(test_random_writes), cmocka_unit_test(test_full),
		cmocka_unit_test(test_restart),       cmocka_unit_test(test_no_map),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
