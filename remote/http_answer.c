// SPDX-License-Identifier: Apache-2.0
/*
 * What a server said, and whether it is what was asked for. Lines in, verdict out; no I/O. Header
 * values are kept as text and understood only here, when the answer is judged.
 *
 * Only a 206 that names exactly the wanted bytes of the pinned object is data. Nothing is guessed:
 * a 200 holds the right bytes somewhere too, and so does a range that begins a little earlier, but
 * who answers so has not understood the question, or is not who we think.
 *
 * The object is the same if its ETag is, character for character. A weak ETag (W/"...") only claims
 * that the bytes mean the same, so the Last-Modified has to agree as well; and where there is no
 * ETag, it alone. If-Match or If-Range would make the server compare, but some ignore them and some
 * caches stop working, so the answer would have to be compared all the same: they are not sent.
 */
#include "remote/http_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"

static const char *const field_names[HTTP_NFIELDS] = {
	[HTTP_REASON] = "reason",
	[HTTP_CHUNK_MIN] = "OCI-Chunk-Min-Length",
	[HTTP_CONTENT_ENCODING] = "Content-Encoding",
	[HTTP_CONTENT_LENGTH] = "Content-Length",
	[HTTP_CONTENT_RANGE] = "Content-Range",
	[HTTP_CONTENT_TYPE] = "Content-Type",
	[HTTP_DIGEST] = "Docker-Content-Digest",
	[HTTP_ETAG] = "ETag",
	[HTTP_LAST_MODIFIED] = "Last-Modified",
	[HTTP_RANGE] = "Range",
	[HTTP_RETRY_AFTER] = "Retry-After",
};

int http_verdict(struct http_verdict *v, int code, enum http_retry retry, const char *fmt, ...)
{
	va_list ap;

	v->code = code;
	v->retry = retry;
	va_start(ap, fmt);
	vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
	return code;
}

/* --- lines --- */

static bool is_blank(char ch)
{
	return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

/* Copies without blanks around it; what a terminal would not show becomes '?'. False: too long. */
static bool copy_text(char ret[HTTP_FIELD_SIZE], const char *text, size_t len)
{
	while (len > 0 && is_blank(text[0])) {
		text++;
		len--;
	}
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	if (len >= HTTP_FIELD_SIZE)
		return false;
	for (size_t i = 0; i < len; i++)
		ret[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	ret[len] = '\0';
	return true;
}

/* "HTTP/1.1 206 Partial Content", "HTTP/2 206" */
static void take_status_line(struct http_answer *a, const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);
	size_t at = space ? (size_t)(space - line) + 1 : len;

	memset(a, 0, sizeof(*a));
	for (unsigned i = 0; i < 3 && at < len && line[at] >= '0' && line[at] <= '9'; i++, at++)
		a->status = a->status * 10 + (unsigned)(line[at] - '0');
	if (!copy_text(a->field[HTTP_REASON], line + at, len - at))
		a->field[HTTP_REASON][0] = '\0';
}

static void take_field(struct http_answer *a, enum http_field f, const char *value, size_t len)
{
	char text[HTTP_FIELD_SIZE];

	if (!copy_text(text, value, len) ||
	    (a->field[f][0] != '\0' && strcmp(a->field[f], text) != 0))
		a->bad = field_names[f];
	else
		memcpy(a->field[f], text, sizeof(text));
}

/* What is too long is left out: then we do not understand what is wanted. */
static void take_challenge(struct http_answer *a, const char *value, size_t len)
{
	const size_t had = strlen(a->challenge);
	char *to = a->challenge + had;

	if (len + 3 > HTTP_CHALLENGE_SIZE - had)
		return;
	if (had > 0)
		to = stpcpy(to, ", ");
	for (size_t i = 0; i < len; i++)
		if (value[i] != '\0' && value[i] != '\r' && value[i] != '\n')
			*to++ = value[i];
	*to = '\0';
}

void http_answer_line(struct http_answer *a, const char *line, size_t len)
{
	const char *colon;
	size_t name_len;

	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		take_status_line(a, line, len);
		return;
	}
	if (a->complete) /* a trailer, after the body: too late to say anything */
		return;
	colon = memchr(line, ':', len);
	if (!colon) {
		a->complete = len == 0 || line[0] == '\r' || line[0] == '\n';
		return;
	}
	name_len = (size_t)(colon - line);
	if (name_len == 16 && strncasecmp(line, "WWW-Authenticate", 16) == 0)
		take_challenge(a, colon + 1, len - name_len - 1);
	for (enum http_field f = HTTP_REASON + 1; f < HTTP_NFIELDS; f++)
		if (strlen(field_names[f]) == name_len &&
		    strncasecmp(field_names[f], line, name_len) == 0)
			take_field(a, f, colon + 1, len - name_len - 1);
}

/* --- numbers --- */

/* Digits at *at, which is moved behind them. */
static bool parse_number(const char **at, uint64_t *ret)
{
	const char *p = *at;
	uint64_t v = 0;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++)
		if (!ovbd_mul(v, 10, &v) || !ovbd_add(v, (uint64_t)(*p - '0'), &v))
			return false;
	*at = p;
	*ret = v;
	return true;
}

