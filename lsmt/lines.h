/* SPDX-License-Identifier: Apache-2.0 */
/* Memory in whole cache lines that grows and shrinks. Private to lsmt. */
#ifndef OVBD_LSMT_LINES_H
#define OVBD_LSMT_LINES_H

#include <stdint.h>

#define OVBD_LINE_SIZE 64

struct ovbd_lines {
	void *p;       /* at a multiple of OVBD_LINE_SIZE; NULL: nothing yet */
	uint64_t size; /* usable bytes, a multiple of OVBD_LINE_SIZE */
	void *mem;     /* what malloc gave, up to OVBD_LINE_SIZE before p */
};

/* Makes it size bytes (rounded up), and keeps what there is. What is new is not initialised. 0 or
 * -ENOMEM, which leaves it as it was. All zeros is an empty one. */
int ovbd_lines_resize(struct ovbd_lines *l, uint64_t size);

/* Bytes of memory it takes, all told. */
uint64_t ovbd_lines_memory(const struct ovbd_lines *l);

void ovbd_lines_free(struct ovbd_lines *l);

#endif
