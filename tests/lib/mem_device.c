// SPDX-License-Identifier: Apache-2.0
#include "tests/lib/mem_device.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/lib/fault.h"

static struct test_mem *mem_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct test_mem, device);
}

static int mem_write(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                     struct ovbd_error *err)
{
	struct test_mem *m = mem_of(d);
	int r = 0;

	pthread_mutex_lock(&m->lock);
	if ((m->faulty && test_fault_now()) || len > m->room) {
		r = ovbd_fail(err, -ENOSPC, "memory device: full");
	} else {
		if (buf)
			memcpy(m->bytes + off, buf, len);
		else
			memset(m->bytes + off, 0, len);
		if (m->room != UINT64_MAX)
			m->room -= len;
		m->nwritten += len;
		m->end = ovbd_max(m->end, off + len);
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int mem_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                      unsigned flags, struct ovbd_error *err)
{
	(void)flags;
	return mem_write(d, buf, len, off, err);
}

static int mem_write_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                            struct ovbd_error *err)
{
	(void)flags;
	return mem_write(d, NULL, (size_t)len, off, err);
}

/* What is asked for is done: who still needs it will see. */
static int mem_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	struct test_mem *m = mem_of(d);

	(void)err;
	pthread_mutex_lock(&m->lock);
	memset(m->bytes + off, 0xdd, (size_t)len);
	m->ndiscarded += len;
	if (m->room != UINT64_MAX)
		m->room += len;
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static int mem_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	struct test_mem *m = mem_of(d);
	int r = 0;

	pthread_mutex_lock(&m->lock);
	m->nflushes++;
	if (m->bad_flush || (m->faulty && test_fault_now()))
		r = ovbd_fail(err, -EIO, "memory device: flush");
	pthread_mutex_unlock(&m->lock);
	return r;
}

/* Others write to it meanwhile. */
static int blob_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct test_mem *m = OVBD_CONTAINER_OF(b, struct test_mem, blob);

	(void)err;
	pthread_mutex_lock(&m->lock);
	memcpy(buf, m->bytes + off, len);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static void blob_close(struct ovbd_blob *b)
{
	(void)b; /* is part of the device */
}

static void mem_free(struct ovbd_device *d)
{
	pthread_mutex_destroy(&mem_of(d)->lock);
}

struct ovbd_device *test_mem_device(struct test_mem *m)
{
	static const struct ovbd_blob_ops blob_ops = {
		.name = "memory",
		.pread = blob_pread,
		.close = blob_close,
	};
	static const struct ovbd_device_ops ops = {
		.pwrite = mem_pwrite,
		.write_zeroes = mem_write_zeroes,
		.discard = mem_discard,
		.flush = mem_flush,
	};
	m->blob = (struct ovbd_blob){.ops = &blob_ops, .size = m->size};
	pthread_mutex_init(&m->lock, NULL);
	m->room = UINT64_MAX;
	m->device = (struct ovbd_device){.blob = &m->blob, .ops = &ops, .free = mem_free};
	return &m->device;
}

uint64_t test_mem_flushes(struct test_mem *m)
{
	uint64_t n;

	pthread_mutex_lock(&m->lock);
	n = m->nflushes;
	pthread_mutex_unlock(&m->lock);
	return n;
}
