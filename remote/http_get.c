// SPDX-License-Identifier: Apache-2.0
/*
 * One request. libcurl calls back with header lines and pieces of the body; the answer
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
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/auto.h"
#include "base/bytes.h"

#define HEAD_MAX         (128 * 1024)
#define REFUSED_BODY_MAX (16 * 1024)
#define RECEIVE_SIZE     (128 * 1024)
#define POLL_MAX_MS      60000

struct transfer {
	const struct http_way *way;
	const struct http_get *get;
	struct http_got *got;
	uint64_t head_len;
	uint64_t body_len; /* so far */
	uint64_t begin_ms;
	uint64_t body_ms;   /* when the body began */
	uint64_t active_ms; /* when something came last */
	bool sent;          /* connected: from now on it can stall */
	struct http_body body;
	bool judged;
	char trouble[CURL_ERROR_SIZE];
};

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
	if (t->get->method && len > 9 && strncasecmp(line, "Location:", 9) == 0 &&
	    !t->got->location)
		t->got->location = strndup(line + 9, len - 9);
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
	if (t->body_len == 0)
		t->body_ms = t->active_ms;
	t->got->nbytes += len;
	t->body_len += len;
	if (judge(t) < 0)
		return t->body_len <= REFUSED_BODY_MAX ? len : 0;
	if (t->get->want.any) { /* what there is room for */
		const uint64_t had = t->body_len - len;

		if (had < v->len)
			memcpy((char *)t->get->buf + had, data,
			       (size_t)ovbd_min(len, v->len - had));
		return len;
	}
	if (t->body_len > v->len && t->get->want.whole) {
		http_verdict(v, -E2BIG, HTTP_NEVER, "it has more than %" PRIu64 " bytes", v->len);
		return 0;
	}
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

static void release_slist(struct curl_slist **l)
{
	curl_slist_free_all(*l);
}

/* *l becomes NULL: no memory. */
static void append(struct curl_slist **l, const char *line)
{
	struct curl_slist *longer = *l ? curl_slist_append(*l, line) : NULL;

	if (*l && !longer)
		curl_slist_free_all(*l);
	*l = longer;
}

static struct curl_slist *make_headers(const struct http_get *g)
{
	struct curl_slist *all = curl_slist_append(NULL, "Accept-Encoding: identity");
	AUTO_FREE char *accept = NULL;
	AUTO_FREE char *type = NULL;

	if (g->accept && asprintf(&accept, "Accept: %s", g->accept) < 0) {
		accept = NULL;
		curl_slist_free_all(all);
		all = NULL;
	}
	if (accept)
		append(&all, accept);
	if (g->type && asprintf(&type, "Content-Type: %s", g->type) < 0) {
		type = NULL;
		curl_slist_free_all(all);
		all = NULL;
	}
	if (type)
		append(&all, type);
	if (g->authorization)
		append(&all, g->authorization);
	for (const char *const *more = g->headers; more && *more; more++)
		append(&all, *more);
	return all;
}

static bool set_range(CURL *easy, const struct http_want *w)
{
	char range[48];

	snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, w->off, w->off + w->len - 1);
	return !curl_easy_setopt(easy, CURLOPT_RANGE, range);
}

/* Our Authorization is for the server of the URL: not for a proxy, nor for where it redirects. */
static bool set_request(CURL *easy, const struct http_way *way, const struct http_get *g,
                        const struct curl_slist *headers)
{
	const struct ovbd_http_params *p = way->p;

	return !curl_easy_setopt(easy, CURLOPT_URL, g->url) &&
	       (g->want.whole || set_range(easy, &g->want)) &&
	       (!g->form || !curl_easy_setopt(easy, CURLOPT_POSTFIELDS, g->form)) &&
	       !curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) &&
	       !curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE) &&
	       !curl_easy_setopt(easy, CURLOPT_USERAGENT, p->user_agent) &&
	       !curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") &&
	       !curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) &&
	       !curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) &&
	       set_text(easy, CURLOPT_PROXY, p->proxy) &&
	       set_text(easy, CURLOPT_UNIX_SOCKET_PATH, p->unix_socket) &&
	       set_tls(easy, way->tls) && !curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) &&
	       !curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)p->connect_timeout_ms);
}

