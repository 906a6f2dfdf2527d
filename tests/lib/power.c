// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/power_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/lib/fault.h"
#include "tests/unit/test.h"

struct disk {
	struct ovbd_device device;
	struct test_power *power;
	unsigned number;
	uint8_t *bytes;
	struct ovbd_blob blob; /* what device.blob is, where there are holes */
};

struct test_power *test_power_create(void)
{
	struct test_power *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	return p;
}

void test_power_free(struct test_power *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->records[i].data);
		free(p->records[i].old);
	}
	free(p->records);
	free(p);
}

void test_power_watch(struct test_power *p, void (*at)(void *arg), void *arg)
{
	p->at = at;
	p->arg = arg;
}

size_t test_power_count(const struct test_power *p)
{
	return p->n;
}

uint64_t test_power_reach(const struct test_power *p, unsigned number)
{
	return p->reach[number];
}

/* ---- the disks ---- */

struct test_power_record *test_power_add(struct test_power *p, unsigned disk)
{
	if (p->n == p->capacity) {
		p->capacity = 2 * p->capacity + 64;
		p->records = realloc(p->records, p->capacity * sizeof(*p->records));
		assert_non_null(p->records);
	}
	p->records[p->n] = (struct test_power_record){.disk = disk};
	return &p->records[p->n++];
}

size_t test_power_behind(size_t size)
{
	return (size / TEST_POWER_BLOCK + 8 + TEST_POWER_SECTOR - 1) / TEST_POWER_SECTOR *
	       TEST_POWER_SECTOR;
}

static uint8_t *end_of(const struct test_power *p, unsigned disk, uint8_t *bytes)
{
	return bytes + p->sizes[disk] - 8;
}

uint8_t *test_power_is_data(const struct test_power *p, unsigned disk, uint8_t *bytes)
{
	return p->holes ? bytes + p->sizes[disk] - test_power_behind(p->sizes[disk]) : NULL;
}

void test_power_arrive(const struct test_power *p, uint8_t *bytes,
                       const struct test_power_record *r, uint64_t from, uint64_t to)
{
	uint8_t *data = test_power_is_data(p, r->disk, bytes);

	memcpy(bytes + from, r->data + (from - r->off), to - from);
	if (data && (!r->hole || to - from == TEST_POWER_BLOCK))
		data[from / TEST_POWER_BLOCK] = !r->hole;
	if (data && !r->hole && to > ovbd_get_le64(end_of(p, r->disk, bytes)))
		ovbd_put_le64(end_of(p, r->disk, bytes), to);
}

uint64_t test_power_end(const struct test_power *p, unsigned number, const uint8_t *bytes)
{
	return ovbd_get_le64(bytes + p->sizes[number] - 8);
}

void test_power_arrive_all(const struct test_power *p, uint8_t *bytes,
                           const struct test_power_record *r, uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at < to;) {
		const uint64_t end = ovbd_min(to, (at / TEST_POWER_BLOCK + 1) * TEST_POWER_BLOCK);

		test_power_arrive(p, bytes, r, at, end);
		at = end;
	}
}

/* ---- what can be taken back ---- */

void test_power_keep_old(struct test_power *p)
{
	p->keeps_old = true;
}

static uint8_t *copy_of_old(const struct test_power *p, const struct test_power_record *r)
{
	const size_t n = p->holes ? test_power_behind(p->sizes[r->disk]) : 0;
	uint8_t *bytes = p->bytes[r->disk], *old = malloc(r->len + n);

	assert_non_null(old);
	memcpy(old, bytes + r->off, r->len);
	if (n > 0)
		memcpy(old + r->len, test_power_is_data(p, r->disk, bytes), n);
	return old;
}

void test_power_take_back(struct test_power *p)
{
	for (size_t i = p->n; i-- > 0;) {
		const struct test_power_record *r = &p->records[i];
		uint8_t *bytes = p->bytes[r->disk];

		if (!r->old)
			continue;
		memcpy(bytes + r->off, r->old, r->len);
		if (p->holes)
			memcpy(test_power_is_data(p, r->disk, bytes), r->old + r->len,
			       test_power_behind(p->sizes[r->disk]));
	}
}

/* ---- disks that fail ---- */

void test_power_full(struct test_power *p, size_t nth, size_t many)
{
	p->writes_left = nth;
	p->many = many;
	p->failed = false;
}

void test_power_bad_flush(struct test_power *p, size_t nth)
{
	p->flushes_left = nth;
	p->failed = false;
}

bool test_power_failed(struct test_power *p)
{
	p->many = p->flushes_left = 0;
	return p->failed;
}

static bool is_full(struct test_power *p)
{
	if (p->many == 0 || (p->writes_left > 0 && --p->writes_left > 0))
		return false;
	p->many--;
	p->failed = true;
	return true;
}

