// SPDX-License-Identifier: Apache-2.0
/*
 * One attempt at a range. libcurl calls back with header lines and pieces of the body; the answer
 * is judged when the first byte of its body comes, and bytes reach the caller's buffer only after
 * that, and never more than the range has. The body of a refused answer is read to its end if it
 * is small, for the sake of the connection, and dropped.
 *
 * The clock is ours: the transfer runs in a multi handle, so that waiting ends when the deadline
 * does, or when no byte has come for the stall time. libcurl watches only the time to connect.
 * No signals are used, and a resolver that hangs is left behind rather than waited for.
 */
#include "remote/http_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"

#define REDIRECTS_MAX    8
#define HEAD_MAX         (128 * 1024)
#define REFUSED_BODY_MAX (16 * 1024)
#define RECEIVE_SIZE     (128 * 1024)
#define POLL_MAX_MS      60000

struct transfer {
	const struct http_get *get;
	struct http_got *got;
	uint64_t head_len;  /* of all answers */
	uint64_t body_len;  /* of the last, so far */
	uint64_t active_ms; /* when something came last */
	bool sent;          /* connected: from now on it can stall */
	bool judged;
	char trouble[CURL_ERROR_SIZE];
};

uint64_t http_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- called by libcurl --- */

static int on_connected(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct transfer *t = arg;

	(void)ip;
	(void)local_ip;
	(void)port;
	(void)local_port;
	t->sent = true;
	t->active_ms = http_now_ms();
	t->got->nrequests++;
	return CURL_PREREQFUNC_OK;
}

/* What is not n makes libcurl end the transfer. */
static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	const size_t len = size * n;

	t->active_ms = http_now_ms();
	t->head_len += len;
	if (t->head_len > HEAD_MAX) { /* libcurl keeps them all */
		http_verdict(&t->got->verdict, -EIO, HTTP_FEW,
		             "the head of the answer is longer than %d bytes", HEAD_MAX);
		t->judged = true;
		return 0;
	}
	http_answer_line(&t->got->answer, line, len);
	return len;
}

static int judge(struct transfer *t)
{
	if (!t->judged)
		http_judge(&t->got->answer, &t->get->want, &t->got->verdict);
	t->judged = true;
	return t->got->verdict.code;
}

/* As on_header(). */
static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct http_verdict *v = &t->got->verdict;
	const size_t len = size * n;

	t->active_ms = http_now_ms();
	t->got->nbytes += len;
	t->body_len += len;
	if (judge(t) < 0)
		return t->body_len <= REFUSED_BODY_MAX ? len : 0;
	if (t->body_len > v->len) {
		http_verdict(v, -EIO, HTTP_FEW, "the body has more than its %" PRIu64 " bytes",
		             v->len);
		return 0;
	}
	memcpy((char *)t->get->buf + (t->body_len - len), data, len);
	return len;
}

/* --- the request --- */

static bool set_watch(CURL *easy, struct transfer *t)
{
	/* only a wish: libcurl refuses it where it still has the buffer of a transfer that
	 * failed */
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_SIZE);
	return !curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected) &&
	       !curl_easy_setopt(easy, CURLOPT_PREREQDATA, t) &&
	       !curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) &&
	       !curl_easy_setopt(easy, CURLOPT_HEADERDATA, t) &&
	       !curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
	       !curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) &&
	       !curl_easy_setopt(easy, CURLOPT_WRITEDATA, t) &&
	       !curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->trouble) &&
	       !curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) &&
	       !curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}

static bool set_text(CURL *easy, CURLoption option, const char *text)
{
	return !text || !curl_easy_setopt(easy, option, text);
}

static bool set_tls(CURL *easy, const struct ovbd_http_tls *tls)
{
	return set_text(easy, CURLOPT_CAINFO, tls->ca_file) &&
	       set_text(easy, CURLOPT_CAPATH, tls->ca_dir) &&
	       set_text(easy, CURLOPT_SSLCERT, tls->cert_file) &&
	       set_text(easy, CURLOPT_SSLKEY, tls->key_file) &&
	       !curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, tls->skip_verify ? 0L : 1L) &&
	       !curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, tls->skip_verify ? 0L : 2L);
}

static struct curl_slist *make_headers(const char *const *more)
{
	struct curl_slist *all = curl_slist_append(NULL, "Accept-Encoding: identity"), *longer;

	for (; all && more && *more; more++) {
		longer = curl_slist_append(all, *more);
		if (!longer)
			curl_slist_free_all(all);
		all = longer;
	}
	return all;
}

static bool set_request(CURL *easy, const struct http_get *g, const struct curl_slist *headers)
{
	const char *redirect_to = g->url[4] == ':' ? "http,https" : "https";
	const struct http_want *w = &g->want;
	char range[48];

	snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, w->off, w->off + w->len - 1);
	return !curl_easy_setopt(easy, CURLOPT_URL, g->url) &&
	       !curl_easy_setopt(easy, CURLOPT_RANGE, range) &&
	       !curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) &&
	       !curl_easy_setopt(easy, CURLOPT_USERAGENT, g->p->user_agent) &&
	       !curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") &&
	       !curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L) &&
	       !curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX) &&
	       !curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, redirect_to) &&
	       !curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) &&
	       set_text(easy, CURLOPT_PROXY, g->p->proxy) &&
	       set_text(easy, CURLOPT_UNIX_SOCKET_PATH, g->p->unix_socket) &&
	       set_tls(easy, &g->p->tls) && !curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) &&
	       !curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)g->p->connect_timeout_ms);
}

