// SPDX-License-Identifier: Apache-2.0
/*
 * What a request sends: bytes of a blob, which libcurl takes as the connection does, and may want
 * once more from the beginning (a connection that was kept and turns out to be dead; a server that
 * does not know "Expect").
 */
#include <string.h>

#include "base/blob.h"
#include "base/bytes.h"
#include "remote/http_impl.h"

static size_t on_read(char *buf, size_t size, size_t n, void *arg)
{
	struct http_body *b = arg;
	const size_t len = (size_t)ovbd_min(size * n, b->get->body_len - b->done);

	*b->active_ms = http_now_ms();
	if (len == 0)
		return 0;
	b->code = ovbd_blob_pread(b->get->body, buf, len, b->get->body_off + b->done, &b->err);
	if (b->code < 0)
		return CURL_READFUNC_ABORT;
	b->done += len;
	return len;
}

static int on_seek(void *arg, curl_off_t off, int origin)
{
	struct http_body *b = arg;

	if (origin != SEEK_SET || off < 0 || (uint64_t)off > b->get->body_len)
		return CURL_SEEKFUNC_CANTSEEK;
	b->done = (uint64_t)off;
	return CURL_SEEKFUNC_OK;
}

bool http_body_set(CURL *easy, struct http_body *b)
{
	const char *method = b->get->method;

	if (strcmp(method, "HEAD") == 0)
		return !curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	if (curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method))
		return false;
	if (strcmp(method, "GET") == 0 || strcmp(method, "DELETE") == 0)
		return true;
	return !curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L) &&
	       !curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)b->get->body_len) &&
	       !curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read) &&
	       !curl_easy_setopt(easy, CURLOPT_READDATA, b) &&
	       !curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek) &&
	       !curl_easy_setopt(easy, CURLOPT_SEEKDATA, b);
}
