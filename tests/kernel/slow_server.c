// SPDX-License-Identifier: Apache-2.0
/*
 * slow_server PORT FILE: serves FILE by HTTP, whatever the path, whole or a range of it. The first
 * request for each path /MS/... is answered after so many milliseconds, those that follow at once:
 * a registry that takes its time. A thread for each connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "base/auto.h"

#define HEAD_MAX  8192
#define PATHS_MAX 4096

static int file_fd;
static off_t file_size;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[PATHS_MAX];

static int is_first(const char *path)
{
	int first = 0;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < PATHS_MAX; i++) {
		if (paths[i] && strcmp(paths[i], path) == 0)
			break;
		if (!paths[i]) {
			paths[i] = strdup(path);
			first = 1;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	return first;
}

static void delay(const char *path)
{
	const long ms = strtol(path + 1, NULL, 10);
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	if (is_first(path))
		nanosleep(&t, NULL);
}

/* Until the empty line; 0 at the end of the connection. */
static size_t read_head(int fd, char *head)
{
	size_t n = 0;

	while (n < HEAD_MAX - 1) {
		const ssize_t got = read(fd, head + n, HEAD_MAX - 1 - n);

		if (got <= 0)
			return 0;
		n += (size_t)got;
		head[n] = '\0';
		if (strstr(head, "\r\n\r\n"))
			return n;
	}
	return 0;
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

static void *serve(void *arg)
{
	AUTO_FD fd = (int)(intptr_t)arg;
	char head[HEAD_MAX], path[256];

	while (read_head(fd, head) > 0) {
		if (sscanf(head, "%*s %255s", path) != 1)
			break;
		delay(path);
		if (answer(fd, head) < 0)
			break;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	const int on = 1;
	struct stat st;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (argc != 3)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	file_fd = open(argv[2], O_RDONLY);
	address.sin_port = htons((uint16_t)atoi(argv[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (file_fd < 0 || fstat(file_fd, &st) < 0 ||
	    bind(fd, (const void *)&address, sizeof(address)) < 0 || listen(fd, 1024) < 0) {
		fprintf(stderr, "slow_server: %s\n", strerror(errno));
		return 1;
	}
	file_size = st.st_size;
	puts("ready");
	fflush(stdout);
	for (;;) {
		const int client = accept(fd, NULL, NULL);
		pthread_t thread;

		if (client < 0)
			continue;
		setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)client) == 0)
			pthread_detach(thread);
		else
			close(client);
	}
}
