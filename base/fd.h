/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes of a descriptor at an offset, whole: again after a signal and after a part. Any
 * thread. */
#ifndef OVBD_BASE_FD_H
#define OVBD_BASE_FD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The bytes read: fewer than len only at the end of the file. Or -errno. */
ssize_t ovbd_fd_pread(int fd, void *buf, size_t len, uint64_t off);

/* 0 or -errno. */
int ovbd_fd_pwrite(int fd, const void *buf, size_t len, uint64_t off);

#endif
