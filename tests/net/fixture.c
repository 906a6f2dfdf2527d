// SPDX-License-Identifier: Apache-2.0
#include "tests/net/fixture.h"

struct test_site site;
struct test_server server;

int test_net_setup(void **state)
{
	(void)state;
	test_site_create(&site);
	test_server_start(&server, site.dir, 0, NULL, NULL);
	return 0;
}

int test_net_teardown(void **state)
{
	(void)state;
	test_server_kill(&server);
	test_site_remove(&site);
	return 0;
}
