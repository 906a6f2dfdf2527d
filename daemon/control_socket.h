/* SPDX-License-Identifier: Apache-2.0 */
/* The unix socket that ovbdd listens on. */
#ifndef OVBD_DAEMON_CONTROL_SOCKET_H
#define OVBD_DAEMON_CONTROL_SOCKET_H

#include "base/error.h"

#define OVBD_CONTROL_SOCKET_GROUP "ovbd"

/* Listens at path, for the owner and, if there is one, the group ovbd. A socket that nobody listens
 * on is replaced. -EADDRINUSE: somebody does; -EEXIST: it is no socket. */
int ovbd_control_socket_listen(const char *path, int *ret_fd, struct ovbd_error *err);

/* Asks who listens at path for something, over HTTP. -ETIMEDOUT: accepts, or not even that, and
 * says nothing; 0: answered; else nobody is there. */
int ovbd_control_socket_ping(const char *path, unsigned timeout_ms);

#endif
