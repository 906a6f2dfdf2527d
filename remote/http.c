// SPDX-License-Identifier: Apache-2.0
/*
 * The blob: what was pinned at open, and the loop of attempts around http_get.c.
 *
 *     pread ─ head? memcpy
 *           └ pieces of 4 MiB ─ fetch ─ attempts until one is good, or no other makes sense
 *
 * An attempt always asks for the whole piece again: what a broken one left in the buffer is not
 * built upon. Pieces bound what is lost by that, and let the deadline be one for a read of any
 * length. Redirects are followed anew each time, since what they lead to may be signed for minutes
 * only. There is no cache but the head, and no reading ahead; both are other modules.
 */
#include "remote/http.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "base/bytes.h"
#include "remote/http_impl.h"

#define HEAD_SIZE  4096
#define PIECE_SIZE (4u << 20)

struct http_blob {
	struct ovbd_blob blob;
	char *url;
	struct ovbd_http_params *params;
	struct http_pin pin;
	char shown[OVBD_HTTP_SHOWN_SIZE];
	uint64_t origin;
	bool entered; /* the pool */
	atomic_uint_fast64_t random;
	atomic_uint_fast64_t requests, retries, bytes;
	size_t head_len;
	uint8_t head[HEAD_SIZE]; /* the first bytes of the object */
};

static struct http_blob *http_of(struct ovbd_blob *b)
{
	return OVBD_CONTAINER_OF(b, struct http_blob, blob);
}

static void give_conn(struct http_conn **c)
{
	http_pool_give(*c);
}

