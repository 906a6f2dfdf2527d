// SPDX-License-Identifier: Apache-2.0
/*
 * What users and the merge ask of an index, and the choice of how to search it. search.h draws how
 * it is stored; builder.c makes it.
 */
#include "lsmt/index.h"
#include "lsmt/search.h"

#include <assert.h>

/* The stack protector would take half as many instructions as a lookup. */
__attribute__((no_stack_protector)) struct ovbd_segment ovbd_index_at(const struct ovbd_index *ix,
                                                                      uint64_t off, uint64_t len)
{
	return ix->at(ix, off, len);
}

uint64_t ovbd_index_count(const struct ovbd_index *ix)
{
	return ix->n - 1;
}

uint64_t ovbd_index_memory(const struct ovbd_index *ix)
{
	return ix->memory;
}

uint64_t ovbd_index_end(const struct ovbd_index *ix)
{
	return ix->end;
}

uint64_t ovbd_index_src_end(const struct ovbd_index *ix)
{
	return ix->src_end;
}

static struct ovbd_segment narrow_get(const struct ovbd_index *ix, uint64_t i)
{
	const uint32_t key = ((const uint32_t *)ix->keys.p)[i];
	const struct ovbd_narrow_entry e = ((const struct ovbd_narrow_entry *)ix->entries.p)[i];

	return (struct ovbd_segment){
		.off = (uint64_t)key << INDEX_SECTOR_BITS,
		.len = (uint64_t)e.len << INDEX_SECTOR_BITS,
		.src = (uint64_t)(key + e.delta) << INDEX_SECTOR_BITS,
		.layer = e.layer,
		.kind = (enum ovbd_run_kind)e.kind,
	};
}

static struct ovbd_segment wide_get(const struct ovbd_index *ix, uint64_t i)
{
	const uint64_t key = ((const uint64_t *)ix->keys.p)[i];
	const uint64_t e = ((const uint64_t *)ix->entries.p)[i];
	const uint64_t off = key >> INDEX_LEN_BITS << INDEX_SECTOR_BITS;

	return (struct ovbd_segment){
		.off = off,
		.len = (key & INDEX_LEN_MAX) << INDEX_SECTOR_BITS,
		.src = (e & INDEX_WIDE_DELTA_MASK) + off,
		.layer = (uint8_t)e,
		.kind = (enum ovbd_run_kind)(e >> INDEX_WIDE_KIND_SHIFT & 1),
	};
}

struct ovbd_segment ovbd_index_get(const struct ovbd_index *ix, uint64_t i)
{
	assert(i < ix->n - 1);
	return ix->wide ? wide_get(ix, i + 1) : narrow_get(ix, i + 1);
}

const struct ovbd_search *ovbd_search_best(void)
{
	const struct ovbd_search *const *s = ovbd_searches;

	while (!(*s)->supported())
		s++;
	return *s;
}

void ovbd_index_use(struct ovbd_index *ix, const struct ovbd_search *s)
{
	ix->at = ix->wide ? s->wide_at : s->narrow_at;
	ix->find = ix->wide ? s->wide_find : s->narrow_find;
}

void ovbd_index_free(struct ovbd_index *take_ix)
{
	if (!take_ix)
		return;
	ovbd_lines_free(&take_ix->keys);
	ovbd_lines_free(&take_ix->entries);
	ovbd_lines_free(&take_ix->tree);
	free(take_ix);
}
