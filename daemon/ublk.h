/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ublk: the device as a disk of the kernel, /dev/ublkbN, whose requests come over io_uring. Root,
 * and Linux 6.5 or later with the module ublk_drv.
 *
 * A disk outlives its server: when the process dies, requests wait in the kernel for the one that
 * takes the disk over (recover), and nothing is lost. It goes with close(). At whatever moment the
 * server dies, the next one gets the disk or its number; the price is that the kernel does not look
 * for partitions (see ublk_queue.c).
 *
 * The process of helper.h is started, unless it is there: where a filter of system calls is in
 * force by then, it must be.
 *
 * The disk comes to be when worker 0 has called next(), which is when ovbd_serve() runs: ready()
 * tells.
 *
 * detach(): a user is who has claimed the disk: a mount, a device mapper table, swap. Who merely
 * reads it gets errors when it goes; and it can be opened until then, as the driver has no way to
 * refuse. stop() leaves all with errors.
 */
#ifndef OVBD_DAEMON_UBLK_H
#define OVBD_DAEMON_UBLK_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/transport.h"

struct ovbd_ublk_params {
	uint64_t size;       /* bytes; a multiple of block_size */
	uint32_t block_size; /* logical: 512 to 4096, a power of two */
	bool read_only;
	unsigned nworkers; /* as for ovbd_serve() */
	/* Whether no answer waits for a network, now: then worker 0, who talks to the kernel,
	 * serves too. It outlives the transport; NULL: some do. */
	const _Atomic bool *quick;
	int id; /* of the disk: the N of its names; -1: any */
	/* The disk id is taken over if its server is dead, and made if it is not there. One of
	 * another tag, size, block size or mode is left alone: -ESTALE. */
	bool recover;
	uint64_t tag;             /* whose disk it is; the driver keeps it. 0: nobody's */
	void (*ready)(void *arg); /* the disk is there; in a thread of its own. May be NULL */
	void *arg;
};

#define OVBD_UBLK_PATH_SIZE 32

/* ret_path[OVBD_UBLK_PATH_SIZE]: "/dev/ublkbN". -EEXIST: the id is in use; -EBUSY: by a server that
 * lives. */
int ovbd_ublk_open(const struct ovbd_ublk_params *p, char *ret_path, struct ovbd_transport **ret,
                   struct ovbd_error *err);

/* Its users see another size from now on; 0: whether that can be. -ENOTSUP: not with this kernel.
 * Any thread, while it is served. */
int ovbd_ublk_resize(struct ovbd_transport *t, uint64_t size, struct ovbd_error *err);

/* The disk of this tag, which is not 0: its number and bytes; 0 bytes if it was never started. It
 * is first looked for at the number hint (-1: none). -ENOENT: there is none. */
int ovbd_ublk_find(uint64_t tag, int hint, int *ret_id, uint64_t *ret_size, struct ovbd_error *err);

/* Takes away the disk of this tag, whose server is dead; its users get errors. 0 also if there is
 * none. */
int ovbd_ublk_abandon(uint64_t tag, int hint, struct ovbd_error *err);

/* 0, or what this host lacks. */
int ovbd_ublk_available(struct ovbd_error *err);

#endif
