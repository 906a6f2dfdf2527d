// SPDX-License-Identifier: Apache-2.0
/* The dm-user transport against a peer (dmuser_peer.h). Built for ThreadSanitizer too. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dmuser_peer.h"

static void test_reads(void **arg)
{
	static const struct {
		uint64_t sector, len;
	} cases[] = {
		{0, 512},
		{0, 4096},
		{1, 512},
		{7, 1024},
		{3, 4096 * 5},
		{9, 65536},
		{5, 65536 + 512},
		{2, 3 * 65536},
		{100, 1 << 20},
		{1, 2 << 20},
		{SIZE / SECTOR - 1, 512},
		{0, SIZE},
	};

	for (size_t i = 0; i < 2; i++) {
		struct peer *p = peer_start(i ? 48 : 40);

		for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++)
			peer_read_right(p, cases[c].sector, cases[c].len);
		peer_end_by_close(p);
	}
	(void)arg;
}

/* An error is an answer, with nothing behind it, and no more than that. */
static void test_errors(void **arg)
{
	for (size_t i = 0; i < 2; i++) {
		struct peer *p = peer_start(i ? 48 : 40);

		for (int n = 0; n < 20; n++) {
			peer_expect(p, peer_ask(p, READ, 0, DAMAGED / SECTOR, 128 << 10, NULL),
			            FAILURE);
			peer_read_right(p, 1, 512);
		}
		peer_expect(p, peer_ask(p, READ, 0, SIZE / SECTOR, 512, NULL), FAILURE);
		peer_expect(p, peer_ask(p, READ, 0, SIZE / SECTOR - 1, 1024, NULL), FAILURE);
		peer_expect(p, peer_ask(p, READ, 0, UINT64_MAX, 512, NULL), FAILURE);
		peer_expect(p, peer_ask(p, READ, 0, UINT64_MAX / SECTOR, 512, NULL), FAILURE);
		peer_expect(p, peer_ask(p, READ, 0, 0, UINT64_MAX, NULL), FAILURE);
		peer_expect(p, peer_ask(p, READ, 0, 0, 17 << 20, NULL), FAILURE);
		peer_expect(p, peer_ask(p, DISCARD, 0, 1, SIZE, NULL), FAILURE);
		peer_expect(p, peer_ask(p, READ, 0, 0, 0, NULL), SUCCESS);
		for (uint64_t type = WRITE_ZEROES + 1; type < 20; type++)
			peer_expect(p, peer_ask(p, type, 0, 0, 512, NULL), UNSUPPORTED);
		peer_expect(p, peer_ask(p, SECURE_ERASE, 0, 0, 512, NULL), UNSUPPORTED);
		peer_expect(p, peer_ask(p, WRITE_SAME, 0, 0, 512, NULL), UNSUPPORTED);
		peer_expect(p, peer_ask(p, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, NULL),
		            UNSUPPORTED);
		peer_read_right(p, 3, 4096);
		peer_end_by_close(p);
	}
	(void)arg;
}

static void test_writes(void **arg)
{
	static uint8_t data[300 << 10];
	static uint8_t large[17 << 20];
	struct peer *p = peer_start(40);

	(void)arg;
	memset(data, 0x5a, sizeof(data));
	peer_expect(p, peer_ask(p, WRITE, 0, 3, sizeof(data), data), SUCCESS);
	peer_expect(p, peer_ask(p, WRITE, FUA, 1, 512, data), SUCCESS);
	peer_expect(p, peer_ask(p, WRITE, PREFLUSH, 0, 0, NULL), SUCCESS);
	peer_expect(p, peer_ask(p, WRITE, PREFLUSH | FUA, 8, 4096, data), SUCCESS);
	peer_expect(p, peer_ask(p, FLUSH, 0, 0, 0, NULL), SUCCESS);
	peer_expect(p, peer_ask(p, WRITE_ZEROES, 0, 8, 4096, NULL), SUCCESS);
	peer_expect(p, peer_ask(p, WRITE_ZEROES, NOUNMAP, 8, 4096, NULL), SUCCESS);
	peer_expect(p, peer_ask(p, DISCARD, 0, 16, 4096, NULL), SUCCESS);
	peer_expect(p, peer_ask(p, WRITE, 0, 8, 0, NULL), SUCCESS);
	assert_string_equal(p->toy->diary, "WwFFwFZzD");
	assert_memory_equal(p->toy->bytes + 3 * SECTOR, data, 5 * SECTOR);
	/* beyond the end, and more than there is room for: refused, and the stream goes on */
	peer_expect(p, peer_ask(p, WRITE, 0, SIZE / SECTOR - 1, 1024, data), FAILURE);
	peer_expect(p, peer_ask(p, WRITE, 0, 0, sizeof(large), large), FAILURE);
	p->toy->bad_flush = true;
	peer_expect(p, peer_ask(p, WRITE, PREFLUSH, 8, 4096, data), FAILURE);
	p->toy->bad_flush = false;
	peer_expect(p, peer_ask(p, WRITE, 0, 8, 4096, data), SUCCESS);
	assert_string_equal(p->toy->diary, "WwFFwFZzDFW");
	peer_end_by_close(p);
}

