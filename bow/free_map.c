// SPDX-License-Identifier: Apache-2.0
/*
 * What was free at the checkpoint, written into free space, so that it is known after a restart:
 * there nothing needs a backup. The log names it as entry 1 of its first block, the backup of some
 * other free space, so that any tool takes care of it (moves it, too), and restores a device that
 * has one as any other.
 *
 * A header; then the runs, each as two numbers of blocks: how many are between it and the one
 * before, and how many it has, both in LEB128. What is not right in every respect is none: such
 * bytes may be anybody's, in the backup of anything.
 */
#include "bow/free_map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "bow/walk.h"

#define MAGIC 0x4d574f42u /* "BOWM" */

static size_t varint_size(uint64_t v)
{
	size_t n = 1;

	for (; v >= 0x80; v >>= 7)
		n++;
	return n;
}

static uint8_t *varint_put(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

/* False: it ends in between, or is none. */
static bool varint_get(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
	unsigned shift = 0;

	*ret = 0;
	for (; *p < end && shift < 63; shift += 7) {
		const uint8_t byte = *(*p)++;

		*ret |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool next_free(const struct bow_ranges *r, uint64_t *off, struct bow_range *ret)
{
	while (ovbd_bow_ranges_next(r, *off, ret)) {
		*off = ret->off + ret->len;
		if (ret->kind == BOW_FREE)
			return true;
	}
	return false;
}

/* Into p, or, if it is NULL, only how many bytes. */
static size_t put_runs(const struct bow_ranges *r, uint32_t block_size, uint8_t *p)
{
	uint64_t off = 0, end = 0;
	struct bow_range g;
	size_t size = 0;

	while (next_free(r, &off, &g)) {
		const uint64_t gap = (g.off - end) / block_size, n = g.len / block_size;

		end = g.off + g.len;
		size += varint_size(gap) + varint_size(n);
		if (p)
			p = varint_put(varint_put(p, gap), n);
	}
	return size;
}

int ovbd_bow_free_map_encode(const struct bow_ranges *r, uint32_t block_size, uint8_t **ret,
                             size_t *ret_size, struct ovbd_error *err)
{
	const size_t runs_size = put_runs(r, block_size, NULL);
	const size_t size = ovbd_align_up(BOW_MAP_HEADER_SIZE + runs_size, block_size);
	uint8_t *map = calloc(1, size);

	if (!map)
		return ovbd_fail(err, -ENOMEM, "out of memory for a map of %zu bytes", size);
	put_runs(r, block_size, map + BOW_MAP_HEADER_SIZE);
	ovbd_put_le32(map + BOW_OFF_MAP_MAGIC, MAGIC);
	ovbd_put_le32(map + BOW_OFF_MAP_BLOCK_SIZE, block_size);
	ovbd_put_le64(map + BOW_OFF_MAP_RUNS_SIZE, runs_size);
	*ret = map;
	*ret_size = size;
	return 0;
}

static uint32_t checksum(const uint8_t *map, uint64_t runs_size)
{
	const size_t from = BOW_OFF_MAP_BLOCK_SIZE;

	return ~ovbd_crc32c(UINT32_MAX, map + from, BOW_MAP_HEADER_SIZE + (size_t)runs_size - from);
}

void ovbd_bow_free_map_place(uint8_t *map, const struct bow_entry *e)
{
	ovbd_put_le64(map + BOW_OFF_MAP_SOURCE, e->source / BOW_SECTOR);
	ovbd_put_le64(map + BOW_OFF_MAP_DEST, e->dest / BOW_SECTOR);
	ovbd_put_le32(map + BOW_OFF_MAP_CHECKSUM,
	              checksum(map, ovbd_get_le64(map + BOW_OFF_MAP_RUNS_SIZE)));
}

static bool is_map(const uint8_t *map, const struct bow_entry *e, uint32_t block_size)
{
	const uint64_t runs_size = ovbd_get_le64(map + BOW_OFF_MAP_RUNS_SIZE);

	return ovbd_get_le32(map + BOW_OFF_MAP_MAGIC) == MAGIC &&
	       runs_size <= e->size - BOW_MAP_HEADER_SIZE &&
	       ovbd_get_le32(map + BOW_OFF_MAP_CHECKSUM) == checksum(map, runs_size) &&
	       ovbd_get_le32(map + BOW_OFF_MAP_BLOCK_SIZE) == block_size &&
	       ovbd_get_le64(map + BOW_OFF_MAP_SOURCE) == e->source / BOW_SECTOR &&
	       ovbd_get_le64(map + BOW_OFF_MAP_DEST) == e->dest / BOW_SECTOR;
}

/* The runs into r; if r is NULL, whether they lie on the device. 1, 0: no, or -ENOMEM. */
static int get_runs(const uint8_t *map, uint32_t block_size, uint64_t size, struct bow_ranges *r,
                    struct ovbd_error *err)
{
	const uint64_t nblocks = size / block_size;
	const uint8_t *p = map + BOW_MAP_HEADER_SIZE;
	const uint8_t *end = p + ovbd_get_le64(map + BOW_OFF_MAP_RUNS_SIZE);
	uint64_t at = 0;

	while (p < end) {
		uint64_t gap, n;
		size_t budget = 0;

		if (!varint_get(&p, end, &gap) || !varint_get(&p, end, &n) || n == 0)
			return 0;
		if (gap > nblocks - at || n > nblocks - at - gap)
			return 0;
		at += gap;
		if (r && ovbd_bow_ranges_reserve(r, 1, &budget, err) < 0)
			return -ENOMEM;
		if (r)
			ovbd_bow_ranges_put(r, at * block_size, n * block_size, BOW_CHANGED,
			                    &budget);
		if (r)
			ovbd_bow_ranges_release(r, &budget);
		at += n;
	}
	return 1;
}

/* What the walk's last entry has backed up, wherever it lies. */
static int read_backup(const struct bow_walk *w, uint8_t *buf, size_t size, struct ovbd_error *err)
{
	uint64_t at, n;
	int r = 0;

	for (size_t off = 0; r == 0 && off < size; off += n) {
		ovbd_bow_walk_place(w, off, &at, &n);
		n = ovbd_min(n, size - off);
		r = ovbd_blob_pread(w->b, buf + off, n, at, err);
	}
	return r;
}

static int take(const struct bow_walk *w, const struct bow_entry *e, uint32_t block_size,
                struct bow_ranges *ranges, struct ovbd_error *err)
{
	AUTO_FREE uint8_t *map = NULL;
	uint8_t header[BOW_MAP_HEADER_SIZE];
	int r = read_backup(w, header, sizeof(header), err);

	if (r < 0 || ovbd_get_le32(header + BOW_OFF_MAP_MAGIC) != MAGIC)
		return r;
	map = malloc(e->size);
	if (!map)
		return ovbd_fail(err, -ENOMEM, "out of memory for a map");
	r = read_backup(w, map, e->size, err);
	if (r < 0 || !is_map(map, e, block_size))
		return r;
	r = get_runs(map, block_size, w->b->size, NULL, err);
	if (r > 0)
		r = get_runs(map, block_size, w->b->size, ranges, err);
	return r < 0 ? r : 0;
}

int ovbd_bow_free_map_read(struct ovbd_blob *b, struct bow_ranges *ranges, struct ovbd_error *err)
{
	AUTO_BOW_WALK w = {0};
	struct bow_entry e;
	int r = ovbd_bow_walk_begin(&w, b, err);

	if (r < 0)
		return r;
	do
		r = ovbd_bow_walk_next(&w, &e, err);
	while (r > 0 && !(w.header.sequence == 0 && w.index == 1));
	return r <= 0 ? r : take(&w, &e, w.newest.block_size, ranges, err);
}
