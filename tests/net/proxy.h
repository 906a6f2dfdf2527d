/* SPDX-License-Identifier: Apache-2.0 */
/* Starts tests/lib/fault_proxy.c in front of a server. Whatever fails ends the test. */
#ifndef OVBD_TESTS_NET_PROXY_H
#define OVBD_TESTS_NET_PROXY_H

#include <sys/types.h>

struct test_proxy {
	pid_t pid;
	int in, out;
	unsigned port;
};

/* Returns when it takes connections. */
void test_proxy_start(struct test_proxy *p, unsigned to_port);
void test_proxy_stop(struct test_proxy *p);

/* Gives a command, and returns when it is obeyed. One thread at a time. */
void test_proxy_do(struct test_proxy *p, const char *command);

struct test_proxy_count {
	unsigned long connections, open, answers, spoiled;
};

struct test_proxy_count test_proxy_count(struct test_proxy *p);

#endif
