// SPDX-License-Identifier: Apache-2.0
/* An NBD client: a handshake in pieces, and then requests. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "daemon/nbd_request.h"

static struct nbd_export export = {.name = "disk", .size = 1 << 20, .writable = true};

static void parse_requests(const struct nbd_session *s, const uint8_t *data, size_t size)
{
	struct nbd_request rq;
	uint8_t out[NBD_REPLY_MAX];

	for (; size >= NBD_REQUEST_SIZE; data += NBD_REQUEST_SIZE, size -= NBD_REQUEST_SIZE) {
		if (nbd_request_decode(data, &export, s, &rq) < 0)
			return;
		if (rq.error == 0 && rq.type == NBD_CMD_READ &&
		    !ovbd_within(rq.off, rq.len, export.size))
			abort();
		if (nbd_reply_encode(out, s, &rq, 0) > sizeof(out))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nbd_handshake *h = malloc(sizeof(*h));
	size_t piece = size > 0 ? 1 + data[0] % 64 : 1;
	uint8_t *to;

	if (!h)
		return 0;
	export.tls = size > 0 && data[0] < 64 ? NBD_TLS_NONE : NBD_TLS_OFFERED;
	nbd_handshake_init(h, &export);
	while (size > 0 && h->state != NBD_SHAKE_DONE && h->state != NBD_SHAKE_OVER) {
		size_t n = ovbd_min(ovbd_min(nbd_handshake_want(h, &to), size), piece);

		if (n == 0)
			abort();
		memcpy(to, data, n);
		nbd_handshake_step(h, n);
		if (h->nout > sizeof(h->out))
			abort();
		if (h->state == NBD_SHAKE_TLS)
			nbd_handshake_secured(h);
		data += n;
		size -= n;
	}
	if (h->state == NBD_SHAKE_DONE)
		parse_requests(&h->session, data, size);
	free(h);
	return 0;
}