static bool parse_char(const char **at, char ch)
{
	if (**at != ch)
		return false;
	(*at)++;
	return true;
}

bool http_range_parse(const char *text, struct http_range *ret)
{
	struct http_range r = {0};
	const char *at = text;

	if (strncasecmp(at, "bytes ", 6) != 0)
		return false;
	at += 6;
	r.satisfied = !parse_char(&at, '*');
	if (r.satisfied && !(parse_number(&at, &r.first) && parse_char(&at, '-') &&
	                     parse_number(&at, &r.last) && r.first <= r.last))
		return false;
	if (!parse_char(&at, '/'))
		return false;
	r.total_known = !parse_char(&at, '*');
	if (r.total_known && !parse_number(&at, &r.total))
		return false;
	if (*at != '\0' || (!r.satisfied && !r.total_known))
		return false;
	if (r.satisfied && r.total_known && r.last >= r.total)
		return false;
	*ret = r;
	return true;
}

/* Whether the field is there, and is a number that is not v. */
static bool length_differs(const struct http_answer *a, uint64_t v)
{
	const char *at = a->field[HTTP_CONTENT_LENGTH];
	uint64_t length;

	return *at != '\0' && !(parse_number(&at, &length) && *at == '\0' && length == v);
}

/* --- the verdict --- */

static int differs(struct http_verdict *v, const char *name, const char *now, const char *was)
{
	if (now[0] == '\0')
		return http_verdict(v, -EIO, HTTP_FEW,
		                    "the answer has no %s, which was '%.80s' at open", name, was);
	return http_verdict(v, -ESTALE, HTTP_NEVER,
	                    "the object has changed since it was opened: its %s is '%.80s', "
	                    "and was '%.80s'",
	                    name, now, was);
}

static int judge_validator(const struct http_answer *a, const struct http_pin *pin,
                           struct http_verdict *v)
{
	const bool strong = pin->etag[0] == '"';

	if (strcmp(a->field[HTTP_ETAG], pin->etag) != 0 && pin->etag[0] != '\0')
		return differs(v, "ETag", a->field[HTTP_ETAG], pin->etag);
	if (!strong && pin->last_modified[0] != '\0' &&
	    strcmp(a->field[HTTP_LAST_MODIFIED], pin->last_modified) != 0)
		return differs(v, "Last-Modified", a->field[HTTP_LAST_MODIFIED],
		               pin->last_modified);
	return 0;
}

static int size_changed(struct http_verdict *v, uint64_t now, uint64_t was)
{
	return http_verdict(v, -ESTALE, HTTP_NEVER,
	                    "the object has changed since it was opened: it has %" PRIu64
	                    " bytes, and had %" PRIu64,
	                    now, was);
}

static int is_right(struct http_verdict *v, uint64_t size, uint64_t len)
{
	*v = (struct http_verdict){.code = 0, .size = size, .len = len};
	return 0;
}

/* 206 */
static int judge_partial(const struct http_answer *a, const struct http_want *w,
                         struct http_verdict *v)
{
	const char *encoding = a->field[HTTP_CONTENT_ENCODING];
	struct http_range r;
	uint64_t len;

	if (w->pin && judge_validator(a, w->pin, v) < 0)
		return v->code;
	if (encoding[0] != '\0' && strcasecmp(encoding, "identity") != 0)
		return http_verdict(v, -EIO, HTTP_FEW, "the answer has Content-Encoding '%.40s'",
		                    encoding);
	if (strncasecmp(a->field[HTTP_CONTENT_TYPE], "multipart/", 10) == 0)
		return http_verdict(v, -EIO, HTTP_FEW, "the answer is '%.80s', for one range",
		                    a->field[HTTP_CONTENT_TYPE]);
	if (a->field[HTTP_CONTENT_RANGE][0] == '\0')
		return http_verdict(v, -EIO, HTTP_FEW, "the answer has no Content-Range");
	if (!http_range_parse(a->field[HTTP_CONTENT_RANGE], &r) || !r.satisfied)
		return http_verdict(v, -EIO, HTTP_FEW,
		                    "the answer has Content-Range '%.80s', which cannot be",
		                    a->field[HTTP_CONTENT_RANGE]);
	if (!r.total_known)
		return http_verdict(v, w->pin ? -EIO : -ENOTSUP, w->pin ? HTTP_FEW : HTTP_NEVER,
		                    "the answer does not tell the size: Content-Range '%.80s'",
		                    a->field[HTTP_CONTENT_RANGE]);
	if (w->pin && r.total != w->pin->size)
		return size_changed(v, r.total, w->pin->size);
	len = r.total > w->off ? ovbd_min(w->len, r.total - w->off) : 0;
	if (r.first != w->off || r.last - r.first + 1 != len)
		return http_verdict(v, -EIO, HTTP_FEW,
		                    "the answer is another range: Content-Range '%.80s'",
		                    a->field[HTTP_CONTENT_RANGE]);
	if (length_differs(a, len))
		return http_verdict(v, -EIO, HTTP_FEW,
		                    "the answer has Content-Length '%.40s' for %" PRIu64 " bytes",
		                    a->field[HTTP_CONTENT_LENGTH], len);
	return is_right(v, r.total, len);
}

