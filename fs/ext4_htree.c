// SPDX-License-Identifier: Apache-2.0
/*
 * The hash tree of a directory: a root, at most one level of nodes, and blocks of names, each of a
 * range of hashes. A name goes into the block of its hash; a block that is full is halved, and the
 * upper half goes to a new one at the end of the directory. So a new name changes one block, or
 * three. Removing one leaves the tree as it is.
 *
 * As the kernel does it (fs/ext4/namei.c), without the third level of large_dir.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fs/ext4_dir.h"

#define BLOCK       OVBD_FS_BLOCK
#define ENTRIES_MAX (BLOCK / DIR_ENTRY_MIN)
#define HASH_END    0xfffffffeu /* is no name's */

/* ---- roots and nodes ---- */

unsigned ext4_tree_limit(const struct ext4 *x, unsigned pairs)
{
	const unsigned tail = ext4_dir_end(x) < BLOCK ? TREE_PAIR_SIZE : 0;

	return (BLOCK - pairs - tail) / TREE_PAIR_SIZE;
}

void ext4_tree_start(const struct ext4 *x, uint8_t *block, unsigned pairs)
{
	const size_t kept = pairs == TREE_ROOT_PAIRS ? TREE_ROOT_INFO : 0;

	memset(block + kept, 0, BLOCK - kept);
	if (kept)
		ovbd_put_le16(block + DIR_DOT_SIZE + 4, BLOCK - DIR_DOT_SIZE);
	else
		ovbd_put_le16(block + 4, BLOCK);
	ovbd_put_le16(block + pairs, (uint16_t)ext4_tree_limit(x, pairs));
}

void ext4_tree_root(uint8_t *block, uint8_t version, uint8_t levels)
{
	block[TREE_ROOT_INFO + 4] = version;
	block[TREE_ROOT_INFO + 5] = TREE_INFO_SIZE;
	block[TREE_ROOT_INFO + 6] = levels;
}

unsigned ext4_tree_count(const uint8_t *block, unsigned pairs)
{
	return ovbd_get_le16(block + pairs + 2);
}

static void set_count(uint8_t *block, unsigned pairs, unsigned n)
{
	ovbd_put_le16(block + pairs + 2, (uint16_t)n);
}

static uint32_t hash_at(const uint8_t *block, unsigned pairs, unsigned i)
{
	return i == 0 ? 0 : ovbd_get_le32(block + pairs + i * TREE_PAIR_SIZE);
}

static uint32_t block_at(const uint8_t *block, unsigned pairs, unsigned i)
{
	return ovbd_get_le32(block + pairs + i * TREE_PAIR_SIZE + 4) & TREE_BLOCK_MASK;
}

void ext4_tree_insert(uint8_t *block, unsigned pairs, unsigned i, uint32_t hash, uint32_t to)
{
	const unsigned n = ext4_tree_count(block, pairs);
	uint8_t *at = block + pairs + i * TREE_PAIR_SIZE;

	memmove(at + TREE_PAIR_SIZE, at, (n - i) * TREE_PAIR_SIZE);
	if (i > 0)
		ovbd_put_le32(at, hash);
	ovbd_put_le32(at + 4, to);
	set_count(block, pairs, n + 1);
}

int ext4_tree_hash(const struct ext4 *x, uint8_t version, const char *name, size_t len,
                   uint32_t *ret)
{
	const bool is_unsigned = x->fs->super->s_flags & EXT2_FLAGS_UNSIGNED_HASH;
	const int unsigned_from = EXT2_HASH_LEGACY_UNSIGNED - EXT2_HASH_LEGACY;

	if (version > EXT2_HASH_TEA ||
	    ext2fs_dirhash2(version + (is_unsigned ? unsigned_from : 0), name, (int)len, NULL, 0,
	                    x->fs->super->s_hash_seed, ret, NULL))
		return -ENOTSUP;
	if (*ret == HASH_END)
		*ret -= 2;
	return 0;
}

/* ---- the way to a name ---- */

/* A root or node on the way. */
struct step {
	uint32_t n; /* the directory's block */
	unsigned pairs;
	unsigned i; /* the pair that was followed */
	uint8_t block[BLOCK];
};

struct way {
	struct ext4 *x;
	struct ext4_dir *d;
	struct step root, node;
	unsigned levels; /* 1: node is on the way */
	uint8_t version;
	uint32_t hash; /* of the name */
	uint32_t leaf; /* the directory's block for it */
};

static struct step *last_of(struct way *w)
{
	return w->levels ? &w->node : &w->root;
}

static int read_step(struct way *w, struct step *s, struct ovbd_error *err)
{
	return ext4_dir_read(w->x, w->d->ino, w->d->blocks[s->n], s->block, err);
}

