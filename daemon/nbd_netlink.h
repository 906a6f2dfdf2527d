/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's NBD client: its disks, /dev/nbdN, driven by generic netlink and seen in sysfs. A
 * disk has a backend, a text that its maker chose, by which it is found again. Root, Linux 5.14 or
 * later with the module nbd.
 *
 * Kernel interface: <linux/nbd-netlink.h>, <linux/nbd.h>.
 */
#ifndef OVBD_DAEMON_NBD_NETLINK_H
#define OVBD_DAEMON_NBD_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define NBD_BACKEND_SIZE 1024 /* of a backend's text */
#define NBD_BLOCK_SIZE   512u /* of a disk */

/* 0, or -errno and what the host lacks. */
int nbd_netlink_available(struct ovbd_error *err);

/* The number of the disk with this backend, or -ENOENT. */
int nbd_disk_find(const char *backend);

/* Every disk, with its backend. */
void nbd_disk_each(void (*found)(void *arg, unsigned n, const char *backend), void *arg);

/* Whether disk N is there, with this backend. */
bool nbd_disk_has(unsigned n, const char *backend);

/* What sysfs says of disk N. */
int nbd_disk_look(unsigned n, uint64_t *ret_size, bool *ret_read_only, struct ovbd_error *err);

/* Makes a disk whose requests come over the socket fd, of which the kernel keeps a copy; flags:
 * NBD_FLAG_* of the export. Returns its number. */
int nbd_disk_connect(int fd, const char *backend, uint64_t size, unsigned flags,
                     struct ovbd_error *err);

/* Gives the disk a socket in place of one whose other end is closed. 0 also if there is none such,
 * which is seen by the kernel's keeping no copy of fd. */
int nbd_disk_reconnect(unsigned n, const char *backend, int fd, struct ovbd_error *err);

/* Its users see another size from now on. */
int nbd_disk_resize(unsigned n, const char *backend, uint64_t size, struct ovbd_error *err);

/* The disk will go when the last who has it open closes it. */
int nbd_disk_end_with_users(unsigned n, const char *backend, struct ovbd_error *err);

/* The disk goes; whoever uses it gets errors. */
int nbd_disk_disconnect(unsigned n, struct ovbd_error *err);

#endif
