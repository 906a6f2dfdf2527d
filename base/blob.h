/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blob is an immutable, sized sequence of bytes that is read with an all-or-nothing pread: a
 * file, an HTTP object, a window into another blob, a decompressed ZFile, a stack of layers.
 * Most blobs own the blob they read from, so closing the outermost closes the chain.
 *
 * Everything here may be called from any thread, concurrently; close once, after the last read.
 */
#ifndef OVBD_BASE_BLOB_H
#define OVBD_BASE_BLOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/error.h"

struct ovbd_blob;

/* What a blob knows of its content without reading it. */
enum ovbd_run_kind {
	OVBD_RUN_DATA, /* anything, zeros too */
	OVBD_RUN_ZERO, /* zeros, on purpose: they hide what a lower layer holds there */
	OVBD_RUN_HOLE, /* zeros, because nothing was ever written there */
};

struct ovbd_run {
	uint64_t len; /* bytes, > 0 */
	enum ovbd_run_kind kind;
	/* DATA: it is what ovbd_blob_open_below() has from src on. */
	bool below;
	uint64_t src;
};

struct ovbd_blob_ops {
	const char *name;
	/* Required. Fills buf completely and returns 0, or fails with -errno and leaves buf
	 * undefined. len > 0 and off + len <= size hold already. */
	int (*pread)(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
	             struct ovbd_error *err);
	/* Optional: without it all is DATA. The kind of the longest run from off that is cheap to
	 * find, of at most len bytes. off + len <= size and len > 0 hold already. */
	int (*run_at)(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
	              struct ovbd_error *err);
	/* Optional. A text for ovbd_blob_key(), to be freed: "" for none; NULL: no memory. */
	char *(*key)(struct ovbd_blob *b);
	/* Optional: see ovbd_blob_distrust(). off + len <= size and len > 0 hold already. */
	bool (*distrust)(struct ovbd_blob *b, uint64_t off, uint64_t len);
	/* Required. Closes what the blob owns, and frees it. */
	void (*close)(struct ovbd_blob *b);
};

/* The head of every implementation's own struct. */
struct ovbd_blob {
	const struct ovbd_blob_ops *ops;
	/* Bytes. Constant, but for that of a device that takes writes, which may become more while
	 * others use it (ovbd_device_grow()): who has read it finds that many bytes for ever. */
	_Atomic uint64_t size;
};

/* Reads [off, off + len). 0, or -errno with buf undefined; -EINVAL beyond the end. */
int ovbd_blob_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                    struct ovbd_error *err);

/* The run at off, cut to len bytes; -EINVAL beyond the end or for len = 0. */
int ovbd_blob_run_at(struct ovbd_blob *b, uint64_t off, uint64_t len, struct ovbd_run *ret,
                     struct ovbd_error *err);

/* *ret, to be freed: a text that two blobs share only if they have the same content, as far as its
 * keeper (a file system, a server) tells. NULL: nothing tells that. 0 or -ENOMEM. */
int ovbd_blob_key(struct ovbd_blob *b, char **ret, struct ovbd_error *err);

/* Says that what was read of [off, off + len) contradicts a checksum above: whoever keeps a copy of
 * it is not to believe that any more, and asks its own source anew. False: another read would bring
 * the same bytes. */
bool ovbd_blob_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len);

/* NULL is fine. */
void ovbd_blob_close(struct ovbd_blob *take_b);

static inline void ovbd_blob_closep(struct ovbd_blob **b)
{
	ovbd_blob_close(*b);
}
#define AUTO_BLOB OVBD_AUTO(ovbd_blob_closep) struct ovbd_blob

/* A regular file or block device, read-only. Holes of a sparse file are reported as HOLE. A file
 * that shrinks while it is open reads as -EIO beyond its new end, never as zeros. */
int ovbd_blob_open_file(const char *path, struct ovbd_blob **ret, struct ovbd_error *err);

/* The same for a file that grows while it is open, up to size: beyond its end it reads as zeros. */
int ovbd_blob_open_growing(const char *path, uint64_t size, struct ovbd_blob **ret,
                           struct ovbd_error *err);

/* The same for what others write to: a block device is read past the page cache, which may have old
 * bytes of it. */
int ovbd_blob_open_uncached(const char *path, struct ovbd_blob **ret, struct ovbd_error *err);

/* The same over a descriptor; name is for messages. take_fd is closed, also on failure. */
int ovbd_blob_open_fd(int take_fd, const char *name, struct ovbd_blob **ret,
                      struct ovbd_error *err);

/* len bytes at buf, which the caller keeps alive and unchanged until close. */
int ovbd_blob_open_mem(const void *buf, size_t len, struct ovbd_blob **ret, struct ovbd_error *err);

/* What lies beneath a range of a stack, when that range is looked at for itself: runs that come
 * from it can be traced back to it. It reads as known, which stays the caller's and must
 * outlive it. Without one (NULL) its size is OVBD_BLOB_SIZE_UNKNOWN, and reading it is -EINVAL; the
 * sentence goes on with hint. */
int ovbd_blob_open_below(struct ovbd_blob *known, const char *hint, struct ovbd_blob **ret,
                         struct ovbd_error *err);

/* More than anything has. Of blobs that lie over one of this size, too. */
#define OVBD_BLOB_SIZE_UNKNOWN (UINT64_C(1) << 62)

/* The window [off, off + len) of take_b; -EINVAL if it does not lie within take_b. */
int ovbd_blob_open_slice(struct ovbd_blob *take_b, uint64_t off, uint64_t len,
                         struct ovbd_blob **ret, struct ovbd_error *err);

/* lender as a blob to be closed before it. */
int ovbd_blob_open_lent(struct ovbd_blob *lender, struct ovbd_blob **ret, struct ovbd_error *err);

/* take_b, in whose place another can be put. */
int ovbd_blob_open_swap(struct ovbd_blob *take_b, struct ovbd_blob **ret, struct ovbd_error *err);

/* From now on b, which comes from ovbd_blob_open_swap(), reads as take_to, of the same size and
 * content. What it was before is closed by the last who reads from it. */
int ovbd_blob_swap(struct ovbd_blob *b, struct ovbd_blob *take_to, struct ovbd_error *err);

#endif
