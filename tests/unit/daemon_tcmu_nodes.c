// SPDX-License-Identifier: Apache-2.0
/* Nodes that come and go in a directory of the test's own. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/tcmu_nodes.h"

static char dir[64], seen[256];

static void changed(void *arg, unsigned minor, bool there)
{
	const size_t n = strlen(seen);

	assert_ptr_equal(arg, seen);
	snprintf(seen + n, sizeof(seen) - n, "%c%u ", there ? '+' : '-', minor);
}

static void create(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
}

static void destroy(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

static void test_nodes(void **arg)
{
	int fd;

	(void)arg;
	strcpy(dir, "/tmp/ovbd-nodes-XXXXXX");
	assert_non_null(mkdtemp(dir));
	create("uio7");
	fd = ovbd_tcmu_nodes_open(dir);
	assert_true(fd >= 0);
	assert_int_equal(ovbd_tcmu_nodes_read(fd, changed, seen), 0);
	create("uio0");
	create("sda");
	create("uio12x");
	create("uio");
	create("uio12");
	destroy("uio0");
	assert_int_equal(ovbd_tcmu_nodes_read(fd, changed, seen), 0);
	assert_string_equal(seen, "+0 +12 -0 ");
	destroy("uio7");
	destroy("uio12");
	destroy("uio12x");
	destroy("uio");
	destroy("sda");
	assert_int_equal(ovbd_tcmu_nodes_read(fd, changed, seen), 0);
	assert_string_equal(seen, "+0 +12 -0 -7 -12 ");
	close(fd);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(ovbd_tcmu_nodes_open(dir), -ENOENT);
}

/* More than the kernel keeps, or than is read at a time. */
static void test_many(void **arg)
{
	const char *limit = "/proc/sys/fs/inotify/max_queued_events";
	unsigned max = 0;
	FILE *f = fopen(limit, "r");
	int fd, r;

	(void)arg;
	if (f && fscanf(f, "%u", &max) != 1)
		max = 0;
	if (f)
		fclose(f);
	if (max == 0 || max > 100000) {
		print_message("skipped: %s: %u events are too many, or cannot be told\n", limit,
		              max);
		skip();
	}
	/* in memory, if there is a place */
	strcpy(dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/ovbd-nodes-XXXXXX"
	                                          : "/tmp/ovbd-nodes-XXXXXX");
	assert_non_null(mkdtemp(dir));
	fd = ovbd_tcmu_nodes_open(dir);
	assert_true(fd >= 0);
	for (unsigned i = 0; i <= max / 2; i++) {
		create("sda");
		destroy("sda");
	}
	create("uio1");
	seen[0] = '\0';
	r = ovbd_tcmu_nodes_read(fd, changed, seen);
	assert_int_equal(r, -EOVERFLOW);
	assert_string_equal(seen, "");
	destroy("uio1");
	assert_int_equal(ovbd_tcmu_nodes_read(fd, changed, seen), 0);
	assert_string_equal(seen, "-1 ");
	close(fd);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
