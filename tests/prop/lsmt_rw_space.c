// SPDX-License-Identifier: Apache-2.0
/*
 * Space comes back: a device is written over 20 times, by writes of any size, and each time what
 * its files take comes down to a proportion of what is shown, if the writer leaves it time. Then it
 * still reads as it should.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "lsmt/rw.h"
#include "tests/lib/rw_model.h"
#include "tests/unit/test.h"

#define SECTOR  TEST_RW_SECTOR
#define SIZE    (8u << 20)
#define SECTORS (SIZE / SECTOR)
#define TIMES   20u
#define PINNED  (1u << 20)
#define WAIT_S  60u

static const char *const formats[] = {"append", "ovbd-rw", "sparse"};
enum format { APPEND, LOG, SPARSE };

/* in memory, where there is room: what is asked is not how a disk flushes */
static char shm[] = "/dev/shm/ovbd-space-XXXXXX", tmp[] = "/tmp/ovbd-space-XXXXXX";
static char *dir;
static char data[64], index_file[64];
static uint64_t model[SECTORS];

static struct ovbd_rw_file open_file(const char *path)
{
	const int fd = open(path, O_RDWR | O_CREAT, 0600);
	struct ovbd_rw_file f;
	struct ovbd_error err;

	assert_true(fd >= 0);
	close(fd);
	assert_ok(ovbd_device_open_growing(path, OVBD_DEVICE_GROWING_MAX, &f.device, &f.end, &err),
	          err);
	return f;
}

static struct ovbd_device *open_layer(enum format format, bool fresh)
{
	const struct ovbd_rw_params create = {.virtual_size = SIZE, .sparse = format == SPARSE};
	const struct ovbd_rw_open_params p = {.pinned_min = PINNED};
	struct ovbd_rw_pair pair = {.data = open_file(data), .pinned_min = PINNED, .unit = 4096};
	struct ovbd_device *d;
	struct ovbd_error err;

	if (format == LOG) {
		if (fresh) {
			assert_ok(ovbd_rw_create(pair.data.device, &create, &err), err);
			ovbd_device_close(pair.data.device);
			pair.data = open_file(data);
		}
		assert_ok(ovbd_rw_open(&pair.data, &p, NULL, &d, &err), err);
		return d;
	}
	pair.index = open_file(index_file);
	if (fresh) {
		assert_ok(ovbd_rw_create_pair(pair.data.device, pair.index.device, &create, &err),
		          err);
		ovbd_device_close(pair.data.device);
		ovbd_device_close(pair.index.device);
		pair.data = open_file(data);
		pair.index = open_file(index_file);
	}
	assert_ok(ovbd_rw_open_pair(&pair, NULL, &d, &err), err);
	return d;
}

static uint64_t stored(void)
{
	struct stat st;

	assert_int_equal(stat(data, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* Until no more is stored than that; what is given back may be so by another thread. */
static void expect_stored(struct ovbd_device *d, uint64_t max, const char *what)
{
	uint8_t sector[SECTOR];

	for (unsigned i = 0; stored() > max; i++) {
		if (i == WAIT_S * 100)
			fail_msg("%s: %llu bytes are stored, %llu would do", what,
			         (unsigned long long)stored(), (unsigned long long)max);
		test_rw_fill(model[0], sector); /* or there is nothing to flush */
		assert_int_equal(ovbd_device_pwrite(d, sector, SECTOR, 0, 0, NULL), 0);
		assert_int_equal(ovbd_device_flush(d, NULL), 0);
		usleep(10000);
	}
}

static void write_over(struct ovbd_device *d, uint64_t sectors_max, uint64_t *random,
                       uint64_t *next)
{
	static uint8_t buf[64 * SECTOR];
	struct ovbd_error err;

	for (uint64_t done = 0, k = 0; done < SECTORS; k++) {
		const uint64_t at = test_random(random) % SECTORS;
		const uint64_t n = ovbd_min(1 + test_random(random) % sectors_max, SECTORS - at);

		for (uint64_t i = 0; i < n; i++) {
			model[at + i] = ++*next;
			test_rw_fill(*next, buf + i * SECTOR);
		}
		assert_ok(ovbd_device_pwrite(d, buf, n * SECTOR, at * SECTOR, 0, &err), err);
		if (k % 256 == 0)
			assert_int_equal(ovbd_device_flush(d, NULL), 0);
		done += n;
	}
}

static void check(struct ovbd_device *d)
{
	static uint8_t got[SIZE];
	uint8_t want[SECTOR];

	assert_int_equal(ovbd_blob_pread(d->blob, got, SIZE, 0, NULL), 0);
	for (uint64_t i = 0; i < SECTORS; i++) {
		test_rw_fill(model[i], want);
		assert_memory_equal(got + i * SECTOR, want, SECTOR);
	}
}

/* What may be stored of what is shown: of each block up to a quarter may be dead; as much again as
 * half of it, or PINNED, before anything is moved; and the log of the changes. */
static uint64_t bound(void)
{
	return SIZE / 3 * 4 + ovbd_max(SIZE / 2, PINNED) + (2u << 20);
}

static void run(enum format format, uint64_t sectors_max)
{
	uint64_t random = sectors_max, next = 0, most = 0;
	struct ovbd_device *d = open_layer(format, true);

	memset(model, 0, sizeof(model));
	for (unsigned i = 0; i < TIMES; i++) {
		write_over(d, sectors_max, &random, &next);
		most = ovbd_max(most, stored());
		assert_int_equal(ovbd_device_flush(d, NULL), 0);
		expect_stored(d, bound(), formats[format]);
	}
	check(d);
	printf("%s, writes of up to %llu sectors: %llu KiB at most, %llu in the end, of %u\n",
	       formats[format], (unsigned long long)sectors_max, (unsigned long long)most / 1024,
	       (unsigned long long)stored() / 1024, SIZE / 1024);
	/* what was written over once more, and what waits for a flush: 64 MiB, 8 that are moved */
	assert_true(most <= bound() + SIZE * 4 / 3 + (72u << 20));
	ovbd_device_close(d);
	d = open_layer(format, false);
	check(d);
	write_over(d, sectors_max, &random, &next);
	assert_int_equal(ovbd_device_flush(d, NULL), 0);
	ovbd_device_close(d);
	/* what had not been given back when it was closed is found */
	d = open_layer(format, false);
	expect_stored(d, bound(), "opened again");
	check(d);
	ovbd_device_close(d);
	unlink(data);
	unlink(index_file);
}

static void test_space(void **state)
{
	(void)state;
	for (enum format f = APPEND; f <= SPARSE; f++) {
		run(f, 64);
		run(f, 1);
	}
}

static int make_dir(void **state)
{
	(void)state;
	dir = mkdtemp(shm);
	if (!dir)
		dir = mkdtemp(tmp);
	if (!dir)
		return -1;
	snprintf(data, sizeof(data), "%s/data", dir);
	snprintf(index_file, sizeof(index_file), "%s/index", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_space)};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
