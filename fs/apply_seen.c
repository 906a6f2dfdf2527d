// SPDX-License-Identifier: Apache-2.0
/* A hash set of pairs (directory, name), with their letters. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/apply.h"

struct pair {
	uint64_t hash;
	char *text; /* owned; NULL: nothing is there, or (hash 1) was removed */
	ext2_ino_t dir;
	uint8_t len;
};

struct fs_seen {
	struct pair *v;
	size_t n, cap; /* n: with those that were removed */
};

int fs_seen_create(struct fs_seen **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void fs_seen_free(struct fs_seen *take_s)
{
	if (!take_s)
		return;
	for (size_t i = 0; i < take_s->cap; i++)
		free(take_s->v[i].text);
	free(take_s->v);
	free(take_s);
}

/* Never 0 or 1. */
static uint64_t hash_of(ext2_ino_t dir, const char *name, size_t len)
{
	uint64_t h = 14695981039346656037u ^ dir;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 1099511628211u;
	h ^= h >> 29;
	return h < 2 ? h + 2 : h;
}

static struct pair *find(const struct fs_seen *s, uint64_t hash, ext2_ino_t dir, const char *name,
                         size_t len)
{
	size_t i = (size_t)hash & (s->cap - 1);

	for (; s->v[i].hash; i = (i + 1) & (s->cap - 1)) {
		const struct pair *p = &s->v[i];

		if (p->hash == hash && p->dir == dir && p->len == len &&
		    memcmp(p->text, name, len) == 0)
			break;
	}
	return &s->v[i];
}

static int grow(struct fs_seen *s)
{
	struct fs_seen old = *s;

	s->cap = old.cap ? 2 * old.cap : 256;
	s->n = 0;
	s->v = calloc(s->cap, sizeof(s->v[0]));
	if (!s->v) {
		*s = old;
		return -ENOMEM;
	}
	for (size_t i = 0; i < old.cap; i++)
		if (old.v[i].text) {
			*find(s, old.v[i].hash, old.v[i].dir, old.v[i].text, old.v[i].len) =
				old.v[i];
			s->n++;
		}
	free(old.v);
	return 0;
}

int fs_seen_add(struct fs_seen *s, ext2_ino_t dir, const char *name, size_t len)
{
	const uint64_t hash = hash_of(dir, name, len);
	struct pair *p;

	if (2 * (s->n + 1) > s->cap && grow(s) < 0)
		return -ENOMEM;
	p = find(s, hash, dir, name, len);
	if (p->hash)
		return 0;
	*p = (struct pair){.hash = hash, .dir = dir, .len = (uint8_t)len};
	p->text = malloc(len);
	if (!p->text) {
		p->hash = 1;
		return -ENOMEM;
	}
	memcpy(p->text, name, len);
	s->n++;
	return 0;
}

void fs_seen_remove(struct fs_seen *s, ext2_ino_t dir, const char *name, size_t len)
{
	struct pair *p = s->cap ? find(s, hash_of(dir, name, len), dir, name, len) : NULL;

	if (!p || !p->hash)
		return;
	free(p->text);
	*p = (struct pair){.hash = 1};
}

bool fs_seen_has(const struct fs_seen *s, ext2_ino_t dir, const char *name, size_t len)
{
	return s->cap && find(s, hash_of(dir, name, len), dir, name, len)->hash;
}
