/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership of locals. A variable marked OVBD_AUTO(fn) is released when it goes out of scope; it
 * is handed on with OVBD_MOVE(), never released by hand.
 */
#ifndef OVBD_BASE_AUTO_H
#define OVBD_BASE_AUTO_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void *ovbd_move_(void *pp)
{
	void *p, *none = NULL;

	memcpy(&p, pp, sizeof(p));
	memcpy(pp, &none, sizeof(none));
	return p;
}

/* The pointer's value; the variable becomes NULL. */
#define OVBD_MOVE(p)  ((__typeof__(p))ovbd_move_(&(p)))
#define OVBD_AUTO(fn) __attribute__((cleanup(fn)))

static inline void ovbd_freep(void *pp)
{
	free(ovbd_move_(pp));
}
#define AUTO_FREE OVBD_AUTO(ovbd_freep)

static inline void ovbd_fdp(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define AUTO_FD OVBD_AUTO(ovbd_fdp) int

#define OVBD_CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

#endif
