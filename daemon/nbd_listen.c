// SPDX-License-Identifier: Apache-2.0
/*
 * A Unix socket's file outlives its server. Whether somebody still listens is found by connecting;
 * between that and the making of a new socket no other server may do the same, so the directory is
 * locked meanwhile. At the end the file is removed only if it is still the one that was made.
 */
#include "daemon/nbd_listen.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/auto.h"
#include "base/lock.h"

#define BACKLOG 1024

/* s with what may not stand in a URI as %XX; NULL: no memory. */
static char *escape(const char *s)
{
	static const char plain[] = "-._~/", hex[] = "0123456789ABCDEF";
	char *e = malloc(3 * strlen(s) + 1), *to = e;

	for (; e && *s; s++) {
		const unsigned char c = (unsigned char)*s;

		if ((c < 0x80 && isalnum(c)) || strchr(plain, c)) {
			*to++ = *s;
		} else {
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
		}
	}
	if (e)
		*to = '\0';
	return e;
}

/* Whether somebody listens at the address: 1, 0 (there is a file, its server is gone), -errno. */
static int is_served(const struct sockaddr_un *a)
{
	AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno == EAGAIN)
		return 1; /* EAGAIN: it has more to accept than it can hold */
	return errno == ECONNREFUSED || errno == ENOENT ? 0 : -errno;
}

