// SPDX-License-Identifier: Apache-2.0
/*
 * TCMU's transport at work, and the test in the kernel's place: it writes commands into the ring as
 * long as there is room, rings, and checks each answer; a socket is the kernel's file.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#define __LINUX_UIO_H
#include <linux/target_core_user.h>

#include "base/auto.h"
#include "base/bytes.h"
#include "base/device.h"
#include "daemon/serve.h"
#include "daemon/tcmu_impl.h"

enum {
	RING = 128,
	RING_SIZE = 4096,
	NSLOTS = 16, /* commands in flight; the number is the command's id */
	SLOT_SIZE = 16384,
	DATA = 8192,
	MAP_SIZE = DATA + NSLOTS * SLOT_SIZE,
	ENTRY = 176,
	NCOMMANDS = 20000,
	NWORKERS = 6,
	DISK_SIZE = 1 << 20,
};

struct kernel {
	uint8_t *map;
	int fd;
	_Atomic uint32_t *head, *tail;
	uint32_t seen; /* entries before have been read */
	bool busy[NSLOTS];
	uint32_t lba[NSLOTS], nblocks[NSLOTS];
	unsigned sent, done;
	uint64_t random;
};

static uint8_t disk[DISK_SIZE];

static uint32_t any(struct kernel *k, uint32_t below)
{
	k->random = k->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(k->random >> 33) % below;
}

static uint32_t room(const struct kernel *k)
{
	const uint32_t head = *k->head, tail = atomic_load_explicit(k->tail, memory_order_acquire);

	return (tail + RING_SIZE - head - 1) % RING_SIZE;
}

static void advance(struct kernel *k, uint32_t len)
{
	atomic_store_explicit(k->head, (*k->head + len) % RING_SIZE, memory_order_release);
}

/* A READ(10) into the slot, in two pieces. */
static void put_read(struct kernel *k, unsigned slot)
{
	struct tcmu_cmd_entry e = {
		.hdr = {.len_op = ENTRY | TCMU_OP_CMD, .cmd_id = (uint16_t)slot}};
	uint8_t *p = k->map + RING + *k->head, *cdb = p + ENTRY - 16;
	const uint32_t n = 1 + any(k, SLOT_SIZE / 512);
	const uint64_t at = DATA + (uint64_t)slot * SLOT_SIZE;
	const size_t first = 512 * (size_t)any(k, n);
	const struct iovec v[2] = {{(void *)(uintptr_t)at, first},
	                           {(void *)(uintptr_t)(at + first), n * 512 - first}};

	k->busy[slot] = true;
	k->nblocks[slot] = n;
	k->lba[slot] = any(k, DISK_SIZE / 512 - n);
	e.req.iov_cnt = 2;
	e.req.cdb_off = RING + *k->head + ENTRY - 16;
	memset(p, 0, ENTRY);
	memcpy(p, &e, sizeof(e));
	memcpy(p + offsetof(struct tcmu_cmd_entry, req.iov), v, sizeof(v));
	cdb[0] = 0x28;
	ovbd_put_be32(cdb + 2, k->lba[slot]);
	ovbd_put_be16(cdb + 7, (uint16_t)n);
	advance(k, ENTRY);
	k->sent++;
}

