// SPDX-License-Identifier: Apache-2.0
/*
 * link_server DIR DELAY_MS BYTES_PER_SECOND: a web server behind a line. Serves the files of DIR,
 * whole or a range of each, on 127.0.0.1; prints its port, and ends when its standard input does.
 * Each answer begins DELAY_MS after its request has come, and all of them share one line (0:
 * without a limit): the connections that have something to send take turns, a quantum each.
 *
 *     /~stats    {"requests": N, "body": BYTES, "wire": BYTES, "connections": N}
 *     /~forget   sets these to 0
 *
 * The line is exact whatever the load of the machine: while there is something to send it fills
 * with the time that passes, however late this thread is, and when there is nothing, or nobody
 * takes it, it saves nothing up.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX 256
#define HEAD_MAX  8192
#define QUANTUM   16384u
#define NEVER     UINT64_MAX

enum state { READING, WAITING, SENDING };

struct conn {
	int fd;
	enum state state;
	char in[HEAD_MAX + 1];
	size_t in_len;
	char out[512];
	size_t out_len, out_done;
	int file; /* -1: only out */
	off_t off;
	uint64_t left; /* of the body */
	uint64_t due;  /* ns: when sending begins */
	bool counted;
	bool stuck; /* its client takes nothing now */
};

static struct conn *conns[CONNS_MAX];
static size_t nconns;
static const char *dir;
static uint64_t delay_ns, rate;
static uint64_t requests, body, wire, connections;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void answer_text(struct conn *c, const char *status, const char *text)
{
	c->file = -1;
	c->left = 0;
	c->out_len = (size_t)snprintf(c->out, sizeof(c->out),
	                              "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status,
	                              strlen(text), text);
}

/* What is wanted of a file of size bytes; false: all of it. */
static bool wanted(const char *request, uint64_t size, uint64_t *first, uint64_t *last)
{
	const char *range = strcasestr(request, "\r\nRange: bytes=");
	char *end;

	*first = 0;
	*last = size - 1;
	if (!range)
		return false;
	*first = strtoull(range + 15, &end, 10);
	if (*end == '-' && end[1] >= '0' && end[1] <= '9')
		*last = strtoull(end + 1, NULL, 10);
	if (*last > size - 1)
		*last = size - 1;
	return true;
}

static void answer_file(struct conn *c, const char *path)
{
	char name[1024], range[96] = "";
	uint64_t first, last;
	struct stat st;
	bool partial;

	snprintf(name, sizeof(name), "%s%s", dir, path);
	c->file = strstr(path, "..") ? -1 : open(name, O_RDONLY | O_CLOEXEC);
	if (c->file < 0 || fstat(c->file, &st) < 0 || st.st_size == 0) {
		answer_text(c, "404 Not Found", "");
		return;
	}
	partial = wanted(c->in, (uint64_t)st.st_size, &first, &last);
	if (first > last) {
		close(c->file);
		answer_text(c, "416 Range Not Satisfiable", "");
		return;
	}
	if (partial)
		snprintf(range, sizeof(range), "Content-Range: bytes %ju-%ju/%ju\r\n",
		         (uintmax_t)first, (uintmax_t)last, (uintmax_t)st.st_size);
	c->off = (off_t)first;
	c->left = last + 1 - first;
	c->out_len = (size_t)snprintf(
		c->out, sizeof(c->out),
		"HTTP/1.1 %s\r\nETag: \"%jx-%jx\"\r\nAccept-Ranges: bytes\r\n%sContent-Length: "
		"%ju\r\n\r\n",
		partial ? "206 Partial Content" : "200 OK", (uintmax_t)st.st_mtim.tv_sec,
		(uintmax_t)st.st_size, range, (uintmax_t)c->left);
}

/* A request is there: c->in up to its end. */
static void answer(struct conn *c, uint64_t now)
{
	char path[512] = "", text[256];

	sscanf(c->in, "%*s %511s", path);
	c->out_done = 0;
	c->stuck = false;
	c->state = WAITING;
	c->counted = strncmp(path, "/~", 2) != 0;
	c->due = c->counted ? now + delay_ns : now;
	if (c->counted)
		requests++;
	if (strcmp(path, "/~forget") == 0)
		requests = body = wire = connections = 0;
	snprintf(text, sizeof(text),
	         "{\"requests\": %ju, \"body\": %ju, \"wire\": %ju, \"connections\": %ju}\n",
	         (uintmax_t)requests, (uintmax_t)body, (uintmax_t)wire, (uintmax_t)connections);
	if (c->counted)
		answer_file(c, path);
	else
		answer_text(c, "200 OK", text);
}

static void close_conn(size_t i)
{
	if (conns[i]->state != READING && conns[i]->file >= 0)
		close(conns[i]->file);
	close(conns[i]->fd);
	free(conns[i]);
	conns[i] = conns[--nconns];
}

/* False: it is over. */
static bool receive(struct conn *c, uint64_t now)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, HEAD_MAX - c->in_len, MSG_DONTWAIT);
	char *end;

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	c->in_len += (size_t)n;
	c->in[c->in_len] = '\0';
	end = strstr(c->in, "\r\n\r\n");
	if (!end)
		return c->in_len < HEAD_MAX;
	answer(c, now);
	c->in_len = 0; /* nobody sends a second one before the first is answered */
	return true;
}

