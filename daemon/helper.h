/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process of its own for the steps in which the kernel waits for a disk's server, which is us: a
 * daemon that is killed while one of its threads is in there could not end, nor let go of the disk
 * for which the next daemon must answer. That is so for some steps of configfs, for a size that is
 * told to the kernel, and for whatever opens, flushes or closes one of our block devices: the close
 * that is the last writes back.
 *
 * Every function but the first may be called by any thread, and waits for no other's.
 */
#ifndef OVBD_DAEMON_HELPER_H
#define OVBD_DAEMON_HELPER_H

#include <stdint.h>

#include "base/error.h"

/* Starts it, where there is one thread only and processes may still be made. It ends with this
 * process. A second time: nothing happens. */
int ovbd_helper_start(struct ovbd_error *err);

/* symlink(target, path), or with an empty target unlink(path). */
int ovbd_helper_link(const char *target, const char *path, struct ovbd_error *err);

/* Writes text to the file, which is one of the kernel's. -ETIMEDOUT: the kernel has not taken it
 * after timeout_ms, but may yet. */
int ovbd_helper_write(const char *path, const char *text, unsigned timeout_ms,
                      struct ovbd_error *err);

/* nbd_disk_resize(), for which the kernel may wait until all requests are answered. -ETIMEDOUT: as
 * above. */
int ovbd_helper_resize_nbd(unsigned n, const char *backend, uint64_t size, unsigned timeout_ms,
                           struct ovbd_error *err);

/* What the kernel's cache has of the block device goes to its server. */
int ovbd_helper_write_back(const char *path, struct ovbd_error *err);

/* The block device stays open until it is released. */
int ovbd_helper_hold(const char *path, int *ret_hold, struct ovbd_error *err);

/* The same, and nobody else can claim it (a mount does) before it is released. -EBUSY: somebody
 * has. */
int ovbd_helper_claim(const char *path, int *ret_hold, struct ovbd_error *err);

/* Returns when the device is closed. -1: there is nothing to be released. */
void ovbd_helper_release(int take_hold);

#endif
