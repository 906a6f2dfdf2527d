/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to fs/ext4_dir*.c and fs/ext4_htree*.c: blocks of directories.
 *
 *     ext4_dirent.c      entries in a block, and the block
 *     ext4_dir.c         directories as names: found, added, removed
 *     ext4_htree.c       the hash tree of a large directory, when a name is added
 *     ext4_htree_make.c  a new one
 */
#ifndef OVBD_FS_EXT4_DIR_H
#define OVBD_FS_EXT4_DIR_H

#include "fs/ext4.h"

#define DIR_HEAD_SIZE 8u
#define DIR_DOT_SIZE  12u /* of "." and, where more follows, ".." */
#define DIR_ENTRY_MIN 12u /* with a name */

/* A directory that grows beyond so many blocks in this layer gets a hash tree. */
#define DIR_LIST_MAX 4u

struct ext4_entry {
	uint32_t ino;
	uint16_t at, rec_len;
	uint8_t len, kind;
	const char *name;
};

/* --- ext4_dirent.c --- */

/* Bytes that an entry needs. */
uint16_t ext4_entry_size(size_t name_len);
void ext4_entry_put(uint8_t *at, uint32_t ino, size_t rec_len, const char *name, size_t len,
                    uint8_t kind);
/* Where the first or, behind *e, the next one is. False: there is none, or a damaged one; the
 * latter if e->at is not end. */
bool ext4_entry_next(const uint8_t *block, uint16_t end, struct ext4_entry *e);
/* Into the first gap of the block that is large enough. */
bool ext4_entry_insert(uint8_t *block, uint16_t end, const char *name, size_t len, ext2_ino_t ino,
                       uint8_t kind);
/* Its place goes to the entry before it in the block; the first one stays, without a name. */
bool ext4_entry_remove(uint8_t *block, uint16_t end, const char *name, size_t len);

/* Bytes of a block that entries fill. */
uint16_t ext4_dir_end(const struct ext4 *x);
/* Where the entries of this one end. */
uint16_t ext4_dir_end_of(const struct ext4 *x, const uint8_t *block);
/* The longest entry that finds room in it. */
uint16_t ext4_dir_room(const struct ext4 *x, const uint8_t *block);

int ext4_dir_read(struct ext4 *x, ext2_ino_t dir, blk64_t at, uint8_t *ret, struct ovbd_error *err);
/* block gets its checksum. tree: it is one of a hash tree, not of entries. */
int ext4_dir_write(struct ext4 *x, ext2_ino_t dir, blk64_t at, uint8_t *block, bool tree,
                   struct ovbd_error *err);
/* One block more, an empty one of entries. */
int ext4_dir_grow(struct ext4 *x, struct ext4_dir *d, struct ovbd_error *err);
int ext4_dir_bad(ext2_ino_t dir, uint32_t block, uint16_t at, struct ovbd_error *err);
/* Says whether dir has a hash tree; size: of all its blocks. */
int ext4_dir_describe(struct ext4 *x, ext2_ino_t dir, bool indexed, uint64_t size,
                      struct ovbd_error *err);

/* --- ext4_htree.c --- */

/* On disk: the root is block 0, behind "." and ".."; nodes look like an entry without a name. Each
 * has pairs of a hash and a block: names of that hash and larger, up to the next pair's, are in
 * that block. The lowest bit of the hash says that names of the same hash are in the block before
 * it, too. The first pair has no hash, but how many there are and may be. */
#define TREE_ROOT_INFO  24u
#define TREE_ROOT_PAIRS 32u
#define TREE_NODE_PAIRS 8u
#define TREE_PAIR_SIZE  8u
#define TREE_INFO_SIZE  8u
#define TREE_BLOCK_MASK 0x0fffffffu

unsigned ext4_tree_limit(const struct ext4 *x, unsigned pairs);
/* An empty root or node, of "." and ".." as they are. */
void ext4_tree_start(const struct ext4 *x, uint8_t *block, unsigned pairs);
void ext4_tree_root(uint8_t *block, uint8_t version, uint8_t levels);
unsigned ext4_tree_count(const uint8_t *block, unsigned pairs);
/* Puts one at i, before what is there. */
void ext4_tree_insert(uint8_t *block, unsigned pairs, unsigned i, uint32_t hash, uint32_t to);
/* 0: *ret is the name's hash; -ENOTSUP: of a kind that is not known. */
int ext4_tree_hash(const struct ext4 *x, uint8_t version, const char *name, size_t len,
                   uint32_t *ret);

/* Adds a name to d, which has a hash tree. 1: it is there; 0: the tree is none that we can change:
 * it has not been. */
int ext4_tree_add(struct ext4 *x, struct ext4_dir *d, const char *name, size_t len, ext2_ino_t ino,
                  uint8_t kind, struct ovbd_error *err);

/* --- ext4_htree_make.c --- */

/* Makes of the list that d is a directory with a hash tree, if it is large enough for one. If there
 * is no room for that it stays a list. */
int ext4_tree_make(struct ext4 *x, struct ext4_dir *d, struct ovbd_error *err);

#endif
