/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device as a disk of the kernel's NBD client, /dev/nbdN: the client's one connection is a pair
 * of sockets, of which the kernel has one end and the server (nbd.h) of this process the other.
 *
 * The disk outlives its server: when the process dies, requests wait in the kernel for the one that
 * opens the same backend again. It goes with detach(), when its last user has closed it, or, if it
 * has users still after detach() and stop(), with close(). Without detach(), close() leaves it.
 */
#ifndef OVBD_DAEMON_NBD_KERNEL_H
#define OVBD_DAEMON_NBD_KERNEL_H

#include "base/device.h"
#include "daemon/nbd_netlink.h"
#include "daemon/transport.h"

#define OVBD_NBD_KERNEL_PATH_SIZE 32

struct ovbd_nbd_kernel_params {
	const char *backend;        /* what tells the disk from others of the host */
	struct ovbd_device *device; /* of whole blocks of NBD_BLOCK_SIZE; outlives the transport */
	unsigned nworkers;
};

/* Makes the disk, or serves the one that a dead server has left: -ESTALE if that has another size
 * or mode, -EBUSY if its server lives. ret_path[OVBD_NBD_KERNEL_PATH_SIZE]: "/dev/nbdN". */
int ovbd_nbd_kernel_open(const struct ovbd_nbd_kernel_params *p, char *ret_path,
                         struct ovbd_transport **ret, struct ovbd_error *err);

/* The device has this size now, which is told to the kernel. */
int ovbd_nbd_kernel_resize(struct ovbd_transport *t, uint64_t size, struct ovbd_error *err);

/* The disk, if it is there, goes without having been opened; its users get errors. */
int ovbd_nbd_kernel_abandon(const char *backend, struct ovbd_error *err);

#endif
