// SPDX-License-Identifier: Apache-2.0
/*
 * An upload:
 *
 *     begin ── POST ──► there = 0 ── PATCH ... ──► there = size ── PUT ?digest= ──► done
 *                          ▲           │ broken, 416
 *                          └── look: GET, Range ── 404 ──► begin
 *
 * A request that is sent much with is never just sent again: what has come of it is asked. The
 * registry's word for what it has counts, also if it is less than it had said. Where it does not
 * know the upload any more, another begins; where it takes no chunks (400, 405, ... to the first of
 * them), all goes with the PUT. It is given up when nothing has become more for twice the deadline
 * of a read, or when five uploads in a row did not come further than those before.
 */
#include "oci/push.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/bytes.h"
#include "oci/push_impl.h"
#include "remote/patience.h"

struct upload {
	struct oci_pusher *p;
	struct ovbd_blob *blob;
	const struct oci_ref *ref;
	char *session;        /* its URL; NULL: none */
	uint64_t there;       /* bytes that the registry has */
	uint64_t best;        /* most that it ever had */
	uint64_t progress_ms; /* when it had more than before */
	uint64_t chunk;       /* bytes of a PATCH; 0: all goes with the PUT */
	uint64_t chunk_min;
	unsigned nsessions; /* since best became more */
	unsigned nfailures; /* in a row */
	struct ovbd_error why;
};

static void clear(struct upload *u)
{
	free(u->session);
}

static int set_session(struct upload *u, struct ovbd_http_reply *reply)
{
	if (!reply->location)
		return u->session ? 0
		                  : ovbd_fail(&u->why, -EIO,
		                              "the registry begins an upload (%s) and does not "
		                              "say where",
		                              reply->reason);
	free(u->session);
	u->session = OVBD_MOVE(reply->location);
	return 0;
}

/* The registry does not know it any more. */
static void forget_session(struct upload *u)
{
	free(OVBD_MOVE(u->session));
	u->there = 0;
}

static void lose_session(struct upload *u)
{
	oci_push_cancel(u->p, OVBD_MOVE(u->session));
	u->there = 0;
}

/* The registry has so many bytes. */
static void note_there(struct upload *u, uint64_t there)
{
	if (there > u->there) {
		u->progress_ms = oci_push_now_ms();
		u->nfailures = 0;
	}
	u->there = there;
	if (there > u->best) {
		u->best = there;
		u->nsessions = 1;
	}
}

/* ---- the steps: 1 it is done, 0 go on, < 0 and u->why it is over ---- */

static int begin(struct upload *u)
{
	const struct ovbd_error was = u->why;
	int r;

	if (u->nsessions++ >= OCI_PUSH_SESSIONS_MAX)
		return ovbd_fail(&u->why, -EIO, "%u uploads were lost; the last: %s",
		                 OCI_PUSH_SESSIONS_MAX, was.msg);
	if (u->nsessions > 1) {
		r = oci_push_wait(u->nsessions - 1, 0, &u->why);
		if (r < 0)
			return r;
	}
	r = oci_push_begin(u->p, &u->session, &u->chunk_min, &u->why);
	if (r < 0)
		return r;
	u->there = 0;
	if (u->chunk && u->chunk < u->chunk_min)
		u->chunk = u->chunk_min;
	return 0;
}

static int look(struct upload *u)
{
	const struct ovbd_http_request q = {.method = "GET", .url = u->session};
	struct ovbd_http_reply reply;
	uint64_t there;
	int r;

	if (!u->session)
		return 0;
	r = ovbd_http_send(u->p->client, &q, &reply, &u->why);
	if (r == 0 && reply.status < 300 && oci_push_range(reply.range, &there) &&
	    there <= u->ref->size) {
		r = set_session(u, &reply);
		note_there(u, there);
	} else if (r == 0 && (reply.status == 401 || reply.status == 403)) {
		r = ovbd_http_reply_fail(&reply, u->session, &u->why);
	} else if (r == 0) {
		ovbd_fail(&u->why, -EIO, "the registry does not say what it has of the upload: %s",
		          reply.reason);
		lose_session(u);
	}
	free(reply.location);
	return r;
}

/* Something broke, u->why, which may pass. */
static int stumble(struct upload *u, const struct ovbd_http_reply *reply)
{
	const uint64_t now = oci_push_now_ms();
	struct ovbd_error was = u->why;

	u->nfailures++;
	if (now - u->progress_ms >= u->p->params.stuck_ms)
		return ovbd_fail(&u->why, -EIO, "no progress in %u s, %u failures: %s",
		                 u->p->params.stuck_ms / 1000, u->nfailures, was.msg);
	if (reply->wait_ms > u->p->params.stuck_ms)
		return ovbd_fail(&u->why, -EAGAIN, "it is to be tried again in %llu s only: %s",
		                 (unsigned long long)reply->wait_ms / 1000, was.msg);
	return oci_push_wait(u->nfailures, reply->wait_ms, &u->why);
}

static int after_failure(struct upload *u, int code, const struct ovbd_http_reply *reply)
{
	int r;

	if (!reply->passes && code != -ETIMEDOUT)
		return code;
	r = stumble(u, reply);
	return r < 0 ? r : look(u);
}