static int write_step(struct way *w, struct step *s, struct ovbd_error *err)
{
	return ext4_dir_write(w->x, w->d->ino, w->d->blocks[s->n], s->block, true, err);
}

/* Which pair to follow, and where it leads. False: what is there is damaged. */
static bool follow(const struct way *w, struct step *s, uint32_t *ret)
{
	const unsigned limit = ovbd_get_le16(s->block + s->pairs);
	const unsigned n = ext4_tree_count(s->block, s->pairs);
	unsigned low = 0, high = n;

	if (limit != ext4_tree_limit(w->x, s->pairs) || n == 0 || n > limit)
		return false;
	while (high - low > 1) {
		const unsigned mid = low + (high - low) / 2;

		if (hash_at(s->block, s->pairs, mid) <= w->hash)
			low = mid;
		else
			high = mid;
	}
	s->i = low;
	*ret = block_at(s->block, s->pairs, low);
	return *ret > 0 && *ret < w->d->nblocks;
}

/* 1: *w is the way to the name; 0: there is no tree that we know. */
static int find_way(struct way *w, const char *name, size_t len, struct ovbd_error *err)
{
	const uint8_t *info = w->root.block + TREE_ROOT_INFO;
	int r = read_step(w, &w->root, err);

	w->version = info[4];
	w->levels = info[6];
	if (r < 0)
		return r;
	if (!ext2fs_has_feature_dir_index(w->x->fs->super) || info[5] != TREE_INFO_SIZE ||
	    w->levels > 1 || ext4_tree_hash(w->x, w->version, name, len, &w->hash) < 0 ||
	    !follow(w, &w->root, &w->leaf))
		return 0;
	if (w->levels == 0)
		return 1;
	w->node.n = w->leaf;
	r = read_step(w, &w->node, err);
	return r < 0 ? r : follow(w, &w->node, &w->leaf);
}

/* ---- room for one more pair ---- */

/* What the root has goes to a new node. */
static int deepen(struct way *w, struct ovbd_error *err)
{
	struct step *root = &w->root, *node = &w->node;
	const unsigned n = ext4_tree_count(root->block, root->pairs);
	int r;

	node->n = w->d->nblocks;
	node->i = root->i;
	r = ext4_dir_grow(w->x, w->d, err);
	if (r < 0)
		return r;
	ext4_tree_start(w->x, node->block, node->pairs);
	memcpy(node->block + node->pairs + 4, root->block + root->pairs + 4,
	       n * TREE_PAIR_SIZE - 4);
	set_count(node->block, node->pairs, n);
	ext4_tree_start(w->x, root->block, root->pairs);
	ext4_tree_root(root->block, w->version, 1);
	ext4_tree_insert(root->block, root->pairs, 0, 0, node->n);
	root->i = 0;
	w->levels = 1;
	r = write_step(w, node, err);
	return r < 0 ? r : write_step(w, root, err);
}

/* The upper half of the node goes to a new one, and the way may be through that. */
static int halve_node(struct way *w, struct ovbd_error *err)
{
	struct step *node = &w->node, upper = {.n = w->d->nblocks, .pairs = node->pairs};
	const unsigned n = ext4_tree_count(node->block, node->pairs), half = n / 2;
	int r = ext4_dir_grow(w->x, w->d, err);

	if (r < 0)
		return r;
	ext4_tree_start(w->x, upper.block, upper.pairs);
	memcpy(upper.block + upper.pairs + 4, node->block + node->pairs + half * TREE_PAIR_SIZE + 4,
	       (n - half) * TREE_PAIR_SIZE - 4);
	set_count(upper.block, upper.pairs, n - half);
	ext4_tree_insert(w->root.block, w->root.pairs, w->root.i + 1,
	                 hash_at(node->block, node->pairs, half), upper.n);
	set_count(node->block, node->pairs, half);
	r = write_step(w, &upper, err);
	if (r == 0)
		r = write_step(w, node, err);
	if (r == 0)
		r = write_step(w, &w->root, err);
	if (node->i >= half) {
		upper.i = node->i - half;
		*node = upper;
		w->root.i++;
	}
	return r;
}

static bool is_full(const struct step *s)
{
	return ext4_tree_count(s->block, s->pairs) == ovbd_get_le16(s->block + s->pairs);
}

/* 1: there is; 0: the tree is full. */
static int make_room(struct way *w, struct ovbd_error *err)
{
	int r = 0;

	if (!is_full(last_of(w)))
		return 1;
	if (w->levels == 1 && is_full(&w->root))
		return 0;
	r = w->levels == 0 ? deepen(w, err) : halve_node(w, err);
	return r < 0 ? r : 1;
}

/* ---- a block of names ---- */

struct hashed {
	uint32_t hash;
	struct ext4_entry e;
};

