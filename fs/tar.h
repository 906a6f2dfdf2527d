/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to fs/: a tar, entry by entry. Formats: POSIX.1-2001 (pax and ustar), GNU's (long names,
 * base-256 numbers, sparse files in all four ways), v7; extended attributes as SCHILY.xattr.*.
 *
 *     tar_header.c  a block of 512 bytes           (pure)
 *     tar_pax.c     pax records                    (pure)
 *     tar_acl.c     access control lists in words  (pure)
 *     tar_sparse.c  where the bytes of a sparse file belong
 *     tar.c         the stream of them
 *
 * Bytes of a tar are hostile: sizes bound what is allocated only up to TAR_EXTRA_MAX.
 */
#ifndef OVBD_FS_TAR_H
#define OVBD_FS_TAR_H

#include <stdbool.h>

#include "base/tar.h"
#include "fs/fs.h"

#define TAR_BLOCK       OVBD_TAR_BLOCK
#define TAR_EXTRA_MAX   (4u << 20) /* bytes of pax records or of a name, of one entry */
#define TAR_PIECES_MAX  (1u << 18) /* of a sparse file */
#define TAR_XATTRS_MAX  1024u
#define TAR_SPARSE_HEAD 4u /* pieces in an old GNU header */

struct tar_time {
	int64_t s;
	uint32_t ns;
};

struct tar_xattr {
	const char *name; /* with its namespace: "user.x" */
	const uint8_t *value;
	size_t len;
};

struct tar_piece {
	uint64_t off, len; /* of the file */
};

enum tar_type {
	TAR_FILE,
	TAR_HARD_LINK,
	TAR_SYMLINK,
	TAR_CHAR,
	TAR_BLOCK_DEVICE,
	TAR_DIR,
	TAR_FIFO,
};

/* Everything lives until the next entry. */
struct tar_entry {
	enum tar_type type;
	const char *name, *link; /* never NULL */
	uint32_t mode;           /* 07777 */
	uint64_t uid, gid;
	struct tar_time mtime, atime;
	uint64_t major, minor;
	uint64_t size; /* of the file, holes included */
	const struct tar_piece *pieces;
	size_t npieces; /* of a sparse file; ascending. Others have one, or none if empty */
	const struct tar_xattr *xattrs;
	size_t nxattrs;
};

/* --- tar_header.c --- */

struct tar_header {
	char type;
	bool gnu;
	char name[257], link[101];
	uint64_t mode, uid, gid, size, major, minor;
	int64_t mtime;
	/* type 'S' */
	struct tar_piece pieces[TAR_SPARSE_HEAD];
	unsigned npieces;
	bool more; /* a block with more of them follows */
	uint64_t real_size;
};

/* 0, or what is wrong with it, for a sentence. A block of zeros is wrong too. */
const char *tar_header_parse(const uint8_t raw[TAR_BLOCK], struct tar_header *ret);

/* The pieces in a block that follows a header of a sparse file, at most 21. */
const char *tar_sparse_parse(const uint8_t raw[TAR_BLOCK], struct tar_piece ret[21],
                             unsigned *ret_n, bool *ret_more);

/* --- tar_pax.c --- */

struct tar_pax {
	const char *path, *link, *sparse_name, *sparse_map;
	bool has_size, has_uid, has_gid, has_mtime, has_atime, has_real_size;
	uint64_t size, uid, gid, real_size, sparse_major;
	struct tar_time mtime, atime;
	struct tar_xattr *xattrs; /* owned; what they point to is not */
	size_t nxattrs;
	struct tar_piece *pieces; /* owned */
	size_t npieces;
	bool half; /* the last piece has no length yet */
};

/* Takes len bytes of records (and a NUL behind them), which it cuts up in place, and adds what they
 * say to *p. 0, or -errno. */
int tar_pax_parse(char *records, size_t len, struct tar_pax *p, struct ovbd_error *err);
/* As *from, with arrays of its own. 0 or -ENOMEM. */
int tar_pax_copy(struct tar_pax *to, const struct tar_pax *from);
void tar_pax_free(struct tar_pax *p);

/* --- tar_acl.c --- */

/* Makes of text (and a NUL behind it), an access control list in words, what the kernel has of it,
 * in its place: *ret_len bytes, 0 if it says nothing. -ENOTSUP: it names somebody by a name. */
#define TAR_ACL_PLAIN 28u /* bytes of one that is no more than a mode */
int tar_acl_parse(char *text, size_t len, size_t *ret_len, struct ovbd_error *err);

/* --- tar.c --- */

struct tar;

int tar_open(ovbd_fs_read_fn read, void *arg, struct tar **ret, struct ovbd_error *err);
/* Passes over the next len bytes of the stream: 1, or 0 if it has not so many. arg is read's. */
typedef int (*tar_pass_fn)(void *arg, uint64_t len, struct ovbd_error *err);
/* From now on what is skipped is not read. */
void tar_set_pass(struct tar *t, tar_pass_fn pass);
/* Where in the stream the next byte is: after tar_next(), the content. */
uint64_t tar_at(const struct tar *t);
/* 1: *ret is the next entry; 0: there is none. What of the last one was not read is skipped. */
int tar_next(struct tar *t, const struct tar_entry **ret, struct ovbd_error *err);
/* The next bytes of the entry's content, at most cap: where in the file they belong, and how many;
 * 0 at the end. */
int tar_read(struct tar *t, void *buf, size_t cap, uint64_t *ret_off, size_t *ret_len,
             struct ovbd_error *err);
void tar_close(struct tar *take_t);

static inline void tar_closep(struct tar **t)
{
	tar_close(*t);
}

/* --- tar_sparse.c --- */

/* All len bytes of the stream of t. */
int tar_fetch(struct tar *t, void *buf, size_t len, struct ovbd_error *err);

/* Decimal numbers, each with an end of line, which a pax 1.0 sparse file begins with; *ret_used
 * bytes of the content, a multiple of TAR_BLOCK. */
int tar_sparse_read_map(struct tar *t, uint64_t content_size, struct tar_piece **ret, size_t *ret_n,
                        uint64_t *ret_used, struct ovbd_error *err);
/* "off,len,off,len" */
int tar_sparse_parse_map(const char *text, struct tar_piece **ret, size_t *ret_n,
                         struct ovbd_error *err);
/* Ascending, within real_size, and content_size bytes in all; drops empty ones. */
int tar_sparse_check(struct tar_piece *pieces, size_t *n, uint64_t real_size, uint64_t content_size,
                     struct ovbd_error *err);

#endif
