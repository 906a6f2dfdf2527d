// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/bytes.h"
#include "oci/push_impl.h"
#include "remote/patience.h"

#define CHUNK_SIZE  (16u << 20)
#define DEADLINE_MS 30000u /* of reads */
#define BACKOFF_MS  100u
#define BACKOFF_MAX 5000u
#define CANCEL_MS   2000u
#define SLEEP_MS    50u

/* ---- time ---- */

uint64_t oci_push_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int oci_push_wait(unsigned n, uint64_t least_ms, struct ovbd_error *err)
{
	const uint64_t backoff = ovbd_min(BACKOFF_MS << ovbd_min(n - 1, 10), BACKOFF_MAX);
	const uint64_t until = oci_push_now_ms() + (least_ms > backoff ? least_ms : backoff);
	const atomic_bool *stop = ovbd_patience().stop;

	while (oci_push_now_ms() < until) {
		const struct timespec bit = {.tv_nsec = SLEEP_MS * 1000000l};

		if (stop && atomic_load(stop))
			return ovbd_fail(err, -ECANCELED, "interrupted");
		nanosleep(&bit, NULL);
	}
	return 0;
}

/* ---- a pusher ---- */

/* For the URL of "blobs/", which may be that of who stands for the registry. */
static int open_client(struct oci_pusher *p, const struct ovbd_repository *repo,
                       struct ovbd_error *err)
{
	AUTO_FREE char *url = ovbd_repository_url(repo, "blobs", "");
	AUTO_FREE char *scope = NULL;
	struct ovbd_route route;
	int r;

	if (asprintf(&scope, "repository:%s:pull,push", repo->name.repository) < 0)
		scope = NULL;
	if (!url || !scope)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_repository_route(repo, url, false, &route, err);
	if (r < 0)
		return r;
	route.http.nhosts = 0;
	r = ovbd_http_client_open(route.url, &route.http, scope, &p->client, err);
	p->base = strndup(route.url, strcspn(route.url, "?") - strlen("blobs/"));
	ovbd_route_free(&route);
	return r < 0 || p->base ? r : ovbd_fail(err, -ENOMEM, "out of memory");
}

int oci_pusher_open(const struct ovbd_repository *repo, const struct oci_push_params *params,
                    struct oci_pusher **ret, struct ovbd_error *err)
{
	struct oci_pusher *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	if (params)
		p->params = *params;
	if (p->params.chunk_size == 0)
		p->params.chunk_size = CHUNK_SIZE;
	if (p->params.stuck_ms == 0)
		p->params.stuck_ms =
			2 * (repo->base.deadline_ms ? repo->base.deadline_ms : DEADLINE_MS);
	r = open_client(p, repo, err);
	if (r < 0)
		oci_pusher_close(p);
	else
		*ret = p;
	return r;
}

void oci_pusher_close(struct oci_pusher *take_p)
{
	if (!take_p)
		return;
	oci_push_cancel(take_p, take_p->spare);
	ovbd_http_client_close(take_p->client);
	free(take_p->base);
	free(take_p);
}

/* "BASE" "WHAT" "REFERENCE", to be freed. */
static char *make_url(const struct oci_pusher *p, const char *what, const char *reference)
{
	char *url;

	return asprintf(&url, "%s%s%s", p->base, what, reference) < 0 ? NULL : url;
}

/* ---- what is there ---- */

static int is_there(struct oci_pusher *p, const char *what, const char *accept,
                    const struct oci_ref *ref, struct ovbd_error *err)
{
	AUTO_FREE char *url = make_url(p, what, ref->digest);
	const struct ovbd_http_request q = {.method = "HEAD", .url = url, .accept = accept};
	struct ovbd_http_reply reply;
	int r;

	if (!url)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_http_send(p->client, &q, &reply, err);
	if (r == 0 && reply.status == 200)
		r = reply.length == UINT64_MAX || reply.length == ref->size;
	else if (r == 0 && (reply.status == 401 || reply.status == 403))
		r = ovbd_http_reply_fail(&reply, url, err);
	free(reply.location);
	return r;
}

int oci_push_has(struct oci_pusher *p, const struct oci_ref *ref, struct ovbd_error *err)
{
	return is_there(p, "blobs/", NULL, ref, err);
}

/* ---- uploads ---- */

static int post(struct oci_pusher *p, const char *query, struct ovbd_http_reply *reply,
                struct ovbd_error *err)
{
	AUTO_FREE char *url = make_url(p, "blobs/uploads/", query);
	const struct ovbd_http_request q = {.method = "POST", .url = url};
	int r;

