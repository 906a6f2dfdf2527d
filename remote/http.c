// SPDX-License-Identifier: Apache-2.0
/*
 * The blob: its head is kept, other reads are asked for in pieces of 4 MiB, so that the deadline is
 * one for a read of any length, and little is lost by an attempt that breaks. There is no cache but
 * the head, and no reading ahead; both are other modules.
 */
#include "remote/http.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/auto.h"
#include "base/bytes.h"
#include "remote/http_impl.h"
#include "remote/metrics.h"

#define HEAD_SIZE  4096
#define PIECE_SIZE (4u << 20)

struct http_blob {
	struct ovbd_blob blob;
	struct http_object object;
	struct http_pin pin; /* for its size */
	size_t head_len;
	atomic_bool head_wrong;  /* and not used any more */
	uint8_t head[HEAD_SIZE]; /* the first bytes of the object */
};

static struct http_blob *http_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct http_blob, blob);
}

static int http_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct http_blob *h = http_of(b);
	uint8_t *dst = buf;
	struct http_got got = {.nrequests = 0};
	int r = 0;

	if (ovbd_within(off, len, h->head_len) && !atomic_load(&h->head_wrong)) {
		memcpy(buf, h->head + off, len);
		return 0;
	}
	while (len > 0 && r == 0) {
		const struct http_want want = {
			.off = off,
			.len = ovbd_min(len, PIECE_SIZE),
			.pin = &h->pin,
		};
		const uint64_t begin = ovbd_remote_read_begin(OVBD_SOURCE_REMOTE);

		r = http_object_get(&h->object, &want, NULL, dst, &got, err);
		ovbd_remote_read_end(OVBD_SOURCE_REMOTE, begin, want.len, r);
		dst += want.len;
		off += want.len;
		len -= want.len;
	}
	return r;
}

static bool http_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	struct http_blob *h = http_of(b);

	(void)len;
	if (off < h->head_len)
		atomic_store(&h->head_wrong, true);
	return true;
}

static void http_close(struct ovbd_blob *b)
{
	struct http_blob *h = http_of(b);

	http_object_clear(&h->object);
	free(h);
}

/* With the validators of the host that was asked first: another's may be others. */
static char *http_key(struct ovbd_blob *b)
{
	const struct http_blob *h = http_of(b);
	char *key;

	if (!h->pin.etag[0] && !h->pin.last_modified[0])
		return strdup("");
	if (asprintf(&key, "%s %" PRIu64 " %s %s", http_object_url(&h->object), h->pin.size,
	             h->pin.etag, h->pin.last_modified) < 0)
		return NULL;
	return key;
}

static const struct ovbd_blob_ops http_ops = {
	.name = "http object",
	.pread = http_pread,
	.key = http_key,
	.distrust = http_distrust,
	.close = http_close,
};

/* Asks for the head, and pins what comes. */
static int http_probe(struct http_blob *h, struct ovbd_error *err)
{
	const struct http_want want = {.off = 0, .len = HEAD_SIZE};
	struct http_got got = {.nrequests = 0};
	int r;

	r = http_object_get(&h->object, &want, NULL, h->head, &got, err);
	if (r < 0)
		return r;
	h->blob.size = got.verdict.size;
	h->head_len = (size_t)got.verdict.len;
	h->pin.size = got.verdict.size;
	memcpy(h->pin.etag, got.answer.field[HTTP_ETAG], HTTP_FIELD_SIZE);
	memcpy(h->pin.last_modified, got.answer.field[HTTP_LAST_MODIFIED], HTTP_FIELD_SIZE);
	return 0;
}

int ovbd_http_open(const char *url, const struct ovbd_http_params *p, struct ovbd_blob **ret,
                   struct ovbd_error *err)
{
	AUTO_BLOB *b = NULL;
	struct http_blob *h;
	int r;

	h = calloc(1, sizeof(*h));
	if (!h)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	b = &h->blob;
	b->ops = &http_ops;
	r = http_object_init(&h->object, url, p, err);
	if (r == 0)
		r = http_probe(h, err);
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(b);
	return 0;
}

struct ovbd_http_stats ovbd_http_stats(struct ovbd_blob *b)
{
	struct http_object *o = &http_of(b)->object;

	return (struct ovbd_http_stats){
		.requests = atomic_load(&o->requests),
		.retries = atomic_load(&o->retries),
		.bytes = atomic_load(&o->bytes),
	};
}
