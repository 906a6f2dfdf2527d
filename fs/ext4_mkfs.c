// SPDX-License-Identifier: Apache-2.0
/*
 * A new ext4, as little of it as is one: no journal (its users mount it read-only, or as the lower
 * part of an overlay), one copy of the superblock, and nothing written of groups that are empty:
 * their tables are zeros, as the device is. Nothing in it is random, or says when or where it was
 * made: no UUID, and all times are the caller's.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "fs/ext4.h"

#define BYTES_PER_INODE 16384u
#define INODE_SIZE      256u
#define EXTRA_ISIZE     32u
#define LOST_FOUND      "lost+found"

static void describe(const struct ext4 *x, struct ext2_super_block *s)
{
	const uint64_t ninodes = x->size / BYTES_PER_INODE;

	ext2fs_blocks_count_set(s, x->size / OVBD_FS_BLOCK);
	s->s_rev_level = EXT2_DYNAMIC_REV;
	s->s_log_block_size = 2;
	s->s_log_cluster_size = 2;
	s->s_inode_size = INODE_SIZE;
	s->s_inodes_count = (uint32_t)ovbd_min(ninodes < 64 ? 64 : ninodes, UINT32_MAX - 65536);
	s->s_log_groups_per_flex = 4;
	s->s_backup_bgs[0] = 1;
	ext2fs_set_feature_xattr(s);
	ext2fs_set_feature_dir_index(s);
	ext2fs_set_feature_sparse_super2(s);
	ext2fs_set_feature_filetype(s);
	ext2fs_set_feature_extents(s);
	ext2fs_set_feature_64bit(s);
	ext2fs_set_feature_flex_bg(s);
	ext2fs_set_feature_large_file(s);
	ext2fs_set_feature_huge_file(s);
	ext2fs_set_feature_dir_nlink(s);
	ext2fs_set_feature_extra_isize(s);
	ext2fs_set_feature_metadata_csum(s);
}

static void describe_more(struct ext4 *x)
{
	struct ext2_super_block *s = x->fs->super;

	x->fs->now = ext4_now(x);
	memset(s->s_uuid, 0, sizeof(s->s_uuid));
	memset(s->s_hash_seed, 0, sizeof(s->s_hash_seed));
	s->s_def_hash_version = EXT2_HASH_HALF_MD4;
	s->s_flags = EXT2_FLAGS_UNSIGNED_HASH;
	s->s_checksum_type = EXT2_CRC32C_CHKSUM;
	s->s_min_extra_isize = EXTRA_ISIZE;
	s->s_want_extra_isize = EXTRA_ISIZE;
	s->s_mkfs_time = (uint32_t)x->p.now;
	s->s_lastcheck = (uint32_t)x->p.now;
	s->s_creator_os = EXT2_OS_LINUX;
	s->s_max_mnt_count = -1;
	s->s_checkinterval = 0;
	s->s_default_mount_opts = EXT2_DEFM_XATTR_USER | EXT2_DEFM_ACL;
	ext2fs_init_csum_seed(x->fs);
	/* the tables need no zeroing: the device reads as zeros there */
	for (dgrp_t g = 0; g < x->fs->group_desc_count; g++) {
		ext2fs_bg_flags_set(x->fs, g, EXT2_BG_INODE_ZEROED);
		ext2fs_group_desc_csum_set(x->fs, g);
	}
}

static int make_dir(struct ext4 *x, ext2_ino_t *ino, uint32_t mode, struct ovbd_error *err)
{
	const struct ext4_meta m = {.mode = S_IFDIR | mode,
	                            .mtime.s = x->p.now,
	                            .atime.s = x->p.now};
	int r;

	if (*ino) {
		ext2fs_inode_alloc_stats2(x->fs, *ino, 1, 1);
		r = ext4_inode_describe(x, *ino, &m, err);
		return r < 0 ? r : ext4_dir_fill(x, *ino, *ino, err);
	}
	r = ext4_inode_create(x, EXT2_ROOT_INO, &m, 0, 0, ino, err);
	return r < 0 ? r : ext4_dir_fill(x, *ino, EXT2_ROOT_INO, err);
}

int ext4_mkfs(struct ext4 *x, struct ovbd_error *err)
{
	struct ext2_super_block s = {0};
	ext2_ino_t root = EXT2_ROOT_INO, lost = 0;
	char name[32];
	errcode_t code;
	int r;

	ext4_io_name(x, name);
	describe(x, &s);
	code = ext2fs_initialize(name, EXT2_FLAG_64BITS, &s, ext4_io_manager, &x->fs);
	if (code)
		return ext4_fail(x, code, err, "a new file system");
	describe_more(x);
	code = ext2fs_allocate_tables(x->fs);
	if (code)
		return ext4_fail(x, code, err, "the tables of a new file system");
	for (ext2_ino_t i = 1; i < EXT2_FIRST_INODE(x->fs->super); i++)
		if (i != EXT2_ROOT_INO)
			ext2fs_inode_alloc_stats2(x->fs, i, 1, 0);
	r = make_dir(x, &root, 0755, err);
	if (r == 0)
		r = make_dir(x, &lost, 0700, err);
	if (r == 0)
		r = ext4_dir_add(x, root, LOST_FOUND, strlen(LOST_FOUND), lost, S_IFDIR, err);
	return r;
}