static int put(struct ovbd_device *dev, const void *buf, size_t length, uint64_t off, bool hole)
{
	struct disk *d = OVBD_CONTAINER_OF(dev, struct disk, device);
	struct test_power *p = d->power;
	const bool full = !hole && is_full(p);
	/* as files do: whole blocks of it */
	const uint64_t middle =
		ovbd_max(off, (off + length / 2) / TEST_POWER_BLOCK * TEST_POWER_BLOCK);
	const size_t len = full ? (size_t)(middle - off) : length;
	const uint64_t half = hole ? off : off + len / 2 / TEST_POWER_SECTOR * TEST_POWER_SECTOR;
	struct test_power_record r;

	if (len == 0)
		return -ENOSPC;
	test_power_add(p, d->number);
	p->records[p->n - 1].data = malloc(len);
	r = p->records[p->n - 1];
	assert_non_null(r.data);
	r.off = off;
	r.len = len;
	r.hole = hole && p->holes;
	memcpy(r.data, buf, len);
	if (p->keeps_old)
		r.old = copy_of_old(p, &r);
	p->records[p->n - 1] = r;
	p->reach[d->number] = ovbd_max(p->reach[d->number], off + len);
	test_power_arrive_all(p, d->bytes, &r, off, half);
	if (p->at)
		p->at(p->arg);
	test_power_arrive_all(p, d->bytes, &r, half, off + len);
	if (p->at)
		p->at(p->arg);
	return full ? -ENOSPC : 0;
}

static int disk_flush(struct ovbd_device *dev, struct ovbd_error *err)
{
	struct disk *d = OVBD_CONTAINER_OF(dev, struct disk, device);

	if (d->power->flushes_left > 0 && --d->power->flushes_left == 0) {
		d->power->failed = true;
		return ovbd_fail(err, -EIO, "a disk that does not flush");
	}
	test_power_add(d->power, d->number)->flush = true;
	return 0;
}

static int disk_pwrite(struct ovbd_device *dev, const void *buf, size_t len, uint64_t off,
                       unsigned flags, struct ovbd_error *err)
{
	const int r = put(dev, buf, len, off, false);

	if (r < 0)
		return ovbd_fail(err, r, "a disk that is full");
	return flags & OVBD_WRITE_FUA ? disk_flush(dev, err) : 0;
}

static int disk_write_zeroes(struct ovbd_device *dev, uint64_t off, uint64_t len, unsigned flags,
                             struct ovbd_error *err)
{
	uint8_t *zeros = calloc(1, (size_t)len);
	int r;

	assert_non_null(zeros);
	r = put(dev, zeros, (size_t)len, off, true);
	free(zeros);
	return r == 0 && flags & OVBD_WRITE_FUA ? disk_flush(dev, err) : r;
}

static int disk_discard(struct ovbd_device *dev, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	return disk_write_zeroes(dev, off, len, 0, err);
}

void test_power_discards(struct test_power *p)
{
	p->discards = true;
}

static void disk_free(struct ovbd_device *dev)
{
	free(OVBD_CONTAINER_OF(dev, struct disk, device));
}

void test_power_holes(struct test_power *p)
{
	p->holes = true;
}

static int disk_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	(void)err;
	memcpy(buf, OVBD_CONTAINER_OF(b, struct disk, blob)->bytes + off, len);
	return 0;
}

static bool is_hole(const struct disk *d, uint64_t off)
{
	return !test_power_is_data(d->power, d->number, d->bytes)[off / TEST_POWER_BLOCK];
}

static int disk_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                       struct ovbd_error *err)
{
	const struct disk *d = OVBD_CONTAINER_OF(b, struct disk, blob);
	const bool hole = is_hole(d, off);
	uint64_t end = off;

	(void)err;
	while (end < off + len && is_hole(d, end) == hole)
		end = (end / TEST_POWER_BLOCK + 1) * TEST_POWER_BLOCK;
	ret->len = ovbd_min(end - off, len);
	ret->kind = hole ? OVBD_RUN_HOLE : OVBD_RUN_DATA;
	return 0;
}

static void disk_blob_close(struct ovbd_blob *b)
{
	(void)b; /* is part of the device */
}

struct ovbd_device *test_power_disk(struct test_power *p, unsigned number, uint8_t *bytes,
                                    size_t size)
{
	static const struct ovbd_device_ops ops = {
		.pwrite = disk_pwrite,
		.write_zeroes = disk_write_zeroes,
		.flush = disk_flush,
	};
	static const struct ovbd_device_ops discarding = {
		.pwrite = disk_pwrite,
		.write_zeroes = disk_write_zeroes,
		.discard = disk_discard,
		.flush = disk_flush,
	};
	static const struct ovbd_blob_ops holes = {
		.name = "disk",
		.pread = disk_pread,
		.run_at = disk_run_at,
		.close = disk_blob_close,
	};
	struct disk *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->device = (struct ovbd_device){
		.ops = p->discards ? &discarding : &ops,
		.free = disk_free,
	};
	p->sizes[number] = size;
	p->bytes[number] = bytes;
	d->blob = (struct ovbd_blob){.ops = &holes, .size = size - test_power_behind(size)};
	d->device.blob = &d->blob;
	if (!p->holes)
		assert_int_equal(ovbd_blob_open_mem(bytes, size, &d->device.blob, NULL), 0);
	d->power = p;
	d->number = number;
	d->bytes = bytes;
	return &d->device;
}
