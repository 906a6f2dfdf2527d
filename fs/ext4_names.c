// SPDX-License-Identifier: Apache-2.0
/*
 * Names of directories, each in a hash table of its own, read when the directory is first used and
 * kept up to date. Those used longest ago are forgotten when all of them take too much memory; what
 * is on "disk" is always complete.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/ext4.h"

#define MEMORY_MAX (32u << 20)

static uint32_t hash_of(const char *name, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 16777619u;
	return h;
}

static void free_dir(struct ext4_dir *d)
{
	if (!d)
		return;
	free(d->names);
	free(d->text);
	free(d->blocks);
	free(d->room);
	free(d);
}

static size_t memory_of(const struct ext4_dir *d)
{
	return sizeof(*d) + d->cap * sizeof(d->names[0]) + d->text_cap +
	       d->nblocks * (sizeof(d->blocks[0]) + sizeof(d->room[0]));
}

static void free_dirp(struct ext4_dir **d)
{
	free_dir(*d);
}

/* ---- which directories are known ---- */

static struct ext4_dir **bucket_of(struct ext4_names *n, ext2_ino_t ino)
{
	return &n->buckets[ino * 0x9e3779b1u >> 20];
}

static void put_newest(struct ext4_names *n, struct ext4_dir *d)
{
	d->newer = NULL;
	d->older = n->newest;
	if (n->newest)
		n->newest->newer = d;
	else
		n->oldest = d;
	n->newest = d;
}

static void take_out(struct ext4_names *n, struct ext4_dir *d)
{
	*(d->newer ? &d->newer->older : &n->newest) = d->older;
	*(d->older ? &d->older->newer : &n->oldest) = d->newer;
}

static void drop(struct ext4_names *n, struct ext4_dir *d)
{
	struct ext4_dir **at = bucket_of(n, d->ino);

	while (*at != d)
		at = &(*at)->chain;
	*at = d->chain;
	take_out(n, d);
	n->memory -= d->counted;
	free_dir(d);
}

static void count(struct ext4_names *n, struct ext4_dir *d)
{
	n->memory -= d->counted;
	d->counted = memory_of(d);
	n->memory += d->counted;
}

static struct ext4_dir *known(struct ext4_names *n, ext2_ino_t ino)
{
	struct ext4_dir *d = *bucket_of(n, ino);

	while (d && d->ino != ino)
		d = d->chain;
	return d;
}

void ext4_names_free(struct ext4 *x)
{
	while (x->names.newest)
		drop(&x->names, x->names.newest);
}

void ext4_names_forget(struct ext4 *x, ext2_ino_t ino)
{
	struct ext4_dir *d = known(&x->names, ino);

	if (d)
		drop(&x->names, d);
}

/* Those used longest ago, but for who is being gone through, and the newest. */
static void forget_old(struct ext4_names *n)
{
	struct ext4_dir *d = n->oldest;

	while (d && d != n->newest && n->memory > MEMORY_MAX) {
		struct ext4_dir *newer = d->newer;

		if (d->npins == 0)
			drop(n, d);
		d = newer;
	}
}

int ext4_names_of(struct ext4 *x, ext2_ino_t ino, struct ext4_dir **ret, struct ovbd_error *err)
{
	OVBD_AUTO(free_dirp) struct ext4_dir *fresh = NULL;
	struct ext4_names *n = &x->names;
	struct ext4_dir *d = known(n, ino);
	int r;

	if (d) {
		take_out(n, d);
	} else {
		fresh = calloc(1, sizeof(*fresh));
		if (!fresh)
			return ovbd_fail(err, -ENOMEM, "out of memory");
		fresh->ino = ino;
		r = ext4_dir_load(x, fresh, err);
		if (r < 0)
			return r;
		d = OVBD_MOVE(fresh);
		d->chain = *bucket_of(n, ino);
		*bucket_of(n, ino) = d;
	}
	if (n->newest)
		count(n, n->newest); /* it may have grown */
	put_newest(n, d);
	count(n, d);
	forget_old(n);
	*ret = d;
	return 0;
}

/* ---- names ---- */

static size_t place_of(const struct ext4_dir *d, uint32_t hash, const char *name, size_t len)
{
	size_t i = hash & (d->cap - 1);

	for (; d->names[i].len; i = (i + 1) & (d->cap - 1)) {
		const struct ext4_name *n = &d->names[i];

		if (n->ino && n->hash == hash && n->len == len &&
		    memcmp(d->text + n->text, name, len) == 0)
			break;
	}
	return i;
}

struct ext4_name *ext4_names_find(const struct ext4_dir *d, const char *name, size_t len)
{
	size_t i;

	if (d->cap == 0)
		return NULL;
	i = place_of(d, hash_of(name, len), name, len);
	return d->names[i].len ? &d->names[i] : NULL;
}

/* Room for one more, and no removed ones. */
static int grow(struct ext4_dir *d)
{
	const size_t cap = d->cap ? 2 * d->cap : 16;
	struct ext4_name *old = d->names, *names = calloc(cap, sizeof(*names));
	size_t n = 0;

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < d->cap; i++) {
		size_t at = old[i].hash & (cap - 1);

		if (!old[i].len || !old[i].ino)
			continue;
		while (names[at].len)
			at = (at + 1) & (cap - 1);
		names[at] = old[i];
		n++;
	}
	free(old);
	d->names = names;
	d->cap = cap;
	d->n = n;
	return 0;
}

int ext4_names_add(struct ext4_dir *d, const char *name, size_t len, uint32_t ino, uint8_t kind,
                   uint32_t block)
{
	const uint32_t hash = hash_of(name, len);

	if (3 * (d->n + 1) > 2 * d->cap && grow(d) < 0)
		return -ENOMEM;
	if (d->text_size + len > d->text_cap) {
		const size_t cap = 2 * d->text_cap + 256;
		char *text = realloc(d->text, cap);

		if (!text)
			return -ENOMEM;
		d->text = text;
		d->text_cap = cap;
	}
	memcpy(d->text + d->text_size, name, len);
	d->names[place_of(d, hash, name, len)] = (struct ext4_name){
		.hash = hash,
		.ino = ino,
		.block = block,
		.text = (uint32_t)d->text_size,
		.len = (uint8_t)len,
		.kind = kind,
	};
	d->text_size += len;
	d->n++;
	return 0;
}

int ext4_names_add_block(struct ext4_dir *d, blk64_t block, uint16_t room)
{
	const uint32_t n = d->nblocks;

	if ((n & (n - 1)) == 0) { /* full: there is room for a power of two */
		const size_t cap = n ? 2 * (size_t)n : 1;
		blk64_t *blocks = realloc(d->blocks, cap * sizeof(*blocks));
		uint16_t *rooms;

		if (!blocks)
			return -ENOMEM;
		d->blocks = blocks;
		rooms = realloc(d->room, cap * sizeof(*rooms));
		if (!rooms)
			return -ENOMEM;
		d->room = rooms;
	}
	d->blocks[n] = block;
	d->room[n] = room;
	d->nblocks++;
	return 0;
}
