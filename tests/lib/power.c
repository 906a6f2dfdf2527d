// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/power.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/lib/fault.h"
#include "tests/unit/test.h"

#define SECTOR      512u
#define SUBSETS_MAX 4u
#define BLOCK       4096u

struct record {
	unsigned disk;
	bool flush, hole; /* hole: zeros that make holes of whole blocks */
	uint64_t off;
	size_t len;
	uint8_t *data;
};

struct test_power {
	struct record *records;
	size_t n, capacity;
	bool discards, holes, failed;
	size_t writes_left, many; /* until the disks are full, and for how long */
	size_t flushes_left;      /* until one fails; 0: none does */
	size_t sizes[TEST_POWER_DISKS];
	void (*at)(void *arg);
	void *arg;
};

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
	for (size_t i = 0; i < p->n; i++)
		free(p->records[i].data);
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

/* ---- the disks ---- */

static struct record *add(struct test_power *p, unsigned disk)
{
	if (p->n == p->capacity) {
		p->capacity = 2 * p->capacity + 64;
		p->records = realloc(p->records, p->capacity * sizeof(*p->records));
		assert_non_null(p->records);
	}
	p->records[p->n] = (struct record){.disk = disk};
	return &p->records[p->n++];
}

/* Behind a disk's bytes: one for each block, and where it ends. */
static size_t behind(size_t size)
{
	return (size / BLOCK + 8 + SECTOR - 1) / SECTOR * SECTOR;
}

static uint8_t *end_of(const struct test_power *p, unsigned disk, uint8_t *bytes)
{
	return bytes + p->sizes[disk] - 8;
}

/* Which blocks of a disk are none. NULL: such a disk does not tell. */
static uint8_t *is_data(const struct test_power *p, unsigned disk, uint8_t *bytes)
{
	return p->holes ? bytes + p->sizes[disk] - behind(p->sizes[disk]) : NULL;
}

/* Bytes of r arrive, all of one block or less. */
static void arrive(const struct test_power *p, uint8_t *bytes, const struct record *r,
                   uint64_t from, uint64_t to)
{
	uint8_t *data = is_data(p, r->disk, bytes);

	memcpy(bytes + from, r->data + (from - r->off), to - from);
	if (data && (!r->hole || to - from == BLOCK))
		data[from / BLOCK] = !r->hole;
	if (data && !r->hole && to > ovbd_get_le64(end_of(p, r->disk, bytes)))
		ovbd_put_le64(end_of(p, r->disk, bytes), to);
}

uint64_t test_power_end(const struct test_power *p, unsigned number, const uint8_t *bytes)
{
	return ovbd_get_le64(bytes + p->sizes[number] - 8);
}

static void arrive_all(const struct test_power *p, uint8_t *bytes, const struct record *r,
                       uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at < to;) {
		const uint64_t end = ovbd_min(to, (at / BLOCK + 1) * BLOCK);

		arrive(p, bytes, r, at, end);
		at = end;
	}
}

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
	const uint64_t middle = ovbd_max(off, (off + length / 2) / BLOCK * BLOCK);
	const size_t len = full ? (size_t)(middle - off) : length;
	const uint64_t half = hole ? off : off + len / 2 / SECTOR * SECTOR;
	struct record r;

	if (len == 0)
		return -ENOSPC;
	add(p, d->number);
	p->records[p->n - 1].data = malloc(len);
	r = p->records[p->n - 1];
	assert_non_null(r.data);
	r.off = off;
	r.len = len;
	r.hole = hole && p->holes;
	memcpy(r.data, buf, len);
	p->records[p->n - 1] = r;
	arrive_all(p, d->bytes, &r, off, half);
	if (p->at)
		p->at(p->arg);
	arrive_all(p, d->bytes, &r, half, off + len);
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
	add(d->power, d->number)->flush = true;
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
	return !is_data(d->power, d->number, d->bytes)[off / BLOCK];
}

static int disk_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                       struct ovbd_error *err)
{
	const struct disk *d = OVBD_CONTAINER_OF(b, struct disk, blob);
	const bool hole = is_hole(d, off);
	uint64_t end = off;

	(void)err;
	while (end < off + len && is_hole(d, end) == hole)
		end = (end / BLOCK + 1) * BLOCK;
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
	d->blob = (struct ovbd_blob){.ops = &holes, .size = size - behind(size)};
	d->device.blob = &d->blob;
	if (!p->holes)
		assert_int_equal(ovbd_blob_open_mem(bytes, size, &d->device.blob, NULL), 0);
	d->power = p;
	d->number = number;
	d->bytes = bytes;
	return &d->device;
}

/* ---- the cuts ---- */

enum fate { ARRIVED, LOST, BEGUN, SCATTERED };

struct cut {
	const struct test_power *p;
	const struct test_power_params *how;
	uint64_t random, n;
	size_t at;
	uint8_t *durable[TEST_POWER_DISKS], *disks[TEST_POWER_DISKS];
	const struct record **pending; /* of p->n */
	size_t npending;
};

/* Of a file: what was a hole appears as a whole block, and as it was in memory then: with what the
 * earlier of the pending have written to it. */
