// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/power.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/lib/fault.h"
#include "tests/unit/test.h"

#define SECTOR      512u
#define PENDING_MAX 1024u
#define SUBSETS_MAX 4u

struct record {
	unsigned disk;
	bool flush;
	uint64_t off;
	size_t len;
	uint8_t *data;
};

struct test_power {
	struct record *records;
	size_t n, capacity;
	bool discards;
	void (*at)(void *arg);
	void *arg;
};

struct disk {
	struct ovbd_device device;
	struct test_power *power;
	unsigned number;
	uint8_t *bytes;
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

static int disk_pwrite(struct ovbd_device *dev, const void *buf, size_t len, uint64_t off,
                       unsigned flags, struct ovbd_error *err)
{
	struct disk *d = OVBD_CONTAINER_OF(dev, struct disk, device);
	struct test_power *p = d->power;
	const size_t half = len / 2 / SECTOR * SECTOR;
	struct record *r;

	(void)flags;
	(void)err;
	r = add(p, d->number);
	r->off = off;
	r->len = len;
	r->data = malloc(len);
	assert_non_null(r->data);
	memcpy(r->data, buf, len);
	memcpy(d->bytes + off, buf, half);
	if (p->at)
		p->at(p->arg);
	memcpy(d->bytes + off + half, (const uint8_t *)buf + half, len - half);
	if (p->at)
		p->at(p->arg);
	return 0;
}

static int disk_write_zeroes(struct ovbd_device *dev, uint64_t off, uint64_t len, unsigned flags,
                             struct ovbd_error *err)
{
	uint8_t *zeros = calloc(1, (size_t)len);
	int r;

	assert_non_null(zeros);
	r = disk_pwrite(dev, zeros, (size_t)len, off, flags, err);
	free(zeros);
	return r;
}

static int disk_discard(struct ovbd_device *dev, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	return disk_write_zeroes(dev, off, len, 0, err);
}

void test_power_discards(struct test_power *p)
{
	p->discards = true;
}

static int disk_flush(struct ovbd_device *dev, struct ovbd_error *err)
{
	struct disk *d = OVBD_CONTAINER_OF(dev, struct disk, device);

	(void)err;
	add(d->power, d->number)->flush = true;
	return 0;
}

static void disk_free(struct ovbd_device *dev)
{
	free(OVBD_CONTAINER_OF(dev, struct disk, device));
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
	struct disk *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->device = (struct ovbd_device){
		.ops = p->discards ? &discarding : &ops,
		.free = disk_free,
	};
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
	uint8_t *durable[2], *disks[2];
	const struct record *pending[PENDING_MAX];
	size_t npending;
};

/* The sectors of r that arrive. */
static void arrive(struct cut *c, const struct record *r, enum fate fate)
{
	const uint64_t end = r->off + r->len, first = r->off / SECTOR;
	const uint64_t nsectors = (end + SECTOR - 1) / SECTOR - first;
	const uint64_t begun = test_random(&c->random) % (nsectors + 1);

	if (fate == LOST)
		return;
	for (uint64_t i = 0; i < nsectors; i++) {
		const uint64_t from = i == 0 ? r->off : (first + i) * SECTOR;
		const uint64_t to = ovbd_min(end, (first + i + 1) * SECTOR);

		if ((fate == BEGUN && i >= begun) ||
		    (fate == SCATTERED && test_random(&c->random) % 2))
			continue;
		memcpy(c->disks[r->disk] + from, r->data + (from - r->off), to - from);
	}
}

static void begin(struct cut *c)
{
	for (unsigned i = 0; i < 2; i++)
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
		arrive(c, c->pending[i], i == one ? other : fate);
	check(c);
}

static void cut_here(struct cut *c)
{
	const unsigned max = c->how->nsingle;

	all_but(c, ARRIVED, SIZE_MAX, ARRIVED);
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
				arrive(c, c->pending[i], set >> i & 1 ? ARRIVED : LOST);
			check(c);
		}
	}
	for (unsigned n = 0; c->npending > 1 && n < c->how->nrandom; n++) {
		begin(c);
		for (size_t i = 0; i < c->npending; i++)
			arrive(c, c->pending[i], (enum fate)(test_random(&c->random) % 4));
		check(c);
	}
}

static void go_on(struct cut *c, const struct record *r)
{
	size_t n = 0;

	if (!r->flush) {
		assert_true(c->npending < PENDING_MAX);
		c->pending[c->npending++] = r;
		return;
	}
	for (size_t i = 0; i < c->npending; i++) {
		const struct record *w = c->pending[i];

		if (w->disk == r->disk)
			memcpy(c->durable[w->disk] + w->off, w->data, w->len);
		else
			c->pending[n++] = w;
	}
	c->npending = n;
}

uint64_t test_power_cuts(const struct test_power *p, const struct test_power_params *how)
{
	struct cut c = {.p = p, .how = how, .random = how->seed};

	for (unsigned i = 0; i < 2; i++) {
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
	for (unsigned i = 0; i < 2; i++) {
		free(c.durable[i]);
		free(c.disks[i]);
	}
	return c.n;
}
