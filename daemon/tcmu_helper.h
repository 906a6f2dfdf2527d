/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process of its own for the two steps of configfs in which the kernel waits for the disk's
 * server, which is us: a daemon that is killed while one of its threads is in there could not end,
 * nor let go of the disk for which the next daemon must answer.
 */
#ifndef OVBD_DAEMON_TCMU_HELPER_H
#define OVBD_DAEMON_TCMU_HELPER_H

#include "base/error.h"

/* Starts it, where there is one thread only and processes may still be made. It ends with this
 * process. A second time: nothing happens. */
int ovbd_tcmu_helper_start(struct ovbd_error *err);

/* symlink(target, path), or with an empty target unlink(path). Any thread; one waits for no
 * other. */
int ovbd_tcmu_helper_link(const char *target, const char *path, struct ovbd_error *err);

#endif