/* Takes away what a dead server has left. */
static int clear_place(const struct sockaddr_un *a, struct ovbd_error *err)
{
	struct stat st;
	int r;

	if (lstat(a->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : ovbd_fail_errno(err, -errno, "%s", a->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return ovbd_fail(err, -EEXIST, "%s: a file is there already, and it is no socket",
		                 a->sun_path);
	r = is_served(a);
	if (r < 0)
		return ovbd_fail_errno(err, r, "%s: asking who listens there", a->sun_path);
	if (r > 0)
		return ovbd_fail(err, -EADDRINUSE, "%s: another server listens there already",
		                 a->sun_path);
	if (unlink(a->sun_path) < 0 && errno != ENOENT)
		return ovbd_fail_errno(err, -errno, "%s: removing the socket of a dead server",
		                       a->sun_path);
	return 0;
}

static int lock_directory_of(const char *path, struct ovbd_error *err)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *dir =
		!slash ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd, r;

	if (!dir)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return ovbd_fail_errno(err, -errno, "%s", dir);
	r = ovbd_lock_fd(fd);
	if (r == 0)
		return fd;
	close(fd);
	if (r == -EBUSY)
		return ovbd_fail(err, r, "%s: another program keeps this directory locked", dir);
	return ovbd_fail_errno(err, r, "%s: locking it", dir);
}

static int describe_unix(struct nbd_listener *l, const char *path, const char *name)
{
	AUTO_FREE char *full = realpath(path, NULL);
	AUTO_FREE char *where = full ? escape(full) : NULL;
	struct stat st;

	if (!where || lstat(path, &st) < 0)
		return -errno;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	if (asprintf(&l->uri, "%s+unix:///%s?socket=%s", l->scheme, name, where) < 0) {
		l->uri = NULL;
		return -ENOMEM;
	}
	l->path = OVBD_MOVE(full); /* the working directory may change */
	return 0;
}

static int listen_unix(struct nbd_listener *l, const char *path, const char *name,
                       struct ovbd_error *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	AUTO_FD dir_fd = -1;
	int r;

	if (strlen(path) >= sizeof(a.sun_path))
		return ovbd_fail(err, -ENAMETOOLONG,
		                 "%s: a socket's path has at most %zu bytes; change directory and "
		                 "give a shorter one",
		                 path, sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, strlen(path));
	dir_fd = lock_directory_of(path, err);
	if (dir_fd < 0)
		return dir_fd;
	r = clear_place(&a, err);
	if (r < 0)
		return r;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0 || bind(l->fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return ovbd_fail_errno(err, -errno, "%s: making a socket", path);
	r = describe_unix(l, path, name);
	if (r == 0 && listen(l->fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0)
		unlink(path);
	return r < 0 ? ovbd_fail_errno(err, r, "%s: listening", path) : 0;
}

static int describe_tcp(struct nbd_listener *l, const char *host, const char *name)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	const char *shown = host;
	char port[16];
	bool six;

	if (getsockname(l->fd, (struct sockaddr *)&a, &len) < 0)
		return -errno;
	if (getnameinfo((struct sockaddr *)&a, len, NULL, 0, port, sizeof(port), NI_NUMERICSERV) !=
	    0)
		return -EIO;
	if (!host[0])
		shown = a.ss_family == AF_INET6 ? "::1" : "127.0.0.1";
	six = strchr(shown, ':') != NULL;
	if (asprintf(&l->uri, "%s://%s%s%s:%s/%s", l->scheme, six ? "[" : "", shown, six ? "]" : "",
	             port, name) < 0) {
		l->uri = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int try_address(struct nbd_listener *l, const struct addrinfo *ai)
{
	const int on = 1, off = 0;

	l->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (ai->ai_family == AF_INET6) /* "every address" means IPv4's too */
		setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(l->fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(l->fd, BACKLOG) < 0) {
		const int r = -errno;

		close(l->fd);
		l->fd = -1;
		return r;
	}
	return 0;
}

/* The families in the order IPv6, IPv4 where no host is named; else as the resolver sorts them. */
static int bind_any(struct nbd_listener *l, const struct addrinfo *all, bool no_host)
{
	int r = -EADDRNOTAVAIL;

	for (int pass = 0; pass < 2; pass++)
		for (const struct addrinfo *ai = all; ai; ai = ai->ai_next) {
			if (no_host && (ai->ai_family == AF_INET6) != (pass == 0))
				continue;
			r = try_address(l, ai);
			if (r == 0)
				return 0;
		}
	return r;
}

static int listen_tcp(struct nbd_listener *l, const char *address, const char *name,
                      struct ovbd_error *err)
{
	const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(address, ':');
	const bool bracketed = address[0] == '[' && colon > address + 1 && colon[-1] == ']';
	AUTO_FREE char *host = bracketed ? strndup(address + 1, (size_t)(colon - address) - 2)
	                                 : strndup(address, (size_t)(colon - address));
	struct addrinfo *all;
	int r;

	if (!host)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &all);
	if (r != 0)
		return ovbd_fail(err, r == EAI_SYSTEM ? -errno : -EADDRNOTAVAIL, "%s: %s", address,
		                 gai_strerror(r));
	r = bind_any(l, all, !host[0]);
	freeaddrinfo(all);
	if (r < 0)
		return ovbd_fail_errno(err, r, "%s: listening", address);
	r = describe_tcp(l, host, name);
	return r < 0 ? ovbd_fail_errno(err, r, "%s", address) : 0;
}

/* Whether it ends with a colon and a number, and has no slash. */
static bool is_tcp(const char *address)
{
	const char *colon = strrchr(address, ':');

	return colon && !strchr(address, '/') && colon[1] != '\0' &&
	       colon[1 + strspn(colon + 1, "0123456789")] == '\0';
}

int nbd_listen(const char *address, const char *export, bool secured, struct nbd_listener *ret,
               struct ovbd_error *err)
{
	OVBD_AUTO(nbd_listen_free)
	struct nbd_listener l = {.fd = -1, .scheme = secured ? "nbds" : "nbd"};
	AUTO_FREE char *name = escape(export);
	int r;

	if (!name)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (is_tcp(address))
		r = listen_tcp(&l, address, name, err);
	else
		r = listen_unix(&l, address, name, err);
	if (r < 0)
		return r;
	*ret = l;
	l = (struct nbd_listener){.fd = -1};
	return 0;
}

void nbd_listen_end(struct nbd_listener *l)
{
	struct stat st;

	if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	free(OVBD_MOVE(l->path));
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

void nbd_listen_free(struct nbd_listener *l)
{
	nbd_listen_end(l);
	free(OVBD_MOVE(l->uri));
}
