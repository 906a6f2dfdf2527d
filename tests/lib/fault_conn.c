// SPDX-License-Identifier: Apache-2.0
/*
 * One connection through fault_proxy.c: a thread that passes on what both sides say. What the
 * server says is cut into runs, each of one place (head, body) and before or after the place where
 * the answer's fault begins.
 */
#include "tests/lib/fault_proxy.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX   16384u
#define PIECE_SIZE 65536u

struct relay {
	struct conn conn;   /* first */
	bool over;          /* by an order */
	struct fault fault; /* of the answer that is on its way */
	bool is_http, began;
	enum place place; /* where the next byte of the server belongs */
	uint64_t at_answer, at_place, body_left;
	unsigned nnewlines; /* at the end of the head so far */
	size_t head_len;
	char head[HEAD_MAX + 1];
};

/* Counts an answer, and says how it is to be spoilt. */
static struct fault next_fault(bool accepting)
{
	struct fault f = {.kind = OK};

	pthread_mutex_lock(&proxy.lock);
	proxy.nanswers += !accepting;
	if (proxy.fault.kind != OK && (proxy.fault.kind == CLOSE) == accepting &&
	    proxy.fault.times > 0) {
		f = proxy.fault;
		proxy.fault.times--;
		proxy.nspoiled++;
	}
	pthread_mutex_unlock(&proxy.lock);
	return f;
}

static enum order take_order(struct relay *c)
{
	enum order o;
	uint64_t n;

