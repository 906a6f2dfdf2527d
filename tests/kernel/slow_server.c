// SPDX-License-Identifier: Apache-2.0
/*
 * slow_server PORT FILE: serves FILE by HTTP, whatever the path, whole or a range of it. The first
 * request for each path /MS/... is answered after so many milliseconds, those that follow at once:
 * a registry that takes its time, and only that: it is one thread, as a new one would have to wait
 * for its turn on the processor that is the clients' too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "base/auto.h"
#include "base/bytes.h"

#define HEAD_MAX  8192
#define PATHS_MAX 4096
#define FILES_MAX 1024 /* their table grows at the start, not while clients wait */
#define NS_PER_MS UINT64_C(1000000)

/* A connection; by its descriptor. */
struct client {
	char head[HEAD_MAX]; /* of the request, so far */
	size_t n;
	uint64_t due; /* when it is to be answered; 0: it is not complete */
};

static int file_fd, epoll_fd;
static off_t file_size;
static char *paths[PATHS_MAX];
static struct client *clients[FILES_MAX];
static int nclients; /* the highest descriptor of one so far, and one */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 * NS_PER_MS + (uint64_t)t.tv_nsec;
}

static bool is_first(const char *path)
{
	for (int i = 0; i < PATHS_MAX; i++) {
		if (paths[i] && strcmp(paths[i], path) == 0)
			return false;
		if (!paths[i]) {
			paths[i] = strdup(path);
			return true;
		}
	}
	return false;
}

static int answer(int fd, const char *head)
{
	const char *range = strcasestr(head, "\r\nrange: bytes=");
	long long first = 0, last = file_size - 1;
	char text[512];
	off_t at;
	int n;

	if (range && sscanf(range + 15, "%lld-%lld", &first, &last) < 1)
		return -1;
	if (last >= file_size)
		last = file_size - 1;
	n = snprintf(text, sizeof(text),
	             "HTTP/1.1 %s\r\nContent-Length: %lld\r\n"
	             "Content-Range: bytes %lld-%lld/%lld\r\n\r\n",
	             range ? "206 Partial Content" : "200 OK", last - first + 1, first, last,
	             (long long)file_size);
	if (write(fd, text, (size_t)n) != n)
		return -1;
	at = first;
	while (strncmp(head, "HEAD", 4) != 0 && at <= last)
		if (sendfile(fd, file_fd, &at, (size_t)(last - at + 1)) <= 0)
			return -1;
	return 0;
}

static void drop(int fd)
{
	free(clients[fd]);
	clients[fd] = NULL;
	close(fd); /* it leaves the epoll by itself */
}

/* What has come of a request; false at the end of the connection, or of its sense. */
static bool receive(int fd)
{
	struct client *c = clients[fd];
	const ssize_t got = read(fd, c->head + c->n, HEAD_MAX - 1 - c->n);
	char path[256];

	if (got <= 0)
		return false;
	c->n += (size_t)got;
	c->head[c->n] = '\0';
	if (!strstr(c->head, "\r\n\r\n"))
		return true;
	if (sscanf(c->head, "%*s %255s", path) != 1)
		return false;
	c->due = now_ns();
	if (is_first(path))
		c->due += (uint64_t)strtoul(path + 1, NULL, 10) * NS_PER_MS;
	return true;
}

static void greet(int listener)
{
	const int fd = accept(listener, NULL, NULL), on = 1;
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (fd < FILES_MAX)
		clients[fd] = calloc(1, sizeof(struct client));
	if (fd >= FILES_MAX || !clients[fd] || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
		close(fd);
	else if (fd >= nclients)
		nclients = fd + 1;
}

/* Answers what is due. Returns when the next will be; 0: nobody waits. */
static uint64_t answer_due(void)
{
	uint64_t next = 0;

	for (int fd = 0; fd < nclients; fd++) {
		struct client *c = clients[fd];

		if (!c || c->due == 0)
			continue;
		if (c->due > now_ns()) {
			next = next ? ovbd_min(next, c->due) : c->due;
			continue;
		}
		c->n = 0;
		c->due = 0;
		if (answer(fd, c->head) < 0)
			drop(fd);
	}
	return next;
}

static void serve(int listener)
{
	for (;;) {
		struct epoll_event e;
		struct timespec t;
		uint64_t next = answer_due(), now = now_ns();
		int n;

		now = next > now ? next - now : 0;
		t.tv_sec = (time_t)(now / (1000 * NS_PER_MS));
		t.tv_nsec = (long)(now % (1000 * NS_PER_MS));
		n = epoll_pwait2(epoll_fd, &e, 1, next ? &t : NULL, NULL);
		if (n == 1 && e.data.fd == listener)
			greet(listener);
		else if (n == 1 && !receive(e.data.fd))
			drop(e.data.fd);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct epoll_event e = {.events = EPOLLIN};
	const int on = 1;
	struct stat st;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (argc != 3)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	close(fcntl(fd, F_DUPFD, FILES_MAX - 1));
	file_fd = open(argv[2], O_RDONLY);
	epoll_fd = epoll_create1(0);
	e.data.fd = fd;
	address.sin_port = htons((uint16_t)atoi(argv[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (file_fd < 0 || fstat(file_fd, &st) < 0 ||
	    bind(fd, (const void *)&address, sizeof(address)) < 0 || listen(fd, 1024) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0) {
		fprintf(stderr, "slow_server: %s\n", strerror(errno));
		return 1;
	}
	file_size = st.st_size;
	puts("ready");
	fflush(stdout);
	serve(fd);
}
