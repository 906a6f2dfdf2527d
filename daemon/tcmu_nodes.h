/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes /dev/uioN, as they come and go. The kernel makes that of a disk before it tells of the
 * disk by netlink: who makes many disks at a time has all their nodes, and all their rings zeroed,
 * before the first is told of. So this is a hint, and no more: a host whose /dev is not the
 * kernel's own gets none.
 */
#ifndef OVBD_DAEMON_TCMU_NODES_H
#define OVBD_DAEMON_TCMU_NODES_H

#include <stdbool.h>

#include "base/error.h"

/* A descriptor, to be polled for reading and closed; or -errno. dir: "/dev". */
int ovbd_tcmu_nodes_open(const char *dir);

/* Calls back for each node that has come or gone, in this order. -EOVERFLOW: some were missed. */
int ovbd_tcmu_nodes_read(int fd, void (*changed)(void *arg, unsigned minor, bool there), void *arg);

#endif