	if (read(c->conn.wake, &n, sizeof(n)) < 0)
		abort();
	pthread_mutex_lock(&proxy.lock);
	o = c->conn.order;
	pthread_mutex_unlock(&proxy.lock);
	return o;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void reset(int fd)
{
	const struct linger now = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static bool send_all(int fd, const char *buf, size_t n)
{
	while (n > 0) {
		const ssize_t sent = send(fd, buf, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		buf += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* Takes what the client says, for ms (< 0: for ever); false: it has gone, or an order has come. */
static bool listen_only(struct relay *c, int ms)
{
	const int64_t end = now_ms() + ms;
	char dropped[4096];

	for (;;) {
		struct pollfd fds[2] = {{c->conn.client, POLLIN, 0}, {c->conn.wake, POLLIN, 0}};
		const int64_t left = c->over || ms < 0 ? -1 : end - now_ms();

		if (left <= 0 && !c->over && ms >= 0)
			return true;
		if (poll(fds, 2, (int)left) < 0)
			return false;
		if (fds[1].revents) {
			c->over = true;
			if (take_order(c) == CUT)
				return false;
		}
		if (fds[0].revents && recv(c->conn.client, dropped, sizeof(dropped), 0) <= 0)
			return false;
	}
}

static bool send_extra(int fd, unsigned long n)
{
	char buf[1000];

	memset(buf, 0xa5, sizeof(buf));
	for (unsigned long at = 0; at < n; at += sizeof(buf))
		if (!send_all(fd, buf, n - at < sizeof(buf) ? n - at : sizeof(buf)))
			return false;
	return true;
}

/* The place of the fault has been reached. False: the connection is over. */
static bool do_fault(struct relay *c)
{
	const enum kind kind = c->fault.kind;

	if (kind == RESET)
		reset(c->conn.client);
	if (kind == RESET || kind == END)
		return false;
	if (kind == HALF)
		shutdown(c->conn.client, SHUT_WR);
	if (kind == HALF || kind == STALL)
		return listen_only(c, -1);
	if (kind == LATENCY)
		return listen_only(c, (int)c->fault.arg);
	if (kind == EXTRA)
		return send_extra(c->conn.client, c->fault.arg);
	return true;
}

/* Where in an answer a byte of it is, as the fault counts. */
static uint64_t fault_counts(const struct relay *c)
{
	if (c->fault.kind == OK)
		return NEVER;
	if (c->fault.place == ANSWER)
		return c->at_answer;
	return c->fault.place == c->place && c->is_http ? c->at_place : NEVER;
}

/* n bytes of one place, none of which is where the fault begins, but perhaps the first. */
static bool pass(struct relay *c, char *buf, size_t n)
{
	const uint64_t at = fault_counts(c);
	const bool reached = at != NEVER && at >= c->fault.at;

	if (at != NEVER && at == c->fault.at && !do_fault(c))
		return false;
	if (reached && c->fault.kind == FLIP)
		for (size_t i = 0; i < n; i++)
			buf[i] = (char)(buf[i] ^ ((at + i - c->fault.at) % c->fault.arg == 0));
	if (reached && c->fault.kind == TRICKLE) {
		for (size_t i = 0; i < n; i++)
			if (!listen_only(c, (int)c->fault.arg) ||
			    !send_all(c->conn.client, buf + i, 1))
				return false;
		return true;
	}
	return send_all(c->conn.client, buf, n);
}

/* How many of the n bytes belong to the head; adds them to it. */
static size_t take_head(struct relay *c, const char *buf, size_t n)
{
	size_t i = 0;

	while (i < n && c->nnewlines < 2 && c->head_len < HEAD_MAX) {
		c->head[c->head_len++] = buf[i];
		if (buf[i] == '\n')
			c->nnewlines++;
		else if (buf[i] != '\r')
			c->nnewlines = 0;
		i++;
	}
	return i;
}

static void begin_answer(struct relay *c)
{
	c->began = false;
	c->place = HEAD;
	c->at_answer = c->at_place = 0;
	c->nnewlines = 0;
	c->head_len = 0;
}

static bool end_answer(struct relay *c)
{
	const bool here = c->fault.kind != OK && c->fault.place == AFTER;

	begin_answer(c);
	return !here || do_fault(c);
}

/* The head is complete: how long is the body? */
static bool begin_body(struct relay *c)
{
	static const char name[] = "\r\nContent-Length: ";
	const char *at;

	c->head[c->head_len] = '\0';
	at = strstr(c->head, name);
	c->body_left = at ? strtoull(at + sizeof(name) - 1, NULL, 10) : NEVER;
	c->place = BODY;
	c->at_place = 0;
	return c->body_left > 0 || end_answer(c);
}

/* The length of the first run of buf that is of one place, and before the fault. */
static size_t next_run(struct relay *c, const char *buf, size_t n)
{
	uint64_t at;

	if (!c->began) {
		c->began = true;
		c->is_http = memcmp(buf, "HTTP/", n < 5 ? n : 5) == 0;
		c->fault = next_fault(false);
	}
	at = fault_counts(c);
	if (at != NEVER && at < c->fault.at && c->fault.at - at < n)
		n = (size_t)(c->fault.at - at);
	if (c->is_http && c->place == HEAD)
		n = take_head(c, buf, n);
	else if (c->is_http && c->place == BODY && n > c->body_left)
		n = (size_t)c->body_left;
	return n;
}

static bool pass_answer(struct relay *c, char *buf, size_t n)
{
	while (n > 0) {
		const size_t run = next_run(c, buf, n);

		if (!pass(c, buf, run))
			return false;
		buf += run;
		n -= run;
		c->at_answer += run;
		c->at_place += run;
		if (!c->is_http)
			continue;
		if (c->place == HEAD && (c->nnewlines == 2 || c->head_len == HEAD_MAX)) {
			if (!begin_body(c))
				return false;
		} else if (c->place == BODY) {
			c->body_left -= c->body_left == NEVER ? 0 : run;
			if (c->body_left == 0 && !end_answer(c))
				return false;
		}
	}
	return true;
}

/* Until one of the two goes, or a fault or an order ends it. */
static void relay(struct relay *c)
{
	char buf[PIECE_SIZE];

	for (;;) {
		struct pollfd fds[3] = {{c->conn.client, POLLIN, 0},
		                        {c->conn.server, POLLIN, 0},
		                        {c->conn.wake, POLLIN, 0}};
		ssize_t n;

		if (poll(fds, 3, -1) < 0)
			return;
		if (fds[2].revents) {
			c->over = true;
			if (take_order(c) == FREEZE)
				listen_only(c, -1);
			return;
		}
		if (fds[0].revents) {
			n = recv(c->conn.client, buf, sizeof(buf), 0);
			if (n <= 0 || !send_all(c->conn.server, buf, (size_t)n))
				return;
		}
		if (fds[1].revents) {
			n = recv(c->conn.server, buf, sizeof(buf), 0);
			if (n <= 0 || !pass_answer(c, buf, (size_t)n))
				return;
		}
	}
}

static int connect_to(unsigned port)
{
	const struct sockaddr_in addr = {.sin_family = AF_INET,
	                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	                                 .sin_port = htons((uint16_t)port)};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void *live(void *arg)
{
	struct relay *c = arg;
	struct conn **at;

	if (next_fault(true).kind == CLOSE) {
		shutdown(c->conn.client, SHUT_WR);
		listen_only(c, 1000); /* or what it has sent makes it a reset */
	} else {
		c->conn.server = connect_to(proxy.target);
		if (c->conn.server >= 0)
			relay(c);
		else
			reset(c->conn.client);
	}
	pthread_mutex_lock(&proxy.lock);
	for (at = &proxy.conns; *at != &c->conn; at = &(*at)->next)
		;
	*at = c->conn.next;
	proxy.nopen--;
	if (c->conn.order == CUT)
		reset(c->conn.client);
	pthread_mutex_unlock(&proxy.lock);
	close(c->conn.client);
	if (c->conn.server >= 0)
		close(c->conn.server);
	close(c->conn.wake);
	free(c);
	return NULL;
}

void proxy_serve(int take_client)
{
	const int one = 1;
	struct relay *c = calloc(1, sizeof(*c));
	pthread_t thread;

	if (!c)
		abort();
	setsockopt(take_client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->conn.client = take_client;
	c->conn.server = -1;
	c->conn.wake = eventfd(0, EFD_CLOEXEC);
	begin_answer(c);
	pthread_mutex_lock(&proxy.lock);
	c->conn.next = proxy.conns;
	proxy.conns = &c->conn;
	proxy.nconns++;
	proxy.nopen++;
	pthread_mutex_unlock(&proxy.lock);
	if (c->conn.wake < 0 || pthread_create(&thread, NULL, live, c) != 0)
		abort();
	pthread_detach(thread);
}
