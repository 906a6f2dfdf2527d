// SPDX-License-Identifier: Apache-2.0
/*
 * A server of its own, not another door to the API: nothing but the metrics can be reached through
 * it. One thread polls a few connections; whoever is slow is let go, so that nobody keeps others
 * away for long.
 */
#include "daemon/exporter.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"

#define BACKLOG         16
#define CONNECTIONS_MAX 32
#define TIMEOUT_S       10u

struct ovbd_exporter {
	struct MHD_Daemon *mhd;
	struct ovbd_metrics *metrics;
	char *path;
};

/* HOST and PORT of an address; *ret_host is "" for every one. */
static int split(const char *address, char **ret_host, const char **ret_port)
{
	const char *colon = strrchr(address, ':');
	size_t len;

	if (!colon || !colon[1])
		return -EINVAL;
	len = (size_t)(colon - address);
	if (len >= 2 && address[0] == '[' && colon[-1] == ']') {
		address++;
		len -= 2;
	} else if (memchr(address, ':', len)) {
		return -EINVAL; /* IPv6 without brackets: where does the port begin? */
	}
	*ret_host = strndup(address, len);
	*ret_port = colon + 1;
	return *ret_host ? 0 : -ENOMEM;
}

static void free_addrinfo(struct addrinfo **a)
{
	if (*a)
		freeaddrinfo(*a);
}

/* A listening socket at one address, or -errno. */
static int listen_at(const struct addrinfo *a)
{
	const int off = 0, on = 1;
	AUTO_FD fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->ai_family == AF_INET6) /* IPv4 too, where it is every address */
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	r = fd;
	fd = -1;
	return r;
}

int ovbd_exporter_listen(const char *address, int *ret_fd, struct ovbd_error *err)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
	                         .ai_socktype = SOCK_STREAM,
	                         .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	OVBD_AUTO(free_addrinfo) struct addrinfo *found = NULL;
	AUTO_FREE char *host = NULL;
	const char *port;
	int r = split(address, &host, &port);

	if (r < 0)
		return ovbd_fail(err, r, "metrics: '%s' is no HOST:PORT, [HOST]:PORT or :PORT",
		                 address);
	/* "::" takes IPv4 too; a host without IPv6 has only the other */
	if (host[0] == '\0')
		hints.ai_family = AF_INET6;
	r = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
	if (r != 0)
		return ovbd_fail(err, -EINVAL, "metrics: '%s': %s", address, gai_strerror(r));
	r = listen_at(found);
	if (r == -EAFNOSUPPORT && host[0] == '\0') {
		struct sockaddr_in any = {.sin_family = AF_INET};
		const struct sockaddr_in6 *six =
			(const struct sockaddr_in6 *)(void *)found->ai_addr;
		const struct addrinfo four = {.ai_family = AF_INET,
		                              .ai_socktype = SOCK_STREAM,
		                              .ai_addr = (struct sockaddr *)&any,
		                              .ai_addrlen = sizeof(any)};

		any.sin_port = six->sin6_port;
		r = listen_at(&four);
	}
	if (r < 0)
		return ovbd_fail_errno(err, r, "metrics: listening at %s", address);
	*ret_fd = r;
	return 0;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              const char *allow, char *take_text, size_t len)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(len, take_text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result r;

	if (!response) {
		free(take_text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (allow)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *why)
{
	char *text = strdup(why);

	return text ? answer(connection, status, "text/plain",
	                     status == MHD_HTTP_METHOD_NOT_ALLOWED ? "GET, HEAD" : NULL, text,
	                     strlen(text))
	            : MHD_NO;
}

/* Called for the head of a request, for pieces of a body, which nobody asked for, and at the
 * end. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *len, void **state)
{
	const struct ovbd_exporter *e = arg;
	char *text;
	size_t n;

	(void)version;
	(void)data;
	if (!*state) {
		*state = connection; /* anything: it has begun */
		return MHD_YES;
	}
	if (*len > 0)
		return MHD_NO;
	if (strcmp(url, e->path) != 0)
		return refuse(connection, MHD_HTTP_NOT_FOUND, "There are only the metrics here.\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "Only GET.\n");
	if (ovbd_metrics_write(e->metrics, &text, &n) < 0)
		return MHD_NO;
	return answer(connection, MHD_HTTP_OK, OVBD_METRICS_TYPE, NULL, text, n);
}

int ovbd_exporter_start(int take_fd, const char *path, struct ovbd_metrics *metrics,
                        struct ovbd_exporter **ret, struct ovbd_error *err)
{
	struct ovbd_exporter *e = calloc(1, sizeof(*e));
	AUTO_FD fd = take_fd;

	if (e)
		e->path = strdup(path);
	if (!e || !e->path) {
		ovbd_exporter_stop(e);
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	e->metrics = metrics;
	e->mhd = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC, 0,
	                          NULL, NULL, on_request, e, MHD_OPTION_LISTEN_SOCKET, fd,
	                          MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
	                          MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
	if (!e->mhd) {
		ovbd_exporter_stop(e);
		return ovbd_fail_errno(err, -EIO, "metrics: starting the server");
	}
	fd = -1; /* the server's */
	*ret = e;
	return 0;
}

void ovbd_exporter_stop(struct ovbd_exporter *take_e)
{
	if (!take_e)
		return;
	if (take_e->mhd)
		MHD_stop_daemon(take_e->mhd);
	free(take_e->path);
	free(take_e);
}
