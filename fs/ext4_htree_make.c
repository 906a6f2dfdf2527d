// SPDX-License-Identifier: Apache-2.0
/*
 * A hash tree of all the names of a directory at once: they are sorted by their hashes and fill
 * block after block, which lie behind the root and the nodes. Within a block, where their order is
 * of no account, they are sorted by inode: so they compress as they did in the list.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/ext4_dir.h"

#define BLOCK OVBD_FS_BLOCK

struct hashed {
	uint32_t hash;
	const char *text;
	struct ext4_name *name;
};

struct making {
	struct ext4 *x;
	struct ext4_dir *d;
	uint8_t version;
	struct hashed *v;
	size_t n;
	size_t *leaves; /* the first name of each, and n behind them */
	size_t nleaves;
	unsigned nnodes; /* 0: the root has all leaves */
};

static void free_making(struct making *m)
{
	free(m->v);
	free(m->leaves);
}

/* ---- which names in which block ---- */

static int by_hash(const void *a, const void *b)
{
	const struct hashed *x = a, *y = b;
	int r;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	r = memcmp(x->text, y->text, ovbd_min(x->name->len, y->name->len));
	return r ? r : x->name->len - y->name->len;
}

static int by_inode(const void *a, const void *b)
{
	const struct hashed *x = a, *y = b;

	if (x->name->ino != y->name->ino)
		return x->name->ino < y->name->ino ? -1 : 1;
	return by_hash(a, b);
}

/* 1: done; 0: the superblock says a hash that we do not know. */
static int sort_names(struct making *m, struct ovbd_error *err)
{
	const struct ext4_dir *d = m->d;

	m->v = malloc((d->n + 1) * sizeof(m->v[0]));
	if (!m->v)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < d->cap; i++) {
		struct ext4_name *name = &d->names[i];
		struct hashed *h = &m->v[m->n];

		if (!name->len || !name->ino)
			continue;
		h->name = name;
		h->text = d->text + name->text;
		if (ext4_tree_hash(m->x, m->version, h->text, name->len, &h->hash) < 0)
			return 0;
		m->n++;
	}
	qsort(m->v, m->n, sizeof(m->v[0]), by_hash);
	return 1;
}

static int cut_leaves(struct making *m, struct ovbd_error *err)
{
	const size_t end = ext4_dir_end(m->x);
	size_t used = end; /* of the last one */

	m->leaves = malloc((m->n + 2) * sizeof(m->leaves[0]));
	if (!m->leaves)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < m->n; i++) {
		const size_t size = ext4_entry_size(m->v[i].name->len);

		if (used + size > end) {
			m->leaves[m->nleaves++] = i;
			used = 0;
		}
		used += size;
	}
	m->leaves[m->nleaves] = m->n;
	return 0;
}

/* Whether one level of nodes, or none, has room for all. */
static bool plan_nodes(struct making *m)
{
	const unsigned root = ext4_tree_limit(m->x, TREE_ROOT_PAIRS);
	const unsigned node = ext4_tree_limit(m->x, TREE_NODE_PAIRS);

	if (m->nleaves > (size_t)root * node)
		return false;
	m->nnodes = m->nleaves > root ? (unsigned)((m->nleaves + node - 1) / node) : 0;
	return true;
}

/* ---- blocks ---- */

static uint32_t hash_of(const struct making *m, size_t leaf)
{
	const size_t i = m->leaves[leaf];

	return i == 0 ? 0 : m->v[i].hash | (m->v[i].hash == m->v[i - 1].hash);
}

static int write_leaf(struct making *m, size_t leaf, struct ovbd_error *err)
{
	const uint32_t to = 1 + m->nnodes + (uint32_t)leaf;
	const size_t first = m->leaves[leaf], n = m->leaves[leaf + 1] - first;
	const uint16_t end = ext4_dir_end(m->x);
	uint8_t block[BLOCK] = {0};
	uint16_t at = 0, last = 0;

	qsort(m->v + first, n, sizeof(m->v[0]), by_inode);
	for (size_t i = first; i < first + n; i++) {
		struct ext4_name *name = m->v[i].name;
		const uint16_t size = ext4_entry_size(name->len);

		ext4_entry_put(block + at, name->ino, size, m->v[i].text, name->len, name->kind);
		name->block = to;
		last = at;
		at = (uint16_t)(at + size);
	}
	ovbd_put_le16(block + last + 4, (uint16_t)(end - last));
	return ext4_dir_write(m->x, m->d->ino, m->d->blocks[to], block, false, err);
}

