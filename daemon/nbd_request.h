/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and replies after the handshake, without any input or output. */
#ifndef OVBD_DAEMON_NBD_REQUEST_H
#define OVBD_DAEMON_NBD_REQUEST_H

#include "base/blob.h"
#include "daemon/nbd_handshake.h"

struct nbd_request {
	uint16_t flags, type;
	uint64_t cookie; /* the client's; goes into the reply */
	uint64_t off;
	uint32_t len;
	uint32_t error; /* NBD_E*: it is answered with this, and not done; 0: it is sound */
	const char *why;
};

/* -EBADMSG: this is no request, and nothing that follows makes sense. Otherwise 0, also for a
 * request that is to be refused. */
int nbd_request_decode(const uint8_t head[NBD_REQUEST_SIZE], const struct nbd_export *e,
                       const struct nbd_session *s, struct nbd_request *ret);

/* The number for a negative errno. */
uint32_t nbd_error_of(int code);

#define NBD_CACHE_MAX    (32u << 20) /* bytes that one CACHE reads */
#define NBD_REPLY_MAX    128         /* bytes of a reply without its data */
#define NBD_EXTENTS_MAX  2048        /* of one block status */
#define NBD_EXTENT_SIZE  8
#define NBD_EXTENTS_HEAD 4 /* before them: the context */

/* A part of what a READ asked for, sent by itself: zeros, which are not sent, or data. */
struct nbd_chunk {
	uint64_t off;
	uint32_t len;
	bool hole;
};

enum {
	NBD_CHUNKS_MAX = 8,   /* of one reply */
	NBD_HOLES_MIN = 8192, /* bytes of a READ for which zeros are looked for */
	NBD_HOLE_MIN = 4096,  /* less is sent as data */
};

/* The chunks of the reply to a READ, as far as b knows what is zeros; at least one, at most
 * NBD_CHUNKS_MAX. */
unsigned nbd_chunks_find(struct ovbd_blob *b, const struct nbd_session *s,
                         const struct nbd_request *rq, struct nbd_chunk *ret);

/* One of them, up to its data; returns its size. */
size_t nbd_chunk_encode(uint8_t out[NBD_REPLY_MAX], const struct nbd_request *rq,
                        const struct nbd_chunk *k, bool last);

/* The reply, up to data of len bytes that follow it (READ, BLOCK_STATUS); returns its size. */
size_t nbd_reply_encode(uint8_t out[NBD_REPLY_MAX], const struct nbd_session *s,
                        const struct nbd_request *rq, size_t len);

/* What the blob knows of the request's range, for the reply to a BLOCK_STATUS. to has room for
 * NBD_EXTENTS_HEAD + NBD_EXTENTS_MAX * NBD_EXTENT_SIZE. Returns the bytes, or -errno. */
int nbd_extents_encode(uint8_t *to, struct ovbd_blob *b, const struct nbd_request *rq);

#endif
