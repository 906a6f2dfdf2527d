// SPDX-License-Identifier: Apache-2.0
/*
 * A request that breaks a rule is refused with an error and a sentence, and the connection goes on;
 * its data, if it is a WRITE, is still to come and has to be skipped by the caller. What the
 * sentence says of a request that failed below is only its errno: more may name files of this host,
 * which is nothing for a client, and is in the server's log.
 */
#include "daemon/nbd_request.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

#define RUNS_MAX      (4 * NBD_EXTENTS_MAX) /* that are looked at for one block status */
#define HOLE_RUNS_MAX 256                   /* and for one read */

static uint16_t flags_of(uint16_t type, const struct nbd_session *s)
{
	switch (type) {
	case NBD_CMD_READ:
		return (uint16_t)(NBD_CMD_FLAG_FUA | (s->structured ? NBD_CMD_FLAG_DF : 0));
	case NBD_CMD_WRITE_ZEROES:
		return NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO;
	case NBD_CMD_BLOCK_STATUS:
		return NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_REQ_ONE;
	default:
		return NBD_CMD_FLAG_FUA;
	}
}

static bool changes(uint16_t type)
{
	return type == NBD_CMD_WRITE || type == NBD_CMD_TRIM || type == NBD_CMD_WRITE_ZEROES;
}

static bool has_range(uint16_t type)
{
	return type != NBD_CMD_DISC && type != NBD_CMD_FLUSH;
}

static void refuse(struct nbd_request *rq, uint32_t error, const char *why)
{
	rq->error = error;
	rq->why = why;
}

static void check(struct nbd_request *rq, const struct nbd_export *e, const struct nbd_session *s)
{
	const bool carries = rq->type == NBD_CMD_READ || rq->type == NBD_CMD_WRITE;

	if (rq->type > NBD_CMD_BLOCK_STATUS)
		refuse(rq, NBD_EINVAL, "unknown type of request");
	else if ((rq->flags & ~flags_of(rq->type, s)) != 0)
		refuse(rq, NBD_EINVAL, "a flag that this request does not take");
	else if (rq->type == NBD_CMD_BLOCK_STATUS && !s->allocation)
		refuse(rq, NBD_EINVAL, "no metadata context was negotiated");
	else if (changes(rq->type) && !e->writable)
		refuse(rq, NBD_EPERM, "the export is read-only");
	else if (has_range(rq->type) && rq->len == 0)
		refuse(rq, NBD_EINVAL, "a request of 0 bytes");
	else if (carries && rq->len > NBD_BLOCK_SIZE_MAX)
		refuse(rq, NBD_EINVAL, "more than 32 MiB in one request");
	else if (has_range(rq->type) && !ovbd_within(rq->off, rq->len, e->size))
		refuse(rq, changes(rq->type) && rq->type != NBD_CMD_TRIM ? NBD_ENOSPC : NBD_EINVAL,
		       "beyond the end of the export");
}

int nbd_request_decode(const uint8_t head[NBD_REQUEST_SIZE], const struct nbd_export *e,
                       const struct nbd_session *s, struct nbd_request *ret)
{
	struct nbd_request rq = {
		.flags = ovbd_get_be16(head + 4),
		.type = ovbd_get_be16(head + 6),
		.cookie = ovbd_get_be64(head + 8),
		.off = ovbd_get_be64(head + 16),
		.len = ovbd_get_be32(head + 24),
	};

	if (ovbd_get_be32(head) != NBD_REQUEST_MAGIC)
		return -EBADMSG;
	check(&rq, e, s);
	*ret = rq;
	return 0;
}

uint32_t nbd_error_of(int code)
{
	switch (code) {
	case 0:
		return 0;
	case -EPERM:
	case -EACCES:
	case -EROFS:
		return NBD_EPERM;
	case -ENOMEM:
		return NBD_ENOMEM;
	case -EINVAL:
		return NBD_EINVAL;
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return NBD_ENOSPC;
	case -EOPNOTSUPP:
		return NBD_ENOTSUP;
	case -ESHUTDOWN:
		return NBD_ESHUTDOWN;
	default:
		return NBD_EIO;
	}
}

static size_t encode_chunk(uint8_t *out, uint16_t flags, uint16_t type, uint64_t cookie, size_t len)
{
	ovbd_put_be32(out, NBD_STRUCTURED_REPLY_MAGIC);
	ovbd_put_be16(out + 4, flags);
	ovbd_put_be16(out + 6, type);
	ovbd_put_be64(out + 8, cookie);
	ovbd_put_be32(out + 16, (uint32_t)len);
	return NBD_CHUNK_HEAD_SIZE;
}

/* The error's number, the length of the sentence, the sentence. */
static size_t encode_error(uint8_t *out, const struct nbd_request *rq)
{
	uint8_t *body = out + NBD_CHUNK_HEAD_SIZE;
	const size_t len = ovbd_min(strlen(rq->why), NBD_REPLY_MAX - NBD_CHUNK_HEAD_SIZE - 6);

	ovbd_put_be32(body, rq->error);
	ovbd_put_be16(body + 4, (uint16_t)len);
	memcpy(body + 6, rq->why, len);
	return encode_chunk(out, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_ERROR, rq->cookie, 6 + len) +
	       6 + len;
}

