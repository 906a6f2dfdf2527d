/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to fs/: an ext4 file system that is being changed, by libext2fs.
 *
 *     ext4_blocks.c  blocks of metadata, in memory over what lies beneath; libext2fs's io_manager
 *     ext4.c         opening, and putting what has changed
 *     ext4_mkfs.c    a new one
 *     ext4_inode.c   inodes: made, described, removed
 *     ext4_xattr.c   their extended attributes
 *     ext4_file.c    the contents of files
 *     ext4_dir*.c    names (ext4_dir.h), in
 *     ext4_htree*.c  trees of hashes where there are many, through
 *     ext4_names.c   what is known of a directory, so that a name is found at once
 *
 * All return 0 or -errno and have said why in err.
 */
#ifndef OVBD_FS_EXT4_H
#define OVBD_FS_EXT4_H

#include <ext2fs/ext2fs.h>
#include <stdbool.h>

#include "fs/fs.h"
#include "fs/tar.h"

#define EXT4_LINKS_MAX    65000u /* of a file */
#define EXT4_BUCKETS      4096u
#define EXT4_NAME_MAX     255u
#define EXT4_FAST_SYMLINK 60u /* a shorter target lies in the inode */

struct ext4_blocks;
struct ext4_dir;

/* The directories of which something is known. */
struct ext4_names {
	struct ext4_dir *buckets[EXT4_BUCKETS];
	struct ext4_dir *newest, *oldest;
	size_t memory; /* bytes */
};

struct ext4 {
	struct ovbd_fs_params p;
	uint64_t size;
	ext2_filsys fs;
	struct ext4_blocks *blocks;
	bool io_failed; /* a block could not be read: */
	int io_code;
	struct ovbd_error io_err;
	blk64_t goal; /* where contents go on */
	struct ext4_names names;
	ext2_ino_t *large; /* directories that have become it, some of them gone again */
	size_t nlarge, large_cap;
	uint8_t *buf; /* EXT4_BUF_SIZE: contents on their way */
};

#define EXT4_BUF_SIZE (1u << 20)

/* --- ext4.c --- */

struct ext4 *ext4_of(struct ovbd_fs *fs);

/* What libext2fs is told of the time; 0 would be the time of day to it. */
static inline time_t ext4_now(const struct ext4 *x)
{
	return x->p.now ? x->p.now : 1;
}

/* code, which libext2fs has returned while doing what the words say; as an errno, with a
 * sentence. */