/* 200: the whole object */
static int judge_whole(const struct http_answer *a, const struct http_want *w,
                       struct http_verdict *v)
{
	const char *at = a->field[HTTP_CONTENT_LENGTH];
	uint64_t size;

	if (!w->pin && strcmp(at, "0") == 0) /* of nothing no range can be given */
		return is_right(v, 0, 0);
	if (!w->pin)
		return http_verdict(v, -ENOTSUP, HTTP_NEVER,
		                    "the server does not do ranges: the answer was 200");
	if (judge_validator(a, w->pin, v) < 0 && v->code == -ESTALE)
		return v->code;
	if (parse_number(&at, &size) && *at == '\0' && size != w->pin->size &&
	    a->field[HTTP_CONTENT_ENCODING][0] == '\0')
		return size_changed(v, size, w->pin->size);
	return http_verdict(v, -EIO, HTTP_FEW, "the answer was 200, for a range");
}

/* 416: there are no such bytes */
static int judge_unsatisfied(const struct http_answer *a, const struct http_want *w,
                             struct http_verdict *v)
{
	struct http_range r;

	if (http_range_parse(a->field[HTTP_CONTENT_RANGE], &r) && !r.satisfied) {
		if (!w->pin && r.total == 0)
			return is_right(v, 0, 0);
		if (w->pin && r.total != w->pin->size)
			return size_changed(v, r.total, w->pin->size);
	}
	return http_verdict(v, -EIO, HTTP_NEVER, "the answer was 416 %.80s, Content-Range '%.80s'",
	                    a->field[HTTP_REASON], a->field[HTTP_CONTENT_RANGE]);
}

static int judge_status(const struct http_answer *a, struct http_verdict *v)
{
	static const struct {
		unsigned status;
		int code;
		enum http_retry retry;
	} known[] = {
		{401, -EACCES, HTTP_NEVER}, {403, -EACCES, HTTP_NEVER},
		{404, -ENOENT, HTTP_NEVER}, {407, -EACCES, HTTP_NEVER},
		{408, -EIO, HTTP_ALWAYS},   {410, -ENOENT, HTTP_NEVER},
		{425, -EIO, HTTP_ALWAYS},   {429, -EAGAIN, HTTP_ALWAYS},
		{501, -EIO, HTTP_NEVER},    {503, -EAGAIN, HTTP_ALWAYS},
		{505, -EIO, HTTP_NEVER},
	};
	const bool is_client_error = a->status >= 400 && a->status < 500;
	const bool is_server_error = a->status >= 500 && a->status < 600;
	enum http_retry retry = is_client_error   ? HTTP_NEVER
	                        : is_server_error ? HTTP_ALWAYS
	                                          : HTTP_FEW;
	int code = -EIO;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].status == a->status) {
			code = known[i].code;
			retry = known[i].retry;
		}
	}
	return http_verdict(v, code, retry, "the answer was %u%s%.80s%s%.40s", a->status,
	                    a->field[HTTP_REASON][0] ? " " : "", a->field[HTTP_REASON],
	                    a->field[HTTP_RETRY_AFTER][0] ? ", Retry-After: " : "",
	                    a->field[HTTP_RETRY_AFTER]);
}

/* 200 to who wants the whole */
static int judge_document(const struct http_answer *a, const struct http_want *w,
                          struct http_verdict *v)
{
	const char *encoding = a->field[HTTP_CONTENT_ENCODING];
	const char *at = a->field[HTTP_CONTENT_LENGTH];
	uint64_t len;

	if (encoding[0] != '\0' && strcasecmp(encoding, "identity") != 0)
		return http_verdict(v, -EIO, HTTP_FEW, "the answer has Content-Encoding '%.40s'",
		                    encoding);
	if (!parse_number(&at, &len) || *at != '\0')
		len = w->len;
	if (len > w->len)
		return http_verdict(v, -E2BIG, HTTP_NEVER,
		                    "it has %" PRIu64 " bytes, more than %" PRIu64, len, w->len);
	return is_right(v, len, len);
}

int http_judge(const struct http_answer *a, const struct http_want *w, struct http_verdict *ret)
{
	if (w->any)
		return is_right(ret, w->len, w->len);
	if (w->whole && a->status == 200)
		return judge_document(a, w, ret);
	if (w->whole)
		return judge_status(a, ret);
	if (a->bad && (a->status == 206 || a->status == 200 || a->status == 416))
		return http_verdict(ret, -EIO, HTTP_FEW,
		                    "the %s of the answer is too long, or comes twice and differs",
		                    a->bad);
	if (a->status == 206)
		return judge_partial(a, w, ret);
	if (a->status == 200)
		return judge_whole(a, w, ret);
	if (a->status == 416)
		return judge_unsatisfied(a, w, ret);
	return judge_status(a, ret);
}
