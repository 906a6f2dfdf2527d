/* SPDX-License-Identifier: Apache-2.0 */
/* For a program whose tests share an nginx: the fixtures of its group. */
#ifndef OVBD_TESTS_NET_NGINX_H
#define OVBD_TESTS_NET_NGINX_H

#include "tests/net/server.h"

struct test_nginx {
	struct test_site site; /* what it serves */
	pid_t pid;             /* -1: it is not installed, or TLS cannot be had */
	unsigned port, tls_port;
	char ca_file[300];
};

extern struct test_nginx nginx;

int test_nginx_setup(void **state);
int test_nginx_teardown(void **state);

/* Skips the test without it. */
void test_nginx_need(void);

#endif