static void test_read_only(void **arg)
{
	uint8_t data[512] = {0};
	struct peer *p = peer_start_with(40, false);

	(void)arg;
	peer_expect(p, peer_ask(p, WRITE, 0, 0, 512, data), FAILURE);
	peer_expect(p, peer_ask(p, WRITE, PREFLUSH, 0, 0, NULL), SUCCESS);
	peer_expect(p, peer_ask(p, WRITE_ZEROES, 0, 0, 512, NULL), FAILURE);
	peer_read_right(p, 0, 4096);
	peer_end_by_close(p);
}

/* Many requests before the first answer; a slow one is overtaken by all others. */
static void test_out_of_order(void **arg)
{
	enum { N = 400 };
	struct peer *p = peer_start(40);
	bool seen[N + 2] = {false};
	uint64_t state = 4, sectors[N + 2], lens[N + 2];
	struct answer a;

	(void)arg;
	sectors[1] = SLOW / SECTOR;
	lens[1] = 8192;
	peer_ask(p, READ, 0, sectors[1], lens[1], NULL);
	for (unsigned i = 2; i < N + 2; i++) {
		sectors[i] = test_random(&state) % 4000;
		sectors[i] += sectors[i] == SLOW / SECTOR || sectors[i] == DAMAGED / SECTOR;
		lens[i] = (test_random(&state) % 20 + 1) * SECTOR;
		peer_ask(p, READ, 0, sectors[i], lens[i], NULL);
		if (i < 10)
			continue;
		a = peer_get_header(p); /* as a socket holds only so much */
		assert_true(a.seq > 1 && a.seq < N + 2 && !seen[a.seq]);
		seen[a.seq] = true;
		peer_get_data(p, a, lens[a.seq]);
	}
	pthread_mutex_lock(&p->toy->lock);
	p->toy->go = true;
	pthread_cond_broadcast(&p->toy->wake);
	pthread_mutex_unlock(&p->toy->lock);
	for (unsigned i = 0; i < 9; i++) {
		a = peer_get_header(p);
		assert_true(a.seq > 0 && a.seq < N + 2 && !seen[a.seq]);
		seen[a.seq] = true;
		peer_get_data(p, a, lens[a.seq]);
	}
	peer_end_by_close(p);
}

/* A message that comes in pieces, and an answer that is taken in pieces. */
static void test_pieces(void **arg)
{
	struct peer *p = peer_start(40);
	uint8_t raw[40 + 512], buf[40 + 4096];

	(void)arg;
	memset(raw, 0, sizeof(raw));
	peer_put64(raw, 77);
	peer_put64(raw + 8, WRITE);
	peer_put64(raw + 24, 5);
	peer_put64(raw + 32, 512);
	memset(raw + 40, 0xa5, 512);
	for (size_t i = 0; i < sizeof(raw); i += 11) {
		peer_put(p->fd, raw + i, i + 11 < sizeof(raw) ? 11 : sizeof(raw) - i);
		usleep(200);
	}
	peer_expect(p, 77, SUCCESS);
	assert_memory_equal(p->toy->bytes + 5 * SECTOR, raw + 40, 512);
	peer_ask(p, READ, 0, 64, 4096, NULL);
	for (size_t i = 0; i < sizeof(buf); i += 7)
		peer_get(p->fd, buf + i, i + 7 < sizeof(buf) ? 7 : sizeof(buf) - i);
	peer_check_bytes(p, buf + 40, 64 * SECTOR, 4096);
	peer_end_by_close(p);
}