enum patience { IN_TIME, STALLED, TOO_LATE };

/* Runs the transfer to its end, or to the end of our patience; then the connection is given up. */
static enum patience run(struct http_conn *c, struct transfer *t, CURLcode *ret_code)
{
	enum patience result = IN_TIME;
	CURLMcode mcode;
	CURLMsg *msg;
	int running, left;

	mcode = curl_multi_add_handle(c->multi, c->easy);
	while (!mcode && result == IN_TIME) {
		uint64_t now, until = t->get->deadline_ms;

		mcode = curl_multi_perform(c->multi, &running);
		if (mcode || !running)
			break;
		now = http_now_ms();
		if (t->sent)
			until = ovbd_min(until, t->active_ms + t->get->p->stall_timeout_ms);
		if (now >= t->get->deadline_ms)
			result = TOO_LATE;
		else if (now >= until)
			result = STALLED;
		else
			mcode = curl_multi_poll(c->multi, NULL, 0,
			                        (int)ovbd_min(until - now, POLL_MAX_MS), NULL);
	}
	*ret_code = mcode ? CURLE_FAILED_INIT : CURLE_OK;
	while ((msg = curl_multi_info_read(c->multi, &left)))
		if (msg->msg == CURLMSG_DONE)
			*ret_code = msg->data.result;
	if (result != IN_TIME) /* HTTP/2 would give up its stream only, and try the next there */
		curl_easy_setopt(c->easy, CURLOPT_FORBID_REUSE, 1L);
	curl_multi_remove_handle(c->multi, c->easy);
	return result;
}

/* --- what came of it --- */

static int conclude_late(struct transfer *t, enum patience patience)
{
	struct http_verdict *v = &t->got->verdict;
	const char *phase = !t->sent                   ? "connecting"
	                    : !t->got->answer.complete ? "waiting for the answer"
	                                               : "in the body";

	if (patience == STALLED)
		return http_verdict(v, -ETIMEDOUT, HTTP_ALWAYS,
		                    "no byte for %u ms, %s after %" PRIu64 " bytes",
		                    t->get->p->stall_timeout_ms, phase, t->body_len);
	return http_verdict(v, -ETIMEDOUT, HTTP_NEVER,
	                    "the time was over, %s after %" PRIu64 " bytes", phase, t->body_len);
}

static int conclude_trouble(struct transfer *t, CURLcode code)
{
	const bool redirect = t->got->answer.status / 100 == 3;
	const char *text = t->trouble[0] ? t->trouble : curl_easy_strerror(code);
	enum http_retry retry = HTTP_ALWAYS;
	int r = -EIO;

	if (code == CURLE_OUT_OF_MEMORY || code == CURLE_FAILED_INIT) {
		r = -ENOMEM;
		retry = HTTP_NEVER;
	} else if (code == CURLE_OPERATION_TIMEDOUT) {
		r = -ETIMEDOUT;
	} else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
	           code == CURLE_TOO_MANY_REDIRECTS || code == CURLE_URL_MALFORMAT ||
	           (code == CURLE_UNSUPPORTED_PROTOCOL && redirect)) {
		retry = HTTP_NEVER;
	} else if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY) {
		retry = HTTP_FEW;
	}
	if (t->judged)
		return http_verdict(&t->got->verdict, r, retry,
		                    "the body ended after %" PRIu64 " of %" PRIu64 " bytes: %.200s",
		                    t->body_len, t->got->verdict.len, text);
	return http_verdict(&t->got->verdict, r, retry, "%s%.200s",
	                    redirect ? "a redirect was not followed: " : "", text);
}

static int conclude(struct transfer *t, enum patience patience, CURLcode code)
{
	const struct http_answer *a = &t->got->answer;
	const struct http_verdict *v = &t->got->verdict;

	/* what was said counts, also if the connection broke while it was being said */
	if ((t->judged || (a->complete && a->status >= 400)) && judge(t) < 0)
		return v->code;
	if (patience != IN_TIME)
		return conclude_late(t, patience);
	if (code)
		return conclude_trouble(t, code);
	if (!a->complete)
		return http_verdict(&t->got->verdict, -EIO, HTTP_ALWAYS,
		                    "the connection ended in the head of the answer");
	if (judge(t) < 0)
		return v->code;
	if (t->body_len < v->len)
		return http_verdict(&t->got->verdict, -EIO, HTTP_ALWAYS,
		                    "the body ended after %" PRIu64 " of %" PRIu64 " bytes",
		                    t->body_len, v->len);
	return 0;
}

static void note_redirect(CURL *easy, struct http_got *got)
{
	const char *url = NULL;
	long hops = 0;

	curl_easy_getinfo(easy, CURLINFO_REDIRECT_COUNT, &hops);
	curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
	if (hops > 0 && url)
		ovbd_http_show(url, got->where);
}

int http_get(struct http_conn *c, const struct http_get *g, struct http_got *ret)
{
	struct transfer t = {.get = g, .got = ret};
	struct curl_slist *headers;
	enum patience patience;
	CURLcode code;

	memset(ret, 0, sizeof(*ret));
	headers = make_headers(g->p->headers);
	if (headers && set_watch(c->easy, &t) && set_request(c->easy, g, headers)) {
		patience = run(c, &t, &code);
		note_redirect(c->easy, ret);
		conclude(&t, patience, code);
	} else {
		http_verdict(&ret->verdict, -ENOMEM, HTTP_NEVER, "out of memory");
	}
	curl_easy_reset(c->easy); /* it knows what lives no longer */
	curl_slist_free_all(headers);
	return ret->verdict.code;
}
