/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake of one client, without any input or output: the caller puts bytes where and as many
 * as nbd_handshake_want() says, calls nbd_handshake_step(), and sends what is then in out.
 */
#ifndef OVBD_DAEMON_NBD_HANDSHAKE_H
#define OVBD_DAEMON_NBD_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/nbd_proto.h"

#define NBD_OPTION_MAX 16384 /* bytes of an option's data; more is skipped and refused */
#define NBD_ANSWER_MAX 16384 /* to one option; its replies hold two names at most */

#define NBD_BLOCK_SIZE_PREFERRED 4096u
#define NBD_BLOCK_SIZE_MAX       (32u << 20) /* and of a request */

enum nbd_tls_mode {
	NBD_TLS_NONE,
	NBD_TLS_OFFERED,
	NBD_TLS_REQUIRED, /* without it a client learns nothing and gets nothing */
};

struct nbd_export {
	const char *name;      /* at most NBD_STRING_MAX bytes; the name "" leads here too */
	_Atomic uint64_t size; /* may become larger: for clients to come */
	bool writable;
	enum nbd_tls_mode tls;
};

/* What the client has asked for. */
struct nbd_session {
	bool structured; /* replies */
	bool allocation; /* BLOCK_STATUS, of the context NBD_CONTEXT_ALLOCATION */
};

#define NBD_CONTEXT_ALLOCATION 1u

enum nbd_handshake_state {
	NBD_SHAKE_CLIENT_FLAGS,
	NBD_SHAKE_OPTION, /* its head */
	NBD_SHAKE_DATA,   /* its data */
	NBD_SHAKE_SKIP,   /* data that nobody wants */
	NBD_SHAKE_TLS,    /* out is the last answer in the clear: then TLS's own handshake */
	NBD_SHAKE_DONE,   /* out is the last answer: requests follow */
	NBD_SHAKE_OVER,   /* out is the last answer: then the connection is to be closed */
};

struct nbd_handshake {
	const struct nbd_export *export;
	struct nbd_session session;
	enum nbd_handshake_state state;
	bool no_zeroes;
	bool secured; /* by TLS */
	uint32_t option, option_size, skip;
	size_t nin, nout;
	uint8_t in[NBD_OPTION_MAX];
	uint8_t out[NBD_ANSWER_MAX];
};

/* out is the greeting. */
void nbd_handshake_init(struct nbd_handshake *h, const struct nbd_export *e);

/* Where the next bytes go, and how many at most: never more than belong to the handshake. */
size_t nbd_handshake_want(struct nbd_handshake *h, uint8_t **ret_to);

/* TLS's handshake is over: what was said before it counts for nothing. */
void nbd_handshake_secured(struct nbd_handshake *h);

/* n of them have come. What was in out is gone. */
void nbd_handshake_step(struct nbd_handshake *h, size_t n);

#endif