static int by_hash(const void *a, const void *b)
{
	const struct hashed *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->e.at < y->e.at ? -1 : 1;
}

static size_t sort_names(struct way *w, const uint8_t *block, struct hashed v[ENTRIES_MAX])
{
	struct ext4_entry e = {0};
	size_t n = 0;

	while (n < ENTRIES_MAX && ext4_entry_next(block, ext4_dir_end(w->x), &e))
		if (e.ino && e.len > 0) {
			ext4_tree_hash(w->x, w->version, e.name, e.len, &v[n].hash);
			v[n++].e = e;
		}
	qsort(v, n, sizeof(v[0]), by_hash);
	return n;
}

/* How many of them, of the lowest hashes, are half of their bytes. 1 .. n - 1. */
static size_t half_of(const struct hashed *v, size_t n)
{
	size_t all = 0, size = 0, k = 0;

	for (size_t i = 0; i < n; i++)
		all += ext4_entry_size(v[i].e.len);
	while (k + 2 < n && 2 * (size + ext4_entry_size(v[k].e.len)) <= all)
		size += ext4_entry_size(v[k++].e.len);
	return k ? k : 1;
}

/* These names in block n of the directory, and no others. */
static int write_names(struct way *w, uint32_t n, const struct hashed *v, size_t nnames,
                       uint8_t *block, struct ovbd_error *err)
{
	const uint16_t end = ext4_dir_end(w->x);
	uint16_t at = 0, last = 0;

	memset(block, 0, BLOCK);
	for (size_t i = 0; i < nnames; i++) {
		const struct ext4_entry *e = &v[i].e;
		struct ext4_name *known = ext4_names_find(w->d, e->name, e->len);
		const uint16_t size = ext4_entry_size(e->len);

		if (!known)
			return ext4_dir_bad(w->d->ino, n, e->at, err);
		known->block = n;
		ext4_entry_put(block + at, e->ino, size, e->name, e->len, e->kind);
		last = at;
		at = (uint16_t)(at + size);
	}
	ovbd_put_le16(block + last + 4, (uint16_t)(end - last));
	return ext4_dir_write(w->x, w->d->ino, w->d->blocks[n], block, false, err);
}

/* The block that the way leads to becomes two, of which block is the one for the name then. */
static int halve_leaf(struct way *w, uint8_t *block, struct ovbd_error *err)
{
	struct hashed v[ENTRIES_MAX];
	uint8_t old[BLOCK], upper[BLOCK];
	struct step *s = last_of(w);
	const uint32_t to = w->d->nblocks;
	size_t n, k;
	bool again;
	int r = ext4_dir_grow(w->x, w->d, err);

	if (r < 0)
		return r;
	memcpy(old, block, BLOCK);
	n = sort_names(w, old, v);
	if (n < 2)
		return ext4_dir_bad(w->d->ino, w->leaf, 0, err);
	k = half_of(v, n);
	again = v[k].hash == v[k - 1].hash;
	ext4_tree_insert(s->block, s->pairs, s->i + 1, v[k].hash | again, to);
	r = write_names(w, w->leaf, v, k, block, err);
	if (r == 0)
		r = write_names(w, to, v + k, n - k, upper, err);
	if (r == 0)
		r = write_step(w, s, err);
	if (w->hash >= v[k].hash) {
		memcpy(block, upper, BLOCK);
		w->leaf = to;
	}
	return r;
}

int ext4_tree_add(struct ext4 *x, struct ext4_dir *d, const char *name, size_t len, ext2_ino_t ino,
                  uint8_t kind, struct ovbd_error *err)
{
	struct way w = {
		.x = x,
		.d = d,
		.root = {.pairs = TREE_ROOT_PAIRS},
		.node = {.pairs = TREE_NODE_PAIRS},
	};
	uint8_t block[BLOCK];
	int r = find_way(&w, name, len, err);

	if (r <= 0)
		return r;
	r = ext4_dir_read(x, d->ino, d->blocks[w.leaf], block, err);
	if (r < 0)
		return r;
	if (!ext4_entry_insert(block, ext4_dir_end(x), name, len, ino, kind)) {
		r = make_room(&w, err);
		if (r <= 0)
			return r;
		r = halve_leaf(&w, block, err);
		if (r < 0)
			return r;
		if (!ext4_entry_insert(block, ext4_dir_end(x), name, len, ino, kind))
			return ext4_dir_bad(d->ino, w.leaf, 0, err);
	}
	r = ext4_dir_write(x, d->ino, d->blocks[w.leaf], block, false, err);
	if (r == 0 && ext4_names_add(d, name, len, ino, kind, w.leaf) < 0)
		r = ovbd_fail(err, -ENOMEM, "out of memory");
	return r < 0 ? r : 1;
}
