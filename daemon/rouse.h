/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gets threads out of system calls that wait, by SIGURG, for which a handler that does nothing is
 * set: the call returns EINTR. A signal that comes before the call is lost.
 */
#ifndef OVBD_DAEMON_ROUSE_H
#define OVBD_DAEMON_ROUSE_H

#include <sys/types.h>

/* The calling thread can be roused from now on. Returns its number for ovbd_rouse(). */
pid_t ovbd_rouse_prepare(void);

/* Once. Any thread, also a signal handler. A thread of this process that has ended is fine. */
void ovbd_rouse(pid_t thread);

#endif
