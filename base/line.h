/* SPDX-License-Identifier: Apache-2.0 */
/* Files of one line: what the kernel says in /proc, sysfs and configfs. */
#ifndef OVBD_BASE_LINE_H
#define OVBD_BASE_LINE_H

#include <stddef.h>

/* The first line of the file name, relative to dir_fd as for openat(), without its end and cut to
 * size - 1 bytes. How many bytes were read, 0 of an empty file, or -errno. */
int ovbd_line_read(int dir_fd, const char *name, char *buf, size_t size);

#endif
