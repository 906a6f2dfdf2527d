// SPDX-License-Identifier: Apache-2.0
/*
 * A TCP proxy that spoils what a server says.
 *
 *     fault_proxy PORT
 *
 * takes connections on 127.0.0.1, makes one to 127.0.0.1:PORT for each, prints its own port as the
 * first line, and ends when its standard input does. Commands are lines of that; each is answered
 * by a line: "ok", numbers, or what is wrong with it.
 *
 *     ok                     honest from now on (what has begun goes on)
 *     FAULT [at=WHERE] [times=N]
 *                            spoils each answer that begins from now on, the next N at most
 *     cut, freeze            resets all open connections; nothing comes of them any more, though
 *                            they stay open. Once, besides the fault that is set
 *     count                  "CONNECTIONS OPEN ANSWERS SPOILED", which is what has been
 *
 * FAULT, from WHERE on:
 *
 *     refuse, close          no connection can be made; it is, and closed at once (no WHERE)
 *     reset, end, half       RST; FIN; FIN, but the request is read on
 *     stall                  nothing more comes
 *     trickle=MS             one byte each MS
 *     latency=MS             MS later
 *     extra=N                N bytes more, there
 *     flip=N                 every N-th byte has a bit flipped
 *
 * WHERE is N, head+N, body+N or end: of an answer of HTTP/1.1, its head, its body (Content-Length),
 * after it. Whatever does not begin like HTTP (TLS does not) is one answer for each connection.
 */
#include "tests/lib/fault_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct proxy proxy = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const kind_names[NKINDS] = {
	[OK] = "ok",           [REFUSE] = "refuse", [CLOSE] = "close", [RESET] = "reset",
	[END] = "end",         [HALF] = "half",     [STALL] = "stall", [TRICKLE] = "trickle",
	[LATENCY] = "latency", [EXTRA] = "extra",   [FLIP] = "flip",
};

static bool parse_where(const char *text, struct fault *f)
{
	char *end;

	f->place = strncmp(text, "head+", 5) == 0   ? HEAD
	           : strncmp(text, "body+", 5) == 0 ? BODY
	           : strcmp(text, "end") == 0       ? AFTER
	                                            : ANSWER;
	if (f->place == AFTER)
		return true;
	text += f->place == ANSWER ? 0 : 5;
	f->at = strtoull(text, &end, 10);
	return end > text && *end == '\0';
}

static bool parse_fault(char *line, struct fault *ret)
{
	struct fault f = {.times = NEVER, .arg = 1};
	char *rest = NULL, *word = strtok_r(line, " ", &rest), *value;

	if (!word)
		return false;
	value = strchr(word, '=');
	if (value) {
		*value = '\0';
		f.arg = strtoul(value + 1, NULL, 10);
	}
	while (f.kind < NKINDS && strcmp(word, kind_names[f.kind]) != 0)
		f.kind++;
	if (f.kind == NKINDS || f.arg == 0)
		return false;
	while ((word = strtok_r(NULL, " ", &rest))) {
		if (strncmp(word, "at=", 3) == 0 && parse_where(word + 3, &f))
			continue;
		if (strncmp(word, "times=", 6) != 0)
			return false;
		f.times = strtoull(word + 6, NULL, 10);
	}
	*ret = f;
	return true;
}

static void give_order(enum order order)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&proxy.lock);
	for (struct conn *c = proxy.conns; c; c = c->next) {
		c->order = order;
		if (write(c->wake, &one, sizeof(one)) < 0)
			abort();
	}
	pthread_mutex_unlock(&proxy.lock);
}

static void obey(char *line, int listener)
{
	struct fault f;

	if (strcmp(line, "cut") == 0 || strcmp(line, "freeze") == 0) {
		give_order(line[0] == 'c' ? CUT : FREEZE);
		puts("ok");
	} else if (strcmp(line, "count") == 0) {
		pthread_mutex_lock(&proxy.lock);
		printf("%lu %lu %lu %lu\n", proxy.nconns, proxy.nopen, proxy.nanswers,
		       proxy.nspoiled);
		pthread_mutex_unlock(&proxy.lock);
	} else if (!parse_fault(line, &f)) {
		printf("not understood\n");
	} else {
		pthread_mutex_lock(&proxy.lock);
		if ((f.kind == REFUSE) != (proxy.fault.kind == REFUSE) &&
		    (f.kind == REFUSE ? shutdown(listener, SHUT_RD) : listen(listener, 128)) < 0)
			abort();
		proxy.fault = f;
		pthread_mutex_unlock(&proxy.lock);
		puts("ok");
	}
	fflush(stdout);
}

/* Bound to a port by its number, so that it keeps it while it does not listen. */
static int bind_any(unsigned *ret_port)
{
	const int one = 1;

	for (;;) {
		struct sockaddr_in addr = {.sin_family = AF_INET,
		                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t len = sizeof(addr);
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) < 0 ||
		    getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
			abort();
		close(fd);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		/* it listens again while connections of before linger */
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, len) == 0 &&
		    listen(fd, 128) == 0) {
			*ret_port = ntohs(addr.sin_port);
			return fd;
		}
		close(fd);
	}
}

int main(int argc, char **argv)
{
	char text[1024];
	size_t len = 0;
	unsigned port;
	int listener;

	if (argc != 2)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	proxy.target = (unsigned)strtoul(argv[1], NULL, 10);
	listener = bind_any(&port);
	printf("%u\n", port);
	fflush(stdout);
	for (;;) {
		struct pollfd fds[2] = {{0, POLLIN, 0}, {listener, POLLIN, 0}};
		char *end;

		/* only this thread sets a fault */
		if (poll(fds, proxy.fault.kind == REFUSE ? 1 : 2, -1) < 0 && errno != EINTR)
			return 1;
		if (fds[0].revents) {
			const ssize_t n = read(0, text + len, sizeof(text) - len);

			if (n <= 0)
				return 0;
			len += (size_t)n;
			while ((end = memchr(text, '\n', len))) {
				*end = '\0';
				obey(text, listener);
				len -= (size_t)(end + 1 - text);
				memmove(text, end + 1, len);
			}
		}
		if (proxy.fault.kind != REFUSE && fds[1].revents) {
			const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0)
				proxy_serve(fd);
		}
	}
}