/* SplitMix64: a good enough number out of a counter. */
static uint64_t random_next(struct http_blob *h)
{
	uint64_t z = atomic_fetch_add(&h->random, 0x9e3779b97f4a7c15) + 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static void sleep_until(uint64_t ms)
{
	const struct timespec ts = {.tv_sec = (time_t)(ms / 1000),
	                            .tv_nsec = (long)(ms % 1000) * 1000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static int tell(const struct http_blob *h, const struct http_want *w, const struct http_got *got,
                unsigned nattempts, uint64_t took_ms, struct ovbd_error *err)
{
	const char *who = "; who may read it puts user and password into the URL";
	char attempts[64] = "";

	if (nattempts > 1)
		snprintf(attempts, sizeof(attempts),
		         "; gave up after %u attempts in %" PRIu64 ".%" PRIu64 " s", nattempts,
		         took_ms / 1000, took_ms % 1000 / 100);
	return ovbd_fail(err, got->verdict.code, "%s: bytes %" PRIu64 "-%" PRIu64 ": %s%s%s%s%s",
	                 h->shown, w->off, w->off + w->len - 1, got->verdict.text,
	                 got->where[0] ? ", after a redirect to " : "", got->where, attempts,
	                 got->verdict.code == -EACCES ? who : "");
}

/* How long to wait after the n-th attempt, < 0: give up. */
static int64_t wait_after(struct http_blob *h, const struct http_get *get,
                          const struct http_got *got, unsigned n, uint64_t now)
{
	const struct ovbd_http_params *p = h->params;
	const struct http_retry_state state = {
		.nattempts = n,
		.max_attempts = get->want.pin ? p->max_attempts : p->open_attempts,
		.backoff_ms = p->backoff_ms,
		.left_ms = get->deadline_ms > now ? get->deadline_ms - now : 0,
		.random = random_next(h),
	};

	return http_retry_wait(&state, &got->verdict, got->answer.field[HTTP_RETRY_AFTER],
	                       time(NULL));
}

/* Reads the wanted range into buf, in as many attempts as it takes and may take. */
static int http_fetch(struct http_blob *h, const struct http_want *w, void *buf,
                      struct http_got *ret, struct ovbd_error *err)
{
	const uint64_t start = http_now_ms();
	const struct http_get get = {
		.url = h->url,
		.p = h->params,
		.want = *w,
		.buf = buf,
		.deadline_ms = start + h->params->deadline_ms,
	};
	OVBD_AUTO(give_conn) struct http_conn *c = http_pool_take(h->origin);

	if (!c)
		return ovbd_fail(err, -ENOMEM, "%s: out of memory", h->shown);
	for (unsigned n = 1;; n++) {
		const int r = http_get(c, &get, ret);
		const uint64_t now = http_now_ms();
		int64_t wait;

		atomic_fetch_add(&h->requests, ret->nrequests);
		atomic_fetch_add(&h->bytes, ret->nbytes);
		if (r == 0)
			return 0;
		wait = wait_after(h, &get, ret, n, now);
		if (wait < 0)
			return tell(h, w, ret, n, now - start, err);
		atomic_fetch_add(&h->retries, 1);
		sleep_until(now + (uint64_t)wait);
	}
}

static int http_pread(struct ovbd_blob *b, void *buf, size_t len, uint64_t off,
                      struct ovbd_error *err)
{
	struct http_blob *h = http_of(b);
	uint8_t *dst = buf;
	struct http_got got;
	int r = 0;

	if (ovbd_within(off, len, h->head_len)) {
		memcpy(buf, h->head + off, len);
		return 0;
	}
	while (len > 0 && r == 0) {
		const struct http_want want = {
			.off = off,
			.len = ovbd_min(len, PIECE_SIZE),
			.pin = &h->pin,
		};

		r = http_fetch(h, &want, dst, &got, err);
		dst += want.len;
		off += want.len;
		len -= want.len;
	}
	return r;
}

/* But for what is kept of the beginning. */
static bool http_distrust(struct ovbd_blob *b, uint64_t off, uint64_t len)
{
	return !ovbd_within(off, len, http_of(b)->head_len);
}

static void http_close(struct ovbd_blob *b)
{
	struct http_blob *h = http_of(b);

	if (h->entered)
		http_pool_leave();
	free(h->url);
	free(h->params);
	free(h);
}

static char *http_key(struct ovbd_blob *b)
{
	const struct http_blob *h = http_of(b);
	char *key;

	if (!h->pin.etag[0] && !h->pin.last_modified[0])
		return strdup("");
	if (asprintf(&key, "%s %" PRIu64 " %s %s", h->url, h->pin.size, h->pin.etag,
	             h->pin.last_modified) < 0)
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
	struct http_got got;
	int r;

	r = http_fetch(h, &want, h->head, &got, err);
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
	uint64_t seed;
	int r;

	r = http_url_check(url, err);
	if (r < 0)
		return r;
	if (p && (p->logins.get || p->nhosts))
		return ovbd_fail(err, -ENOTSUP, "logins and other hosts cannot be used yet");
	h = calloc(1, sizeof(*h));
	if (!h)
		return ovbd_fail(err, -ENOMEM, "out of memory");
	b = &h->blob;
	b->ops = &http_ops;
	ovbd_http_show(url, h->shown);
	h->origin = http_url_origin(url);
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = http_now_ms();
	atomic_init(&h->random, seed);
	h->url = strdup(url);
	h->params = http_params_copy(p);
	if (!h->url || !h->params)
		return ovbd_fail(err, -ENOMEM, "%s: out of memory", h->shown);
	r = http_pool_enter(err);
	if (r < 0)
		return r;
	h->entered = true;
	r = http_probe(h, err);
	if (r < 0)
		return r;
	*ret = OVBD_MOVE(b);
	return 0;
}

struct ovbd_http_stats ovbd_http_stats(struct ovbd_blob *b)
{
	struct http_blob *h = http_of(b);

	return (struct ovbd_http_stats){
		.requests = atomic_load(&h->requests),
		.retries = atomic_load(&h->retries),
		.bytes = atomic_load(&h->bytes),
	};
}

int ovbd_http_get(const char *url, const struct ovbd_http_params *p, const char *accept, size_t max,
                  struct ovbd_http_document *ret, struct ovbd_error *err)
{
	(void)url;
	(void)p;
	(void)accept;
	(void)max;
	(void)ret;
	return ovbd_fail(err, -ENOTSUP, "documents cannot be got yet");
}
