// SPDX-License-Identifier: Apache-2.0
#include "dmuser_peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/auto.h"

static struct toy *toy_of(struct ovbd_device *d)
{
	return OVBD_CONTAINER_OF(d, struct toy, device);
}

static void note(struct toy *t, char what)
{
	const size_t n = strlen(t->diary);

	if (n + 1 < sizeof(t->diary))
		t->diary[n] = what;
}

static int toy_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                     struct ovbd_error *err)
{
	struct toy *t = OVBD_CONTAINER_OF(b, struct toy, blob);

	pthread_mutex_lock(&t->lock);
	t->begun |= off == SLOW;
	pthread_cond_broadcast(&t->wake);
	while (off == SLOW && !t->go)
		pthread_cond_wait(&t->wake, &t->lock);
	memcpy(buf, t->bytes + off, len);
	pthread_mutex_unlock(&t->lock);
	return off == DAMAGED ? ovbd_fail(err, -EIO, "block 13 is damaged") : 0;
}

static void toy_blob_close(struct ovbd_blob *b)
{
	(void)b;
}

static int toy_pwrite(struct ovbd_device *d, const void *buf, size_t len, uint64_t off,
                      unsigned flags, struct ovbd_error *err)
{
	struct toy *t = toy_of(d);

	(void)err;
	pthread_mutex_lock(&t->lock);
	memcpy(t->bytes + off, buf, len);
	note(t, flags & OVBD_WRITE_FUA ? 'w' : 'W');
	pthread_mutex_unlock(&t->lock);
	return 0;
}

static int toy_zeroes(struct ovbd_device *d, uint64_t off, uint64_t len, unsigned flags,
                      struct ovbd_error *err)
{
	struct toy *t = toy_of(d);

	(void)err;
	pthread_mutex_lock(&t->lock);
	memset(t->bytes + off, 0, len);
	note(t, flags & OVBD_WRITE_ALLOC ? 'z' : 'Z');
	pthread_mutex_unlock(&t->lock);
	return 0;
}

static int toy_discard(struct ovbd_device *d, uint64_t off, uint64_t len, struct ovbd_error *err)
{
	(void)off;
	(void)len;
	(void)err;
	pthread_mutex_lock(&toy_of(d)->lock);
	note(toy_of(d), 'D');
	pthread_mutex_unlock(&toy_of(d)->lock);
	return 0;
}

static int toy_flush(struct ovbd_device *d, struct ovbd_error *err)
{
	struct toy *t = toy_of(d);
	bool bad;

	pthread_mutex_lock(&t->lock);
	note(t, 'F');
	bad = t->bad_flush;
	pthread_mutex_unlock(&t->lock);
	return bad ? ovbd_fail(err, -EIO, "no flush") : 0;
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

static void *serve_main(void *arg)
{
	struct peer *p = arg;
	const struct ovbd_serve_params params = {.nworkers = NWORKERS};

	p->result = ovbd_serve(p->t, &p->toy->device, &params, &p->err);
	return NULL;
}

struct peer *peer_start_with(size_t header, bool writable)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct ovbd_dmuser_params params = {.nworkers = NWORKERS, .old = header == 48};
	const struct timeval limit = {.tv_sec = 20};
	int fds[2];

	assert_non_null(p);
	p->toy = calloc(1, sizeof(*p->toy));
	assert_non_null(p->toy);
	pthread_mutex_init(&p->toy->lock, NULL);
	pthread_cond_init(&p->toy->wake, NULL);
	p->toy->blob = (struct ovbd_blob){.ops = &blob_ops, .size = SIZE};
	p->toy->device =
		(struct ovbd_device){.blob = &p->toy->blob, .ops = writable ? &device_ops : NULL};
	for (size_t i = 0; i < SIZE; i++)
		p->toy->bytes[i] = (uint8_t)(i * 31 + i / 509);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	p->fd = fds[0];
	p->header = header;
	params.take_fd = fds[1];
	params.device = &p->toy->device;
	assert_ok(ovbd_dmuser_open(&params, &p->t, &p->err), p->err);
	assert_int_equal(pthread_create(&p->thread, NULL, serve_main, p), 0);
	return p;
}