/* Of the leaves [from, to), in block n of the directory. */
static int write_node(struct making *m, uint32_t n, size_t from, size_t to, struct ovbd_error *err)
{
	const bool is_root = n == 0;
	const unsigned pairs = is_root ? TREE_ROOT_PAIRS : TREE_NODE_PAIRS;
	uint8_t block[BLOCK];
	int r = ext4_dir_read(m->x, m->d->ino, m->d->blocks[n], block, err);

	if (r < 0)
		return r;
	ext4_tree_start(m->x, block, pairs);
	if (is_root)
		ext4_tree_root(block, m->version, m->nnodes > 0);
	for (size_t i = from; i < to; i++) {
		const size_t leaf =
			is_root && m->nnodes ? i * ext4_tree_limit(m->x, TREE_NODE_PAIRS) : i;
		const size_t at = is_root && m->nnodes ? 1 + i : 1 + m->nnodes + i;

		ext4_tree_insert(block, pairs, (unsigned)(i - from), hash_of(m, leaf),
		                 (uint32_t)at);
	}
	return ext4_dir_write(m->x, m->d->ino, m->d->blocks[n], block, true, err);
}

static int write_all(struct making *m, struct ovbd_error *err)
{
	const size_t node = ext4_tree_limit(m->x, TREE_NODE_PAIRS);
	int r = write_node(m, 0, 0, m->nnodes ? m->nnodes : m->nleaves, err);

	for (uint32_t i = 0; r == 0 && i < m->nnodes; i++)
		r = write_node(m, 1 + i, i * node, (size_t)ovbd_min((i + 1) * node, m->nleaves),
		               err);
	/* hash_of() needs the names by their hashes, so these come last */
	for (size_t i = 0; r == 0 && i < m->nleaves; i++)
		r = write_leaf(m, i, err);
	return r;
}

/* Blocks of a list that names were removed from. */
static int give_back(struct making *m, uint32_t nblocks, struct ovbd_error *err)
{
	struct ext4_dir *d = m->d;
	errcode_t code;

	if (nblocks >= d->nblocks)
		return 0;
	code = ext2fs_punch(m->x->fs, d->ino, NULL, NULL, nblocks, ~UINT64_C(0));
	if (code)
		return ext4_fail(m->x, code, err, "the blocks of directory %u", d->ino);
	for (uint32_t n = nblocks; n < d->nblocks; n++)
		ext4_blocks_forget(m->x->blocks, d->blocks[n], 1);
	d->nblocks = nblocks;
	return 0;
}

/* 1: there are as many blocks; 0: the file system is too full. */
static int take_blocks(struct making *m, uint32_t nblocks, struct ovbd_error *err)
{
	int r = give_back(m, nblocks, err);

	while (r == 0 && m->d->nblocks < nblocks)
		r = ext4_dir_grow(m->x, m->d, err);
	return r == -ENOSPC ? 0 : r < 0 ? r : 1;
}

int ext4_tree_make(struct ext4 *x, struct ext4_dir *d, struct ovbd_error *err)
{
	OVBD_AUTO(free_making)
	struct making m = {.x = x, .d = d, .version = x->fs->super->s_def_hash_version};
	int r;

	if (!ext2fs_has_feature_dir_index(x->fs->super))
		return 0;
	r = sort_names(&m, err);
	if (r > 0)
		r = cut_leaves(&m, err);
	if (r < 0 || m.nleaves <= DIR_LIST_MAX || !plan_nodes(&m))
		return r;
	r = take_blocks(&m, 1 + m.nnodes + (uint32_t)m.nleaves, err);
	if (r <= 0)
		return r;
	r = write_all(&m, err);
	if (r < 0)
		return r;
	d->indexed = true;
	return ext4_dir_describe(x, d->ino, true, (uint64_t)d->nblocks * BLOCK, err);
}
