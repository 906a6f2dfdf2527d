/* SPDX-License-Identifier: Apache-2.0 */
/* A device of backup on write over memory, and what it shall read as, now and at its checkpoint. */
#ifndef OVBD_TESTS_UNIT_BOW_WORLD_H
#define OVBD_TESTS_UNIT_BOW_WORLD_H

#include "base/device.h"
#include "bow/bow.h"
#include "tests/lib/mem_device.h"

struct world {
	struct test_mem mem;
	size_t size;
	uint8_t *disk, *copy;       /* the medium; for comparisons */
	uint8_t *want, *known;      /* what it shall read as, where it is known */
	uint8_t *origin, *original; /* the same, at the checkpoint */
	struct ovbd_device *d;
	uint64_t random;
	char told[OVBD_ERROR_SIZE];
};

/* A disk of random bytes. */
void world_setup(struct world *w, size_t size, struct ovbd_bow_params p);
void world_teardown(struct world *w);
void world_reopen(struct world *w, struct ovbd_bow_params p);

/* These succeed, or the test fails. */
void world_write(struct world *w, uint64_t off, size_t len);
void world_discard(struct world *w, uint64_t off, size_t len);
void world_checkpoint(struct world *w);

/* What is known is so; what was at the checkpoint, when the log is undone in the simplest way. */
void world_same(const uint8_t *got, const uint8_t *want, const uint8_t *known, size_t size);
void world_reads_right(struct world *w);
void world_restores_right(struct world *w);

struct ovbd_bow_status world_status(struct world *w);

#endif