struct peer *peer_start(size_t header)
{
	return peer_start_with(header, true);
}

/* The transport has returned with result. */
void peer_end(struct peer *p, int result)
{
	assert_int_equal(pthread_join(p->thread, NULL), 0);
	assert_int_equal(p->result, result);
	p->t->ops->close(p->t);
	if (p->fd >= 0)
		close(p->fd);
	pthread_mutex_destroy(&p->toy->lock);
	pthread_cond_destroy(&p->toy->wake);
	free(p->toy);
	free(p);
}

void peer_end_by_close(struct peer *p)
{
	close(p->fd);
	p->fd = -1;
	peer_end(p, 0);
}

void peer_put64(uint8_t *at, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get64(const uint8_t *at)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | at[i];
	return v;
}

void peer_put(int fd, const void *buf, size_t len)
{
	const uint8_t *at = buf;

	while (len > 0) {
		const ssize_t n = write(fd, at, len);

		assert_true(n > 0);
		at += n;
		len -= (size_t)n;
	}
}

void peer_get(int fd, void *buf, size_t len)
{
	uint8_t *at = buf;

	while (len > 0) {
		const ssize_t n = read(fd, at, len);

		if (n <= 0)
			fail_msg("%zu bytes of an answer are missing", len);
		at += n;
		len -= (size_t)n;
	}
}

uint64_t peer_ask(struct peer *p, uint64_t type, uint64_t flags, uint64_t sector, uint64_t len,
                  const void *data)
{
	uint8_t raw[48] = {0};

	peer_put64(raw, ++p->seq);
	peer_put64(raw + 8, type);
	peer_put64(raw + 16, flags);
	peer_put64(raw + 24, sector);
	peer_put64(raw + 32, len);
	peer_put(p->fd, raw, p->header);
	if (data)
		peer_put(p->fd, data, len);
	return p->seq;
}

struct answer peer_get_header(struct peer *p)
{
	uint8_t raw[48] = {0};
	struct answer a;

	peer_get(p->fd, raw, p->header);
	a.seq = get64(raw);
	a.type = get64(raw + 8);
	a.flags = get64(raw + 16);
	a.sector = get64(raw + 24);
	a.len = get64(raw + 32);
	a.more = get64(raw + 40);
	return a;
}

void peer_expect(struct peer *p, uint64_t seq, uint64_t type)
{
	const struct answer a = peer_get_header(p);

	assert_int_equal(a.seq, seq);
	assert_int_equal(a.type, type);
}

void peer_check_bytes(const struct peer *p, const uint8_t *buf, uint64_t off, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != (uint8_t)((off + i) * 31 + (off + i) / 509))
			fail_msg("byte %zu of a read at %llu is wrong", i, (unsigned long long)off);
	(void)p;
}

/* The data of a read, from as many pieces as the protocol makes. a: the first header. */
void peer_get_data(struct peer *p, struct answer a, uint64_t len)
{
	uint8_t *buf = malloc(len);
	uint64_t at = 0;

	assert_non_null(buf);
	for (;;) {
		const uint64_t n = p->header == 48 && len - at > 65536 ? 65536 : len - at;

		assert_int_equal(a.type, SUCCESS);
		assert_int_equal(a.len, len);
		assert_int_equal(a.more, at + n < len);
		peer_get(p->fd, buf + at, n);
		at += n;
		if (at == len)
			break;
		a = peer_get_header(p);
	}
	peer_check_bytes(p, buf, a.sector * SECTOR, len);
	free(buf);
}

void peer_read_right(struct peer *p, uint64_t sector, uint64_t len)
{
	const uint64_t seq = peer_ask(p, READ, 0, sector, len, NULL);
	const struct answer a = peer_get_header(p);

	assert_int_equal(a.seq, seq);
	assert_int_equal(a.sector, sector);
	peer_get_data(p, a, len);
}
