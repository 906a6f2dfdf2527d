/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places where a daemon that dies leaves something half done. In a build for use nothing happens
 * there (fault_none.c); the tests link a function of their own (tests/kernel/fault_kill.c), which
 * ends the process at the one that they name.
 */
#ifndef OVBD_DAEMON_FAULT_POINT_H
#define OVBD_DAEMON_FAULT_POINT_H

void ovbd_fault_point(const char *name);

#endif
