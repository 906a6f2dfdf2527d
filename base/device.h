/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device: a blob that may also take writes. Its bytes are not constant then, and its size may
 * become larger while it is open, but never smaller. Any thread may call, concurrently; what
 * overlapping calls at the same time do to each other's bytes is undefined, as on a disk.
 */
#ifndef OVBD_BASE_DEVICE_H
#define OVBD_BASE_DEVICE_H

#include "base/blob.h"

struct ovbd_device;

/* Flags of writes. */
enum {
	OVBD_WRITE_FUA = 1,   /* durable before the call returns, as if flushed */
	OVBD_WRITE_ALLOC = 2, /* zeroes: space stays allocated, no hole is made */
	OVBD_WRITE_FAST = 4,  /* zeroes: -EOPNOTSUPP, where it is no faster than to write them */
	OVBD_WRITE_KEPT = 8,  /* there also if this process ends after the call; power may fail */
};

/* off + len <= size and len > 0 hold already. 0 or -errno. */
struct ovbd_device_ops {
	/* Required. All of buf. */
	int (*pwrite)(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
	              unsigned flags, struct ovbd_error *err);
	/* Required. The range reads as zeros afterwards. */
	int (*write_zeroes)(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
	                    struct ovbd_error *err);
	/* Optional: a hint that the range is not needed; without it nothing happens. What it reads
	 * as afterwards is either what it was or zeros. */
	int (*discard)(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err);
	/* Required. What was written by calls that had returned before is durable. */
	int (*flush)(struct ovbd_device *d, struct ovbd_error *err);
	/* Optional: without it the device stays as large as it is. As ovbd_device_grow(), which
	 * sets the size of d->blob afterwards; size is more than that. */
	int (*grow)(struct ovbd_device *d, uint64_t size, struct ovbd_error *err);
};

struct ovbd_device {
	struct ovbd_blob *blob;              /* what it reads as; owned */
	const struct ovbd_device_ops *ops;   /* NULL: read-only */
	void (*free)(struct ovbd_device *d); /* after blob is closed; frees the struct */
};

static inline bool ovbd_device_is_writable(const struct ovbd_device *d)
{
	return d->ops != NULL;
}

/* Reading is ovbd_blob_pread(d->blob, ...) and ovbd_blob_run_at(d->blob, ...). Of a read-only
 * device all below fail with -EROFS, but for flush, which succeeds. */
int ovbd_device_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                       unsigned flags, struct ovbd_error *err);
int ovbd_device_write_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                             struct ovbd_error *err);
int ovbd_device_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err);
int ovbd_device_flush(struct ovbd_device *d, struct ovbd_error *err);

/* Makes the device larger while others read and write, by one caller at a time. Durable when it
 * returns; whatever happens meanwhile, the device has the old size or the new one. -ENOTSUP: it
 * would become smaller, or cannot grow. If it fails it is as large as it was. */
int ovbd_device_grow(struct ovbd_device *d, uint64_t size, struct ovbd_error *err);

/* NULL is fine. Flushes nothing. */
void ovbd_device_close(struct ovbd_device *take_d);

static inline void ovbd_device_closep(struct ovbd_device **d)
{
	ovbd_device_close(*d);
}
#define AUTO_DEVICE OVBD_AUTO(ovbd_device_closep) struct ovbd_device

/* take_b as a read-only device. */
int ovbd_device_open_blob(struct ovbd_blob *take_b, struct ovbd_device **ret,
                          struct ovbd_error *err);

/* A regular file or a block device for reading and writing. Zeroes and discards make holes, or are
 * passed on to the block device. */
int ovbd_device_open_file(const char *path, struct ovbd_device **ret, struct ovbd_error *err);

/* The same for who must be alone with it: -EBUSY if it is open so elsewhere (whoever that is, if it
 * can be told), or if it is a block device that is mounted, or is part of another one. */
int ovbd_device_open_file_alone(const char *path, struct ovbd_device **ret, struct ovbd_error *err);

/* A regular file that grows as it is written to, for who must be alone with it (-EBUSY, as above).
 * Its size is max (at most OVBD_DEVICE_GROWING_MAX); what nobody wrote reads as zeros, beyond its
 * present end too. *ret_end: that end. */
#define OVBD_DEVICE_GROWING_MAX (UINT64_C(1) << 62)
int ovbd_device_open_growing(const char *path, uint64_t max, struct ovbd_device **ret,
                             uint64_t *ret_end, struct ovbd_error *err);

#endif