int ext4_fail(struct ext4 *x, errcode_t code, struct ovbd_error *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* --- ext4_blocks.c --- */

/* Registers x under a name by which libext2fs's open finds it. */
void ext4_io_name(const struct ext4 *x, char ret[32]);
extern const io_manager ext4_io_manager;

int ext4_blocks_create(struct ext4_blocks **ret);
void ext4_blocks_free(struct ext4_blocks *take_b);
/* These blocks hold contents of files from now on: what was metadata in them is of no account. */
void ext4_blocks_forget(struct ext4_blocks *b, uint64_t block, uint64_t n);
/* Calls one for each block that was written, ascending, with its bytes. */
int ext4_blocks_each(struct ext4_blocks *b,
                     int (*one)(void *arg, uint64_t block, const uint8_t *bytes,
                                struct ovbd_error *err),
                     void *arg, struct ovbd_error *err);

/* --- ext4_mkfs.c --- */

int ext4_mkfs(struct ext4 *x, struct ovbd_error *err);

/* --- ext4_inode.c --- */

/* What an inode says of itself, apart from its content and names. */
struct ext4_meta {
	uint32_t mode; /* with its kind: S_IFREG, ... */
	uint64_t uid, gid;
	struct tar_time mtime, atime;
	const struct tar_xattr *xattrs;
	size_t nxattrs;
};

int ext4_inode_read(struct ext4 *x, ext2_ino_t ino, struct ext2_inode_large *ret,
                    struct ovbd_error *err);
int ext4_inode_write(struct ext4 *x, ext2_ino_t ino, struct ext2_inode_large *inode,
                     struct ovbd_error *err);

/* A new inode without names, near parent. device: of a device. */
int ext4_inode_create(struct ext4 *x, ext2_ino_t parent, const struct ext4_meta *m, uint32_t major,
                      uint32_t minor, ext2_ino_t *ret, struct ovbd_error *err);
/* Gives ino another description, its kind apart. */
int ext4_inode_describe(struct ext4 *x, ext2_ino_t ino, const struct ext4_meta *m,
                        struct ovbd_error *err);
/* Adds n to the number of names of ino, which is removed at 0. Not for directories. */
int ext4_inode_link(struct ext4 *x, ext2_ino_t ino, int n, struct ovbd_error *err);
/* Frees ino and all it has. */
int ext4_inode_free(struct ext4 *x, ext2_ino_t ino, struct ext2_inode_large *inode,
                    struct ovbd_error *err);

/* --- ext4_xattr.c --- */

/* Those and no others. */
int ext4_xattrs_set(struct ext4 *x, ext2_ino_t ino, const struct tar_xattr *v, size_t n,
                    struct ovbd_error *err);

/* --- ext4_file.c --- */

/* The content of ino, a new file of size bytes, of which pieces are written and the rest is holes:
 * taken from t. */
int ext4_file_fill(struct ext4 *x, ext2_ino_t ino, struct tar *t, const struct tar_entry *e,
                   struct ovbd_error *err);
/* The target of ino, a new symbolic link. */
int ext4_symlink_fill(struct ext4 *x, ext2_ino_t ino, const char *target, struct ovbd_error *err);
/* *ret, to be freed. */
int ext4_symlink_read(struct ext4 *x, ext2_ino_t ino, const struct ext2_inode_large *inode,
                      char **ret, struct ovbd_error *err);
/* The one block of ino, which is new and has size bytes in it: taken, and where it is. */
int ext4_first_block(struct ext4 *x, ext2_ino_t ino, uint64_t size, blk64_t *ret,
                     struct ovbd_error *err);

/* --- ext4_dir.c --- */

/* The first block of ino, a new directory in parent, which gets a link more; the root's is itself,
 * and gets none. */
int ext4_dir_fill(struct ext4 *x, ext2_ino_t ino, ext2_ino_t parent, struct ovbd_error *err);
/* 1: *ret is what the name stands for; 0: nothing. */
int ext4_dir_find(struct ext4 *x, ext2_ino_t dir, const char *name, size_t len, ext2_ino_t *ret,
                  struct ovbd_error *err);
/* A new name for ino, whose kind is that of mode. No links are counted. */
int ext4_dir_add(struct ext4 *x, ext2_ino_t dir, const char *name, size_t len, ext2_ino_t ino,
                 uint32_t mode, struct ovbd_error *err);
int ext4_dir_remove(struct ext4 *x, ext2_ino_t dir, const char *name, size_t len,
                    struct ovbd_error *err);
/* A directory in dir is there no more, or one more. */
int ext4_dir_link(struct ext4 *x, ext2_ino_t dir, int n, struct ovbd_error *err);
/* Calls one for each name but "." and "..", in an order of no meaning. The directory may lose the
 * name that one is called with, and nothing else. */
typedef int (*ext4_name_fn)(void *arg, const char *name, size_t len, ext2_ino_t ino,
                            struct ovbd_error *err);
int ext4_dir_each(struct ext4 *x, ext2_ino_t dir, ext4_name_fn one, void *arg,
                  struct ovbd_error *err);

/* Once, at the end: what has become large gets a hash tree. */
int ext4_dirs_finish(struct ext4 *x, struct ovbd_error *err);

/* --- ext4_names.c --- */

struct ext4_name {
	uint32_t hash, ino; /* ino 0: was removed */
	uint32_t block;     /* of the directory */
	uint32_t text;      /* where its letters are */
	uint8_t len;        /* 0: nothing is there */
	uint8_t kind;       /* as in the directory: EXT2_FT_... */
};

struct ext4_dir {
	struct ext4_dir *newer, *older; /* by when they were used */
	struct ext4_dir *chain;         /* in the same bucket */
	size_t counted;                 /* of ext4_names.memory */
	unsigned npins;                 /* who goes through it */
	bool indexed;                   /* it has a hash tree */
	ext2_ino_t ino;
	struct ext4_name *names; /* an open hash table of cap entries */
	size_t n, cap;           /* n: used, removed ones too */
	char *text;
	size_t text_size, text_cap;
	blk64_t *blocks; /* where the directory's blocks are */
	uint16_t *room;  /* the longest entry that finds room in each */
	uint32_t nblocks;
};

/* What is known of ino, read if nothing is. It may be forgotten with the next call, unless it is
 * pinned. */
int ext4_names_of(struct ext4 *x, ext2_ino_t ino, struct ext4_dir **ret, struct ovbd_error *err);
void ext4_names_forget(struct ext4 *x, ext2_ino_t ino);
void ext4_names_free(struct ext4 *x);
struct ext4_name *ext4_names_find(const struct ext4_dir *d, const char *name, size_t len);
/* 0 or -ENOMEM. */
int ext4_names_add(struct ext4_dir *d, const char *name, size_t len, uint32_t ino, uint8_t kind,
                   uint32_t block);
/* One block more. */
int ext4_names_add_block(struct ext4_dir *d, blk64_t block, uint16_t room);
/* ext4_dir.c: reads all of a directory into d. */
int ext4_dir_load(struct ext4 *x, struct ext4_dir *d, struct ovbd_error *err);

#endif
