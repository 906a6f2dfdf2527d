// SPDX-License-Identifier: Apache-2.0
/*
 * Over realloc(), which knows nothing of lines: one line more than wanted is allocated, and the
 * first address in it that is aligned is used. realloc() may return memory that begins elsewhere
 * within a line; then the content is moved by these few bytes. (Large memory is mapped, begins
 * always at the same place of a page, and grows and shrinks by moving pages, not bytes.)
 */
#include "lsmt/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

int ovbd_lines_resize(struct ovbd_lines *l, uint64_t size)
{
	const uint64_t keep = ovbd_min(l->size, ovbd_align_up(size, OVBD_LINE_SIZE));
	const size_t before = l->p ? (size_t)((uint8_t *)l->p - (uint8_t *)l->mem) : 0;
	uint8_t *mem, *p;

	if (size > SIZE_MAX / 2)
		return -ENOMEM;
	size = ovbd_align_up(size, OVBD_LINE_SIZE);
	mem = realloc(l->mem, (size_t)size + OVBD_LINE_SIZE);
	if (!mem)
		return -ENOMEM;
	p = mem + (OVBD_LINE_SIZE - (uintptr_t)mem % OVBD_LINE_SIZE) % OVBD_LINE_SIZE;
	if (p != mem + before)
		memmove(p, mem + before, (size_t)keep);
	*l = (struct ovbd_lines){.p = p, .size = size, .mem = mem};
	return 0;
}

uint64_t ovbd_lines_memory(const struct ovbd_lines *l)
{
	return l->mem ? l->size + OVBD_LINE_SIZE : 0;
}

void ovbd_lines_free(struct ovbd_lines *l)
{
	free(l->mem);
	*l = (struct ovbd_lines){.p = NULL};
}
