// SPDX-License-Identifier: Apache-2.0
#include "daemon/control_socket.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/auto.h"

#define BACKLOG 128

/* The address as the calls want it. */
static const struct sockaddr *general(const struct sockaddr_un *a)
{
	return (const struct sockaddr *)a;
}

/* Whoever listens at the address keeps it; what a dead one has left goes. */
static int clear_stale(const struct sockaddr_un *a, struct ovbd_error *err)
{
	AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;

	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "socket");
	if (lstat(a->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : ovbd_fail_errno(err, -errno, "%s", a->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return ovbd_fail(err, -EEXIST, "%s: there is a file that is no socket",
		                 a->sun_path);
	if (connect(fd, general(a), sizeof(*a)) == 0 || errno == EAGAIN)
		return ovbd_fail(err, -EADDRINUSE,
		                 "%s: another ovbdd listens there; stop it, or give another "
		                 "--socket",
		                 a->sun_path);
	if (errno != ECONNREFUSED && errno != ENOENT)
		return ovbd_fail_errno(err, -errno, "%s: connecting", a->sun_path);
	if (unlink(a->sun_path) < 0 && errno != ENOENT)
		return ovbd_fail_errno(err, -errno, "%s: removing a stale socket", a->sun_path);
	return 0;
}

/* Only root may give a file to another group; who is not keeps the socket to himself. */
static int set_access(const char *path)
{
	const struct group *g = getgrnam(OVBD_CONTROL_SOCKET_GROUP);
	mode_t mode = 0600;

	if (g && chown(path, (uid_t)-1, g->gr_gid) == 0)
		mode = 0660;
	return chmod(path, mode) < 0 ? -errno : 0;
}

int ovbd_control_socket_ping(const char *path, unsigned timeout_ms)
{
	static const char request[] = "GET /v1/status HTTP/1.0\r\n\r\n";
	AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r;

	if (fd < 0)
		return -errno;
	strcpy(a.sun_path, path); /* it was listened at */
	if (connect(fd, general(&a), sizeof(a)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno; /* EAGAIN: nobody accepts */
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return -errno;
	do
		r = poll(&p, 1, (int)timeout_ms);
	while (r < 0 && errno == EINTR);
	return r == 0 ? -ETIMEDOUT : 0;
}

int ovbd_control_socket_listen(const char *path, int *ret_fd, struct ovbd_error *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	AUTO_FD fd = -1;
	mode_t old;
	int r;

	if (strlen(path) >= sizeof(a.sun_path))
		return ovbd_fail(err, -ENAMETOOLONG,
		                 "%s: the path of a socket has at most %zu bytes", path,
		                 sizeof(a.sun_path) - 1);
	strcpy(a.sun_path, path);
	r = clear_stale(&a, err);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "socket");
	old = umask(0177); /* nobody gets in before the mode is as it shall be */
	r = bind(fd, general(&a), sizeof(a)) < 0 ? -errno : 0;
	umask(old);
	if (r == 0)
		r = set_access(path);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0)
		return ovbd_fail_errno(err, r, "%s: listening", path);
	*ret_fd = fd;
	fd = -1;
	return 0;
}
