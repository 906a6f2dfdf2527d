/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OVBD_DAEMON_MANY_FILES_H
#define OVBD_DAEMON_MANY_FILES_H

/* Lets the process open as many files as the host lets it, without a wait for room. Before there is
 * another thread. */
void ovbd_many_files(void);

#endif
