/* SPDX-License-Identifier: Apache-2.0 */
/* For a program whose tests share one site and one server: the fixtures of its group. */
#ifndef OVBD_TESTS_NET_FIXTURE_H
#define OVBD_TESTS_NET_FIXTURE_H

#include "tests/net/server.h"

extern struct test_site site;
extern struct test_server server;

int test_net_setup(void **state);
int test_net_teardown(void **state);

#endif
