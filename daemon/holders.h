/* SPDX-License-Identifier: Apache-2.0 */
/* Who has a device open. */
#ifndef OVBD_DAEMON_HOLDERS_H
#define OVBD_DAEMON_HOLDERS_H

#include <stddef.h>

/*
 * Writes who uses the file or block device at path (absolute, no symbolic links), as a list for a
 * sentence: "process 4711 (cat), /dev/loop0 (mounted at /mnt)"; "" if nobody is to be found. Cut at
 * size. Returns how many were found. Never touches the device itself, whose server may be the
 * caller. Users in other mount namespaces may not be seen.
 */
size_t ovbd_holders_find(const char *path, char *ret, size_t size);

#endif
