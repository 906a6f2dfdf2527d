// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/bow_disk.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "base/bytes.h"

#define FACTOR  0x9e3779b97f4a7c15u
#define INVERSE 0xf1de83e19937733du

void test_bow_fill(uint64_t number, uint8_t ret[TEST_BOW_SECTOR])
{
	for (size_t i = 0; i < TEST_BOW_SECTOR; i += 8)
		ovbd_put_le64(ret + i, number * FACTOR * (i + 1));
}

uint64_t test_bow_number(const uint8_t raw[TEST_BOW_SECTOR])
{
	const uint64_t number = ovbd_get_le64(raw) * INVERSE;
	uint8_t want[TEST_BOW_SECTOR];

	test_bow_fill(number, want);
	return memcmp(raw, want, TEST_BOW_SECTOR) == 0 ? number : UINT64_MAX;
}

static struct test_bow_disk *disk_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct test_bow_disk, device);
}

/* For a time that depends on n; not often so that others that want the processor get it. */
static void idle(unsigned long n)
{
	const unsigned random = (unsigned)(n * 2654435761u >> 7);

	if (random % 16 == 0)
		sched_yield();
	for (volatile unsigned i = 0; i < random % 4096; i++)
		;
}

/* 0, or what the call fails with. *ret_now: it is the one of which a half arrives. */
static int fails(struct test_bow_disk *k, enum test_bow_call call, bool *ret_now)
{
	const unsigned long n = atomic_fetch_add_explicit(call == TEST_BOW_READ    ? &k->nreads
	                                                  : call == TEST_BOW_WRITE ? &k->nwrites
	                                                                           : &k->nflushes,
	                                                  1, memory_order_relaxed);

	*ret_now = false;
	if (k->idles)
		idle(n);
	if (atomic_load_explicit(&k->dead, memory_order_relaxed))
		return -EIO;
	if (!(k->calls & call) || atomic_load_explicit(&k->nth, memory_order_relaxed) <= 0 ||
	    atomic_fetch_sub_explicit(&k->nth, 1, memory_order_relaxed) != 1)
		return 0;
	atomic_store_explicit(&k->dead, k->deadly, memory_order_relaxed);
	atomic_store_explicit(&k->hit, true, memory_order_relaxed);
	*ret_now = true;
	return k->code;
}

bool test_bow_disk_heal(struct test_bow_disk *k)
{
	const bool hit = k->hit;

	k->nth = 0;
	k->calls = 0;
	k->hit = k->dead = k->deadly = false;
	return hit;
}

static void begin(struct test_bow_disk *k)
{
	if (k->locks)
		pthread_mutex_lock(&k->lock);
}

static void end(struct test_bow_disk *k)
{
	if (k->locks)
		pthread_mutex_unlock(&k->lock);
}

/* buf NULL: zeros */
static int put(struct test_bow_disk *k, const uint8_t *buf, uint64_t len, uint64_t off,
               struct ovbd_error *err)
{
	bool now;
	const int r = fails(k, TEST_BOW_WRITE, &now);
	const uint64_t n = r == 0 ? len : now ? len / 2 / TEST_BOW_SECTOR * TEST_BOW_SECTOR : 0;

	begin(k);
	if (buf && n > 0)
		memcpy(k->bytes + off, buf, n);
	else if (n > 0)
		memset(k->bytes + off, 0, n);
	end(k);
	return r < 0 ? ovbd_fail(err, r, "a disk that does not write") : 0;
}

static int disk_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	bool now;
	const int r = fails(disk_of(d), TEST_BOW_FLUSH, &now);

	return r < 0 ? ovbd_fail(err, r, "a disk that does not flush") : 0;
}

static int disk_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                       unsigned flags, struct ovbd_error *err)
{
	const int r = put(disk_of(d), buf, len, off, err);

	return r == 0 && flags & OVBD_WRITE_FUA ? disk_flush(d, err) : r;
}

static int disk_write_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                             struct ovbd_error *err)
{
	const int r = put(disk_of(d), NULL, len, off, err);

	return r == 0 && flags & OVBD_WRITE_FUA ? disk_flush(d, err) : r;
}

static int disk_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	return disk_of(d)->discards_zero ? put(disk_of(d), NULL, len, off, err) : 0;
}

static int disk_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct test_bow_disk *k = OVBD_CONTAINER_OF(b, struct test_bow_disk, blob);
	bool now;
	const int r = fails(k, TEST_BOW_READ, &now);

	if (r < 0)
		return ovbd_fail(err, r, "a disk that does not read");
	begin(k);
	memcpy(buf, k->bytes + off, len);
	end(k);
	return 0;
}

static void nothing_to_close(struct ovbd_blob *b)
{
	(void)b; /* is part of the disk */
}

static void nothing_to_free(struct ovbd_device *d)
{
	(void)d; /* the same */
}

struct ovbd_device *test_bow_disk(struct test_bow_disk *k)
{
	static const struct ovbd_blob_ops blob_ops = {
		.name = "disk",
		.pread = disk_pread,
		.close = nothing_to_close,
	};
	static const struct ovbd_device_ops without = {
		.pwrite = disk_pwrite,
		.write_zeroes = disk_write_zeroes,
		.flush = disk_flush,
	};
	static const struct ovbd_device_ops with = {
		.pwrite = disk_pwrite,
		.write_zeroes = disk_write_zeroes,
		.discard = disk_discard,
		.flush = disk_flush,
	};

	k->blob = (struct ovbd_blob){.ops = &blob_ops, .size = k->size};
	k->device = (struct ovbd_device){
		.blob = &k->blob,
		.ops = k->no_discards ? &without : &with,
		.free = nothing_to_free,
	};
	return &k->device;
}
