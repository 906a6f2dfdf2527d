// SPDX-License-Identifier: Apache-2.0
/*
 * The NBD transport with clients of our own, on a Unix socket: many at once, some that do not move,
 * some that vanish. Built for ThreadSanitizer too.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/bytes.h"
#include "daemon/nbd.h"
#include "daemon/nbd_request.h"
#include "daemon/serve.h"
#include "tests/unit/test.h"

#define SIZE     (64u << 20)
#define BLOCK    4096
#define NCLIENTS 4
#define NROUNDS  200
#define PIECE    (8u << 20)

/* A device that knows what it reads as, and counts what is done to it. */
struct toy {
	struct ovbd_device device;
	struct ovbd_blob blob;
	_Atomic unsigned nwrites, nfua, nalloc, ndiscards, nflushes;
	_Atomic bool wrong; /* a write that is not of this pattern */
};

static sem_t gate; /* that reads of block 15 wait for */

static uint8_t byte_at(uint64_t off)
{
	return (uint8_t)(off / BLOCK * 7 + 1);
}

static int toy_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                     struct ovbd_error *err)
{
	uint8_t *p = buf;

	(void)b;
	if (off == 13 * BLOCK)
		return ovbd_fail(err, -EBADMSG, "block 13 is damaged");
	if (off == 15 * BLOCK)
		sem_wait(&gate);
	for (size_t n; len > 0; len -= n, off += n, p += n) {
		n = ovbd_min(len, BLOCK - off % BLOCK);
		memset(p, byte_at(off), n);
	}
	return 0;
}

static void toy_blob_close(struct ovbd_blob *b)
{
	(void)b;
}

static struct toy *toy_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct toy, device);
}

static int toy_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                      unsigned flags, struct ovbd_error *err)
{
	const uint8_t *p = buf;

	(void)err;
	toy_of(d)->nwrites++;
	toy_of(d)->nfua += (flags & OVBD_WRITE_FUA) != 0;
	for (size_t i = 0; i < len; i += BLOCK)
		if (p[i] != byte_at(off + i))
			toy_of(d)->wrong = true;
	return 0;
}

static int toy_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                      struct ovbd_error *err)
{
	(void)off;
	(void)len;
	toy_of(d)->nalloc += (flags & OVBD_WRITE_ALLOC) != 0;
	return flags & OVBD_WRITE_FAST ? ovbd_fail(err, -EOPNOTSUPP, "slow") : 0;
}

static int toy_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	(void)off;
	(void)len;
	(void)err;
	toy_of(d)->ndiscards++;
	return 0;
}

static int toy_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	(void)err;
	toy_of(d)->nflushes++;
	return 0;
}

static const struct ovbd_blob_ops blob_ops = {.name = "toy",
                                              .pread = toy_pread,
                                              .close = toy_blob_close};
static const struct ovbd_device_ops device_ops = {
	.pwrite = toy_pwrite,
	.write_zeroes = toy_zeroes,
	.discard = toy_discard,
	.flush = toy_flush,
};

struct server {
	struct toy toy;
	struct ovbd_transport *t;
	pthread_t thread;
	char path[64];
	int result;
};

static void *server_main(void *arg)
{
	struct server *s = arg;
	const struct ovbd_serve_params p = {.nworkers = 4};

	s->result = ovbd_serve(s->t, &s->toy.device, &p, NULL);
	return NULL;
}

/* Without a name it has no socket. */
static void start(struct server *s, const char *name)
{
	struct ovbd_nbd_params p = {.export = "", .nworkers = 4};
	struct ovbd_error err;

	memset(s, 0, sizeof(*s));
	s->toy.blob = (struct ovbd_blob){.ops = &blob_ops, .size = SIZE};
	s->toy.device = (struct ovbd_device){.blob = &s->toy.blob, .ops = &device_ops};
	if (name)
		snprintf(s->path, sizeof(s->path), "/tmp/ovbd-nbd-%d-%s", (int)getpid(), name);
	p.address = name ? s->path : NULL;
	p.device = &s->toy.device;
	assert_ok(ovbd_nbd_open(&p, &s->t, &err), err);
	assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static void finish(struct server *s)
{
	pthread_join(s->thread, NULL);
	assert_int_equal(s->result, 0);
	s->t->ops->close(s->t);
	assert_int_equal(access(s->path, F_OK), -1);
}

static int dial(const struct server *s)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, s->path, strlen(s->path));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool get(int fd, void *buf, size_t len)
{
	return recv(fd, buf, len, MSG_WAITALL) == (ssize_t)len;
}

