// SPDX-License-Identifier: Apache-2.0
#include "tests/net/proxy.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/net/server.h"
#include "tests/unit/test.h"

static void answer(const struct test_proxy *p, char ret[128])
{
	size_t i = 0;

	while (i < 127 && read(p->out, ret + i, 1) == 1 && ret[i] != '\n')
		i++;
	ret[i] = '\0';
}

void test_proxy_start(struct test_proxy *p, unsigned to_port)
{
	const char *build = getenv("OVBD_BUILD");
	char program[600], port[16], line[128];
	char *const argv[] = {program, port, NULL};

	snprintf(program, sizeof(program), "%s/tests/fault_proxy", build ? build : ".");
	snprintf(port, sizeof(port), "%u", to_port);
	p->pid = test_spawn(argv, &p->in, &p->out);
	assert_true(p->pid > 0);
	answer(p, line);
	p->port = (unsigned)atoi(line);
	assert_true(p->port > 0);
}

void test_proxy_stop(struct test_proxy *p)
{
	close(p->in);
	close(p->out);
	assert_int_equal(waitpid(p->pid, NULL, 0), p->pid);
}

static void ask(struct test_proxy *p, const char *command, char ret[128])
{
	char line[128];
	const int n = snprintf(line, sizeof(line), "%s\n", command);

	assert_int_equal(write(p->in, line, (size_t)n), n);
	answer(p, ret);
}

void test_proxy_do(struct test_proxy *p, const char *command)
{
	char line[128];

	ask(p, command, line);
	if (strcmp(line, "ok") != 0)
		fail_msg("the proxy does not obey '%s': %s", command, line);
}

struct test_proxy_count test_proxy_count(struct test_proxy *p)
{
	struct test_proxy_count c;
	char line[128];

	ask(p, "count", line);
	assert_int_equal(sscanf(line, "%lu %lu %lu %lu", &c.connections, &c.open, &c.answers,
	                        &c.spoiled),
	                 4);
	return c;
}