/* A server may have much to do with what it was sent. */
static unsigned stall_ms(const struct transfer *t)
{
	const bool waits = t->get->answer_ms && t->body.done >= t->get->body_len;

	return waits ? t->get->answer_ms : t->way->p->stall_timeout_ms;
}

enum patience { IN_TIME, STALLED, TOO_SLOW, TOO_LATE, STOPPED };

/* At half of the time: whether the rest would take more than twice what is left. Then another
 * connection, perhaps to another server behind the name, can only be better. */
static bool is_too_slow(const struct transfer *t, uint64_t now)
{
	const uint64_t deadline = t->way->deadline_ms;
	const uint64_t half = (deadline - t->begin_ms) / 2;
	const struct http_verdict *v = &t->got->verdict;

	if (!t->judged || v->code < 0 || t->get->want.whole || now <= t->body_ms)
		return false;
	if (half < t->way->p->stall_timeout_ms || now < t->begin_ms + half)
		return false;
	return (v->len - t->body_len) * (now - t->body_ms) > t->body_len * 2 * (deadline - now);
}

/* Runs the transfer to its end, or to the end of our patience; then the connection is given up. */
static enum patience run(const struct http_conn *c, struct transfer *t, CURLcode *ret_code)
{
	enum patience result = IN_TIME;
	CURLMcode mcode;
	CURLMsg *msg;
	int running, left;

	mcode = curl_multi_add_handle(c->multi, c->easy);
	while (!mcode && result == IN_TIME) {
		uint64_t now, until = t->way->deadline_ms;

		mcode = curl_multi_perform(c->multi, &running);
		if (mcode || !running)
			break;
		now = http_now_ms();
		if (t->sent)
			until = ovbd_min(until, t->active_ms + stall_ms(t));
		if (t->way->stop && atomic_load(t->way->stop))
			result = STOPPED;
		else if (now >= t->way->deadline_ms)
			result = TOO_LATE;
		else if (now >= until)
			result = STALLED;
		else if (is_too_slow(t, now))
			result = TOO_SLOW;
		else
			mcode = curl_multi_poll(c->multi, NULL, 0,
			                        (int)ovbd_min(until - now, t->way->stop
			                                                           ? HTTP_STOP_MS
			                                                           : POLL_MAX_MS),
			                        NULL);
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

	if (patience == STOPPED)
		return http_verdict(v, -ECANCELED, HTTP_NEVER, "nobody waits for it any more");
	if (patience == STALLED)
		return http_verdict(v, -ETIMEDOUT, HTTP_ALWAYS,
		                    "no byte for %u ms, %s after %" PRIu64 " bytes", stall_ms(t),
		                    phase, t->body_len);
	if (patience == TOO_SLOW)
		return http_verdict(v, -ETIMEDOUT, HTTP_ALWAYS,
		                    "too slow: %" PRIu64 " of %" PRIu64
		                    " bytes in half of the time",
		                    t->body_len, v->len);
	return http_verdict(v, -ETIMEDOUT, HTTP_NEVER,
	                    "the time was over, %s after %" PRIu64 " bytes", phase, t->body_len);
}

/* Without how long it took, so that the same trouble has the same text. */
static const char *name_trouble(struct transfer *t, CURLcode code)
{
	char *at = t->trouble, *end;
	long number = 0;

	if (!at[0])
		return curl_easy_strerror(code);
	while ((at = strstr(at, " after "))) {
		end = at + strlen(" after ");
		end += strspn(end, "0123456789");
		if (strncmp(end, " ms", 3) == 0 || strncmp(end, " milliseconds", 13) == 0)
			break;
		at++;
	}
	if (at) {
		end += strcspn(end + 1, " :") + 1;
		memmove(at, end, strlen(end) + 1);
	}
	if (code == CURLE_COULDNT_CONNECT && at &&
	    !curl_easy_getinfo(t->way->conn->easy, CURLINFO_OS_ERRNO, &number) && number != 0)
		snprintf(at, sizeof(t->trouble) - (size_t)(at - t->trouble), ": %s",
		         strerrordesc_np((int)number));
	return t->trouble;
}

/* A TLS alert about our certificate (RFC 8446, section 6.2), which the server would send again.
 * OpenSSL, whose words libcurl passes on, adds 1000 to its number. */
static bool is_certificate_alert(const char *text)
{
	static const char mark[] = "error:0A000"; /* its part libssl */
	const char *at = strstr(text, mark);
	const unsigned long alert = at ? strtoul(at + strlen(mark), NULL, 16) - 1000 : 0;

	return (alert >= 42 && alert <= 46) || alert == 48 || alert == 49 || alert == 116;
}

static int conclude_trouble(struct transfer *t, CURLcode code)
{
	const char *text = name_trouble(t, code);
	enum http_retry retry = HTTP_ALWAYS;
	int r = -EIO;

	if (code == CURLE_OUT_OF_MEMORY || code == CURLE_FAILED_INIT) {
		r = -ENOMEM;
		retry = HTTP_NEVER;
	} else if (code == CURLE_OPERATION_TIMEDOUT) {
		r = -ETIMEDOUT;
	} else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
	           code == CURLE_SSL_CERTPROBLEM || code == CURLE_URL_MALFORMAT) {
		retry = HTTP_NEVER;
		if (code == CURLE_PEER_FAILED_VERIFICATION && !strstr(text, "certificate"))
			text = curl_easy_strerror(code); /* not how the connection ended then */
	} else if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY) {
		retry = HTTP_FEW;
	} else if (is_certificate_alert(text)) {
		return http_verdict(&t->got->verdict, r, HTTP_NEVER,
		                    "the server refuses our certificate, or wants one: %.150s",
		                    text);
	}
	if (t->judged)
		return http_verdict(&t->got->verdict, r, retry,
		                    "the body ended after %" PRIu64 " of %" PRIu64 " bytes: %.200s",
		                    t->body_len, t->got->verdict.len, text);
	return http_verdict(&t->got->verdict, r, retry, "%.200s", text);
}