/* Sends at most max bytes; returns how many, or -1: it is over. */
static ssize_t transmit(struct conn *c, size_t max)
{
	ssize_t n;

	if (c->out_done < c->out_len) {
		const size_t left = c->out_len - c->out_done;

		n = send(c->fd, c->out + c->out_done, left < max ? left : max,
		         MSG_DONTWAIT | MSG_NOSIGNAL | (c->left > 0 ? MSG_MORE : 0));
		c->out_done += n > 0 ? (size_t)n : 0;
	} else {
		n = sendfile(c->fd, c->file, &c->off, c->left < max ? c->left : max);
		c->left -= n > 0 ? (uint64_t)n : 0;
		body += n > 0 ? (uint64_t)n : 0;
	}
	if (n < 0 && errno == EAGAIN) {
		c->stuck = true;
		return 0;
	}
	if (n <= 0)
		return -1;
	wire += c->counted ? (uint64_t)n : 0;
	if (c->out_done == c->out_len && c->left == 0) {
		if (c->file >= 0)
			close(c->file);
		c->state = READING;
	}
	return n;
}

static void take_client(int listener)
{
	const int one = 1;
	struct conn *c;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	c = nconns < CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->fd = fd;
	c->file = -1;
	conns[nconns++] = c;
	connections++;
}

/* What the line has room for, and when it was looked at last. */
static double tokens;
static uint64_t filled;

/* Lets those whose time has come send in turns; returns whether one still wants to. */
static bool send_all(uint64_t now)
{
	static size_t turn;
	bool pending = false, sent = true;

	for (size_t i = 0; i < nconns; i++)
		if (conns[i]->state == WAITING && conns[i]->due <= now)
			conns[i]->state = SENDING;
	for (size_t i = 0; i < nconns; i++)
		pending |= conns[i]->state == SENDING && !conns[i]->stuck;
	if (pending && rate > 0)
		tokens += (double)(now - filled) * (double)rate / 1e9;
	filled = now;
	while (pending && sent && (rate == 0 || tokens >= 1)) {
		sent = false;
		for (size_t k = 0; k < nconns && (rate == 0 || tokens >= 1); k++) {
			const size_t i = turn++ % nconns;
			struct conn *c = conns[i];
			size_t max = QUANTUM;
			ssize_t n;

			if (c->state != SENDING || c->stuck)
				continue;
			if (rate > 0 && tokens < (double)max)
				max = (size_t)tokens;
			n = transmit(c, max);
			sent |= n != 0;
			if (n < 0)
				close_conn(i);
			else if (c->counted)
				tokens -= (double)n;
		}
	}
	pending = false;
	for (size_t i = 0; i < nconns; i++)
		pending |= conns[i]->state == SENDING && !conns[i]->stuck;
	if (!pending)
		tokens = 0;
	return pending;
}

/* Until something comes, or is to be sent. False: standard input has ended. */
static bool wait_for_more(int listener, bool pending)
{
	struct pollfd fds[CONNS_MAX + 2] = {{.fd = STDIN_FILENO, .events = POLLIN},
	                                    {.fd = listener, .events = POLLIN}};
	const size_t n = nconns;
	uint64_t now = now_ns(), until = pending ? now + 500000 : NEVER;
	struct timespec t = {0};
	char byte;

	for (size_t i = 0; i < n; i++) {
		const struct conn *c = conns[i];

		fds[i + 2] = (struct pollfd){.fd = c->fd, .events = POLLIN};
		if (c->state == SENDING && c->stuck)
			fds[i + 2].events |= POLLOUT;
		if (c->state == WAITING && c->due < until)
			until = c->due;
	}
	if (until != NEVER && until > now)
		t = (struct timespec){.tv_sec = (time_t)((until - now) / 1000000000u),
		                      .tv_nsec = (long)((until - now) % 1000000000u)};
	if (ppoll(fds, n + 2, until == NEVER ? NULL : &t, NULL) < 0)
		return errno == EINTR;
	now = now_ns();
	for (size_t i = n; i-- > 0;) {
		if (fds[i + 2].revents & POLLOUT)
			conns[i]->stuck = false;
		if ((fds[i + 2].revents & ~POLLOUT) && !receive(conns[i], now))
			close_conn(i);
	}
	if (fds[1].revents)
		take_client(listener);
	return !fds[0].revents || read(STDIN_FILENO, &byte, 1) > 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t at_len = sizeof(at);

	if (argc != 4 || listener < 0 || bind(listener, (struct sockaddr *)&at, at_len) < 0 ||
	    listen(listener, CONNS_MAX) < 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &at_len) < 0) {
		fprintf(stderr, "link_server DIR DELAY_MS BYTES_PER_SECOND\n");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	dir = argv[1];
	delay_ns = strtoull(argv[2], NULL, 10) * 1000000u;
	rate = strtoull(argv[3], NULL, 10);
	printf("%u\n", ntohs(at.sin_port));
	fflush(stdout);
	for (;;) {
		const bool pending = send_all(now_ns());

		if (!wait_for_more(listener, pending))
			return 0;
	}
}