static void appear(struct cut *c, const struct record *r, uint64_t at)
{
	const uint64_t from = at / BLOCK * BLOCK, to = from + BLOCK;

	for (size_t i = 0; i < c->npending; i++) {
		const struct record *w = c->pending[i];
		const uint64_t begins = ovbd_max(w->off, from),
			       ends = ovbd_min(w->off + w->len, to);

		if (w->disk == r->disk && begins < ends)
			arrive(c->p, c->disks[w->disk], w, begins, ends);
		if (w == r)
			return;
	}
}

/* What of r arrives: sectors, or whole blocks that are or become holes. */
static void arrive_as(struct cut *c, const struct record *r, enum fate fate)
{
	const uint64_t end = r->off + r->len;
	const uint64_t nsectors = (end + SECTOR - 1) / SECTOR - r->off / SECTOR;
	const uint64_t begun = test_random(&c->random) % (nsectors + 1);
	const uint8_t *data = is_data(c->p, r->disk, c->disks[r->disk]);
	uint64_t to;

	if (fate == LOST)
		return;
	for (uint64_t at = r->off; at < end; at = to) {
		const bool appears = data && !r->hole && !data[at / BLOCK];
		const bool goes = r->hole && at % BLOCK == 0 && end - at >= BLOCK;
		const uint64_t step = appears || goes ? BLOCK : SECTOR;

		to = ovbd_min(end, (at / step + 1) * step);
		if ((fate == BEGUN && at / SECTOR - r->off / SECTOR >= begun) ||
		    (fate == SCATTERED && test_random(&c->random) % 2))
			continue;
		if (appears)
			appear(c, r, at);
		else
			arrive(c->p, c->disks[r->disk], r, at, to);
	}
}

static void begin(struct cut *c)
{
	for (unsigned i = 0; i < TEST_POWER_DISKS; i++)
		if (c->how->sizes[i] > 0)
			memcpy(c->disks[i], c->durable[i], c->how->sizes[i]);
}

static void check(struct cut *c)
{
	c->n++;
	c->how->check(c->how->arg, c->disks, c->at);
}

/* All have one fate, but for one. */
static void all_but(struct cut *c, enum fate fate, size_t one, enum fate other)
{
	begin(c);
	for (size_t i = 0; i < c->npending; i++)
		arrive_as(c, c->pending[i], i == one ? other : fate);
	check(c);
}

static void cut_here(struct cut *c)
{
	const unsigned max = c->how->nsingle;

	if (c->how->killed)
		*c->how->killed = true;
	all_but(c, ARRIVED, SIZE_MAX, ARRIVED);
	if (c->how->killed)
		*c->how->killed = false;
	if (c->npending == 0)
		return;
	all_but(c, LOST, SIZE_MAX, LOST);
	for (size_t n = 0; n < c->npending && (max == 0 || n < max); n++) {
		const size_t i = max == 0 ? n : test_random(&c->random) % c->npending;

		all_but(c, ARRIVED, i, BEGUN);
		all_but(c, ARRIVED, i, SCATTERED);
		if (c->npending > 1)
			all_but(c, ARRIVED, i, LOST);
	}
	if (c->npending > 1 && c->npending <= SUBSETS_MAX) {
		for (unsigned set = 1; set + 1 < 1u << c->npending; set++) {
			begin(c);
			for (size_t i = 0; i < c->npending; i++)
				arrive_as(c, c->pending[i], set >> i & 1 ? ARRIVED : LOST);
			check(c);
		}
	}
	for (unsigned n = 0; c->npending > 1 && n < c->how->nrandom; n++) {
		begin(c);
		for (size_t i = 0; i < c->npending; i++)
			arrive_as(c, c->pending[i], (enum fate)(test_random(&c->random) % 4));
		check(c);
	}
}

static void go_on(struct cut *c, const struct record *r)
{
	size_t n = 0;

	if (!r->flush) {
		c->pending[c->npending++] = r;
		return;
	}
	for (size_t i = 0; i < c->npending; i++) {
		const struct record *w = c->pending[i];

		if (w->disk == r->disk)
			arrive_all(c->p, c->durable[w->disk], w, w->off, w->off + w->len);
		else
			c->pending[n++] = w;
	}
	c->npending = n;
}

uint64_t test_power_cuts(const struct test_power *p, const struct test_power_params *how)
{
	struct cut c = {.p = p, .how = how, .random = how->seed};

	c.pending = calloc(p->n + 1, sizeof(const struct record *));
	assert_non_null(c.pending);
	for (unsigned i = 0; i < TEST_POWER_DISKS; i++) {
		if (how->sizes[i] == 0)
			continue;
		c.durable[i] = malloc(how->sizes[i]);
		c.disks[i] = malloc(how->sizes[i]);
		assert_non_null(c.durable[i]);
		assert_non_null(c.disks[i]);
		memcpy(c.durable[i], how->before[i], how->sizes[i]);
	}
	for (c.at = 0; c.at <= p->n; c.at++) {
		if (c.at >= how->first && (c.at - how->first) % how->every == 0)
			cut_here(&c);
		if (c.at < p->n)
			go_on(&c, &p->records[c.at]);
	}
	for (unsigned i = 0; i < TEST_POWER_DISKS; i++) {
		free(c.durable[i]);
		free(c.disks[i]);
	}
	free(c.pending);
	return c.n;
}