static bool put(int fd, const void *buf, size_t len)
{
	return send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Chooses the export in the oldest way: the replies are simple ones. */
static bool greet(int fd)
{
	uint8_t in[NBD_GREETING_SIZE], out[20] = {0, 0, 0, 3};

	ovbd_put_be64(out + 4, NBD_IHAVEOPT);
	ovbd_put_be32(out + 12, NBD_OPT_EXPORT_NAME);
	return get(fd, in, sizeof(in)) && put(fd, out, sizeof(out)) && get(fd, in, 10) &&
	       ovbd_get_be64(in) == SIZE;
}

static void encode(uint8_t *head, unsigned flags, unsigned type, uint64_t off, uint32_t len)
{
	ovbd_put_be32(head, NBD_REQUEST_MAGIC);
	ovbd_put_be16(head + 4, (uint16_t)flags);
	ovbd_put_be16(head + 6, (uint16_t)type);
	ovbd_put_be64(head + 8, off);
	ovbd_put_be64(head + 16, off);
	ovbd_put_be32(head + 24, len);
}

static bool ask(int fd, unsigned flags, unsigned type, uint64_t off, uint32_t len)
{
	uint8_t head[NBD_REQUEST_SIZE];

	encode(head, flags, type, off, len);
	return put(fd, head, sizeof(head));
}

/* The error of the next reply, and whose it is; UINT32_MAX if there is none. */
static uint32_t answer(int fd, uint64_t *ret_cookie)
{
	uint8_t head[NBD_SIMPLE_REPLY_SIZE];

	if (!get(fd, head, sizeof(head)) || ovbd_get_be32(head) != NBD_SIMPLE_REPLY_MAGIC)
		return UINT32_MAX;
	*ret_cookie = ovbd_get_be64(head + 8);
	return ovbd_get_be32(head + 4);
}

static bool read_and_compare(int fd, uint32_t len)
{
	AUTO_FREE uint8_t *buf = malloc(len);
	uint64_t off;
	bool ok = buf && answer(fd, &off) == 0 && get(fd, buf, len);

	for (size_t i = 0; ok && i < len; i += BLOCK)
		ok = buf[i] == byte_at(off + i);
	return ok;
}

/* Eight reads under way at a time, answered in any order; and a write now and then. */
static void *client_main(void *arg)
{
	const struct server *s = arg;
	AUTO_FD fd = dial(s);
	uint64_t seed = (uint64_t)(uintptr_t)&fd, cookie;
	uint8_t block[BLOCK];
	bool ok = fd >= 0 && greet(fd);

	for (unsigned i = 0; ok && i < NROUNDS; i++) {
		const uint64_t off = (20 + test_random(&seed) % 1000) * BLOCK;

		for (unsigned k = 0; ok && k < 8; k++)
			ok = ask(fd, 0, NBD_CMD_READ, off + k * BLOCK, BLOCK);
		for (unsigned k = 0; ok && k < 8; k++)
			ok = read_and_compare(fd, BLOCK);
		memset(block, byte_at(off), BLOCK);
		ok = ok && ask(fd, NBD_CMD_FLAG_FUA, NBD_CMD_WRITE, off, BLOCK) &&
		     put(fd, block, BLOCK) && answer(fd, &cookie) == 0 && cookie == off;
	}
	if (ok)
		ask(fd, 0, NBD_CMD_DISC, 0, 0);
	return ok ? arg : NULL;
}

static void test_many(void **state)
{
	static struct server s;
	pthread_t clients[NCLIENTS];
	void *ok;

	(void)state;
	start(&s, "many");
	for (unsigned i = 0; i < NCLIENTS; i++)
		assert_int_equal(pthread_create(&clients[i], NULL, client_main, &s), 0);
	for (unsigned i = 0; i < NCLIENTS; i++) {
		pthread_join(clients[i], &ok);
		assert_non_null(ok);
	}
	assert_int_equal(s.toy.nwrites, NCLIENTS * NROUNDS);
	assert_int_equal(s.toy.nfua, NCLIENTS * NROUNDS);
	assert_false(s.toy.wrong);
	s.t->ops->stop(s.t);
	finish(&s);
}

static void expect(int fd, uint32_t error, unsigned flags, unsigned type, uint64_t off,
                   uint32_t len)
{
	uint64_t cookie;

	assert_true(ask(fd, flags, type, off, len));
	assert_int_equal(answer(fd, &cookie), error);
}

static void test_kinds(void **state)
{
	static struct server s;
	uint8_t data[100] = {0};
	uint64_t cookie;
	int fd;

	(void)state;
	start(&s, "kinds");
	fd = dial(&s);
	assert_true(greet(fd));
	expect(fd, 0, 0, NBD_CMD_TRIM, 0, SIZE);
	expect(fd, 0, NBD_CMD_FLAG_NO_HOLE, NBD_CMD_WRITE_ZEROES, 0, SIZE);
	expect(fd, NBD_ENOTSUP, NBD_CMD_FLAG_FAST_ZERO, NBD_CMD_WRITE_ZEROES, 0, SIZE);
	expect(fd, 0, 0, NBD_CMD_FLUSH, 0, 0);
	expect(fd, NBD_EIO, 0, NBD_CMD_CACHE, 13 * BLOCK, BLOCK);
	expect(fd, 0, 0, NBD_CMD_CACHE, 0, SIZE);
	expect(fd, NBD_EIO, 0, NBD_CMD_READ, 13 * BLOCK, BLOCK);
	/* The data of a write that is refused is skipped. */
	assert_true(ask(fd, 0, NBD_CMD_WRITE, SIZE, sizeof(data)));
	assert_true(put(fd, data, sizeof(data)));
	assert_int_equal(answer(fd, &cookie), NBD_ENOSPC);
	expect(fd, NBD_EINVAL, 0, 99, 5, 0);
	assert_true(ask(fd, 0, NBD_CMD_READ, 0, BLOCK));
	assert_true(read_and_compare(fd, BLOCK));
	assert_int_equal(s.toy.ndiscards, 1);
	assert_int_equal(s.toy.nalloc, 1);
	assert_int_equal(s.toy.nflushes, 1);
	assert_int_equal(s.toy.nwrites, 0);
	/* A wrong magic ends the connection, and only it. */
	assert_true(put(fd, data, NBD_REQUEST_SIZE));
	assert_int_equal(recv(fd, data, 1, 0), 0);
	close(fd);
	fd = dial(&s);
	assert_true(greet(fd));
	close(fd);
	s.t->ops->stop(s.t);
	finish(&s);
}

/* Clients that say nothing, stop in the middle of anything, take no replies, or vanish. */
static void test_slow(void **state)
{
	static struct server s;
	static uint8_t part[1000];
	int idle[300], lazy[12], fd;

	(void)state;
	start(&s, "slow");
	for (unsigned i = 0; i < 300; i++) {
		idle[i] = dial(&s);
		assert_true(idle[i] >= 0);
		if (i % 3 == 1)
			assert_true(greet(idle[i]));
		if (i % 3 == 2)
			assert_true(put(idle[i], "\0\0\0\3IHAVE", 9));
		if (i % 6 == 1)
			assert_true(ask(idle[i], 0, NBD_CMD_WRITE, 0, BLOCK) &&
			            put(idle[i], part, sizeof(part)));
	}
	/* More than all the memory there is for them: 12 times 64 MiB. */
	for (unsigned i = 0; i < 12; i++) {
		lazy[i] = dial(&s);
		assert_true(greet(lazy[i]));
		for (unsigned k = 0; k < 8; k++)
			assert_true(ask(lazy[i], 0, NBD_CMD_READ, 20 * BLOCK, PIECE));
	}
	fd = dial(&s);
	assert_true(greet(fd));
	for (unsigned i = 0; i < 50; i++) {
		assert_true(ask(fd, 0, NBD_CMD_READ, 20 * BLOCK, 16 * BLOCK));
		assert_true(read_and_compare(fd, 16 * BLOCK));
	}
	/* What waits for memory gets it when others go, or take what is theirs. */
	for (unsigned i = 2; i < 12; i++)
		close(lazy[i]);
	for (unsigned k = 0; k < 8; k++)
		assert_true(read_and_compare(lazy[1], PIECE));
	assert_true(ask(fd, 0, NBD_CMD_READ, 20 * BLOCK, NBD_BLOCK_SIZE_MAX));
	assert_true(read_and_compare(fd, NBD_BLOCK_SIZE_MAX));
	s.t->ops->stop(s.t);
	finish(&s);
	close(fd);
	for (unsigned i = 0; i < 302; i++)
		close(i < 300 ? idle[i] : lazy[i - 300]);
}

static void test_detach(void **state)
{
	static struct server s;
	int fd, half;

	(void)state;
	start(&s, "detach");
	fd = dial(&s);
	assert_true(greet(fd));
	half = dial(&s);
	assert_int_equal(s.t->ops->detach(s.t, NULL), 1);
	assert_int_equal(access(s.path, F_OK), -1);
	assert_int_equal(dial(&s), -1);
	assert_int_equal(s.t->ops->detach(s.t, NULL), 1);
	assert_true(ask(fd, 0, NBD_CMD_READ, 0, BLOCK));
	assert_true(read_and_compare(fd, BLOCK));
	ask(fd, 0, NBD_CMD_DISC, 0, 0);
	finish(&s);
	close(fd);
	close(half);
	start(&s, "alone");
	assert_int_equal(s.t->ops->detach(s.t, NULL), 0);
	finish(&s);
}

/* More than there may be, idle in their handshake, and one that is not; all vanish. */
static void test_full(void **state)
{
	static struct server s;
	static int idle[OVBD_NBD_MAX_CONNS + 50];
	struct rlimit l;
	unsigned n = 0;
	int fd;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	start(&s, "full");
	while (n < OVBD_NBD_MAX_CONNS + 50 && (idle[n] = dial(&s)) >= 0)
		n++; /* the test's descriptors and the server's are the same process's */
	fd = dial(&s);
	if (fd >= 0)
		assert_true(greet(fd));
	while (n > 0)
		close(idle[--n]);
	if (fd >= 0)
		close(fd);
	fd = dial(&s);
	assert_true(greet(fd));
	close(fd);
	s.t->ops->stop(s.t);
	finish(&s);
}

/* Connections that others have made, as the kernel's client has: no handshake; the last one's end
 * is the server's. */
static void test_adopt(void **state)
{
	struct server s;
	int one[2], two[2];

	(void)state;
	start(&s, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, one), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, two), 0);
	ovbd_nbd_adopt(s.t, one[0]);
	ovbd_nbd_adopt(s.t, two[0]);
	for (unsigned i = 0; i < 12; i++) {
		assert_true(ask(one[1], 0, NBD_CMD_READ, i * BLOCK, 2 * BLOCK));
		expect(two[1], 0, 0, NBD_CMD_FLUSH, 0, 0);
	}
	assert_int_equal(s.toy.nflushes, 12);
	assert_true(ask(two[1], 0, NBD_CMD_DISC, 0, 0));
	for (unsigned i = 0; i < 12; i++)
		assert_true(read_and_compare(one[1], 2 * BLOCK));
	close(one[1]);
	finish(&s);
	close(two[1]);
}

