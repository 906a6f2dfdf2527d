// SPDX-License-Identifier: Apache-2.0
/*
 * Over realloc(), which knows nothing of lines: one line more than wanted is allocated, and the
 * first address in it that is aligned is used. realloc() may return memory that begins elsewhere
 * within a line; then the content is moved by these few bytes. (Large memory is mapped, begins always
 * at the same place of a page, and grows and shrinks by moving pages, not bytes.)
 *
 * What is large is read at random, a few bytes from a page at a time. So the kernel is asked for huge
 * pages there; that it may not have any does not matter.
 */
#include "lsmt/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"

#define PAGE_SIZE UINT64_C(4096)
#define HUGE_MIN  (UINT64_C(4) << 20)

static void want_huge_pages(uint8_t *p, uint64_t size)
{
	const uint64_t skip = (PAGE_SIZE - (uintptr_t)p % PAGE_SIZE) % PAGE_SIZE;

	if (size >= HUGE_MIN)
		(void)madvise(p + skip, (size_t)ovbd_align_down(size - skip, PAGE_SIZE),
		              MADV_HUGEPAGE);
}

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
	want_huge_pages(p, size);
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
