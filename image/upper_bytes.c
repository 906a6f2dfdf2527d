// SPDX-License-Identifier: Apache-2.0
/*
 * What writes any number of bytes (a FUSE file, an NBD client) over what takes whole sectors. The
 * sectors at both ends of such a write are read, changed and written back; nobody else writes
 * meanwhile, as he might write to the rest of one of them. Writes of whole sectors run beside each
 * other.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "image/upper.h"

#define SECTOR 512u

struct bytes {
	struct ovbd_device device;
	struct ovbd_device *to;
	pthread_rwlock_t order; /* held for writing by who changes a part of a sector */
	atomic_bool kept;
};

static struct bytes *bytes_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct bytes, device);
}

static bool is_whole(uint64_t off, uint64_t len)
{
	return off % SECTOR == 0 && len % SECTOR == 0;
}

static unsigned flags_of(struct bytes *b, unsigned flags)
{
	return atomic_load(&b->kept) ? flags | OVBD_WRITE_KEPT : flags;
}

/* A range within one sector; buf NULL: zeros. */
static int write_part(struct bytes *b, const void *buf, size_t len, uint64_t off, unsigned flags,
                      struct ovbd_error *err)
{
	const size_t at = off % SECTOR;
	uint8_t sector[SECTOR];
	int r = ovbd_blob_pread(b->to->blob, sector, SECTOR, off - at, err);

	if (r < 0)
		return r;
	if (buf)
		memcpy(sector + at, buf, len);
	else
		memset(sector + at, 0, len);
	return ovbd_device_pwrite(b->to, sector, SECTOR, off - at, flags, err);
}

/* A range of whole sectors. */
static int write_whole(struct bytes *b, const void *buf, uint64_t len, uint64_t off, unsigned flags,
                       struct ovbd_error *err)
{
	return buf ? ovbd_device_pwrite(b->to, buf, (size_t)len, off, flags, err)
	           : ovbd_device_write_zeroes(b->to, off, len, flags, err);
}

/* Piece by piece: a part of a sector, whole ones, a part. buf NULL: zeros. */
static int write_pieces(struct bytes *b, const uint8_t *buf, uint64_t len, uint64_t off,
                        unsigned flags, struct ovbd_error *err)
{
	int r = 0;

	while (r == 0 && len > 0) {
		const uint64_t rest = SECTOR - off % SECTOR;
		const bool part = rest < SECTOR || len < SECTOR;
		const uint64_t n = part ? ovbd_min(rest, len) : len - len % SECTOR;

		r = part ? write_part(b, buf, (size_t)n, off, flags, err)
		         : write_whole(b, buf, n, off, flags, err);
		buf = buf ? buf + n : NULL;
		off += n;
		len -= n;
	}
	return r;
}

/* buf NULL: zeros. */
static int put(struct bytes *b, const void *buf, uint64_t len, uint64_t off, unsigned flags,
               struct ovbd_error *err)
{
	const bool whole = is_whole(off, len), fua = flags & OVBD_WRITE_FUA;
	int r;

	if (whole) {
		pthread_rwlock_rdlock(&b->order);
		r = write_whole(b, buf, len, off, flags, err);
	} else { /* durable once, not in each piece */
		pthread_rwlock_wrlock(&b->order);
		r = write_pieces(b, buf, len, off, flags & ~(unsigned)OVBD_WRITE_FUA, err);
	}
	pthread_rwlock_unlock(&b->order);
	return r == 0 && fua && !whole ? ovbd_device_flush(b->to, err) : r;
}

static int bytes_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                        unsigned flags, struct ovbd_error *err)
{
	return put(bytes_of(d), buf, len, off, flags_of(bytes_of(d), flags), err);
}

static int bytes_write_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                              struct ovbd_error *err)
{
	return put(bytes_of(d), NULL, len, off, flags_of(bytes_of(d), flags), err);
}

/* The whole sectors of it. What reads as zeros must go on to do so. */
static int bytes_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	struct bytes *b = bytes_of(d);
	const uint64_t from = (off + SECTOR - 1) / SECTOR * SECTOR;
	const uint64_t to = (off + len) / SECTOR * SECTOR;
	int r;

	if (from >= to)
		return 0;
	pthread_rwlock_rdlock(&b->order);
	r = atomic_load(&b->kept)
	            ? ovbd_device_write_zeroes(b->to, from, to - from, OVBD_WRITE_KEPT, err)
	            : ovbd_device_discard(b->to, from, to - from, err);
	pthread_rwlock_unlock(&b->order);
	return r;
}

static int bytes_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	return ovbd_device_flush(bytes_of(d)->to, err);
}

static int bytes_grow(struct ovbd_device *d, uint64_t size, struct ovbd_error *err)
{
	return ovbd_device_grow(bytes_of(d)->to, size, err);
}

static void bytes_free(struct ovbd_device *d)
{
	struct bytes *b = bytes_of(d);

	ovbd_device_close(b->to);
	pthread_rwlock_destroy(&b->order);
	free(b);
}

static const struct ovbd_device_ops bytes_ops = {
	.pwrite = bytes_pwrite,
	.write_zeroes = bytes_write_zeroes,
	.discard = bytes_discard,
	.flush = bytes_flush,
	.grow = bytes_grow,
};

int ovbd_upper_open_bytes(struct ovbd_device *take_d, struct ovbd_device **ret,
                          struct ovbd_error *err)
{
	AUTO_DEVICE *to = take_d;
	struct bytes *b = calloc(1, sizeof(*b));
	struct ovbd_blob *blob;
	int r;

	if (!b)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_blob_open_lent(to->blob, &blob, err);
	if (r < 0) {
		free(b);
		return r;
	}
	pthread_rwlock_init(&b->order, NULL);
	b->to = OVBD_MOVE(to);
	b->device = (struct ovbd_device){.blob = blob, .ops = &bytes_ops, .free = bytes_free};
	*ret = &b->device;
	return 0;
}

void ovbd_upper_keep(struct ovbd_device *d)
{
	atomic_store(&bytes_of(d)->kept, true);
}