/* A slow request holds up none of those that came with it. */
static void test_stuck(void **state)
{
	static struct server s;
	const struct timeval patience = {.tv_sec = 20};
	uint8_t heads[12 * NBD_REQUEST_SIZE];
	int fd;

	(void)state;
	sem_init(&gate, 0, 0);
	start(&s, "stuck");
	fd = dial(&s);
	assert_true(greet(fd));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 12; i++)
			encode(heads + i * NBD_REQUEST_SIZE, 0, NBD_CMD_READ,
			       (i == 4 ? 15 : 100 + i) * BLOCK, BLOCK);
		assert_true(put(fd, heads, sizeof(heads)));
		for (unsigned i = 0; i < 11; i++)
			assert_true(read_and_compare(fd, BLOCK));
		sem_post(&gate);
		assert_true(read_and_compare(fd, BLOCK));
		for (unsigned i = 0; i < 200; i++) /* and a worker keeps it again */
			assert_true(ask(fd, 0, NBD_CMD_READ, 200 * BLOCK, BLOCK) &&
			            read_and_compare(fd, BLOCK));
	}
	close(fd);
	s.t->ops->stop(s.t);
	finish(&s);
	sem_destroy(&gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),  cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_slow),  cmocka_unit_test(test_detach),
		cmocka_unit_test(test_full),  cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_stuck),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
