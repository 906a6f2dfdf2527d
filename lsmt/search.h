/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an index is stored, and how it is searched. Private to index.c and search*.c.
 *
 * The segments lie in two arrays, in order: keys[i] is where segment i begins, entries[i] says what
 * it is. Entry 0 is a segment of no length at 0, so that a search always finds something. Above the
 * keys stands a B+tree without pointers, of nodes that are one cache line each:
 *
 *                     root root                   two nodes side by side, up to 33 children
 *                  /    |     |    \
 *              node   node   node   node          level[1]: 16 keys and 17 children a node
 *             /  |  \
 *         node  node  node ...                    level[0]
 *        /  |  \
 *   keys 0..15  keys 16..31  keys 32..47 ...      the leaves: the array keys itself
 *
 * Key j of a node is the first key of the leaves below its child j + 1; so the number of keys <= x
 * in a node is the number of the child to go to, and child c of node i is node 17 * i + c of the
 * next level. Where there is no child the key is all ones, which nothing looked for reaches.
 *
 * There are two widths. Narrow: keys are 32-bit sectors; device and sources are below 2 TiB. That
 * is 12.3 bytes a segment. Wide: the key is 64 bits, sector << 14 | length, a node holds 8 keys and
 * has 9 children, and the root up to 17. That is 17.2 bytes.
 *
 * A lookup is bound by latency, so what matters is how many of them the processor can overlap: no
 * branch depends on what is found, nothing is computed twice, and the line of entries is fetched
 * while the leaf is still being searched. The functions here are templates: each instruction set's
 * file passes its own way to count the keys <= x of a node, and all of it is inlined there.
 */
#ifndef OVBD_LSMT_SEARCH_H
#define OVBD_LSMT_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lsmt/lines.h"
#include "lsmt/lsmt.h"

#define INDEX_SECTOR_BITS 9
#define INDEX_SECTOR      (UINT64_C(1) << INDEX_SECTOR_BITS)
#define INDEX_LEN_BITS    14 /* of a wide key; sectors */
#define INDEX_LEN_MAX     ((UINT64_C(1) << INDEX_LEN_BITS) - 1)
#define INDEX_LEVELS_MAX  8

#define INDEX_NODE_SIZE   OVBD_LINE_SIZE
#define INDEX_NARROW_KEYS 16 /* in a node */
#define INDEX_WIDE_KEYS   8

/* What a narrow index can name, in bytes. Its sectors stay below the key that is all ones. */
#define INDEX_NARROW_END     (((UINT64_C(1) << 32) - 1) << INDEX_SECTOR_BITS)
#define INDEX_NARROW_SRC_END (UINT64_C(1) << (32 + INDEX_SECTOR_BITS))

struct ovbd_narrow_entry {
	uint32_t delta; /* source - key, modulo 2^32, in sectors */
	uint16_t len;   /* in sectors */
	uint8_t kind;
	uint8_t layer;
};

/* (source - offset in bytes, modulo 2^64, a multiple of 512) | kind << 8 | layer */
#define INDEX_WIDE_KIND_SHIFT 8
#define INDEX_WIDE_DELTA_MASK (~UINT64_C(511))

struct ovbd_index {
	struct ovbd_segment (*at)(const struct ovbd_index *ix, uint64_t off, uint64_t len);
	uint64_t end; /* of the last segment, bytes */
	const void *root;
	unsigned nlevels;                    /* between the root and the leaves */
	bool wide;                           /* or narrow */
	const void *level[INDEX_LEVELS_MAX]; /* [0] just above the leaves */
	struct ovbd_lines keys; /* then all ones, at least once, up to the end of a node */
	struct ovbd_lines entries;
	struct ovbd_lines tree; /* root and levels */
	uint64_t n;             /* of keys and of entries, with entry 0 */
	uint64_t src_end;       /* of the DATA segment whose source ends last, bytes */
	uint64_t memory;        /* bytes of it all, this struct too */
	uint64_t (*find)(const struct ovbd_index *ix, uint64_t off);
};

/* One instruction set. at() is ovbd_index_at(); find() only searches: the position of the last
 * key <= off, which must be less than the index's end. */
struct ovbd_search {
	const char *name;
	bool (*supported)(void);
	struct ovbd_segment (*narrow_at)(const struct ovbd_index *ix, uint64_t off, uint64_t len);
	struct ovbd_segment (*wide_at)(const struct ovbd_index *ix, uint64_t off, uint64_t len);
	uint64_t (*narrow_find)(const struct ovbd_index *ix, uint64_t off);
	uint64_t (*wide_find)(const struct ovbd_index *ix, uint64_t off);
};

