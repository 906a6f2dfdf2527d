/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system (ext4) made of tars: each is applied, as a layer of an OCI image is, to an empty
 * file system or to what lies beneath, and what that changes is handed out block by block.
 *
 *     tar ──► ovbd_fs_apply ──► contents of files, as they come ──────────────► put
 *                          └──► metadata, in memory ──► ovbd_fs_finish: what differs ──► put
 *
 * Nothing is unpacked, and nothing is read back: a tar of any size goes through in one pass.
 * The same tars over the same base give the same bytes, wherever and by whomever it is done.
 *
 * One thread at a time.
 */
#ifndef OVBD_FS_FS_H
#define OVBD_FS_FS_H

#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/blob.h"

#define OVBD_FS_BLOCK    4096u
#define OVBD_FS_SIZE_MIN (1u << 20)
#define OVBD_FS_SIZE_MAX (UINT64_C(1) << 44)

struct ovbd_fs;

/* [off, off + len) of the device now has these bytes; whole blocks. What is put later wins. */
typedef int (*ovbd_fs_put_fn)(void *arg, uint64_t off, const void *buf, size_t len,
                              struct ovbd_error *err);

struct ovbd_fs_params {
	struct ovbd_blob *base; /* an ext4 to go on from, the caller's; NULL: a new one is made */
	uint64_t size;          /* of a new one: bytes, a multiple of OVBD_FS_BLOCK */
	int64_t now;            /* seconds since 1970, for what no tar says the time of */
	ovbd_fs_put_fn put;
	void *arg;
};

/* -EBADMSG: the base is no ext4, or a damaged one; -ENOTSUP: one that must be repaired, or that has
 * features we cannot write. */
int ovbd_fs_open(const struct ovbd_fs_params *p, struct ovbd_fs **ret, struct ovbd_error *err);

/* The next bytes of a stream, at most len: how many, 0 at its end, or -errno. */
typedef ssize_t (*ovbd_fs_read_fn)(void *arg, void *buf, size_t len, struct ovbd_error *err);

struct ovbd_fs_applied {
	uint64_t nentries, nremoved; /* what the tar has; names that whiteouts removed */
	uint64_t data_size;          /* bytes of files' contents */
};

/* Applies the tar (ustar, pax, GNU, v7; not compressed) that read gives to its end. -EBADMSG: it is
 * none, or a damaged one; the sentence says which entry. -ENOSPC: the file system is full. After an
 * error only close may follow. ret may be NULL. docs/apply.md has what an entry does. */
int ovbd_fs_apply(struct ovbd_fs *fs, ovbd_fs_read_fn read, void *arg, struct ovbd_fs_applied *ret,
                  struct ovbd_error *err);

/* Puts what has changed beside the contents of files. Once. */
int ovbd_fs_finish(struct ovbd_fs *fs, struct ovbd_error *err);

/* Bytes of the device. */
uint64_t ovbd_fs_size(const struct ovbd_fs *fs);

/* NULL is fine. */
void ovbd_fs_close(struct ovbd_fs *take_fs);

static inline void ovbd_fs_closep(struct ovbd_fs **fs)
{
	ovbd_fs_close(*fs);
}

#endif
