// SPDX-License-Identifier: Apache-2.0
#include "image/seen.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"

#define LEAF_WORDS 512u
#define LEAF_PAGES (LEAF_WORDS * 64u)
#define SIZE_LIMIT (64u << 20) /* of memory: pages in at least 2 TiB of layers */
#define OFFSET_MAX (UINT64_C(1) << 50)

static uint64_t *leaf_of(struct seen *s, uint32_t layer, uint64_t number)
{
	struct seen_layer *l = &s->layers[layer];

	if (number >= l->nleaves) {
		const uint64_t n = number + number / 2 + 8;
		uint64_t **more;

		if (s->size + n * sizeof(*more) > SIZE_LIMIT)
			return NULL;
		more = realloc(l->leaves, n * sizeof(*more));
		if (!more)
			return NULL;
		for (uint64_t i = l->nleaves; i < n; i++)
			more[i] = NULL;
		s->size += (n - l->nleaves) * sizeof(*more);
		l->leaves = more;
		l->nleaves = n;
	}
	if (!l->leaves[number] && s->size < SIZE_LIMIT) {
		l->leaves[number] = calloc(LEAF_WORDS, sizeof(uint64_t));
		s->size += l->leaves[number] ? LEAF_WORDS * sizeof(uint64_t) : 0;
	}
	return l->leaves[number];
}

int ovbd_seen_mark(struct seen *s, uint32_t layer, uint64_t *off, uint64_t end)
{
	const uint64_t first = *off / SEEN_PAGE;
	const uint64_t after = end < OFFSET_MAX ? (end + SEEN_PAGE - 1) / SEEN_PAGE : 0;
	uint64_t page = first, n = 0;

	if (after == 0)
		return -ENOMEM;
	for (; page < after; page++) {
		uint64_t *leaf = leaf_of(s, layer, page / LEAF_PAGES), *word, bit;

		if (!leaf)
			return -ENOMEM;
		word = &leaf[page % LEAF_PAGES / 64];
		bit = UINT64_C(1) << page % 64;
		if (*word & bit) {
			if (n > 0)
				break;
			continue;
		}
		if (n == 0 && page > first)
			break;
		*word |= bit;
		n++;
	}
	*off = page * SEEN_PAGE;
	return n > 0;
}

void ovbd_seen_free(struct seen *s)
{
	for (size_t i = 0; i < OVBD_LAYERS_MAX; i++) {
		for (uint64_t k = 0; k < s->layers[i].nleaves; k++)
			free(s->layers[i].leaves[k]);
		free(s->layers[i].leaves);
	}
}