extern const struct ovbd_search ovbd_search_avx512, ovbd_search_avx2, ovbd_search_neon,
	ovbd_search_plain;

/* Those of this processor's family, best first, the plain one last; NULL-terminated. */
extern const struct ovbd_search *const ovbd_searches[];

/* The first of them that this processor has. */
const struct ovbd_search *ovbd_search_best(void);

/* Makes ix use s, which is supported; for tests and benchmarks. */
void ovbd_index_use(struct ovbd_index *ix, const struct ovbd_search *s);

#define INDEX_TEMPLATE static inline __attribute__((always_inline))

typedef uint64_t ovbd_count_narrow(const uint32_t *node, uint32_t x);
typedef uint64_t ovbd_count_wide(const uint64_t *node, uint64_t x);

INDEX_TEMPLATE const void *ovbd_at_byte(const void *p, uint64_t off)
{
	return (const uint8_t *)p + off;
}

/* Where, in bytes from the first, the leaf is that x belongs to. */
INDEX_TEMPLATE uint64_t ovbd_narrow_leaf(const struct ovbd_index *ix, uint32_t x,
                                         ovbd_count_narrow *count)
{
	const uint32_t *root = ix->root;
	uint64_t node = (count(root, x) + count(root + INDEX_NARROW_KEYS, x)) * INDEX_NODE_SIZE;

	for (unsigned i = ix->nlevels; i-- > 0;)
		node = node * (INDEX_NARROW_KEYS + 1) +
		       count(ovbd_at_byte(ix->level[i], node), x) * INDEX_NODE_SIZE;
	return node;
}

INDEX_TEMPLATE uint64_t ovbd_wide_leaf(const struct ovbd_index *ix, uint64_t x,
                                       ovbd_count_wide *count)
{
	const uint64_t *root = ix->root;
	uint64_t node = (count(root, x) + count(root + INDEX_WIDE_KEYS, x)) * INDEX_NODE_SIZE;

	for (unsigned i = ix->nlevels; i-- > 0;)
		node = node * (INDEX_WIDE_KEYS + 1) +
		       count(ovbd_at_byte(ix->level[i], node), x) * INDEX_NODE_SIZE;
	return node;
}

/* The key that is >= every key of a segment which begins at or before the sector. */
INDEX_TEMPLATE uint64_t ovbd_wide_key(uint64_t sector)
{
	return sector << INDEX_LEN_BITS | INDEX_LEN_MAX;
}

INDEX_TEMPLATE uint64_t ovbd_narrow_find(const struct ovbd_index *ix, uint64_t off,
                                         ovbd_count_narrow *count)
{
	const uint32_t x = (uint32_t)(off >> INDEX_SECTOR_BITS);
	const uint64_t leaf = ovbd_narrow_leaf(ix, x, count);

	return leaf / sizeof(uint32_t) + count(ovbd_at_byte(ix->keys.p, leaf), x) - 1;
}

INDEX_TEMPLATE uint64_t ovbd_wide_find(const struct ovbd_index *ix, uint64_t off,
                                       ovbd_count_wide *count)
{
	const uint64_t x = ovbd_wide_key(off >> INDEX_SECTOR_BITS);
	const uint64_t leaf = ovbd_wide_leaf(ix, x, count);

	return leaf / sizeof(uint64_t) + count(ovbd_at_byte(ix->keys.p, leaf), x) - 1;
}

/* Behind the last segment all is hole. Before its end a gap always has a next segment. */
INDEX_TEMPLATE struct ovbd_segment ovbd_behind(uint64_t off, uint64_t len)
{
	return (struct ovbd_segment){.off = off, .len = len, .kind = OVBD_RUN_HOLE};
}

/* What at() returns. left_in is how many sectors behind this one the segment goes on, left_out how
 * many remain before the next one begins. Outside of the segment left_in has wrapped around, so the
 * smaller of the two counts. (The kind is selected by a mask, as ?: would become a branch.) */
