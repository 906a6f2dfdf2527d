/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to ota/merge*.c:
 *
 *     merge.c        opening, the steps, and what makes them durable
 *     merge_plan.c   what may be merged, and in which groups
 *     merge_load.c   reading and decompressing a group
 */
#ifndef OVBD_OTA_MERGE_IMPL_H
#define OVBD_OTA_MERGE_IMPL_H

#include "base/pool.h"
#include "ota/cow_impl.h"
#include "ota/merge.h"

/* ---- groups ---- */

#define COW_GROUP_BLOCKS 2048u  /* of data in one group, at most */
#define COW_GROUP_OPS    65536u /* zeros have no data */

/* As p says, which may be NULL. */
unsigned cow_group_blocks(const struct ovbd_merge_params *p);

/* Operations that follow each other in the order of merging, and are made durable together. */
struct cow_group {
	uint32_t first, n; /* places */
	/* Whether one of them overwrites what one of them reads: then what they write must be safe
	 * before the first is written, as they could not be made again. */
	bool overlaps;
	bool in_scratch; /* it is safe since before */
};

/* Whether c can be merged, as ovbd_merge_plan() says. */
int cow_merge_check(const struct ovbd_cow *c, uint64_t base_size, const struct ovbd_merge_params *p,
                    struct ovbd_error *err);

/* The group that begins at place first < c->n, of nblocks at most. For what a plan does not
 * refuse. */
struct cow_group cow_group_next(const struct ovbd_cow *c, unsigned nblocks, uint32_t first);

/* ---- loading ---- */

struct cow_write {
	uint32_t block;  /* of the base */
	uint32_t number; /* of the operation */
	uint32_t at;     /* where its data begin, in blocks; a zero has none */
};

/* A group, what it writes in the order of the base. */
struct cow_load {
	struct cow_group group;
	struct cow_write *writes; /* group.n of them, by block */
	uint32_t nwrites_max, nblocks_max;
	uint8_t *data;
};

void cow_load_free(struct cow_load *l); /* what it points to */

struct cow_loader;

int cow_loader_create(const struct ovbd_cow *c, struct ovbd_blob *base, unsigned nthreads,
                      struct cow_loader **ret, struct ovbd_error *err);
void cow_loader_free(struct cow_loader *take_l); /* NULL is fine */

/* Begins to load group into to. Nobody may look at it before cow_loader_wait(), which is to follow,
 * and says whether it was loaded. */
int cow_loader_begin(struct cow_loader *l, struct cow_load *to, const struct cow_group *group,
                     struct ovbd_error *err);
int cow_loader_wait(struct cow_loader *l, struct ovbd_error *err);

#endif