static int conclude(struct transfer *t, enum patience patience, CURLcode code)
{
	const struct http_answer *a = &t->got->answer;
	const struct http_verdict *v = &t->got->verdict;

	if (t->body.code < 0)
		return http_verdict(&t->got->verdict, t->body.code, HTTP_NEVER, "%.350s",
		                    t->body.err.msg);
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
	if (t->get->want.whole) {
		t->body_len = t->get->want.any ? ovbd_min(t->body_len, v->len) : t->body_len;
		t->got->verdict.size = t->got->verdict.len = t->body_len;
		return 0;
	}
	if (t->body_len < v->len)
		return http_verdict(&t->got->verdict, -EIO, HTTP_ALWAYS,
		                    "the body ended after %" PRIu64 " of %" PRIu64 " bytes",
		                    t->body_len, v->len);
	return 0;
}

static bool is_redirect(unsigned status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void note_redirect(CURL *easy, struct http_got *got)
{
	const char *url = NULL;

	if (!is_redirect(got->answer.status) ||
	    curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &url) || !url)
		return;
	got->redirect = strdup(url);
	if (!got->redirect)
		http_verdict(&got->verdict, -ENOMEM, HTTP_NEVER, "out of memory");
}

int http_get(const struct http_way *way, const struct http_get *g, struct http_got *ret)
{
	OVBD_AUTO(release_slist) struct curl_slist *headers = make_headers(g);
	struct transfer t = {.way = way, .get = g, .got = ret, .begin_ms = http_now_ms()};
	CURL *easy = way->conn->easy;
	enum patience patience;
	CURLcode code;

	free(ret->redirect);
	ret->redirect = NULL;
	free(ret->location);
	ret->location = NULL;
	t.body = (struct http_body){.get = g, .active_ms = &t.active_ms};
	memset(&ret->answer, 0, sizeof(ret->answer));
	memset(&ret->verdict, 0, sizeof(ret->verdict));
	if (headers && set_watch(easy, &t) && set_request(easy, way, g, headers) &&
	    (!g->method || http_body_set(easy, &t.body))) {
		patience = run(way->conn, &t, &code);
		conclude(&t, patience, code);
		note_redirect(easy, ret);
	} else {
		http_verdict(&ret->verdict, -ENOMEM, HTTP_NEVER, "out of memory");
	}
	curl_easy_reset(easy); /* it knows what lives no longer */
	return ret->verdict.code;
}