/* A chunk was refused: fewer bytes in it, or none. */
static int other_chunks(struct upload *u, const struct ovbd_http_reply *reply)
{
	const unsigned n = reply->status;

	if (n == 413 && u->chunk > OCI_PUSH_CHUNK_LEAST && u->chunk / 2 >= u->chunk_min) {
		u->chunk /= 2;
		return look(u);
	}
	if (u->best > 0 || n == 401 || n == 403)
		return ovbd_http_reply_fail(reply, u->session, &u->why);
	ovbd_fail(&u->why, -EIO, "a chunk was refused: %s", reply->reason);
	u->chunk = 0;
	lose_session(u);
	return 0;
}

static int take_chunk(struct upload *u, struct ovbd_http_reply *reply, uint64_t len)
{
	uint64_t there = u->there + len;
	const int r = set_session(u, reply);

	if (r < 0)
		return r;
	if (reply->range[0] && (!oci_push_range(reply->range, &there) || there > u->there + len))
		return ovbd_fail(&u->why, -EIO, "the registry says that it has bytes %.60s",
		                 reply->range);
	if (there > u->there) {
		note_there(u, there);
		return 0;
	}
	/* it has taken none of them, and says that all is well */
	ovbd_fail(&u->why, -EIO, "the registry took nothing of a chunk: %s", reply->reason);
	u->there = there;
	return stumble(u, reply);
}

static int patch(struct upload *u)
{
	const uint64_t len = ovbd_min(u->chunk, u->ref->size - u->there);
	char range[64];
	const struct ovbd_http_request q = {
		.method = "PATCH",
		.url = u->session,
		.type = "application/octet-stream",
		.range = range,
		.body = u->blob,
		.off = u->there,
		.len = len,
		.answer_ms = OCI_PUSH_ANSWER_MS,
		.once = true,
	};
	struct ovbd_http_reply reply;
	int r;

	snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, u->there, u->there + len - 1);
	r = ovbd_http_send(u->p->client, &q, &reply, &u->why);
	if (r < 0) {
		r = after_failure(u, r, &reply);
	} else if (reply.status < 300) {
		r = take_chunk(u, &reply, len);
	} else if (reply.status == 416) {
		ovbd_http_reply_fail(&reply, u->session, &u->why);
		r = stumble(u, &reply);
		r = r < 0 ? r : look(u);
	} else if (reply.status == 404) {
		ovbd_http_reply_fail(&reply, u->session, &u->why);
		forget_session(u);
	} else {
		r = other_chunks(u, &reply);
	}
	free(reply.location);
	return r;
}

/* The end was answered with something else, or not at all: perhaps it is there all the same. */
static int after_put(struct upload *u, int code, const struct ovbd_http_reply *reply)
{
	const struct ovbd_error was = u->why;
	int r;

	if (code < 0 && !reply->passes && code != -ETIMEDOUT)
		return code;
	if (code < 0) {
		r = stumble(u, reply);
		if (r < 0)
			return r;
	}
	r = oci_push_has(u->p, u->ref, &u->why);
	if (r != 0)
		return r;
	u->why = was;
	if (code == 0 && (reply->status == 401 || reply->status == 403 || reply->status == 413))
		return ovbd_http_reply_fail(reply, u->session, &u->why);
	if (code < 0 && u->chunk)
		return look(u);
	lose_session(u);
	return 0;
}

static int put(struct upload *u)
{
	AUTO_FREE char *url = oci_push_with_digest(u->session, u->ref->digest);
	const uint64_t left = u->ref->size - u->there;
	const struct ovbd_http_request q = {
		.method = "PUT",
		.url = url,
		.type = "application/octet-stream",
		.body = left ? u->blob : NULL,
		.off = u->there,
		.len = left,
		.answer_ms = OCI_PUSH_ANSWER_MS,
		.once = true,
	};
	struct ovbd_http_reply reply;
	int r;

	if (!url)
		return ovbd_fail(&u->why, -ENOMEM, "out of memory");
	r = ovbd_http_send(u->p->client, &q, &reply, &u->why);
	if (r == 0 && reply.status < 300) {
		r = 1;
	} else {
		if (r == 0)
			ovbd_http_reply_fail(&reply, u->session, &u->why);
		r = after_put(u, r, &reply);
	}
	free(reply.location);
	return r;
}

static int step(struct upload *u)
{
	if (!u->session)
		return begin(u);
	if (u->chunk && u->there < u->ref->size)
		return patch(u);
	return put(u);
}

int oci_push_blob(struct oci_pusher *p, struct ovbd_blob *b, const struct oci_ref *ref,
                  struct ovbd_error *err)
{
	OVBD_AUTO(clear)
	struct upload u = {
		.p = p,
		.blob = b,
		.ref = ref,
		.progress_ms = oci_push_now_ms(),
		.chunk = ref->size > OCI_PUSH_CHUNK_LEAST ? p->params.chunk_size : 0,
	};
	int r = oci_push_has(p, ref, err);

	if (r != 0)
		return r < 0 ? r : 0;
	do
		r = step(&u);
	while (r == 0);
	if (r == 1)
		return 0;
	lose_session(&u);
	if (r == -ECANCELED)
		return ovbd_fail(err, r, "interrupted");
	return ovbd_fail(err, r, "pushing %s: %" PRIu64 " of %" PRIu64 " bytes were there: %s",
	                 ref->digest, u.best, ref->size, u.why.msg);
}