static void send_commands(struct kernel *k)
{
	const uint32_t one = 1;
	unsigned slot;

	while (k->sent < NCOMMANDS) {
		const uint32_t to_end = RING_SIZE - *k->head;

		if (to_end < ENTRY && room(k) >= to_end + ENTRY) {
			const struct tcmu_cmd_entry_hdr h = {.len_op = to_end | TCMU_OP_PAD};

			memcpy(k->map + RING + *k->head, &h, sizeof(h));
			advance(k, to_end);
		}
		for (slot = 0; slot < NSLOTS && k->busy[slot]; slot++)
			;
		if (slot == NSLOTS || RING_SIZE - *k->head < ENTRY || room(k) < ENTRY)
			break;
		put_read(k, slot);
	}
	/* where so many are unread that there is no room, the server is awake */
	assert_true(write(k->fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN);
}

static void check_answers(struct kernel *k)
{
	const uint32_t tail = atomic_load_explicit(k->tail, memory_order_acquire);

	while (k->seen != tail) {
		struct tcmu_cmd_entry e;
		unsigned slot;

		memcpy(&e, k->map + RING + k->seen, sizeof(e.hdr));
		if (tcmu_hdr_get_op(e.hdr.len_op) == TCMU_OP_CMD) {
			memcpy(&e, k->map + RING + k->seen, sizeof(e));
			slot = e.hdr.cmd_id;
			assert_true(slot < NSLOTS && k->busy[slot]);
			assert_int_equal(e.rsp.scsi_status, 0);
			assert_memory_equal(k->map + DATA + slot * SLOT_SIZE,
			                    disk + k->lba[slot] * 512, k->nblocks[slot] * 512);
			k->busy[slot] = false;
			k->done++;
		}
		k->seen = (k->seen + tcmu_hdr_get_len(e.hdr.len_op)) % RING_SIZE;
	}
}

struct server {
	struct ovbd_transport *t;
	struct ovbd_device *device;
	int result;
};

static void *serve(void *arg)
{
	const struct ovbd_serve_params p = {.nworkers = NWORKERS};
	struct server *s = arg;

	s->result = ovbd_serve(s->t, s->device, &p, NULL);
	return NULL;
}

static void start(struct kernel *k, struct server *s)
{
	const struct ovbd_tcmu_params p = {.size = DISK_SIZE,
	                                   .block_size = 512,
	                                   .serial = "test",
	                                   .nworkers = NWORKERS};
	const struct tcmu_mailbox m = {.version = TCMU_MAILBOX_VERSION,
	                               .flags = TCMU_MAILBOX_FLAG_CAP_OOOC,
	                               .cmdr_off = RING,
	                               .cmdr_size = RING_SIZE};
	struct ovbd_error err = {0};
	struct ovbd_blob *b;
	int fds[2];

	*k = (struct kernel){.random = 1};
	for (size_t i = 0; i < sizeof(disk); i++)
		disk[i] = (uint8_t)any(k, 256);
	k->map = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(k->map, MAP_FAILED);
	memcpy(k->map, &m, sizeof(m));
	k->head = (void *)(k->map + offsetof(struct tcmu_mailbox, cmd_head));
	k->tail = (void *)(k->map + offsetof(struct tcmu_mailbox, cmd_tail));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_RDWR | O_NONBLOCK), 0);
	k->fd = fds[0];
	assert_ok(ovbd_tcmu_open_ring(&p, fds[1], k->map, MAP_SIZE, &s->t, &err), err);
	assert_ok(ovbd_blob_open_mem(disk, sizeof(disk), &b, &err), err);
	assert_ok(ovbd_device_open_blob(b, &s->device, &err), err);
}

static void test_many(void **state)
{
	struct kernel k;
	struct server s;
	pthread_t thread;
	uint32_t rung[64];

	(void)state;
	start(&k, &s);
	assert_int_equal(pthread_create(&thread, NULL, serve, &s), 0);
	while (k.done < NCOMMANDS) {
		struct pollfd p = {.fd = k.fd, .events = POLLIN};

		send_commands(&k);
		assert_int_equal(poll(&p, 1, 20000), 1);
		assert_true(read(k.fd, rung, sizeof(rung)) > 0);
		check_answers(&k);
	}
	s.t->ops->stop(s.t);
	pthread_join(thread, NULL);
	assert_int_equal(s.result, 0);
	s.t->ops->close(s.t);
	ovbd_device_close(s.device);
	close(k.fd);
}

/* Stopped while all workers wait. */
static void test_idle(void **state)
{
	struct kernel k;
	struct server s;
	pthread_t thread;

	(void)state;
	start(&k, &s);
	assert_int_equal(pthread_create(&thread, NULL, serve, &s), 0);
	assert_int_equal(write(k.fd, "wake", 4), 4);
	s.t->ops->stop(s.t);
	pthread_join(thread, NULL);
	assert_int_equal(s.result, 0);
	s.t->ops->close(s.t);
	ovbd_device_close(s.device);
	close(k.fd);
}

/* Stopped before, while and after the first worker begins to wait. */
static void test_stopped_early(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		const struct timespec t = {.tv_nsec = (long)(i % 40) * 2000};
		struct kernel k;
		struct server s;
		pthread_t thread;

		start(&k, &s);
		assert_int_equal(pthread_create(&thread, NULL, serve, &s), 0);
		nanosleep(&t, NULL);
		s.t->ops->stop(s.t);
		pthread_join(thread, NULL);
		assert_int_equal(s.result, 0);
		s.t->ops->close(s.t);
		ovbd_device_close(s.device);
		close(k.fd);
	}
}

static void test_refused(void **state)
{
	struct ovbd_tcmu_params p = {.size = 513, .block_size = 512, .serial = "x", .nworkers = 1};
	struct ovbd_transport *t;
	struct ovbd_error err = {0};
	void *map;

	(void)state;
	map = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_fails(ovbd_tcmu_open_ring(&p, dup(0), map, MAP_SIZE, &t, &err), -EINVAL, err,
	             "513 bytes in blocks of 512");
	p.size = 1024;
	map = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_fails(ovbd_tcmu_open_ring(&p, dup(0), map, MAP_SIZE, &t, &err), -EPROTO, err,
	             "version 0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_stopped_early),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