	reply->location = NULL;
	if (!url)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	r = ovbd_http_send(p->client, &q, reply, err);
	if (r == 0 && reply->status != 201 && reply->status != 202)
		r = ovbd_http_reply_fail(reply, url, err);
	if (r == 0 && reply->status == 202 && !reply->location)
		r = ovbd_fail(err, -EIO, "%s: an upload begins (%s), and where is not said", url,
		              reply->reason);
	return r;
}

int oci_push_begin(struct oci_pusher *p, char **ret, uint64_t *ret_min, struct ovbd_error *err)
{
	struct ovbd_http_reply reply;
	int r = 0;

	if (p->spare) {
		*ret = OVBD_MOVE(p->spare);
		*ret_min = p->spare_min;
		return 0;
	}
	r = post(p, "", &reply, err);
	if (r == 0 && reply.status != 202)
		r = ovbd_http_reply_fail(&reply, p->base, err);
	if (r == 0) {
		*ret = OVBD_MOVE(reply.location);
		*ret_min = reply.chunk_min;
	}
	free(reply.location);
	return r;
}

void oci_push_cancel(struct oci_pusher *p, char *take_session)
{
	AUTO_FREE char *session = take_session;
	const struct ovbd_http_request q = {.method = "DELETE",
	                                    .url = session,
	                                    .once = true,
	                                    .within_ms = CANCEL_MS};
	const struct ovbd_patience was = ovbd_patience();
	struct ovbd_http_reply reply;

	if (!session)
		return;
	ovbd_patience_set((struct ovbd_patience){.stop = NULL});
	ovbd_http_send(p->client, &q, &reply, NULL);
	ovbd_patience_set(was);
	free(reply.location);
}

int oci_push_prepare(struct oci_pusher *p, struct ovbd_error *err)
{
	char *session;
	int r;

	if (p->spare)
		return 0;
	r = oci_push_begin(p, &session, &p->spare_min, err);
	if (r == 0)
		p->spare = session;
	return r;
}

int oci_push_mount(struct oci_pusher *p, const struct oci_ref *ref, const char *from,
                   struct ovbd_error *err)
{
	AUTO_FREE char *query = NULL;
	struct ovbd_http_reply reply;
	int r;

	if (asprintf(&query, "?mount=%s&from=%s", ref->digest, from) < 0) {
		query = NULL;
		return ovbd_fail(err, -ENOMEM, "out of memory");
	}
	r = post(p, query, &reply, err);
	if (r == 0 && reply.status == 202) { /* an ordinary upload, for the next */
		oci_push_cancel(p, p->spare);
		p->spare = OVBD_MOVE(reply.location);
		p->spare_min = reply.chunk_min;
	}
	free(reply.location);
	if (r < 0)
		return r == -ENOMEM || r == -ECANCELED ? r : 0;
	return reply.status == 201;
}

/* ---- manifests ---- */

static int put_manifest(struct oci_pusher *p, const char *text, const struct oci_ref *ref,
                        const char *name, struct ovbd_error *err)
{
	AUTO_FREE char *url = make_url(p, "manifests/", name);
	AUTO_BLOB *body = NULL;
	struct ovbd_http_request q = {
		.method = "PUT",
		.url = url,
		.type = ref->type,
		.len = ref->size,
		.answer_ms = OCI_PUSH_ANSWER_MS,
	};
	struct ovbd_http_reply reply;
	int r = ovbd_blob_open_mem(text, ref->size, &body, err);

	if (r == 0 && !url)
		r = ovbd_fail(err, -ENOMEM, "out of memory");
	if (r < 0)
		return r;
	q.body = body;
	r = ovbd_http_send(p->client, &q, &reply, err);
	if (r == 0 && reply.status >= 300)
		r = ovbd_http_reply_fail(&reply, url, err);
	if (r == 0 && reply.digest[0] && strcmp(reply.digest, ref->digest) != 0)
		r = ovbd_fail(err, -EIO, "%s: was put as %s, and the registry says %.100s", url,
		              ref->digest, reply.digest);
	free(reply.location);
	return r;
}

int oci_push_manifest(struct oci_pusher *p, const char *text, const struct oci_ref *ref,
                      const char *name, struct ovbd_error *err)
{
	int r = 0;

	if (strcmp(name, ref->digest) == 0)
		r = is_there(p, "manifests/", ref->type, ref, err);
	if (r != 0)
		return r < 0 ? r : 0;
	return put_manifest(p, text, ref, name, err);
}
