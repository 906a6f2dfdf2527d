/* SPDX-License-Identifier: Apache-2.0 */
/* Starts tests/lib/range-server.py on a folder of known files. Whatever fails ends the test. */
#ifndef OVBD_TESTS_NET_SERVER_H
#define OVBD_TESTS_NET_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TEST_SITE_SIZE 300001 /* of its file "data"; "one" has the first byte of it, "empty" none */

/* A folder under TMPDIR with these three. */
struct test_site {
	char dir[256];
	uint8_t *data;
};

void test_site_create(struct test_site *ret);
void test_site_remove(struct test_site *s);

/* Writes dir/name anew: not in place, so that it becomes another file. */
void test_site_put(const struct test_site *s, const char *name, const void *data, size_t len);

struct test_server {
	pid_t pid;
	int life; /* its standard input: it ends when we do */
	unsigned port;
	bool tls;
};

/* port 0: any. cert and key may be NULL: no TLS. Returns when it takes connections. */
void test_server_start(struct test_server *s, const char *dir, unsigned port, const char *cert,
                       const char *key);
void test_server_kill(struct test_server *s); /* at once, with all its connections */

/* The number called name in what the server tells of itself; and make it forget. */
uint64_t test_server_stat(const struct test_server *s, const char *name);
void test_server_forget(const struct test_server *s);

/* What /~as=NAME/FILE is answered with from now on: lies, or "". Not with TLS. */
void test_server_set(const struct test_server *s, const char *name, const char *lies);

/* Runs a program, its first argument, to its end; its exit status, or -1 if there is no such. */
int test_run(char *const argv[]);

/* Starts it; -1: there is none. ret_in and ret_out (may be NULL) are pipes to and from it. */
pid_t test_spawn(char *const argv[], int *ret_in, int *ret_out);

/* Makes dir/cert.pem and dir/key.pem for 127.0.0.1 with the program openssl; false: there is
 * none. And dir/expired.pem, for the same key; trusted.pem has both. */
bool test_make_cert(const char *dir);

#endif
