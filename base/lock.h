/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OVBD_BASE_LOCK_H
#define OVBD_BASE_LOCK_H

#include <stddef.h>

/* Locks the open file fd (flock), for as long as it is open. A holder may be about to die: a
 * process that was killed keeps its locks until its last thread is gone. So it is waited for, a
 * second at most. 0, -EBUSY if it is held still, or -errno. */
int ovbd_lock_fd(int fd);

/* Who holds that lock, for a sentence: "process 4711 (ovbd)", or, if that cannot be told, "another
 * process". */
void ovbd_lock_holder(int fd, char *ret, size_t size);

#endif