size_t nbd_chunk_encode(uint8_t out[NBD_REPLY_MAX], const struct nbd_request *rq,
                        const struct nbd_chunk *k, bool last)
{
	const uint16_t flags = last ? NBD_REPLY_FLAG_DONE : 0;
	uint8_t *body = out + NBD_CHUNK_HEAD_SIZE;

	ovbd_put_be64(body, k->off);
	if (!k->hole)
		return encode_chunk(out, flags, NBD_REPLY_TYPE_OFFSET_DATA, rq->cookie,
		                    8 + (size_t)k->len) +
		       8;
	ovbd_put_be32(body + 8, k->len);
	return encode_chunk(out, flags, NBD_REPLY_TYPE_OFFSET_HOLE, rq->cookie, 12) + 12;
}

size_t nbd_reply_encode(uint8_t out[NBD_REPLY_MAX], const struct nbd_session *s,
                        const struct nbd_request *rq, size_t len)
{
	if (s->structured && rq->error != 0)
		return encode_error(out, rq);
	if (s->structured && rq->type == NBD_CMD_READ) {
		const struct nbd_chunk all = {.off = rq->off, .len = (uint32_t)len};

		return nbd_chunk_encode(out, rq, &all, true);
	}
	if (s->structured && rq->type == NBD_CMD_BLOCK_STATUS)
		return encode_chunk(out, NBD_REPLY_FLAG_DONE, NBD_REPLY_TYPE_BLOCK_STATUS,
		                    rq->cookie, len);
	ovbd_put_be32(out, NBD_SIMPLE_REPLY_MAGIC);
	ovbd_put_be32(out + 4, rq->error);
	ovbd_put_be64(out + 8, rq->cookie);
	return NBD_SIMPLE_REPLY_SIZE;
}

static uint32_t state_of(enum ovbd_run_kind kind)
{
	switch (kind) {
	case OVBD_RUN_DATA:
		return 0;
	case OVBD_RUN_ZERO:
		return NBD_STATE_ZERO;
	case OVBD_RUN_HOLE:
		return NBD_STATE_ZERO | NBD_STATE_HOLE;
	}
	return 0;
}

int nbd_extents_encode(uint8_t *to, struct ovbd_blob *b, const struct nbd_request *rq)
{
	const uint64_t end = rq->off + rq->len;
	const int max = rq->flags & NBD_CMD_FLAG_REQ_ONE ? 1 : NBD_EXTENTS_MAX;
	uint64_t off = rq->off;
	uint8_t *last = NULL;
	int n = 0, r = 0;

	ovbd_put_be32(to, NBD_CONTEXT_ALLOCATION);
	for (int nruns = 0; off < end && nruns < RUNS_MAX; nruns++) {
		struct ovbd_run run;

		r = ovbd_blob_run_at(b, off, end - off, &run, NULL);
		if (r < 0)
			break;
		assert(run.len > 0 && run.len <= end - off);
		if (last && ovbd_get_be32(last + 4) == state_of(run.kind)) {
			ovbd_put_be32(last, ovbd_get_be32(last) + (uint32_t)run.len);
		} else if (n < max) {
			last = to + NBD_EXTENTS_HEAD + (size_t)n++ * NBD_EXTENT_SIZE;
			ovbd_put_be32(last, (uint32_t)run.len);
			ovbd_put_be32(last + 4, state_of(run.kind));
		} else {
			break;
		}
		off += run.len;
	}
	return n > 0 ? NBD_EXTENTS_HEAD + n * NBD_EXTENT_SIZE : r;
}

/* Behind the chunks that there are: a new one, or more of the last, if there may be no more or
 * there is no reason for one. Returns how many there are. */
static unsigned add_chunk(struct nbd_chunk *chunks, unsigned n, uint64_t off, uint32_t len,
                          bool hole)
{
	struct nbd_chunk *last = n > 0 ? &chunks[n - 1] : NULL;

	if (last && last->hole == hole) {
		last->len += len;
	} else if (last && (n == NBD_CHUNKS_MAX || (hole && len < NBD_HOLE_MIN))) {
		last->len += len;
		last->hole = false;
	} else {
		chunks[n++] = (struct nbd_chunk){.off = off, .len = len, .hole = hole};
	}
	return n;
}

unsigned nbd_chunks_find(struct ovbd_blob *b, const struct nbd_session *s,
                         const struct nbd_request *rq, struct nbd_chunk *ret)
{
	const uint64_t end = rq->off + rq->len;
	uint64_t off = rq->off, begin = off; /* of runs that are alike */
	bool alike = false;
	unsigned n = 0;

	if (!s->structured || (rq->flags & NBD_CMD_FLAG_DF) || rq->len < NBD_HOLES_MIN)
		return add_chunk(ret, 0, off, rq->len, false);
	for (unsigned nruns = 0; off < end; nruns++) {
		struct ovbd_run run;
		bool hole;

		if (nruns == HOLE_RUNS_MAX || ovbd_blob_run_at(b, off, end - off, &run, NULL) < 0)
			run = (struct ovbd_run){.len = end - off, .kind = OVBD_RUN_DATA};
		hole = run.kind != OVBD_RUN_DATA;
		if (hole != alike && off > begin) {
			n = add_chunk(ret, n, begin, (uint32_t)(off - begin), alike);
			begin = off;
		}
		alike = hole;
		off += run.len;
	}
	return add_chunk(ret, n, begin, (uint32_t)(end - begin), alike);
}