/* The other side goes away in the middle of a message. */
static void test_torn(void **arg)
{
	uint8_t raw[39] = {1};
	struct peer *p = peer_start(40);

	(void)arg;
	peer_put(p->fd, raw, sizeof(raw));
	close(p->fd);
	p->fd = -1;
	peer_end(p, -EIO);
	p = peer_start(40);
	peer_put64(raw + 8, WRITE);
	peer_put(p->fd, raw, 39);
	peer_put(p->fd, raw + 38, 1);
	close(p->fd);
	p->fd = -1;
	peer_end(p, 0); /* a write of no bytes, whose answer nobody takes */
}

/* Stopped while all wait, while one is busy, and while nobody takes its answer. */
static void test_stop(void **arg)
{
	struct peer *p = peer_start(40);

	(void)arg;
	peer_read_right(p, 0, 512);
	p->t->ops->stop(p->t);
	p->t->ops->stop(p->t);
	peer_end(p, 0);

	p = peer_start(40);
	peer_ask(p, READ, 0, 0, 4 << 20, NULL);
	peer_ask(p, READ, 0, 0, 4 << 20, NULL);
	usleep(50000); /* so that the socket is full */
	p->t->ops->stop(p->t);
	peer_end(p, 0);

	p = peer_start(40);
	peer_ask(p, READ, 0, SLOW / SECTOR, 512, NULL);
	pthread_mutex_lock(&p->toy->lock);
	while (!p->toy->begun)
		pthread_cond_wait(&p->toy->wake, &p->toy->lock);
	pthread_mutex_unlock(&p->toy->lock);
	p->t->ops->stop(p->t);
	pthread_mutex_lock(&p->toy->lock);
	p->toy->go = true;
	pthread_cond_broadcast(&p->toy->wake);
	pthread_mutex_unlock(&p->toy->lock);
	peer_expect(p, 1, SUCCESS); /* what was begun is answered */
	peer_end(p, 0);
}

/* Two devices of one process; what happens to one is nothing to the other. */
static void test_two(void **arg)
{
	struct peer *a = peer_start(40), *b = peer_start(48);
	uint8_t raw[10] = {0};

	(void)arg;
	peer_read_right(a, 0, 4096);
	peer_read_right(b, 0, 128 << 10);
	peer_put(a->fd, raw, sizeof(raw));
	close(a->fd);
	a->fd = -1;
	peer_end(a, -EIO);
	for (int i = 0; i < 50; i++)
		peer_read_right(b, (uint64_t)i, 100 << 10);
	peer_end_by_close(b);
}

/* Whatever bytes come, it ends, and in order or with an error. */
static void test_hostile(void **arg)
{
	uint64_t state = 99;

	(void)arg;
	for (int round = 0; round < 60; round++) {
		struct peer *p = peer_start(round % 2 ? 48 : 40);
		uint8_t noise[480];

		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (uint8_t)(test_random(&state) >> 8);
		for (size_t at = 0; round % 3 && at + p->header <= sizeof(noise); at += p->header) {
			peer_put64(noise + at + 8, test_random(&state) % 8);
			peer_put64(noise + at + 24, test_random(&state) % 40000);
			peer_put64(noise + at + 32, test_random(&state) % 3 * SECTOR);
		}
		peer_put(p->fd, noise, test_random(&state) % sizeof(noise));
		shutdown(p->fd, SHUT_WR);
		assert_int_equal(pthread_join(p->thread, NULL), 0);
		assert_true(p->result == 0 || p->result == -EIO);
		p->t->ops->close(p->t);
		close(p->fd);
		free(p->toy);
		free(p);
	}
}

static void test_no_target(void **arg)
{
	struct toy *toy = calloc(1, sizeof(*toy));
	const struct ovbd_dmuser_params params = {
		.path = "/dev/dm-user/of-no-test",
		.nworkers = 2,
		.device = &toy->device,
	};
	struct ovbd_transport *t;
	struct ovbd_error err;

	(void)arg;
	toy->device.blob = &toy->blob;
	assert_fails(ovbd_dmuser_open(&params, &t, &err), -ENOENT, err, "load a table");
	free(toy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads),        cmocka_unit_test(test_errors),
		cmocka_unit_test(test_writes),       cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_out_of_order), cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_torn),         cmocka_unit_test(test_stop),
		cmocka_unit_test(test_two),          cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_no_target),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
