/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to ota/: blocks that follow each other in the file become operations with their data.
 * Any thread, with a packer of its own; what comes out depends on what goes in alone.
 */
#ifndef OVBD_OTA_COW_PACK_H
#define OVBD_OTA_COW_PACK_H

#include "ota/cow_plan.h"

#define COW_PACK_BLOCKS 64u /* at once: the largest operation */

struct cow_pack {
	/* given */
	uint32_t n;
	uint32_t blocks[COW_PACK_BLOCKS]; /* cow_plan.what says what each becomes */
	/* made: operations, their data behind each other */
	uint32_t nops;
	struct ovbd_cow_op ops[COW_PACK_BLOCKS];
	size_t data_len;
	uint8_t *data; /* owned */
	int status;
	struct ovbd_error err;
};

struct cow_packer;

int cow_packer_create(const struct cow_plan *plan, struct cow_packer **ret, struct ovbd_error *err);
void cow_packer_free(struct cow_packer *take_k); /* NULL is fine */

/* Room for the data of any pack. */
size_t cow_pack_bound(const struct cow_plan *plan);

/* Makes e's operations; a failure is in its status. */
void cow_pack_make(struct cow_packer *k, struct cow_pack *e);

#endif