INDEX_TEMPLATE struct ovbd_segment ovbd_cut(uint64_t off, uint64_t len, uint64_t left_in,
                                            uint64_t left_out, enum ovbd_run_kind kind)
{
	const unsigned out = 0u - (left_out < left_in);
	const uint64_t left = (left_in < left_out ? left_in : left_out) << INDEX_SECTOR_BITS;
	const uint64_t room = left + (INDEX_SECTOR - off % INDEX_SECTOR);

	return (struct ovbd_segment){
		.off = off,
		.len = len < room ? len : room,
		.kind = kind ^ ((kind ^ (unsigned)OVBD_RUN_HOLE) & out),
	};
}

INDEX_TEMPLATE struct ovbd_segment ovbd_narrow_at(const struct ovbd_index *ix, uint64_t off,
                                                  uint64_t len, ovbd_count_narrow *count)
{
	const uint32_t x = (uint32_t)(off >> INDEX_SECTOR_BITS);
	const struct ovbd_narrow_entry *entry;
	struct ovbd_segment s;
	const uint32_t *key;
	uint64_t leaf, n;

	if (__builtin_expect(off >= ix->end, 0))
		return ovbd_behind(off, len);
	leaf = ovbd_narrow_leaf(ix, x, count);
	key = ovbd_at_byte(ix->keys.p, leaf);
	entry = ovbd_at_byte(ix->entries.p, leaf * (sizeof(*entry) / sizeof(*key)));
	__builtin_prefetch(entry);
	__builtin_prefetch(entry + INDEX_NARROW_KEYS / 2);
	n = count(key, x);
	s = ovbd_cut(off, len, key[n - 1] + entry[n - 1].len - (x + 1), key[n] - (x + 1),
	             (enum ovbd_run_kind)entry[n - 1].kind);
	s.src = ((uint64_t)(entry[n - 1].delta + x) << INDEX_SECTOR_BITS) | off % INDEX_SECTOR;
	s.layer = entry[n - 1].layer;
	return s;
}

INDEX_TEMPLATE struct ovbd_segment ovbd_wide_at(const struct ovbd_index *ix, uint64_t off,
                                                uint64_t len, ovbd_count_wide *count)
{
	const uint64_t sector = off >> INDEX_SECTOR_BITS, x = ovbd_wide_key(sector);
	const uint64_t *key, *entry;
	struct ovbd_segment s;
	uint64_t leaf, n;

	if (__builtin_expect(off >= ix->end, 0))
		return ovbd_behind(off, len);
	leaf = ovbd_wide_leaf(ix, x, count);
	key = ovbd_at_byte(ix->keys.p, leaf);
	entry = ovbd_at_byte(ix->entries.p, leaf);
	__builtin_prefetch(entry);
	n = count(key, x);
	s = ovbd_cut(off, len,
	             (key[n - 1] >> INDEX_LEN_BITS) + (key[n - 1] & INDEX_LEN_MAX) - (sector + 1),
	             (key[n] >> INDEX_LEN_BITS) - (sector + 1),
	             (enum ovbd_run_kind)(entry[n - 1] >> INDEX_WIDE_KIND_SHIFT & 1));
	s.src = (entry[n - 1] & INDEX_WIDE_DELTA_MASK) + off;
	s.layer = (uint8_t)entry[n - 1];
	return s;
}

/* The functions of an instruction set, from its two ways to count. TARGET makes the compiler use
 * it. */
#define OVBD_SEARCH(id, text, TARGET, count_narrow, count_wide)                                    \
	TARGET static struct ovbd_segment narrow_at(const struct ovbd_index *ix, uint64_t off,     \
	                                            uint64_t len)                                  \
	{                                                                                          \
		return ovbd_narrow_at(ix, off, len, count_narrow);                                 \
	}                                                                                          \
	TARGET static struct ovbd_segment wide_at(const struct ovbd_index *ix, uint64_t off,       \
	                                          uint64_t len)                                    \
	{                                                                                          \
		return ovbd_wide_at(ix, off, len, count_wide);                                     \
	}                                                                                          \
	TARGET static uint64_t narrow_find(const struct ovbd_index *ix, uint64_t off)              \
	{                                                                                          \
		return ovbd_narrow_find(ix, off, count_narrow);                                    \
	}                                                                                          \
	TARGET static uint64_t wide_find(const struct ovbd_index *ix, uint64_t off)                \
	{                                                                                          \
		return ovbd_wide_find(ix, off, count_wide);                                        \
	}                                                                                          \
	const struct ovbd_search id = {text, supported, narrow_at, wide_at, narrow_find, wide_find}

#endif
