/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel of our own on the other end of a socket pair, which speaks dm-user as Android's is known
 * to: its messages are put together by hand, byte by byte, and share no code with the transport.
 */
#ifndef OVBD_TESTS_UNIT_DMUSER_PEER_H
#define OVBD_TESTS_UNIT_DMUSER_PEER_H

#include <pthread.h>
#include <stdbool.h>

#include "daemon/dmuser.h"
#include "daemon/serve.h"
#include "test.h"

#define SIZE     (8u << 20)
#define SECTOR   512u
#define DAMAGED  (13 * 4096) /* a read that begins here fails */
#define SLOW     (17 * 4096) /* one that begins here waits until it is let go */
#define NWORKERS 8

/* Requests, answers and flags. */
enum { READ, WRITE, FLUSH, DISCARD, SECURE_ERASE, WRITE_SAME, WRITE_ZEROES };
enum { SUCCESS, FAILURE, UNSUPPORTED };
enum { FUA = 0x200, PREFLUSH = 0x400, NOUNMAP = 0x8000 };

/* A device in memory that keeps a diary. */
struct toy {
	struct ovbd_device device;
	struct ovbd_blob blob;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool begun, go;  /* the slow read */
	char diary[256]; /* W write, w with FUA, Z zeroes, z that keep space, D discard, F flush */
	bool bad_flush;
	uint8_t bytes[SIZE];
};

/* The kernel's side. */
struct peer {
	struct toy *toy;
	struct ovbd_transport *t;
	pthread_t thread;
	int fd;
	size_t header; /* 40 or 48 */
	uint64_t seq;
	int result;
	struct ovbd_error err;
};

struct answer {
	uint64_t seq, type, flags, sector, len, more;
};

/* A server of a toy, with the headers' size. */
struct peer *peer_start(size_t header);
struct peer *peer_start_with(size_t header, bool writable);

/* It returns result. */
void peer_end(struct peer *p, int result);

/* The same with 0 when the other side has gone. */
void peer_end_by_close(struct peer *p);

void peer_put64(uint8_t *at, uint64_t v);
void peer_put(int fd, const void *buf, size_t len);
void peer_get(int fd, void *buf, size_t len);

/* Asks, and returns the number of the request. */
uint64_t peer_ask(struct peer *p, uint64_t type, uint64_t flags, uint64_t sector, uint64_t len,
                  const void *data);
struct answer peer_get_header(struct peer *p);
void peer_expect(struct peer *p, uint64_t seq, uint64_t type);

/* The data of a read, from as many pieces as the protocol makes, are the toy's. a: the first
 * header. */
void peer_get_data(struct peer *p, struct answer a, uint64_t len);
void peer_check_bytes(const struct peer *p, const uint8_t *buf, uint64_t off, size_t len);
void peer_read_right(struct peer *p, uint64_t sector, uint64_t len);

#endif
