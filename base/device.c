// SPDX-License-Identifier: Apache-2.0
/* The one place through which every write passes, and the device that takes none. */
#include "base/device.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"

/* 1: go on; 0: nothing to do; -errno. */
static int check(const struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	if (!d->ops)
		return ovbd_fail(err, -EROFS, "the device is read-only");
	if (!ovbd_within(off, len, d->blob->size))
		return ovbd_fail(err, -EINVAL,
		                 "%" PRIu64 " bytes at %" PRIu64
		                 " beyond the end of a device of %" PRIu64,
		                 len, off, d->blob->size);
	return len > 0;
}

int ovbd_device_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                       unsigned flags, struct ovbd_error *err)
{
	int r = check(d, off, len, err);

	if (r <= 0)
		return r;
	r = d->ops->pwrite(d, buf, len, off, flags, err);
	assert(r <= 0);
	return r;
}

int ovbd_device_write_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                             struct ovbd_error *err)
{
	int r = check(d, off, len, err);

	if (r <= 0)
		return r;
	r = d->ops->write_zeroes(d, off, len, flags, err);
	assert(r <= 0);
	return r;
}

int ovbd_device_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	int r = check(d, off, len, err);

	if (r <= 0 || !d->ops->discard)
		return r < 0 ? r : 0;
	r = d->ops->discard(d, off, len, err);
	assert(r <= 0);
	return r;
}

int ovbd_device_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	const int r = d->ops ? d->ops->flush(d, err) : 0;

	assert(r <= 0);
	return r;
}

int ovbd_device_grow(struct ovbd_device *d, uint64_t size, struct ovbd_error *err)
{
	const uint64_t before = d->blob->size;
	int r;

	if (!d->ops)
		return ovbd_fail(err, -EROFS, "the device is read-only");
	if (size < before)
		return ovbd_fail(err, -ENOTSUP,
		                 "a device in use only grows: it has %" PRIu64 " bytes, %" PRIu64
		                 " are fewer",
		                 before, size);
	if (size == before)
		return 0;
	if (!d->ops->grow)
		return ovbd_fail(err, -ENOTSUP, "a device of this kind cannot grow");
	r = d->ops->grow(d, size, err);
	assert(r <= 0);
	if (r == 0)
		d->blob->size = size;
	return r;
}

void ovbd_device_close(struct ovbd_device *take_d)
{
	if (!take_d)
		return;
	ovbd_blob_close(take_d->blob);
	take_d->free(take_d);
}

static void free_plain(struct ovbd_device *d)
{
	free(d);
}

int ovbd_device_open_blob(struct ovbd_blob *take_b, struct ovbd_device **ret,
                          struct ovbd_error *err)
{
	AUTO_BLOB *b = take_b;
	struct ovbd_device *d = calloc(1, sizeof(*d));

	if (!d)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	d->blob = OVBD_MOVE(b);
	d->free = free_plain;
	*ret = d;
	return 0;
}
