/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of tcmu: what sysfs and configfs know of a disk (tcmu_name.c); a message
 * (tcmu_netlink.c). */
#ifndef OVBD_DAEMON_TCMU_IMPL_H
#define OVBD_DAEMON_TCMU_IMPL_H

#include "daemon/genl.h"
#include "daemon/tcmu.h"

/* Whether the message is an event that we know, with all that it must have. */
bool ovbd_tcmu_event_decode(const struct genl_event *e, struct ovbd_tcmu_event *ret);

/* As ovbd_tcmu_open(), with the ring at hand: fd is what /dev/uioN is, to be polled, read and
 * written. Both are the transport's, also after a failure. */
int ovbd_tcmu_open_ring(const struct ovbd_tcmu_params *p, int take_fd, void *take_map,
                        uint64_t map_size, struct ovbd_transport **ret, struct ovbd_error *err);

/* The size of the memory shared with the kernel. */
int ovbd_tcmu_map_size(unsigned minor, uint64_t *ret, struct ovbd_error *err);

/* Whether "enable" has been written, and answered. */
bool ovbd_tcmu_is_enabled(const struct ovbd_tcmu_name *n);

/* Writes value to the disk's configfs file action/WHAT. */
int ovbd_tcmu_action(const struct ovbd_tcmu_name *n, const char *what, const char *value,
                     struct ovbd_error *err);

/* Writes value to the file; the whole of it, or an error. */
int ovbd_tcmu_write(const char *path, const char *value, struct ovbd_error *err);

#endif
